//! Workers come and go while the pool runs: whom that concerns, and what it leaves as it was.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::batches::{await_lingering, lingering};
use common::clerk::{Ask, Office, Wish};
use common::{
    Act, EXPECTED, Gate, Job, Kind, LONG, Rig, await_ends, builder, config, drain, for_both_kinds,
    lanes,
};
use lanepool::{
    EventStream, LoadBalancingStrategy, OverflowPolicy, PoolEvent, ProcessingTask, ResizeError,
    SchedulingStrategy, TaskPriority, WorkerHealthStatus, WorkerPoolConfigBuilder,
};

for_both_kinds!(
    workers_that_are_added_take_part,
    a_removed_worker_finishes_what_it_runs,
    a_sleeping_worker_that_is_removed_ends,
    a_worker_that_has_not_gone_yet_is_called_back,
    a_worker_that_has_ended_is_replaced,
    what_cannot_be_is_refused,
    a_worker_without_state_is_not_added,
    a_worker_that_has_its_state_too_late_is_not_added,
    a_pool_of_one_stays_one,
    reserved_workers_stay,
    statistics_follow_who_is_there,
    more_workers_than_one_group_come_and_go,
    a_task_may_resize_its_pool,
    what_waits_with_a_removed_worker_is_taken,
    nothing_is_placed_with_a_removed_worker,
    a_dropped_pool_with_free_places_ends,
    a_batch_of_a_removed_worker_lingers_no_longer,
    a_removed_worker_of_batches_runs_no_more,
);

fn growing(workers: usize, most: usize) -> WorkerPoolConfigBuilder {
    config(workers).max_workers(most)
}

/// So many tasks run at the same time, so there are as many workers awake.
fn assert_all_work(rig: &Rig, workers: usize) {
    let gate = Gate::meeting(workers);
    let hold = |id| rig.pool.try_submit(Job::hold(id, &gate)).unwrap();
    let tickets: Vec<_> = (0..workers as u64).map(hold).collect();
    let by = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap().worker);
    assert_eq!(by.collect::<BTreeSet<_>>().len(), workers);
}

/// Waits for the start of so many workers and returns their numbers.
fn await_starts(events: &EventStream, workers: usize) -> Vec<usize> {
    let mut started = Vec::new();
    while started.len() < workers {
        if let PoolEvent::WorkerStarted { worker } = events.recv_timeout(LONG).unwrap() {
            started.push(worker);
        }
    }
    started.sort_unstable();
    started
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

/// The numbers of the workers that are in this state.
fn in_state(rig: &Rig, status: WorkerHealthStatus) -> Vec<usize> {
    let workers = rig.pool.statistics().workers;
    let alike = workers
        .iter()
        .enumerate()
        .filter(|(_, worker)| worker.status == status);
    alike.map(|(worker, _)| worker).collect()
}

fn workers_that_are_added_take_part(kind: Kind) {
    let rig = Rig::new(kind, growing(1, 4));
    let events = rig.pool.events();
    assert_eq!(rig.pool.set_workers(4).unwrap(), 4);
    assert_eq!(rig.pool.workers(), 4);
    assert_eq!(await_starts(&events, 3), [1, 2, 3]);
    assert_all_work(&rig, 4);
    assert_eq!(rig.pool.set_workers(4).unwrap(), 4, "nothing is changed");
    assert!(events.try_recv().is_none());
    drain(&rig.pool);
}

fn a_removed_worker_finishes_what_it_runs(kind: Kind) {
    let rig = Rig::new(kind, growing(3, 3));
    let events = rig.pool.events();
    let gate = rig.hold_all();
    assert_eq!(rig.pool.set_workers(1).unwrap(), 1);
    let waiting: Vec<_> = (0..20)
        .map(|n| rig.submit(n, TaskPriority::Normal))
        .collect();
    assert!(events.try_recv().is_none(), "nobody has ended yet");
    assert_eq!(in_state(&rig, WorkerHealthStatus::Busy), [0, 1, 2]);
    gate.open();
    for ticket in waiting {
        assert_eq!(ticket.wait().unwrap().worker, 0, "the others start nothing");
    }
    for _ in 0..2 {
        let event = events.recv_timeout(LONG);
        let goes = matches!(
            event,
            Some(PoolEvent::WorkerStopped {
                worker: 1 | 2,
                reason: None
            })
        );
        assert!(goes, "{event:?}");
    }
    assert_eq!(in_state(&rig, WorkerHealthStatus::Stopped), [1, 2]);
    let total = drain(&rig.pool).total();
    assert_eq!((total.completed, total.abandoned), (23, 0));
}

fn a_sleeping_worker_that_is_removed_ends(kind: Kind) {
    let rig = Rig::new(kind, growing(4, 4));
    let events = rig.pool.events();
    for round in 0..50 {
        if round % 2 == 0 {
            assert_all_work(&rig, 4);
        }
        assert_eq!(rig.pool.set_workers(2).unwrap(), 2);
        assert_eq!(sorted(await_ends(&events, 2)), [2, 3]);
        assert_eq!(rig.pool.set_workers(4).unwrap(), 4);
        assert_eq!(await_starts(&events, 2), [2, 3]);
    }
    assert_all_work(&rig, 4);
    drain(&rig.pool);
}

fn a_worker_that_has_not_gone_yet_is_called_back(kind: Kind) {
    let rig = Rig::new(kind, growing(2, 2));
    let events = rig.pool.events();
    let gate = rig.hold_all();
    assert_eq!(rig.pool.set_workers(1).unwrap(), 1);
    assert_eq!(rig.pool.set_workers(2).unwrap(), 2);
    gate.open();
    assert_all_work(&rig, 2);
    assert!(events.try_recv().is_none(), "nobody came or went");
    drain(&rig.pool);
}

fn a_worker_that_has_ended_is_replaced(kind: Kind) {
    // The third state is the one after the panic.
    let third_fails = |_, number| -> Box<dyn std::any::Any + Send> {
        assert!(number != 2, "no third state, {EXPECTED}");
        Box::new(())
    };
    use SchedulingStrategy::{HashBased, PriorityBased, RoundRobin};
    // Two tasks in a row go to two workers under each of these.
    for strategy in [PriorityBased, RoundRobin, HashBased] {
        let config = growing(2, 3)
            .scheduling_strategy(strategy)
            .enable_task_stealing(false);
        let rig = Rig::with_extra(kind, builder(config), third_fails).unwrap();
        let events = rig.pool.events();
        rig.pool.try_spawn(Job::panic(0)).unwrap();
        let gone = await_ends(&events, 1);
        assert_eq!(rig.pool.workers(), 2, "one of them has ended");
        assert_eq!(rig.pool.set_workers(2).unwrap(), 2);
        assert_eq!(await_starts(&events, 1), gone);
        assert_eq!(
            in_state(&rig, WorkerHealthStatus::Stopped),
            [0; 0],
            "its place is used again"
        );
        let gate = Gate::meeting(2);
        let held: Vec<_> = (0..2)
            .map(|id| {
                let task = ProcessingTask::new(Job::hold(id, &gate)).key(id);
                rig.pool.try_submit(task).unwrap()
            })
            .collect();
        for ticket in held {
            assert!(ticket.wait().is_ok(), "{strategy:?}");
        }
        let total = drain(&rig.pool).total();
        assert_eq!((total.completed, total.panicked), (2, 1));
    }
}

fn what_cannot_be_is_refused(kind: Kind) {
    let rig = Rig::new(kind, growing(3, 5).reserve(TaskPriority::High, 1));
    for count in [0, 1, 6, usize::MAX] {
        let error = rig.pool.set_workers(count).unwrap_err();
        assert!(matches!(
            error,
            ResizeError::OutOfRange { asked, least: 2, most: 5 } if asked == count
        ));
        assert_eq!(
            error.to_string(),
            format!("the pool cannot have {count} workers, allowed: 2 to 5")
        );
    }
    assert_eq!(rig.pool.workers(), 3);
    drain(&rig.pool);
    for count in [2, 3, 5] {
        assert!(matches!(
            rig.pool.set_workers(count),
            Err(ResizeError::Closed)
        ));
    }
    assert_eq!(rig.pool.workers(), 3);
}

fn a_worker_without_state_is_not_added(kind: Kind) {
    let fails_at_2 = |worker, _| -> Box<dyn std::any::Any + Send> {
        assert!(worker != 2, "not here, {EXPECTED}");
        Box::new(())
    };
    let rig = Rig::with_extra(kind, builder(growing(1, 5)), fails_at_2).unwrap();
    let events = rig.pool.events();
    let error = rig.pool.set_workers(4).unwrap_err();
    let ResizeError::Service { worker, message } = &error else {
        panic!("{error:?}");
    };
    assert!(*worker == 2 && message.contains(EXPECTED), "{error}");
    assert_eq!(rig.pool.workers(), 2, "who could be added before stays");
    assert_eq!(rig.pool.set_workers(2).unwrap(), 2);
    assert_all_work(&rig, 2);
    let at_most_1 = |event: &PoolEvent| !matches!(event, PoolEvent::WorkerStarted { worker: 2 });
    assert!(std::iter::from_fn(|| events.try_recv()).all(|event| at_most_1(&event)));
    drain(&rig.pool);
}

fn a_worker_that_has_its_state_too_late_is_not_added(kind: Kind) {
    let gate = Gate::new();
    let second = gate.clone();
    let waits = move |worker, _| -> Box<dyn std::any::Any + Send> {
        if worker == 1 {
            second.pass();
        }
        Box::new(())
    };
    let rig = Rig::with_extra(kind, builder(growing(1, 2)), waits).unwrap();
    let events = rig.pool.events();
    std::thread::scope(|scope| {
        let resize = scope.spawn(|| rig.pool.set_workers(2));
        gate.await_arrivals(1);
        let report = rig.pool.shutdown_blocking(Duration::ZERO);
        assert!(report.returned.is_empty());
        gate.open();
        let result = resize.join().unwrap();
        assert!(matches!(result, Err(ResizeError::Closed)), "{result:?}");
    });
    drain(&rig.pool);
    assert_eq!(rig.pool.workers(), 1);
    let mut told = std::iter::from_fn(|| events.try_recv());
    assert!(told.all(|event| !matches!(event, PoolEvent::WorkerStarted { .. })));
}

fn a_pool_of_one_stays_one(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    assert_eq!(rig.pool.set_workers(1).unwrap(), 1);
    for count in [0, 2] {
        let error = rig.pool.set_workers(count).unwrap_err();
        assert!(matches!(
            error,
            ResizeError::OutOfRange {
                least: 1,
                most: 1,
                ..
            }
        ));
    }
    assert_all_work(&rig, 1);
    drain(&rig.pool);
}

fn reserved_workers_stay(kind: Kind) {
    let config = growing(2, 4).reserve(TaskPriority::High, 1);
    let rig = Rig::new(kind, config);
    let bound = |priority| rig.pool.starvation_bound(priority);
    let [low, high] = [TaskPriority::Low, TaskPriority::High].map(bound);
    assert_eq!(rig.pool.set_workers(4).unwrap(), 4);
    assert_eq!(bound(TaskPriority::Low), 3 * low);
    assert_eq!(bound(TaskPriority::High), 2 * high, "four workers, not two");
    // Three low tasks run at a time, and an urgent one beside them.
    let gate = Gate::new();
    for id in 0..3 {
        let task = ProcessingTask::new(Job::hold(id, &gate)).priority(TaskPriority::Low);
        rig.pool.try_spawn(task).unwrap();
    }
    gate.await_arrivals(3);
    let waits = rig.submit(9, TaskPriority::Low);
    let urgent = rig.submit(10, TaskPriority::High);
    assert_eq!(
        urgent.wait().unwrap().worker,
        3,
        "the reserved one is the last"
    );
    assert_eq!(rig.pool.set_workers(2).unwrap(), 2);
    assert_eq!(bound(TaskPriority::Low), low);
    gate.open();
    assert_eq!(waits.wait().unwrap().worker, 0);
    assert_eq!(
        rig.submit(11, TaskPriority::Low).wait().unwrap().worker,
        0,
        "the only one that takes it"
    );
    drain(&rig.pool);
}

fn statistics_follow_who_is_there(kind: Kind) {
    use WorkerHealthStatus::{Absent, Busy, Idle, Stopped};
    let (clock, hands) = lanepool::Clock::manual();
    let rig = Rig::build(kind, builder(growing(1, 3)).clock(clock)).unwrap();
    let events = rig.pool.events();
    assert_eq!(in_state(&rig, Absent), [1, 2]);
    rig.pool.set_workers(2).unwrap();
    let gate = rig.hold_all();
    assert_eq!(in_state(&rig, Busy), [0, 1]);
    assert_eq!(in_state(&rig, Absent), [2]);
    assert!(rig.pool.usage_ratio() == 1.0);
    assert_eq!(rig.pool.load_balancer().metrics().len(), 2);
    hands.advance(Duration::from_secs(10));
    gate.open();
    rig.pool.set_workers(1).unwrap();
    await_ends(&events, 1);
    hands.advance(Duration::from_secs(100));
    assert_eq!(in_state(&rig, Stopped), [1]);
    assert_eq!(rig.pool.load_balancer().metrics().len(), 1);
    rig.pool.set_workers(2).unwrap();
    hands.advance(Duration::from_secs(5));
    assert_all_work(&rig, 2);
    let statistics = rig.pool.statistics();
    assert_eq!(statistics.workers.len(), 3);
    assert_eq!(in_state(&rig, Idle), [0, 1]);
    let [first, second, third] = [0, 1, 2].map(|worker| &statistics.workers[worker]);
    assert_eq!(
        second.alive,
        Duration::from_secs(15),
        "of both who were there"
    );
    assert_eq!(first.alive, Duration::from_secs(115));
    assert_eq!(third.alive, Duration::ZERO);
    assert_eq!(second.finished + first.finished, 4, "what it did counts on");
    assert_eq!(rig.pool.scheduler().statistics().scheduled, 4);
    drain(&rig.pool);
}

fn more_workers_than_one_group_come_and_go(kind: Kind) {
    const MOST: usize = 60;
    let rig = Rig::new(kind, growing(2, MOST));
    let events = rig.pool.events();
    for _ in 0..2 {
        assert_eq!(rig.pool.set_workers(MOST).unwrap(), MOST);
        assert_all_work(&rig, MOST);
        assert_eq!(rig.pool.set_workers(1).unwrap(), 1);
        assert_eq!(await_ends(&events, MOST - 1).len(), MOST - 1);
        assert_all_work(&rig, 1);
    }
    drain(&rig.pool);
}

fn a_task_may_resize_its_pool(kind: Kind) {
    let rig = Rig::new(kind, growing(1, 3));
    let events = rig.pool.events();
    for count in [3, 1] {
        let pool = rig.pool.clone();
        let resize = Job::run(0, move |_| {
            assert_eq!(pool.set_workers(count).unwrap(), count);
        });
        assert!(rig.pool.try_submit(resize).unwrap().wait().is_ok());
    }
    assert_eq!(sorted(await_ends(&events, 2)), [1, 2]);
    assert_all_work(&rig, 1);
    drain(&rig.pool);
}

/// Tasks wait where every strategy puts them, with workers that are then removed.
fn what_waits_with_a_removed_worker_is_taken(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for stealing in [true, false] {
            for idle in [true, false] {
                let config = growing(3, 3)
                    .enable_task_stealing(stealing)
                    .lanes(lanes(256, OverflowPolicy::Wait));
                let rig = Rig::new(kind, config);
                let [doomed, other] = hold_apart(&rig);
                rig.pool.scheduler().set_strategy(strategy);
                let task = |n: u64| {
                    ProcessingTask::new(Job::echo(n))
                        .key(n % 5)
                        .lane(n as usize % 4)
                };
                let submit = |n| rig.pool.try_submit(task(n)).unwrap();
                let before: Vec<_> = (0..60).map(submit).collect();
                assert_eq!(rig.pool.set_workers(1).unwrap(), 1);
                if idle {
                    // The one that stays may go to sleep before the others end.
                    other.open();
                }
                let after: Vec<_> = (60..120).map(submit).collect();
                doomed.open();
                other.open();
                for ticket in before.into_iter().chain(after) {
                    assert!(ticket.wait().is_ok(), "{strategy:?}, stealing {stealing}");
                }
                assert_eq!(drain(&rig.pool).total().completed, 123);
            }
        }
    }
}

/// Occupies three workers: the gate of workers 1 and 2, and that of worker 0.
fn hold_apart(rig: &Rig) -> [Gate; 2] {
    let [doomed, other] = [Gate::new(), Gate::new()];
    for id in 0..3 {
        let gates = vec![other.clone(), doomed.clone()];
        rig.pool
            .try_spawn(Job::new(id, Act::HoldBy(gates)))
            .unwrap();
    }
    other.await_arrivals(1);
    doomed.await_arrivals(2);
    [doomed, other]
}

fn nothing_is_placed_with_a_removed_worker(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for balancing in LoadBalancingStrategy::ALL {
            let config = growing(2, 4)
                .enable_task_stealing(false)
                .scheduling_strategy(strategy)
                .load_balancing_strategy(balancing)
                .worker_weights([1, 9, 9, 9]);
            let rig = Rig::new(kind, config);
            let events = rig.pool.events();
            assert_eq!(rig.pool.set_workers(4).unwrap(), 4);
            assert_eq!(rig.pool.set_workers(1).unwrap(), 1);
            await_ends(&events, 3);
            let task = |n: u64| ProcessingTask::new(Job::echo(n)).key(n);
            let alone = rig.pool.try_submit(task(0)).unwrap();
            assert_eq!(alone.wait().unwrap().worker, 0);
            for done in rig.pool.execute_batch_blocking((0..40).map(task)) {
                assert_eq!(done.unwrap().worker, 0, "{strategy:?}, {balancing:?}");
            }
            let depth = |metrics: &lanepool::WorkerMetrics| metrics.queue_depth;
            let metrics = rig.pool.load_balancer().metrics();
            assert!(metrics.iter().map(depth).eq([0]));
            assert_eq!(rig.pool.set_workers(3).unwrap(), 3);
            let shared = SchedulingStrategy::PriorityBased;
            rig.pool.scheduler().set_strategy(shared);
            assert_all_work(&rig, 3);
            drain(&rig.pool);
        }
    }
}

fn a_dropped_pool_with_free_places_ends(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        let rig = Rig::new(kind, growing(2, 6).scheduling_strategy(strategy));
        let events = rig.pool.events();
        rig.pool.set_workers(4).unwrap();
        rig.pool.set_workers(3).unwrap();
        drop(rig);
        assert_eq!(sorted(await_ends(&events, 4)), [0, 1, 2, 3]);
        let rest = std::iter::from_fn(|| events.recv_timeout(LONG));
        assert!(
            rest.into_iter()
                .all(|event| !matches!(event, PoolEvent::WorkerStopped { .. })),
            "nobody else, and nothing keeps the pool"
        );
    }
}

/// The clock stands still, so nothing else would close the batch; with keys, the worker keeps the time of it.
fn a_batch_of_a_removed_worker_lingers_no_longer(kind: Kind) {
    for keyed in [false, true] {
        let batching = lingering(9).keyed(keyed);
        let config = growing(1, 2).batching(batching);
        let office = Office::build(kind, builder(config), u64::MAX).unwrap();
        let events = office.pool.events();
        let gate = Gate::new();
        let held = Ask {
            id: 1,
            wish: Wish::Hold(gate.clone()),
        };
        let held = office.ask(ProcessingTask::new(held).priority(TaskPriority::Critical));
        gate.await_arrivals(1);
        assert_eq!(office.pool.set_workers(2).unwrap(), 2);
        let wish = Wish::Echo;
        let low = ProcessingTask::new(Ask { id: 2, wish }).priority(TaskPriority::Low);
        let alone = office.ask(low);
        await_lingering(&office.pool, 1);
        assert_eq!(office.pool.set_workers(1).unwrap(), 1);
        if !keyed {
            assert_eq!(alone.wait().unwrap().id, 2, "by the one that goes");
        }
        assert_eq!(await_ends(&events, 1), [1]);
        gate.open();
        assert!(held.wait().is_ok());
        assert!(office.pool.shutdown_blocking(LONG).drained);
    }
}

/// A worker of batches is asked twice whether it is over.
fn a_removed_worker_of_batches_runs_no_more(kind: Kind) {
    let config = growing(2, 2).batching(lingering(1));
    let office = Office::build(kind, builder(config), u64::MAX).unwrap();
    let events = office.pool.events();
    assert_eq!(office.pool.set_workers(1).unwrap(), 1);
    assert_eq!(await_ends(&events, 1), [1]);
    let gate = Gate::new();
    let wish = Wish::Hold(gate.clone());
    let held = office.ask(Ask { id: 0, wish });
    gate.await_arrivals(1);
    let waiting = office.echo_all(50);
    for _ in 0..50 {
        std::thread::yield_now();
    }
    gate.open();
    for ticket in waiting.into_iter().chain([held]) {
        assert_eq!(ticket.wait().unwrap().worker, 0);
    }
    drain(&office.pool);
}
