//! Tasks of one key start in the order of their submission, one at a time, whatever happens meanwhile, and a
//! key holds up no other one.

mod common;

use std::time::Duration;

use common::{
    Gate, Job, KeyLog, Kind, LONG, Rig, Tally, assert_at_rest, await_ends, block_on, builder,
    config, drain, for_both_kinds, lanes, mortal,
};
use lanepool::{
    Clock, LaneConfig, LoadBalancingStrategy, OverflowPolicy, ProcessingError, ProcessingTask,
    SchedulingStrategy, TaskContext, TaskPriority, WorkerPoolConfigBuilder,
};

/// A number for each task's key and another for its place among those of the key.
const KEYS: u64 = 5;

for_both_kinds!(
    tasks_of_a_key_keep_their_order_across_lanes,
    several_submitters_are_each_served_in_order,
    a_panic_does_not_disturb_the_order,
    workers_that_end_pass_their_keys_on,
    dropped_tickets_leave_the_others_in_order,
    late_tasks_leave_the_others_in_order,
    a_shutdown_in_time_runs_every_key_to_its_end,
    a_shutdown_out_of_time_gives_every_keys_tasks_back_in_order,
    a_dropped_pool_ends_with_keys_that_wait,
    a_stuck_key_holds_up_no_other,
    a_hundred_thousand_keys_leave_nothing_behind,
    a_connection_is_a_key_where_no_key_is_given,
    tasks_without_a_key_wait_for_nobody,
    a_batch_keeps_the_order_of_its_keys,
);

fn hashed(workers: usize) -> WorkerPoolConfigBuilder {
    config(workers)
        .scheduling_strategy(SchedulingStrategy::HashBased)
        .lanes(lanes(1_024, OverflowPolicy::Wait))
}

/// Nothing is left of any key.
fn drain_keys(rig: &Rig) -> Tally {
    let statistics = drain(&rig.pool);
    let scheduling = rig.pool.scheduler().statistics();
    assert_eq!(scheduling.live_keys, 0);
    assert_eq!(scheduling.scheduled, statistics.total().submitted);
    Tally::of(&statistics.total())
}

fn tasks_of_a_key_keep_their_order_across_lanes(kind: Kind) {
    for stealing in [true, false] {
        let rig = Rig::new(kind, hashed(3).enable_task_stealing(stealing));
        let gate = rig.hold_all();
        let log = KeyLog::new();
        for n in 0..40 {
            for key in 0..KEYS {
                let lane = ((n * 7 + key) % 4) as usize;
                rig.pool.try_spawn(log.task(key, n).lane(lane)).unwrap();
            }
        }
        let waiting = rig.pool.scheduler().statistics();
        assert_eq!(waiting.live_keys as u64, KEYS);
        assert_eq!((waiting.keyed, waiting.key_runs), (40 * KEYS, KEYS));
        gate.open();
        assert_eq!(drain_keys(&rig).completed, 40 * KEYS + 3);
        log.assert_orderly();
        for key in 0..KEYS {
            assert!(log.of(key).into_iter().eq(0..40), "key {key}");
        }
        let runs = rig.pool.scheduler().statistics().key_runs;
        assert_eq!(runs, 40 * KEYS, "a turn for each task");
    }
}

/// Three submitters with five keys each fill lanes that are too small for what they bring.
fn several_submitters_are_each_served_in_order(kind: Kind) {
    const EACH: u64 = 300;
    let rig = Rig::new(kind, hashed(3).lanes(lanes(16, OverflowPolicy::Wait)));
    let log = KeyLog::new();
    std::thread::scope(|scope| {
        for submitter in 0..3 {
            let (log, pool) = (&log, &rig.pool);
            scope.spawn(move || {
                for n in 0..EACH {
                    let key = submitter * KEYS + n % KEYS;
                    let task = log.task(key, n).lane((n / KEYS % 4) as usize);
                    match n % 2 {
                        0 => pool.spawn_blocking(task).unwrap(),
                        _ => block_on(pool.spawn(task)).unwrap(),
                    }
                }
            });
        }
    });
    assert_eq!(drain_keys(&rig).completed, 3 * EACH);
    log.assert_orderly();
    assert_eq!(log.started() as u64, 3 * EACH);
}

fn a_panic_does_not_disturb_the_order(kind: Kind) {
    let rig = Rig::new(kind, hashed(2));
    let gate = rig.hold_all();
    let log = KeyLog::new();
    for n in 0..30 {
        for key in 0..KEYS {
            let task = match (n + key) % 3 {
                0 => log.panicking_task(key, n),
                _ => log.task(key, n),
            };
            rig.pool.try_spawn(task).unwrap();
        }
    }
    gate.open();
    let told = drain_keys(&rig);
    assert_eq!((told.panicked, told.completed), (10 * KEYS, 20 * KEYS + 2));
    log.assert_orderly();
    (0..KEYS).for_each(|key| assert!(log.of(key).into_iter().eq(0..30), "key {key}"));
}

fn workers_that_end_pass_their_keys_on(kind: Kind) {
    for stealing in [true, false] {
        let config = hashed(3).enable_task_stealing(stealing);
        let rig = Rig::with_extra(kind, builder(config), mortal(3)).unwrap();
        let events = rig.pool.events();
        let gate = rig.hold_all();
        let log = KeyLog::new();
        for n in 0..20 {
            for key in 0..KEYS {
                // Two of three workers die of it, each with the turn of a key in hand.
                let task = match (n, key) {
                    (5, 1) | (9, 3) => log.panicking_task(key, n),
                    _ => log.task(key, n),
                };
                rig.pool.try_spawn(task).unwrap();
            }
        }
        gate.open();
        await_ends(&events, 2);
        let told = drain_keys(&rig);
        assert_eq!((told.panicked, told.abandoned), (2, 0));
        log.assert_orderly();
        (0..KEYS).for_each(|key| assert!(log.of(key).into_iter().eq(0..20), "key {key}"));
    }
}

fn dropped_tickets_leave_the_others_in_order(kind: Kind) {
    let rig = Rig::new(kind, hashed(2));
    let gate = rig.hold_all();
    let log = KeyLog::new();
    let mut wanted = Vec::new();
    for n in 0..20 {
        for key in 0..KEYS {
            let ticket = rig.pool.try_submit(log.task(key, n)).unwrap();
            match (n + key) % 2 {
                0 => wanted.push(ticket),
                _ => drop(ticket),
            }
        }
    }
    gate.open();
    let told = drain_keys(&rig);
    assert_eq!((told.cancelled, told.completed), (10 * KEYS, 10 * KEYS + 2));
    log.assert_orderly();
    for key in 0..KEYS {
        let expected = (0..20).filter(|n| (n + key) % 2 == 0);
        assert!(log.of(key).into_iter().eq(expected), "key {key}");
    }
    assert!(wanted.into_iter().all(|ticket| ticket.wait().is_ok()));
}

fn late_tasks_leave_the_others_in_order(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let deadline = clock.now() + Duration::from_secs(1);
    let rig = Rig::build(kind, builder(hashed(2)).clock(clock)).unwrap();
    let gate = rig.hold_all();
    let log = KeyLog::new();
    for n in 0..20 {
        for key in 0..KEYS {
            let task = log.task(key, n);
            let task = match (n + key) % 2 {
                0 => task,
                _ => task.deadline(deadline),
            };
            rig.pool.try_spawn(task).unwrap();
        }
    }
    hands.advance(Duration::from_secs(1));
    gate.open();
    let told = drain_keys(&rig);
    assert_eq!((told.expired, told.completed), (10 * KEYS, 10 * KEYS + 2));
    log.assert_orderly();
    for key in 0..KEYS {
        let expected = (0..20).filter(|n| (n + key) % 2 == 0);
        assert!(log.of(key).into_iter().eq(expected), "key {key}");
    }
}

fn a_shutdown_in_time_runs_every_key_to_its_end(kind: Kind) {
    for stealing in [true, false] {
        let rig = Rig::new(kind, hashed(3).enable_task_stealing(stealing));
        let log = KeyLog::new();
        let gate = Gate::new();
        // One key has a single worker busy, and all the others ended before it was done, were it not for
        // what waits behind it.
        rig.pool
            .try_spawn(ProcessingTask::new(Job::hold(0, &gate)).key(0))
            .unwrap();
        gate.await_arrivals(1);
        for n in 1..50 {
            (0..KEYS).for_each(|key| rig.pool.try_spawn(log.task(key, n)).unwrap());
        }
        let mut shutdown = std::pin::pin!(rig.pool.shutdown(LONG));
        assert!(common::poll_once(shutdown.as_mut()).is_pending());
        gate.open();
        let report = block_on(shutdown);
        assert!(report.drained && report.returned.is_empty());
        assert_at_rest(&report.statistics);
        log.assert_orderly();
        (0..KEYS).for_each(|key| assert!(log.of(key).into_iter().eq(1..50), "key {key}"));
        assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
    }
}

fn a_shutdown_out_of_time_gives_every_keys_tasks_back_in_order(kind: Kind) {
    for stealing in [true, false] {
        let rig = Rig::new(kind, hashed(2).enable_task_stealing(stealing));
        let gate = Gate::new();
        let mut tickets = Vec::new();
        // The first two keys have their turn, the others wait for it.
        for key in 0..2 {
            let task = ProcessingTask::new(Job::hold(0, &gate)).key(key);
            tickets.push(rig.pool.try_submit(task).unwrap());
        }
        gate.await_arrivals(2);
        for n in 1..10 {
            for key in 0..KEYS {
                let task = ProcessingTask::new(Job::echo(n)).key(key);
                tickets.push(rig.pool.try_submit(task).unwrap());
            }
        }
        let report = rig.pool.shutdown_blocking(Duration::ZERO);
        assert!(!report.drained);
        assert_eq!(report.running.len(), 2);
        for key in 0..KEYS {
            let of_key = report
                .returned
                .iter()
                .filter(|back| back.context.key() == Some(key));
            assert!(of_key.map(|back| back.request.id).eq(1..10), "key {key}");
        }
        for ticket in tickets {
            assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
        }
        gate.open();
        let after = rig.pool.shutdown_blocking(LONG);
        assert!(after.drained, "the workers end: {:?}", after.running);
        assert_at_rest(&after.statistics);
        assert_eq!(after.statistics.total().abandoned, 9 * KEYS + 2);
        assert_eq!(rig.started(), [0, 0]);
        assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
    }
}

fn a_dropped_pool_ends_with_keys_that_wait(kind: Kind) {
    let rig = Rig::new(kind, hashed(2));
    let events = rig.pool.events();
    let gate = Gate::new();
    let held = ProcessingTask::new(Job::hold(0, &gate)).key(0);
    let held = rig.pool.try_submit(held).unwrap();
    gate.await_arrivals(1);
    let behind = |n| {
        rig.pool
            .try_submit(ProcessingTask::new(Job::echo(n)).key(0))
            .unwrap()
    };
    let tickets: Vec<_> = (1..10).map(behind).collect();
    drop(rig);
    for ticket in tickets {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    gate.open();
    assert_eq!(held.wait().unwrap().id, 0, "what runs is finished");
    await_ends(&events, 2);
}

fn a_stuck_key_holds_up_no_other(kind: Kind) {
    for balancing in LoadBalancingStrategy::ALL {
        for stealing in [true, false] {
            let config = hashed(2)
                .load_balancing_strategy(balancing)
                .enable_task_stealing(stealing);
            let rig = Rig::new(kind, config);
            let gate = Gate::new();
            let stuck = |job| ProcessingTask::new(job).key(77).lane(3);
            rig.pool.try_spawn(stuck(Job::hold(77, &gate))).unwrap();
            gate.await_arrivals(1);
            for _ in 0..50 {
                rig.pool.try_spawn(stuck(Job::echo(77))).unwrap();
            }
            let log = KeyLog::new();
            let tasks = (0..300).map(|n| log.task(n % 60, n).lane(n as usize % 4));
            let tickets: Vec<_> = tasks
                .map(|task| rig.pool.try_submit(task).unwrap())
                .collect();
            assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
            let of_stuck = rig.started().iter().filter(|id| **id == 77).count();
            assert!(of_stuck <= 1 + 5, "numbers of other keys' tasks");
            assert_eq!(log.started(), 300);
            log.assert_orderly();
            let queued = rig.pool.statistics().total().queued;
            assert_eq!(
                queued, 50,
                "{balancing:?}: none of the stuck key was started"
            );
            gate.open();
            assert_eq!(drain_keys(&rig).completed, 351);
        }
    }
}

fn a_hundred_thousand_keys_leave_nothing_behind(kind: Kind) {
    const MANY: u64 = 100_000;
    let rig = Rig::new(
        kind,
        hashed(2).lanes([LaneConfig::new().capacity(MANY as usize)]),
    );
    let gate = rig.hold_all();
    for key in 0..MANY {
        let task = ProcessingTask::new(Job::echo(key)).key(key);
        rig.pool.try_spawn(task).unwrap();
    }
    assert_eq!(
        rig.pool.scheduler().statistics().live_keys as u64,
        MANY,
        "each has a task that waits"
    );
    gate.open();
    assert_eq!(drain_keys(&rig).completed, MANY + 2);
    assert_eq!(rig.pool.scheduler().statistics().keyed, MANY);
}

fn a_connection_is_a_key_where_no_key_is_given(kind: Kind) {
    let rig = Rig::new(kind, hashed(2));
    let gate = rig.hold_all();
    let log = KeyLog::new();
    for n in 0..30 {
        for connection in 0..KEYS {
            let job = log.job(connection, n, || ());
            let task = ProcessingTask::new(job).connection_id(connection);
            rig.pool.try_spawn(task).unwrap();
        }
    }
    assert_eq!(rig.pool.scheduler().statistics().live_keys as u64, KEYS);
    gate.open();
    let next = Gate::new();
    let stuck = TaskContext::new().with_connection_id(7);
    let task = |job, context| ProcessingTask::new(job).context(context);
    rig.pool
        .spawn_blocking(task(Job::hold(0, &next), stuck))
        .unwrap();
    next.await_arrivals(1);
    // Key 7 is another one than connection 7, and a key goes before the connection.
    for context in [
        TaskContext::new().with_key(7),
        stuck.with_key(7),
        stuck.with_key(8),
    ] {
        let other = rig.pool.try_submit(task(Job::echo(0), context)).unwrap();
        assert!(other.wait().is_ok());
    }
    let behind = rig.pool.try_submit(task(Job::echo(0), stuck)).unwrap();
    assert!(!behind.is_done());
    next.open();
    assert!(behind.wait().is_ok());
    assert_eq!(drain_keys(&rig).completed, 30 * KEYS + 2 + 5);
    log.assert_orderly();
}

fn tasks_without_a_key_wait_for_nobody(kind: Kind) {
    let rig = Rig::new(kind, hashed(4));
    for round in 0..100 {
        let meeting = Gate::meeting(4);
        let task = |n| ProcessingTask::new(Job::hold(n, &meeting)).lane(round % 4);
        let submit = |n| rig.pool.try_submit(task(n)).unwrap();
        let tickets: Vec<_> = (0..4).map(submit).collect();
        assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    }
    assert_eq!(rig.pool.scheduler().statistics().keyed, 0);
    assert_eq!(drain_keys(&rig).completed, 400);
}

fn a_batch_keeps_the_order_of_its_keys(kind: Kind) {
    let rig = Rig::new(kind, hashed(3).lanes(lanes(16, OverflowPolicy::Wait)));
    let log = KeyLog::new();
    let task = |n: u64| match n % 4 {
        0 => ProcessingTask::new(Job::echo(n)),
        key => log
            .task(key, n)
            .priority(TaskPriority::ALL[n as usize / 10 % 4]),
    };
    let results = block_on(rig.pool.execute_batch((0..400).map(task)));
    let more = rig.pool.execute_batch_blocking((400..800).map(task));
    let ids = results.into_iter().chain(more).map(|done| done.unwrap().id);
    assert!(ids.eq(0..800), "results are in the order of the tasks");
    assert_eq!(drain_keys(&rig).completed, 800);
    log.assert_orderly();
    assert_eq!(rig.pool.scheduler().statistics().keyed, 600);
}
