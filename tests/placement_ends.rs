//! Nothing that was placed with a worker is lost when the worker, or the pool, ends.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::script::HOLDING;
use common::{
    Done, Failure, Gate, Job, Kind, LONG, Rig, assert_at_rest, await_ends, block_on, builder,
    config, drain, for_both_kinds, lanes, mortal, poll_once,
};
use lanepool::{
    ExecuteError, OverflowPolicy, ProcessingError, ProcessingTask, SchedulingStrategy, SubmitError,
    TaskContext, TaskPriority, Ticket, WorkerHealthStatus, WorkerPoolConfigBuilder,
};

for_both_kinds!(
    a_worker_that_ends_leaves_its_tasks_to_the_others,
    a_worker_that_ended_before_gets_no_tasks,
    a_shutdown_in_time_runs_everything,
    a_shutdown_out_of_time_gives_everything_back,
    a_dropped_pool_answers_everybody,
    the_last_worker_to_end_leaves_nobody_waiting,
    a_task_may_submit_to_its_pool_but_not_wait_for_it,
    a_batch_has_its_results_in_order,
);

fn placing(workers: usize, stealing: bool) -> WorkerPoolConfigBuilder {
    config(workers)
        .enable_task_stealing(stealing)
        .lanes(lanes(256, OverflowPolicy::Wait))
}

/// Runs a test for each strategy, with stealing and without.
fn for_each_strategy(test: impl Fn(SchedulingStrategy, bool)) {
    for strategy in SchedulingStrategy::ALL {
        test(strategy, true);
        test(strategy, false);
    }
}

fn mixed(n: u64) -> ProcessingTask<Job> {
    ProcessingTask::new(Job::echo(n))
        .key(n % 5)
        .lane(n as usize % 4)
}

/// Three workers at the gate, and 60 tasks of several keys and lanes that wait where the strategy says.
fn loaded(
    kind: Kind,
    strategy: SchedulingStrategy,
    stealing: bool,
) -> (Rig, Gate, Vec<Ticket<Done, Failure>>) {
    let rig = Rig::new(kind, placing(3, stealing));
    let gate = rig.hold_all();
    rig.pool.scheduler().set_strategy(strategy);
    let submit = |n| rig.pool.try_submit(mixed(n)).unwrap();
    let tickets = (0..60).map(submit).collect();
    (rig, gate, tickets)
}

fn a_worker_that_ends_leaves_its_tasks_to_the_others(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        for idle in [true, false] {
            let config = placing(2, stealing);
            let rig = Rig::with_extra(kind, builder(config), mortal(2)).unwrap();
            let events = rig.pool.events();
            let [doomed, other] = [Gate::new(), Gate::new()];
            let dies = Job::new(0, common::Act::HoldThenPanic(doomed.clone()));
            rig.pool.try_spawn(dies).unwrap();
            doomed.await_arrivals(1);
            rig.pool.try_spawn(Job::hold(0, &other)).unwrap();
            other.await_arrivals(1);
            rig.pool.scheduler().set_strategy(strategy);
            let task = |n: u64| {
                ProcessingTask::new(Job::echo(n))
                    .key(n % 5)
                    .lane(n as usize % 4)
            };
            let submit = |n| rig.pool.try_submit(task(n)).unwrap();
            let before: Vec<_> = (0..60).map(submit).collect();
            if idle {
                // The one that stays goes to sleep before the other one ends.
                other.open();
            }
            doomed.open();
            await_ends(&events, 1);
            let after: Vec<_> = (60..120).map(submit).collect();
            other.open();
            for ticket in before.into_iter().chain(after) {
                assert!(ticket.wait().is_ok(), "{strategy:?}, stealing {stealing}");
            }
            let total = drain(&rig.pool).total();
            assert_eq!((total.completed, total.panicked), (121, 1));
        }
    });
}

fn a_worker_that_ended_before_gets_no_tasks(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let config = placing(2, stealing);
        let rig = Rig::with_extra(kind, builder(config), mortal(2)).unwrap();
        let events = rig.pool.events();
        rig.pool.try_spawn(Job::panic(0)).unwrap();
        let gone = await_ends(&events, 1)[0];
        rig.pool.scheduler().set_strategy(strategy);
        let submit = |n| rig.pool.try_submit(mixed(n)).unwrap();
        let tickets: Vec<_> = (0..100).map(submit).collect();
        for ticket in tickets {
            assert_eq!(ticket.wait().unwrap().worker, 1 - gone);
        }
        let statistics = rig.pool.statistics();
        assert_eq!(statistics.workers[gone].status, WorkerHealthStatus::Stopped);
        drain(&rig.pool);
    });
}

fn a_shutdown_in_time_runs_everything(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let (rig, gate, tickets) = loaded(kind, strategy, stealing);
        let mut shutdown = std::pin::pin!(rig.pool.shutdown(LONG));
        assert!(poll_once(shutdown.as_mut()).is_pending());
        gate.open();
        let report = block_on(shutdown);
        assert!(report.drained && report.returned.is_empty());
        assert_at_rest(&report.statistics);
        for (n, ticket) in (0..).zip(tickets) {
            assert_eq!(ticket.wait().unwrap().id, n);
        }
    });
}

fn a_shutdown_out_of_time_gives_everything_back(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let (rig, gate, tickets) = loaded(kind, strategy, stealing);
        let report = rig.pool.shutdown_blocking(Duration::ZERO);
        assert!(!report.drained);
        assert_eq!((report.running.len(), report.claimed), (3, 0));
        let mut back: Vec<_> = report
            .returned
            .into_iter()
            .map(|back| {
                assert_eq!(back.lane as u64, back.request.id % 4);
                assert_eq!(back.context.key(), Some(back.request.id % 5));
                back.request.id
            })
            .collect();
        back.sort_unstable();
        assert!(back.into_iter().eq(0..60), "{strategy:?}");
        for ticket in tickets {
            assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
        }
        gate.open();
        let after = rig.pool.shutdown_blocking(LONG);
        assert!(after.drained, "the workers end: {:?}", after.running);
        assert_at_rest(&after.statistics);
        assert_eq!(after.statistics.total().abandoned, 60);
        assert_eq!(rig.started(), [HOLDING; 3]);
    });
}

fn a_dropped_pool_answers_everybody(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let (rig, gate, tickets) = loaded(kind, strategy, stealing);
        let events = rig.pool.events();
        drop(rig);
        for ticket in tickets {
            assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
        }
        gate.open();
        await_ends(&events, 3);
    });
}

fn the_last_worker_to_end_leaves_nobody_waiting(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let config = placing(2, stealing);
        let rig = Rig::with_extra(kind, builder(config), mortal(2)).unwrap();
        let gate = Gate::new();
        for _ in 0..2 {
            let dies = Job::new(0, common::Act::HoldThenPanic(gate.clone()));
            rig.pool.try_spawn(dies).unwrap();
        }
        gate.await_arrivals(2);
        rig.pool.scheduler().set_strategy(strategy);
        let submit = |n| rig.pool.try_submit(mixed(n)).unwrap();
        let tickets: Vec<_> = (0..60).map(submit).collect();
        gate.open();
        for ticket in tickets {
            assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
        }
        let report = rig.pool.shutdown_blocking(LONG);
        assert_at_rest(&report.statistics);
        assert_eq!(report.statistics.total().abandoned, 60);
        assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
    });
}

fn a_task_may_submit_to_its_pool_but_not_wait_for_it(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let config = placing(2, stealing).scheduling_strategy(strategy);
        let rig = Rig::new(kind, config);
        let (told, tells) = mpsc::channel();
        let pool = rig.pool.clone();
        let nested = Job::run(1, move |_| {
            let normal = TaskPriority::Normal;
            let context = TaskContext::new().with_key(1);
            let refused = pool.execute_blocking(Job::echo(2), normal, context);
            assert!(matches!(
                refused,
                Err(ExecuteError::Refused(SubmitError::Nested(_)))
            ));
            // Of its own key, whose turn it has itself, and of another.
            let tickets = [1, 2].map(|key| {
                let task = ProcessingTask::new(Job::echo(3)).key(key);
                pool.try_submit(task).unwrap()
            });
            told.send(tickets).unwrap();
        });
        let nested = ProcessingTask::new(nested).key(1);
        assert!(rig.pool.try_submit(nested).unwrap().wait().is_ok());
        for ticket in tells.recv().unwrap() {
            assert_eq!(ticket.wait().unwrap().id, 3);
        }
        drain(&rig.pool);
    });
}

fn a_batch_has_its_results_in_order(kind: Kind) {
    for_each_strategy(|strategy, stealing| {
        let config = placing(3, stealing)
            .scheduling_strategy(strategy)
            .lanes(lanes(16, OverflowPolicy::Wait));
        let rig = Rig::new(kind, config);
        // Stretches of one lane of every length, some tasks with a key, and more than fits.
        let task = |n: u64| {
            let task = ProcessingTask::new(Job::echo(n)).lane(n.isqrt() as usize % 4);
            if n.is_multiple_of(5) {
                task.key(n % 3)
            } else {
                task
            }
        };
        let first = block_on(rig.pool.execute_batch((0..300).map(task)));
        let second = rig.pool.execute_batch_blocking((300..600).map(task));
        let ids = first.into_iter().chain(second).map(|done| done.unwrap().id);
        assert!(ids.eq(0..600), "{strategy:?}");
        assert_eq!(drain(&rig.pool).total().completed, 600);
    });
}
