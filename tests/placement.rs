//! Where tasks wait under each strategy, and who takes them from there.

mod common;

use std::thread;

use common::{Done, Failure, Gate, Job, Kind, LONG, Rig, config, drain, for_both_kinds, lanes};
use lanepool::{
    OverflowPolicy, PoolEvent, ProcessingTask, SchedulingStrategy, SubmitError, TaskPriority,
    Ticket, WorkerPoolConfigBuilder,
};

/// The strategies that place tasks with workers.
const PLACING: [SchedulingStrategy; 3] = [
    SchedulingStrategy::RoundRobin,
    SchedulingStrategy::LeastLoaded,
    SchedulingStrategy::Random,
];

for_both_kinds!(
    every_strategy_runs_everything,
    round_robin_goes_around,
    least_loaded_avoids_a_stuck_worker,
    an_idle_worker_takes_what_lies_with_a_stuck_one,
    no_wake_up_is_lost_between_lanes,
    without_stealing_a_task_stays_with_its_worker,
    higher_lanes_are_stolen_first,
    a_change_is_told_and_counted,
    a_closed_pool_changes_nothing,
);

fn placing(
    workers: usize,
    strategy: SchedulingStrategy,
    stealing: bool,
) -> WorkerPoolConfigBuilder {
    config(workers)
        .scheduling_strategy(strategy)
        .enable_task_stealing(stealing)
        .lanes(lanes(256, OverflowPolicy::Wait))
}

/// Two workers of which the first to name is free and the second is stuck at the gate. What comes next is
/// placed by the strategy.
fn one_stuck(kind: Kind, strategy: SchedulingStrategy, stealing: bool) -> (Rig, usize, Stuck) {
    let rig = Rig::new(
        kind,
        placing(2, SchedulingStrategy::PriorityBased, stealing),
    );
    let gates = [Gate::new(), Gate::new()];
    let [free, stuck] = gates.each_ref().map(|gate| {
        let ticket = rig.pool.try_submit(Job::hold(0, gate)).unwrap();
        gate.await_arrivals(1);
        ticket
    });
    rig.pool.scheduler().set_strategy(strategy);
    let [open, gate] = gates;
    open.open();
    let worker = free.wait().unwrap().worker;
    let stuck = Stuck {
        gate,
        ticket: stuck,
    };
    (rig, worker, stuck)
}

struct Stuck {
    gate: Gate,
    ticket: Ticket<Done, Failure>,
}

impl Stuck {
    /// Lets the worker go on. Returns its number.
    fn release(self) -> usize {
        self.gate.open();
        self.ticket.wait().unwrap().worker
    }
}

fn submit_all(rig: &Rig, ids: std::ops::Range<u64>) -> Vec<Ticket<Done, Failure>> {
    ids.map(|id| rig.submit(id, TaskPriority::Normal)).collect()
}

fn workers_of(tickets: Vec<Ticket<Done, Failure>>) -> Vec<usize> {
    let answers = tickets.into_iter().map(|ticket| ticket.wait().unwrap());
    answers.map(|done| done.worker).collect()
}

fn every_strategy_runs_everything(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for (stealing, sub_rings) in [(true, 1), (false, 1), (true, 2), (false, 2)] {
            let config = placing(3, strategy, stealing).sub_rings(sub_rings);
            let rig = Rig::new(kind, config.lanes(lanes(16, OverflowPolicy::Wait)));
            thread::scope(|scope| {
                for submitter in 0..3 {
                    let pool = &rig.pool;
                    scope.spawn(move || {
                        for n in 0..300 {
                            let task = ProcessingTask::new(Job::new(n, common::Act::Yield))
                                .lane(n as usize % 4);
                            let task = match n % 3 {
                                0 => task.key(submitter * 10 + n % 7),
                                _ => task,
                            };
                            pool.spawn_blocking(task).unwrap();
                        }
                    });
                }
            });
            let total = drain(&rig.pool).total();
            assert_eq!(total.completed, 900);
            let scheduling = rig.pool.scheduler().statistics();
            assert_eq!(scheduling.strategy, strategy);
            assert_eq!((scheduling.scheduled, scheduling.epoch), (900, 0));
            assert_eq!(scheduling.by_lane, [225; 4]);
            let keyed = strategy == SchedulingStrategy::HashBased;
            assert_eq!(scheduling.keyed, if keyed { 300 } else { 0 });
            assert_eq!(scheduling.live_keys, 0);
        }
    }
}

fn round_robin_goes_around(kind: Kind) {
    let rig = Rig::new(kind, placing(3, SchedulingStrategy::PriorityBased, false));
    let gate = rig.hold_all();
    rig.pool
        .scheduler()
        .set_strategy(SchedulingStrategy::RoundRobin);
    let tickets = submit_all(&rig, 0..30);
    let depths = rig.pool.load_balancer().metrics();
    assert!(depths.iter().all(|worker| worker.queue_depth == 10));
    assert_eq!(rig.pool.statistics().lanes[1].queued, 30);
    gate.open();
    let workers = workers_of(tickets);
    for (before, after) in workers.iter().zip(&workers[1..]) {
        assert_eq!((before + 1) % 3, *after, "{workers:?}");
    }
    assert_eq!(rig.pool.scheduler().statistics().stolen, 0);
    drain(&rig.pool);
}

fn least_loaded_avoids_a_stuck_worker(kind: Kind) {
    let (rig, free, stuck) = one_stuck(kind, SchedulingStrategy::LeastLoaded, false);
    for id in 0..200 {
        // Of two workers both are looked at, and one of them has a task.
        let done = rig.submit(id, TaskPriority::Normal).wait().unwrap();
        assert_eq!(done.worker, free);
    }
    assert_ne!(stuck.release(), free);
    drain(&rig.pool);
}

fn an_idle_worker_takes_what_lies_with_a_stuck_one(kind: Kind) {
    for strategy in PLACING {
        let (rig, free, stuck) = one_stuck(kind, strategy, true);
        let workers = workers_of(submit_all(&rig, 0..40));
        assert_eq!(workers, [free; 40], "{strategy:?}");
        let statistics = rig.pool.statistics();
        let stolen = rig.pool.scheduler().statistics().stolen;
        assert_eq!(statistics.workers[free].stolen, stolen);
        match strategy {
            SchedulingStrategy::RoundRobin => assert_eq!(stolen, 20, "every other task"),
            // How the coins fall is a matter of the decision's number, and the free worker may be the one
            // that has more to do.
            SchedulingStrategy::Random => assert!((1..40).contains(&stolen), "{stolen}"),
            _ => assert!(stolen < 40, "{stolen}"),
        }
        assert_ne!(stuck.release(), free);
        drain(&rig.pool);
    }
}

fn without_stealing_a_task_stays_with_its_worker(kind: Kind) {
    let (rig, free, stuck) = one_stuck(kind, SchedulingStrategy::RoundRobin, false);
    // The strategy's first task goes to worker 0.
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for (n, ticket) in submit_all(&rig, 0..20).into_iter().enumerate() {
        let list = if n % 2 == free { &mut done } else { &mut left };
        list.push(ticket);
    }
    assert_eq!(workers_of(done), [free; 10]);
    // The free worker has had its time, and took none.
    assert!(left.iter().all(|ticket| !ticket.is_done()));
    let metrics = rig.pool.load_balancer().metrics();
    assert_eq!(
        (metrics[1 - free].queue_depth, metrics[free].queue_depth),
        (10, 0)
    );
    let other = stuck.release();
    assert_eq!(other, 1 - free);
    assert_eq!(workers_of(left), [other; 10]);
    assert_eq!(rig.pool.scheduler().statistics().stolen, 0);
    drain(&rig.pool);
}

fn higher_lanes_are_stolen_first(kind: Kind) {
    let rig = Rig::new(kind, placing(2, SchedulingStrategy::PriorityBased, true));
    let gates = [Gate::new(), Gate::new()];
    for gate in &gates {
        rig.pool.try_spawn(Job::hold(9, gate)).unwrap();
        gate.await_arrivals(1);
    }
    rig.pool
        .scheduler()
        .set_strategy(SchedulingStrategy::RoundRobin);
    let submit = |n: u64| {
        let task = ProcessingTask::new(Job::echo(n / 4)).lane(n as usize / 4);
        rig.pool.try_submit(task).unwrap()
    };
    let tickets: Vec<_> = (0..16).map(submit).collect();
    // One worker does it all: its own tasks first, then the other one's.
    gates[0].open();
    assert_eq!(
        tickets
            .into_iter()
            .filter_map(|ticket| ticket.wait().ok())
            .count(),
        16
    );
    assert_eq!(rig.pool.scheduler().statistics().stolen, 8);
    let started = rig.started();
    assert_eq!(started[2..10], [3, 3, 2, 2, 1, 1, 0, 0], "its own");
    assert_eq!(started[10..], [3, 3, 2, 2, 1, 1, 0, 0], "the other one's");
    gates[1].open();
    drain(&rig.pool);
}

/// As many tasks as workers wait for each other. All of them get through only if each is noticed where it
/// was placed.
fn no_wake_up_is_lost_between_lanes(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for (stealing, sub_rings) in [(true, 1), (true, 2), (false, 2)] {
            // Without stealing two of the tasks may be placed with one worker, and wait for each other.
            if !stealing && PLACING.contains(&strategy) {
                continue;
            }
            let config = placing(3, strategy, stealing).sub_rings(sub_rings);
            let rig = Rig::new(kind, config);
            for round in 0..150 {
                let meeting = Gate::meeting(3);
                let task = |n: u64| {
                    ProcessingTask::new(Job::hold(n, &meeting))
                        .lane((round + n as usize) % 4)
                        .key(n)
                };
                if round % 2 == 0 {
                    let all = rig.pool.execute_batch_blocking((0..3).map(task));
                    assert!(all.iter().all(Result::is_ok));
                } else {
                    let submit = |n| rig.pool.try_submit(task(n)).unwrap();
                    let tickets: Vec<_> = (0..3).map(submit).collect();
                    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
                }
            }
            assert_eq!(drain(&rig.pool).total().completed, 450);
        }
    }
}

fn a_change_is_told_and_counted(kind: Kind) {
    let rig = Rig::new(kind, placing(2, SchedulingStrategy::Random, true));
    let events = rig.pool.events();
    let scheduler = rig.pool.scheduler();
    assert_eq!(
        (scheduler.strategy(), scheduler.epoch()),
        (SchedulingStrategy::Random, 0)
    );
    let mut from = SchedulingStrategy::Random;
    for (epoch, to) in (1..).zip(SchedulingStrategy::ALL) {
        assert_eq!(scheduler.set_strategy(to), epoch);
        assert_eq!((scheduler.strategy(), scheduler.epoch()), (to, epoch));
        let changed = PoolEvent::StrategyChanged { from, to, epoch };
        assert_eq!(events.recv_timeout(LONG), Some(changed));
        from = to;
    }
    drain(&rig.pool);
}

fn a_closed_pool_changes_nothing(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    drain(&rig.pool);
    let events = rig.pool.events();
    let scheduler = rig.pool.scheduler();
    assert_eq!(scheduler.set_strategy(SchedulingStrategy::HashBased), 0);
    assert_eq!(scheduler.strategy(), SchedulingStrategy::PriorityBased);
    assert_eq!(events.try_recv(), None);
    let refused = rig.pool.try_spawn(ProcessingTask::new(Job::echo(1)).key(1));
    assert!(matches!(refused, Err(SubmitError::Closed(_))));
}
