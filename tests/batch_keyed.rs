//! Batches by key: only requests of one key go together, and every promise to lanes and keys holds between them.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::batches::lingering;
use common::clerk::{Ask, Office, Told, Trap, Trouble, Wish, shorts};
use common::{
    EXPECTED, Gate, KeyLog, Kind, LONG, assert_at_rest, block_on, builder, config, drain,
    for_both_kinds, lanes,
};
use lanepool::{
    BatchProcessorConfig, CloseReason, LaneConfig, OverflowPolicy, ProcessingTask,
    SchedulingStrategy, SubmitError, TaskContext, TaskPriority, Ticket, WorkerPoolConfigBuilder,
};

for_both_kinds!(
    requests_of_different_keys_never_share_a_batch,
    a_connection_is_a_key_and_none_is_one_too,
    the_lanes_decide_between_keys,
    a_hashed_key_has_one_batch_at_a_time_and_in_order,
    other_strategies_run_several_batches_of_a_key_at_once,
    requests_without_a_key_wait_for_nobody,
    a_full_key_goes_while_another_lingers,
    a_key_that_lingers_closes_for_every_reason,
    a_hundred_thousand_keys_leave_nothing_behind,
    a_hundred_thousand_keys_that_linger_leave_nothing_behind,
    a_key_at_half_a_lane_is_full_and_others_are_not,
    a_paused_lane_holds_up_its_own_requests_alone,
    requests_that_leave_a_key_leave_the_others_in_order,
    a_key_that_everybody_left_is_gone,
    a_panic_gives_the_key_back,
    an_error_whose_drop_panics_gives_the_key_back,
    a_shutdown_out_of_time_gives_every_keys_requests_back_in_order,
    a_dropped_pool_answers_every_key,
    a_drain_runs_every_key,
);

const STRATEGIES: [SchedulingStrategy; 5] = SchedulingStrategy::ALL;

fn keyed(batching: BatchProcessorConfig) -> WorkerPoolConfigBuilder {
    config(3).batching(batching.keyed(true))
}

/// Batches of whatever is there.
fn natural(size: usize) -> BatchProcessorConfig {
    BatchProcessorConfig::new()
        .batch_size(size)
        .batch_timeout(Duration::ZERO)
        .enable_adaptive_batching(false)
}

fn office(kind: Kind, config: WorkerPoolConfigBuilder) -> Office {
    Office::build(kind, builder(config), u64::MAX).unwrap()
}

fn echo(id: u64) -> ProcessingTask<Ask> {
    let wish = Wish::Echo;
    ProcessingTask::new(Ask { id, wish })
}

fn told(tickets: Vec<Ticket<Told, Trouble>>) -> Vec<Told> {
    let tickets = tickets.into_iter();
    tickets.map(|ticket| ticket.wait().unwrap()).collect()
}

/// Occupies every worker by a batch of a key of its own. They go on when the gate opens.
fn hold_all(office: &Office) -> (Gate, Vec<Ticket<Told, Trouble>>) {
    let gate = Gate::new();
    let hold = |worker: usize| {
        let ask = Ask {
            id: 0,
            wish: Wish::Hold(gate.clone()),
        };
        let task = ProcessingTask::new(ask).priority(TaskPriority::Critical);
        let ticket = office.ask(task.key(u64::MAX - worker as u64));
        gate.await_arrivals(worker + 1);
        ticket
    };
    let held = (0..office.pool.workers()).map(hold).collect();
    (gate, held)
}

/// Nothing is left of any key.
fn drain_keys(office: &Office) {
    drain(&office.pool);
    assert_eq!(office.pool.scheduler().statistics().live_keys, 0);
}

/// Each batch has one key, and as many requests as it said.
fn assert_pure(told: &[Told]) {
    let mut batches: BTreeMap<u64, (usize, BTreeSet<_>)> = BTreeMap::new();
    for told in told {
        let key = told.context.key().map(|key| (0, key));
        let key = key.or(told.context.connection_id().map(|key| (1, key)));
        let (requests, keys) = batches.entry(told.batch).or_default();
        *requests += 1;
        keys.insert(key);
        assert_eq!(keys.len(), 1, "batch {} is of several keys", told.batch);
    }
    for told in told {
        assert_eq!(batches[&told.batch].0, told.size);
    }
}

fn requests_of_different_keys_never_share_a_batch(kind: Kind) {
    for strategy in STRATEGIES {
        let office = office(kind, keyed(natural(8)).scheduling_strategy(strategy));
        let (gate, held) = hold_all(&office);
        let task = |id: u64| echo(id).key(id * id % 23).lane((id % 4) as usize);
        let mut tickets: Vec<_> = (0..400).map(|id| office.ask(task(id))).collect();
        gate.open();
        tickets.extend((400..800).map(|id| office.pool.submit_blocking(task(id)).unwrap()));
        let told = told(tickets);
        assert!(told.iter().map(|told| told.id).eq(0..800));
        assert_pure(&told);
        assert!(told.iter().any(|told| told.size > 1), "{strategy:?}");
        assert_eq!(shorts(held), ["0"; 3]);
        drain_keys(&office);
    }
}

fn a_connection_is_a_key_and_none_is_one_too(kind: Kind) {
    let office = office(kind, keyed(natural(16)));
    let (gate, _held) = hold_all(&office);
    let context = |id: u64| match id % 5 {
        0 => TaskContext::new(),
        1 => TaskContext::new().with_connection_id(1),
        2 => TaskContext::new().with_key(1),
        // The key goes before the connection.
        3 => TaskContext::new().with_key(2).with_connection_id(1),
        _ => TaskContext::new().with_connection_id(2).with_message_id(id),
    };
    let tickets = (0..50)
        .map(|id| office.ask(echo(id).context(context(id))))
        .collect();
    gate.open();
    let told = told(tickets);
    assert_pure(&told);
    assert!(
        told.iter().all(|told| told.size == 10),
        "a key's ten go together"
    );
    drain_keys(&office);
}

fn the_lanes_decide_between_keys(kind: Kind) {
    let office = office(kind, config(1).batching(natural(4).keyed(true)));
    let (gate, _held) = hold_all(&office);
    let mut tickets = Vec::new();
    for (key, lane) in (0..).zip(TaskPriority::ALL) {
        tickets.extend((0..4).map(|_| office.ask(echo(lane as u64).key(key).priority(lane))));
    }
    gate.open();
    let mut told = told(tickets);
    assert_pure(&told);
    told.sort_by_key(|told| told.batch);
    let order: Vec<_> = told.chunks(4).map(|batch| batch[0].id).collect();
    let mut expected = TaskPriority::ALL.map(|lane| lane as u64);
    expected.sort_by_key(|lane| std::cmp::Reverse(*lane));
    assert_eq!(order, expected, "from the top");
    drain_keys(&office);
}

fn a_hashed_key_has_one_batch_at_a_time_and_in_order(kind: Kind) {
    let config = keyed(natural(4)).scheduling_strategy(SchedulingStrategy::HashBased);
    let office = office(kind, config);
    let gate = Gate::new();
    let hold = Ask {
        id: 0,
        wish: Wish::Hold(gate.clone()),
    };
    let first = office.ask(ProcessingTask::new(hold).key(7));
    gate.await_arrivals(1);
    let behind: Vec<_> = (1..20).map(|id| office.ask(echo(id).key(7))).collect();
    // Others go on beside it.
    let others = (0..20).map(|id| office.ask(echo(id).key(id))).take(7);
    assert!(told(others.collect()).iter().map(|told| told.id).eq(0..7));
    assert!(behind.iter().all(|ticket| !ticket.is_done()));
    gate.open();
    let told = told(behind);
    let batches: Vec<_> = told.iter().map(|told| told.batch).collect();
    assert!(batches.is_sorted(), "{batches:?}");
    assert_eq!(shorts([first]), ["0"]);

    let log = KeyLog::new();
    let tickets: Vec<_> = (0..600)
        .map(|n| {
            let (key, log) = (n % 3, log.clone());
            let job = Arc::new(std::sync::Mutex::new(Some(log.job(
                key,
                n,
                std::thread::yield_now,
            ))));
            let run = move || {
                let job = job.lock().unwrap().take().expect("it is run once");
                if let common::Act::Run(run) = job.act {
                    run(&TaskContext::new());
                }
            };
            let wish = Wish::Run(Arc::new(run));
            let task = ProcessingTask::new(Ask { id: n, wish }).key(key);
            office
                .pool
                .submit_blocking(task.lane((n % 4) as usize))
                .unwrap()
        })
        .collect();
    assert!(
        shorts(tickets)
            .into_iter()
            .eq((0..600).map(|id| id.to_string()))
    );
    log.assert_orderly();
    assert_eq!(log.started(), 600);
    drain_keys(&office);
}

/// Two batches of one key meet.
fn other_strategies_run_several_batches_of_a_key_at_once(kind: Kind) {
    for strategy in STRATEGIES {
        if strategy == SchedulingStrategy::HashBased {
            continue;
        }
        let office = office(kind, keyed(natural(1)).scheduling_strategy(strategy));
        assert_meeting(&office, |task| task.key(7));
    }
}

fn assert_meeting(office: &Office, of: impl Fn(ProcessingTask<Ask>) -> ProcessingTask<Ask>) {
    let gate = Gate::meeting(2);
    let hold = |id| {
        let wish = Wish::Hold(gate.clone());
        of(ProcessingTask::new(Ask { id, wish }))
    };
    let tickets = [1, 2].map(|id| office.ask(hold(id)));
    assert_eq!(shorts(tickets), ["1", "2"]);
    drain_keys(office);
}

fn requests_without_a_key_wait_for_nobody(kind: Kind) {
    for strategy in STRATEGIES {
        let office = office(kind, keyed(natural(1)).scheduling_strategy(strategy));
        assert_meeting(&office, |task| task);
    }
}

/// With one worker, which nobody's lingering holds up.
fn a_full_key_goes_while_another_lingers(kind: Kind) {
    for strategy in STRATEGIES {
        let config = config(1)
            .batching(lingering(3).keyed(true))
            .scheduling_strategy(strategy);
        let office = office(kind, config);
        let lingers: Vec<_> = (0..2).map(|id| office.ask(echo(id).key(1))).collect();
        let full: Vec<_> = (0..3).map(|id| office.ask(echo(id).key(2))).collect();
        assert!(told(full).iter().all(|told| told.size == 3));
        assert!(lingers.iter().all(|ticket| !ticket.is_done()));
        office.hands.advance(Duration::from_millis(999));
        let full: Vec<_> = (0..3).map(|id| office.ask(echo(id).key(3))).collect();
        assert!(told(full).iter().all(|told| told.size == 3));
        assert!(lingers.iter().all(|ticket| !ticket.is_done()));
        office.hands.advance(Duration::from_millis(1));
        assert!(
            told(lingers).iter().all(|told| told.size == 2),
            "{strategy:?}"
        );
        drain_keys(&office);
    }
}

fn a_key_that_lingers_closes_for_every_reason(kind: Kind) {
    let batching = lingering(3)
        .max_batch_wait(Duration::from_millis(1_500))
        .keyed(true);
    let office = office(kind, config(2).batching(batching));
    let count = |reason| {
        let batches = office.pool.batch_processor().unwrap().statistics();
        batches.closed(reason)
    };
    let size = |tickets: Vec<_>| told(tickets).iter().map(|told| told.size).max();

    let first = office.ask(echo(0).key(1));
    let urgent = office.ask(echo(1).key(1).priority(TaskPriority::Critical));
    assert_eq!(size(vec![first, urgent]), Some(2));
    assert_eq!(count(CloseReason::Priority), 1);

    let first = office.ask(echo(0).key(2));
    office.hands.advance(Duration::from_secs(1));
    assert_eq!(size(vec![first]), Some(1));
    assert_eq!(count(CloseReason::Timeout), 1);

    let first = office.ask(echo(0).key(3));
    let deadline = office.clock.now() + Duration::from_millis(500);
    let tight = office.ask(echo(1).key(3).deadline(deadline));
    // Just before it: a timer may be 100 microseconds late.
    office.hands.advance(Duration::from_nanos(499_900_000));
    assert_eq!(size(vec![first, tight]), Some(2));
    assert_eq!(count(CloseReason::Deadline), 1);

    let tickets = (0..3).map(|id| office.ask(echo(id).key(4))).collect();
    assert_eq!(size(tickets), Some(3));
    assert_eq!(count(CloseReason::Full), 1);

    let last = office.ask(echo(0).key(5));
    drain_keys(&office);
    assert_eq!(size(vec![last]), Some(1));
    assert_eq!(count(CloseReason::Drain), 1);
}

const MANY: u64 = 100_000;

fn a_hundred_thousand_keys_leave_nothing_behind(kind: Kind) {
    let strategy = SchedulingStrategy::HashBased;
    let office = office(kind, keyed(natural(8)).scheduling_strategy(strategy));
    let task = |n: u64| echo(n).key(n).lane((n % 4) as usize);
    for n in 0..MANY {
        office.pool.spawn_blocking(task(n)).unwrap();
    }
    drain_keys(&office);
    let statistics = office.pool.statistics().total();
    assert_eq!(statistics.completed, MANY);
}

/// All of them are there at once.
fn a_hundred_thousand_keys_that_linger_leave_nothing_behind(kind: Kind) {
    let lane = LaneConfig::new().capacity(131_072);
    // With a single lane every request is of the urgent one's.
    let office = office(kind, keyed(lingering(2).urgent(None)).lanes([lane]));
    for n in 0..MANY {
        office.pool.try_spawn(echo(n).key(n)).unwrap();
    }
    assert_eq!(office.pool.scheduler().statistics().live_keys as u64, MANY);
    assert_eq!(office.pool.statistics().total().completed, 0);
    // Every second one gets full.
    for n in (0..MANY).step_by(2) {
        office.pool.spawn_blocking(echo(n).key(n)).unwrap();
    }
    while office.pool.statistics().total().completed < MANY {
        std::thread::yield_now();
    }
    assert_eq!(
        office.pool.scheduler().statistics().live_keys as u64,
        MANY / 2
    );
    office.hands.advance(Duration::from_secs(1));
    while office.pool.statistics().total().completed < MANY / 2 * 3 {
        std::thread::yield_now();
    }
    let batches = office.pool.batch_processor().unwrap().statistics();
    let closed = [CloseReason::Full, CloseReason::Timeout].map(|why| batches.closed(why));
    assert_eq!(closed, [MANY / 2; 2]);
    drain_keys(&office);
}

fn a_key_at_half_a_lane_is_full_and_others_are_not(kind: Kind) {
    for batching in [natural(3), lingering(16)] {
        let config = config(1).batching(batching.keyed(true));
        let office = office(kind, config.lanes(lanes(16, OverflowPolicy::Reject)));
        let (gate, _held) = hold_all(&office);
        let mut tickets: Vec<_> = (0..8).map(|id| office.ask(echo(id).key(1))).collect();
        let refused = office.pool.try_submit(echo(8).key(1));
        assert!(matches!(refused, Err(SubmitError::Full(Ask { id: 8, .. }))));
        tickets.extend((0..4).map(|id| office.ask(echo(id).key(2))));
        gate.open();
        office.hands.advance(Duration::from_secs(1));
        let expected = (0..8).chain(0..4).map(|id| id.to_string());
        assert!(shorts(tickets).into_iter().eq(expected));
        drain_keys(&office);
        assert_eq!(office.pool.statistics().total().refused, 1);
    }
}

fn a_paused_lane_holds_up_its_own_requests_alone(kind: Kind) {
    for strategy in STRATEGIES {
        let config = keyed(natural(4)).scheduling_strategy(strategy);
        let office = office(kind, config);
        office.pool.scheduler().pause(TaskPriority::Low);
        let low = |id, key| office.ask(echo(id).key(key).priority(TaskPriority::Low));
        let paused: Vec<_> = (0..6).map(|id| low(id, id % 2)).collect();
        let other = (0..9)
            .map(|id| office.ask(echo(id).key(id % 3 + 2)))
            .collect();
        let told = told(other);
        assert_pure(&told);
        assert!(paused.iter().all(|ticket| !ticket.is_done()));
        office.pool.scheduler().resume(TaskPriority::Low);
        assert!(
            shorts(paused)
                .into_iter()
                .eq((0..6).map(|id| id.to_string())),
            "{strategy:?}"
        );
        drain_keys(&office);
    }
}

fn requests_that_leave_a_key_leave_the_others_in_order(kind: Kind) {
    for strategy in STRATEGIES {
        let office = office(kind, keyed(natural(4)).scheduling_strategy(strategy));
        let (gate, _held) = hold_all(&office);
        let tickets = (0..60).map(|id| office.ask(echo(id).key(id % 3)));
        let mut tickets: Vec<_> = tickets.collect();
        // Every fourth one, the first of each key among them.
        let mut place = 0;
        tickets.retain(|_| {
            place += 1;
            (place - 1) % 4 != 0 && place > 3
        });
        let left = tickets.len() as u64;
        gate.open();
        let told = told(tickets);
        assert_pure(&told);
        if strategy == SchedulingStrategy::HashBased {
            for key in 0..3 {
                let of_key = told.iter().filter(|told| told.context.key() == Some(key));
                assert!(of_key.map(|told| told.batch).is_sorted(), "key {key}");
            }
        }
        drain_keys(&office);
        let total = office.pool.statistics().total();
        assert_eq!((total.completed, total.cancelled), (left + 3, 60 - left));
    }
}

fn a_key_that_everybody_left_is_gone(kind: Kind) {
    for strategy in STRATEGIES {
        let config = keyed(lingering(3)).scheduling_strategy(strategy);
        let office = office(kind, config);
        drop(
            (0..2)
                .map(|id| office.ask(echo(id).key(1)))
                .collect::<Vec<_>>(),
        );
        office.hands.advance(Duration::from_secs(1));
        while office.pool.statistics().total().cancelled < 2 {
            std::thread::yield_now();
        }
        // The key serves others as before.
        let next = (0..3).map(|id| office.ask(echo(id).key(1))).collect();
        assert!(told(next).iter().all(|told| told.size == 3), "{strategy:?}");
        drain_keys(&office);
        assert_eq!(
            office
                .pool
                .batch_processor()
                .unwrap()
                .statistics()
                .batches(),
            1
        );
    }
}

/// Batches of two of one key that come to nothing, and then one that does.
fn assert_given_back(kind: Kind, wish: impl Fn() -> Wish, told: &str) {
    let config = config(2).batching(lingering(2).keyed(true));
    let office = office(
        kind,
        config.scheduling_strategy(SchedulingStrategy::HashBased),
    );
    let mut tickets = Vec::new();
    for _ in 0..5 {
        let ask = Ask {
            id: 1,
            wish: wish(),
        };
        tickets.push(office.ask(ProcessingTask::new(ask).key(1)));
        tickets.push(office.ask(echo(2).key(1)));
    }
    assert_eq!(shorts(tickets), vec![told; 10]);
    let tickets = [3, 4].map(|id| office.ask(echo(id).key(1)));
    assert_eq!(shorts(tickets), ["3", "4"]);
    drain_keys(&office);
}

fn a_panic_gives_the_key_back(kind: Kind) {
    let panics = format!("panics: 1 with 1 answers, {EXPECTED}");
    assert_given_back(kind, || Wish::PanicAll, &panics);
    assert_given_back(
        kind,
        || Wish::Answers(3),
        "Unanswered { asked: 2, answered: 3 }",
    );
}

fn an_error_whose_drop_panics_gives_the_key_back(kind: Kind) {
    assert_given_back(kind, || Wish::FailAll(Trap::Drop), "fails for 1");
}

fn a_shutdown_out_of_time_gives_every_keys_requests_back_in_order(kind: Kind) {
    for (strategy, batching) in [
        (SchedulingStrategy::HashBased, natural(4)),
        (SchedulingStrategy::PriorityBased, lingering(50)),
    ] {
        let office = office(kind, keyed(batching).scheduling_strategy(strategy));
        let (gate, held) = hold_all(&office);
        let tickets: Vec<_> = (0..60).map(|id| office.ask(echo(id).key(id % 4))).collect();
        let report = office.pool.shutdown_blocking(Duration::ZERO);
        assert!(!report.drained);
        assert_eq!((report.running.len(), report.claimed), (3, 0));
        for key in 0..4 {
            let of_key = report.returned.iter();
            let of_key = of_key.filter(|back| back.context.key() == Some(key));
            let ids = of_key.map(|back| back.request.id);
            assert!(ids.eq((0..60).filter(|id| id % 4 == key)), "key {key}");
        }
        assert_eq!(shorts(tickets), vec!["Abandoned"; 60]);
        gate.open();
        let report = office.pool.shutdown_blocking(LONG);
        assert_at_rest(&report.statistics);
        assert_eq!(office.pool.scheduler().statistics().live_keys, 0);
        assert_eq!(shorts(held).len(), 3);
    }
}

fn a_dropped_pool_answers_every_key(kind: Kind) {
    for batching in [natural(4), lingering(50)] {
        let office = office(kind, keyed(batching));
        let (gate, held) = hold_all(&office);
        let tickets: Vec<_> = (0..60).map(|id| office.ask(echo(id).key(id % 4))).collect();
        drop(office);
        assert_eq!(shorts(tickets), vec!["Abandoned"; 60]);
        gate.open();
        assert_eq!(shorts(held), ["0"; 3]);
    }
}

fn a_drain_runs_every_key(kind: Kind) {
    for strategy in STRATEGIES {
        let office = office(kind, keyed(lingering(50)).scheduling_strategy(strategy));
        let tickets: Vec<_> = (0..60).map(|id| office.ask(echo(id).key(id % 4))).collect();
        let report = block_on(office.pool.shutdown(LONG));
        assert!(report.drained);
        let told = told(tickets);
        assert_pure(&told);
        assert!(told.iter().all(|told| told.size == 15), "{strategy:?}");
        drain_keys(&office);
    }
}
