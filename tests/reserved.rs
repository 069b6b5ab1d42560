//! Reserved workers are kept for urgent tasks: long tasks of lower lanes never hold every worker, and nothing
//! of a lower lane waits for a worker that does not take it.

mod common;

use common::{
    Act, Done, Failure, Gate, Job, Kind, LONG, Rig, assert_at_rest, await_ends, block_on, builder,
    config, drain, for_both_kinds, lanes, mortal, poll_once,
};
use lanepool::{
    LaneConfig, OverflowPolicy, PoolEvent, ProcessingError, ProcessingTask, SchedulingStrategy,
    SubmitError, TaskPriority, Ticket, WorkerPoolConfigBuilder,
};

for_both_kinds!(
    long_low_tasks_never_hold_every_worker,
    reserved_workers_run_nothing_of_lower_lanes,
    each_reservation_begins_at_its_own_lane,
    a_low_task_wakes_a_worker_that_takes_it,
    a_reserved_worker_hands_a_key_back_to_whoever_takes_its_next_task,
    a_drain_waits_for_tasks_behind_a_key_of_a_reserved_worker,
    the_starvation_bound_counts_only_who_takes_the_lane,
    a_reservation_of_the_only_lane_changes_nothing,
    a_pool_without_general_workers_closes,
    who_is_kept_for_the_lowest_lane_keeps_the_pool_open,
);

/// Two workers for all lanes, numbers 0 and 1, and number 2 for High and Critical tasks.
fn one_reserved(strategy: SchedulingStrategy, stealing: bool) -> WorkerPoolConfigBuilder {
    config(3)
        .reserve(TaskPriority::High, 1)
        .scheduling_strategy(strategy)
        .enable_task_stealing(stealing)
        .lanes(lanes(256, OverflowPolicy::Wait))
}

fn low(job: Job) -> ProcessingTask<Job> {
    ProcessingTask::new(job).priority(TaskPriority::Low)
}

fn long_low_tasks_never_hold_every_worker(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        let rig = Rig::new(kind, one_reserved(strategy, true));
        let gate = Gate::new();
        for n in 0..20 {
            let lane = (n % 2) as usize;
            let held = ProcessingTask::new(Job::hold(n, &gate)).lane(lane).key(n);
            rig.pool.try_spawn(held).unwrap();
        }
        gate.await_arrivals(2);
        for id in 100..300 {
            let priority = TaskPriority::ALL[2 + id as usize % 2];
            let task = ProcessingTask::new(Job::echo(id))
                .priority(priority)
                .key(id);
            let done = rig.pool.try_submit(task).unwrap().wait().unwrap();
            assert_eq!(done.worker, 2, "{strategy:?}");
        }
        assert_eq!(
            gate.arrived(),
            2,
            "the others wait, though a worker is free"
        );
        assert_eq!(rig.pool.statistics().total().queued, 18);
        gate.open();
        drain(&rig.pool);
    }
}

fn reserved_workers_run_nothing_of_lower_lanes(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for stealing in [true, false] {
            let rig = Rig::new(kind, one_reserved(strategy, stealing).max_run_length(16));
            let submit = |n: u64| {
                let lane = n as usize % 4;
                // A key has tasks of every lane, so its turn comes in more urgent ones than its next task's.
                let task = ProcessingTask::new(Job::echo(n)).lane(lane).key(n % 23);
                (lane, rig.pool.try_submit(task).unwrap())
            };
            let tickets: Vec<_> = (0..1_000).map(submit).collect();
            for (lane, ticket) in tickets {
                let worker = ticket.wait().unwrap().worker;
                assert!(lane >= 2 || worker < 2, "lane {lane} on worker {worker}");
            }
            assert_eq!(drain(&rig.pool).total().completed, 1_000);
        }
    }
}

fn each_reservation_begins_at_its_own_lane(kind: Kind) {
    let config = config(5)
        .reserve(TaskPriority::Critical, 1)
        .reserve(TaskPriority::Normal, 2)
        .reserve(TaskPriority::High, 1);
    let rig = Rig::new(kind, config);
    // From the lowest lane up, each lane's tasks hold every worker that takes them.
    let gate = Gate::new();
    let mut held = Vec::new();
    for (priority, workers) in TaskPriority::ALL.into_iter().zip([1, 3, 4, 5]) {
        for id in 0..5 {
            let task = ProcessingTask::new(Job::hold(id, &gate)).priority(priority);
            held.push((priority, rig.pool.try_submit(task).unwrap()));
        }
        gate.await_arrivals(workers);
        let lanes = &rig.pool.statistics().lanes;
        let running: u64 = lanes.iter().map(|lane| lane.running).sum();
        assert_eq!(running, workers as u64, "{priority:?}");
    }
    assert_eq!(gate.arrived(), 5);
    gate.open();
    for (priority, ticket) in held {
        let most = [0, 2, 3, 4][priority.lane(4)];
        let worker = ticket.wait().unwrap().worker;
        assert!(worker <= most, "{priority:?} on worker {worker}");
    }
    drain(&rig.pool);
}

/// Two low tasks wait for each other while the reserved worker looks for work, sleeps, or is woken.
fn a_low_task_wakes_a_worker_that_takes_it(kind: Kind) {
    for strategy in [
        SchedulingStrategy::PriorityBased,
        SchedulingStrategy::LeastLoaded,
        SchedulingStrategy::HashBased,
    ] {
        let rig = Rig::new(kind, one_reserved(strategy, true));
        for round in 0..1_500 {
            let meeting = Gate::meeting(2);
            let submit = |task| rig.pool.try_submit(task).unwrap();
            let urgent = ProcessingTask::new(Job::echo(0)).lane(2 + round % 2);
            let urgent = (round % 3 != 0).then(|| submit(urgent));
            let tickets = [1, 2].map(|id| submit(low(Job::hold(id, &meeting)).key(id)));
            for ticket in tickets {
                assert!(ticket.wait().unwrap().worker < 2);
            }
            assert!(urgent.is_none_or(|ticket| ticket.wait().is_ok()));
        }
        drain(&rig.pool);
    }
}

/// The reserved worker is at the gate with a key's High task, behind which a Low one waits; nobody else has
/// anything to do.
fn key_at_reserved(kind: Kind, stealing: bool) -> (Rig, Gate, Ticket<Done, Failure>) {
    let rig = Rig::new(kind, one_reserved(SchedulingStrategy::HashBased, stealing));
    let (general, own) = (Gate::new(), Gate::new());
    let held: Vec<_> = (0..2)
        .map(|id| rig.pool.try_submit(low(Job::hold(id, &general))).unwrap())
        .collect();
    general.await_arrivals(2);
    let high = ProcessingTask::new(Job::hold(2, &own)).lane(2).key(1);
    rig.pool.try_spawn(high).unwrap();
    own.await_arrivals(1);
    let behind = rig.pool.try_submit(low(Job::echo(3)).key(1)).unwrap();
    general.open();
    assert!(held.into_iter().all(|ticket| ticket.wait().is_ok()));
    (rig, own, behind)
}

fn a_reserved_worker_hands_a_key_back_to_whoever_takes_its_next_task(kind: Kind) {
    for round in 0..200 {
        let (rig, gate, behind) = key_at_reserved(kind, round % 2 == 0);
        gate.open();
        assert!(behind.wait().unwrap().worker < 2);
        drain(&rig.pool);
    }
}

fn a_drain_waits_for_tasks_behind_a_key_of_a_reserved_worker(kind: Kind) {
    for stealing in [true, false] {
        let (rig, gate, behind) = key_at_reserved(kind, stealing);
        let mut shutdown = std::pin::pin!(rig.pool.shutdown(LONG));
        assert!(poll_once(shutdown.as_mut()).is_pending());
        gate.open();
        assert!(behind.wait().is_ok(), "it was accepted");
        let report = block_on(shutdown);
        assert!(report.drained);
        assert_at_rest(&report.statistics);
    }
}

fn the_starvation_bound_counts_only_who_takes_the_lane(kind: Kind) {
    let config = config(4)
        .reserve(TaskPriority::High, 1)
        .reserve(TaskPriority::Critical, 1);
    let rig = Rig::new(kind, config);
    let bounds = TaskPriority::ALL.map(|priority| rig.pool.starvation_bound(priority));
    assert_eq!(bounds, [2 * 87, 2 * 24, 3 * 8, 4 * 4]);
    drain(&rig.pool);
}

fn a_reservation_of_the_only_lane_changes_nothing(kind: Kind) {
    let config = config(3)
        .lanes([LaneConfig::new()])
        .reserve(TaskPriority::Critical, 2);
    let rig = Rig::new(kind, config);
    let meeting = Gate::meeting(3);
    let submit = |id| rig.pool.try_submit(low(Job::hold(id, &meeting))).unwrap();
    let tickets: Vec<_> = (0..3).map(submit).collect();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    drain(&rig.pool);
}

fn a_pool_without_general_workers_closes(kind: Kind) {
    let config = config(2).reserve(TaskPriority::High, 1);
    let rig = Rig::with_extra(kind, builder(config), mortal(2)).unwrap();
    let events = rig.pool.events();
    let gate = Gate::new();
    let dies = low(Job::new(0, Act::HoldThenPanic(gate.clone())));
    rig.pool.try_spawn(dies).unwrap();
    gate.await_arrivals(1);
    let waits = rig.pool.try_submit(low(Job::echo(1))).unwrap();
    assert!(rig.submit(2, TaskPriority::Critical).wait().is_ok());
    gate.open();
    assert_eq!(waits.wait(), Err(ProcessingError::Abandoned));
    assert!(matches!(
        events.recv(),
        Some(PoolEvent::WorkerPanicked { worker: 0, .. })
    ));
    assert!(matches!(
        events.recv(),
        Some(PoolEvent::WorkerStopped { worker: 0, .. })
    ));
    assert_eq!(events.recv(), Some(PoolEvent::Closed));
    let refused = rig.pool.try_spawn(Job::echo(3)).unwrap_err();
    assert!(
        matches!(refused, SubmitError::Closed(_)),
        "nobody would run it"
    );
    assert_at_rest(&rig.pool.shutdown_blocking(LONG).statistics);
    assert_eq!(rig.started(), [0, 2]);
}

/// A worker that is kept for the lowest lane and those above takes all of them.
fn who_is_kept_for_the_lowest_lane_keeps_the_pool_open(kind: Kind) {
    for _ in 0..8 {
        let config = config(3).reserve(TaskPriority::Low, 2);
        let rig = Rig::with_extra(kind, builder(config), mortal(3)).unwrap();
        let events = rig.pool.events();
        // Whichever two of the three end, one is left that takes everything.
        for _ in 0..2 {
            rig.pool.try_spawn(Job::panic(0)).unwrap();
            await_ends(&events, 1);
        }
        let low = rig.pool.try_submit(low(Job::echo(7))).unwrap();
        assert_eq!(low.wait().map(|done| done.id), Ok(7));
        assert_at_rest(&rig.pool.shutdown_blocking(LONG).statistics);
    }
}
