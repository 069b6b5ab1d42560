//! Workers come and go all the time, while tasks come from several sides: nothing is lost, and every key keeps its
//! order.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{
    EXPECTED, Gate, Job, KeyLog, Kind, LONG, Rig, assert_at_rest, builder, config, drain,
    for_both_kinds, lanes,
};
use lanepool::{
    Clock, OverflowPolicy, ProcessingTask, ResizeError, SchedulingStrategy, TaskPriority,
    WorkerPoolConfigBuilder,
};

for_both_kinds!(
    everything_is_accounted_for,
    what_was_claimed_in_one_run_is_finished,
    every_key_keeps_its_order,
    a_shutdown_meets_a_resize,
    a_shutdown_out_of_time_meets_a_resize,
    workers_end_by_themselves_as_well,
);

/// The numbers of workers that follow each other.
const COUNTS: [usize; 8] = [6, 1, 4, 2, 6, 3, 1, 5];

fn changing(strategy: SchedulingStrategy, stealing: bool) -> WorkerPoolConfigBuilder {
    config(2)
        .max_workers(6)
        .scheduling_strategy(strategy)
        .enable_task_stealing(stealing)
        .lanes(lanes(32, OverflowPolicy::Wait))
}

/// Changes the number of workers, each number of [`COUNTS`] at least once, until `over` says so.
fn resize_until(over: &AtomicBool, resize: impl Fn(usize)) {
    let mut rounds = 0;
    while rounds < COUNTS.len() || !over.load(Ordering::SeqCst) {
        resize(COUNTS[rounds % COUNTS.len()]);
        rounds += 1;
        thread::yield_now();
    }
}

/// Lets `submit` run with each of these numbers at once, while workers come and go.
fn while_resizing(rig: &Rig, submitters: u64, submit: impl Fn(u64) + Sync) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            resize_until(&over, |count| {
                assert_eq!(rig.pool.set_workers(count).unwrap(), count);
            });
        });
        let submit = &submit;
        let threads: Vec<_> = (0..submitters)
            .map(|submitter| scope.spawn(move || submit(submitter)))
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        over.store(true, Ordering::SeqCst);
    });
}

fn everything_is_accounted_for(kind: Kind) {
    const EACH: u64 = 150;
    for strategy in SchedulingStrategy::ALL {
        for stealing in [true, false] {
            let rig = Rig::new(kind, changing(strategy, stealing));
            while_resizing(&rig, 3, |submitter| {
                let task = |n: u64| {
                    let id = submitter * 10_000 + n;
                    ProcessingTask::new(Job::new(id, common::Act::Yield))
                        .lane(n as usize % 4)
                        .key(n % 7)
                };
                for n in 0..EACH / 3 {
                    rig.pool.spawn_blocking(task(n)).unwrap();
                    let ticket = rig.pool.submit_blocking(task(n + EACH)).unwrap();
                    assert!(ticket.wait().is_ok(), "{strategy:?}, stealing {stealing}");
                    let batch = rig.pool.execute_batch_blocking([task(n + 2 * EACH)]);
                    assert!(batch[0].is_ok());
                }
            });
            let statistics = drain(&rig.pool);
            let total = statistics.total();
            assert_eq!(
                (total.completed, total.submitted),
                (3 * EACH, 3 * EACH),
                "{strategy:?}, stealing {stealing}"
            );
            let finished = statistics.workers.iter().map(|worker| worker.finished);
            assert_eq!(
                finished.sum::<u64>(),
                3 * EACH,
                "what removed workers did counts"
            );
            assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
        }
    }
}

/// On a clock that stands still every task is cheap, so threads claim many at once.
fn what_was_claimed_in_one_run_is_finished(kind: Kind) {
    const EACH: u64 = 2_000;
    let config = changing(SchedulingStrategy::PriorityBased, true)
        .max_run_length(16)
        .lanes(lanes(1_024, OverflowPolicy::Wait));
    let builder = builder(config).clock(Clock::manual().0);
    let rig = Rig::build(kind, builder).unwrap();
    while_resizing(&rig, 2, |submitter| {
        for n in 0..EACH {
            let task = ProcessingTask::new(Job::echo(submitter * EACH + n));
            rig.pool.spawn_blocking(task).unwrap();
        }
    });
    let total = drain(&rig.pool).total();
    assert_eq!((total.completed, total.abandoned), (2 * EACH, 0));
}

/// Each submitter has some keys of its own, and all of them hand over tasks of one hot key.
fn every_key_keeps_its_order(kind: Kind) {
    const SUBMITTERS: u64 = 3;
    const KEYS: u64 = 5;
    const EACH: u64 = 60;
    const HOT: u64 = 999;
    for stealing in [true, false] {
        let rig = Rig::new(kind, changing(SchedulingStrategy::HashBased, stealing));
        let log = KeyLog::new();
        let hot = Mutex::new(0);
        while_resizing(&rig, SUBMITTERS, |submitter| {
            for n in 0..EACH {
                for key in 0..KEYS {
                    let lane = ((n + key) % 4) as usize;
                    let task = log.task(submitter * 100 + key, n).lane(lane);
                    rig.pool.spawn_blocking(task).unwrap();
                }
                // Numbered in the order in which they are handed over.
                let mut hot = hot.lock().unwrap();
                let task = log.task(HOT, *hot).lane((*hot % 4) as usize);
                rig.pool.spawn_blocking(task).unwrap();
                *hot += 1;
            }
        });
        let total = drain(&rig.pool).total();
        assert_eq!(total.completed, SUBMITTERS * EACH * (KEYS + 1));
        log.assert_orderly();
        for submitter in 0..SUBMITTERS {
            for key in 0..KEYS {
                let started = log.of(submitter * 100 + key);
                assert!(started.into_iter().eq(0..EACH), "{submitter}, {key}");
            }
        }
        assert!(log.of(HOT).into_iter().eq(0..SUBMITTERS * EACH));
        assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
    }
}

fn a_shutdown_meets_a_resize(kind: Kind) {
    for round in 0..20 {
        let strategy = SchedulingStrategy::ALL[round % SchedulingStrategy::ALL.len()];
        let rig = Rig::new(kind, changing(strategy, round % 2 == 0));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                resize_until(&over, |count| match rig.pool.set_workers(count) {
                    Ok(workers) => assert_eq!(workers, count),
                    Err(ResizeError::Closed) => {}
                    Err(other) => panic!("{other}"),
                });
            });
            let task = |n: u64| {
                ProcessingTask::new(Job::echo(n))
                    .key(n % 3)
                    .lane(n as usize % 4)
            };
            let tickets: Vec<_> = (0..60)
                .map(|n| rig.pool.submit_blocking(task(n)).unwrap())
                .collect();
            assert_eq!(drain(&rig.pool).total().completed, 60, "{strategy:?}");
            over.store(true, Ordering::SeqCst);
            assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
        });
        assert!(matches!(rig.pool.set_workers(2), Err(ResizeError::Closed)));
        assert_at_rest(&rig.pool.statistics());
    }
}

fn a_shutdown_out_of_time_meets_a_resize(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for stealing in [true, false] {
            let rig = Rig::new(kind, changing(strategy, stealing));
            let gate = Gate::new();
            let held: Vec<_> = (0..2)
                .map(|n| rig.pool.submit_blocking(Job::hold(n, &gate)).unwrap())
                .collect();
            let task = |n: u64| ProcessingTask::new(Job::new(n, common::Act::Yield)).key(n % 5);
            let tickets: Vec<_> = (2..60)
                .map(|n| rig.pool.try_submit(task(n).lane(n as usize % 4)).unwrap())
                .collect();
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    resize_until(&over, |count| {
                        if let Err(error) = rig.pool.set_workers(count) {
                            assert!(matches!(error, ResizeError::Closed), "{error}");
                        }
                    });
                });
                rig.pool.shutdown_blocking(Duration::ZERO);
                over.store(true, Ordering::SeqCst);
            });
            gate.open();
            // Every caller has an answer, whichever it is.
            let answered = held.into_iter().chain(tickets).map(|ticket| ticket.wait());
            let completed = answered.filter(Result::is_ok).count() as u64;
            let report = rig.pool.shutdown_blocking(LONG);
            assert!(report.drained, "{:?}", report.running);
            assert_at_rest(&report.statistics);
            let total = report.statistics.total();
            assert_eq!(total.completed, completed, "{strategy:?}, {stealing}");
            assert_eq!(total.completed + total.abandoned, 60);
        }
    }
}

/// Tasks panic, and every fifth state cannot be made: workers end by themselves while others are removed, and places
/// are filled again.
fn workers_end_by_themselves_as_well(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for stealing in [true, false] {
            let config = changing(strategy, stealing).reserve(TaskPriority::High, 1);
            let fails = |_, number| -> Box<dyn std::any::Any + Send> {
                assert!(number % 5 != 4, "no state {number}, {EXPECTED}");
                Box::new(())
            };
            let rig = Rig::with_extra(kind, builder(config), fails).unwrap();
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    resize_until(&over, |count| match rig.pool.set_workers(count.max(2)) {
                        Ok(_) | Err(ResizeError::Closed) => {}
                        Err(ResizeError::Service { message, .. }) => {
                            assert!(message.contains(EXPECTED));
                        }
                        Err(other) => panic!("{other}"),
                    });
                });
                let threads = [0_u64, 1].map(|submitter| {
                    let pool = &rig.pool;
                    scope.spawn(move || {
                        for n in 0..100 {
                            let id = submitter * 1_000 + n;
                            let job = if n % 10 == 7 {
                                Job::panic(id)
                            } else {
                                Job::echo(id)
                            };
                            let task = ProcessingTask::new(job).key(n % 3).lane(n as usize % 4);
                            // The pool closes when the last worker that takes all lanes has ended.
                            if let Ok(ticket) = pool.submit_blocking(task) {
                                let _ = ticket.wait();
                            }
                        }
                    })
                });
                for thread in threads {
                    thread.join().unwrap();
                }
                over.store(true, Ordering::SeqCst);
            });
            let report = rig.pool.shutdown_blocking(LONG);
            assert!(report.returned.is_empty() && report.running.is_empty());
            assert_at_rest(&report.statistics);
            let total = report.statistics.total();
            assert_eq!(total.submitted, 200);
            assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
        }
    }
}
