//! A panic of the service fails its task alone; the worker goes on with fresh state.

mod common;

use std::any::Any;
use std::panic::panic_any;
use std::pin::pin;
use std::sync::Arc;

use common::{
    Act, EXPECTED, Gate, Job, Kind, Rig, assert_at_rest, block_on, builder, config, drain,
    for_both_kinds, lanes, poll_once,
};
use lanepool::{
    BuildError, OverflowPolicy, PoolEvent, ProcessingError, SubmitError, TaskContext, TaskPriority,
    WorkerHealthStatus,
};

const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    a_panic_fails_its_task_alone,
    the_worker_goes_on_with_fresh_state,
    other_workers_go_on_with_the_state_they_have,
    every_kind_of_panic_is_survived,
    a_panic_is_told_to_subscribers,
    a_thousand_panics_lose_no_worker,
    a_panic_while_the_pool_is_built_fails_the_build,
    a_panic_while_state_is_made_anew_ends_that_worker,
    the_last_worker_to_end_answers_everybody,
    state_that_panics_when_dropped_is_survived,
);

fn a_panic_fails_its_task_alone(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let before = rig.submit(1, NORMAL);
    let panics = rig.pool.try_submit(Job::panic(2)).unwrap();
    let after = rig.submit(3, NORMAL);
    gate.open();
    assert_eq!(before.wait().unwrap().id, 1);
    assert_eq!(
        panics.wait(),
        Err(ProcessingError::Panicked(format!("2 {EXPECTED}")))
    );
    assert_eq!(after.wait().unwrap().id, 3);
    let statistics = drain(&rig.pool);
    assert_eq!(
        (statistics.lanes[1].completed, statistics.lanes[1].panicked),
        (2, 1)
    );
    assert_eq!(statistics.workers[0].panics, 1);
}

fn the_worker_goes_on_with_fresh_state(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let call = |job| rig.pool.execute_blocking(job, NORMAL, TaskContext::new());
    for id in 0..3 {
        let done = call(Job::echo(id)).unwrap();
        assert_eq!((done.worker, done.state, done.seen), (0, 0, id));
    }
    assert!(call(Job::fail(0)).is_err());
    assert_eq!(
        call(Job::echo(0)).unwrap().seen,
        4,
        "an error leaves the state as it is"
    );
    assert!(call(Job::panic(0)).is_err());
    for id in 0..3 {
        let done = call(Job::echo(id)).unwrap();
        assert_eq!(
            (done.worker, done.state, done.seen),
            (0, 1, id),
            "the state is a new one"
        );
    }
    drain(&rig.pool);
}

fn other_workers_go_on_with_the_state_they_have(kind: Kind) {
    let rig = Rig::new(kind, config(3));
    let (held, panics) = (Gate::new(), Gate::new());
    let tickets: Vec<_> = (0..2)
        .map(|id| rig.pool.try_submit(Job::hold(id, &held)).unwrap())
        .collect();
    held.await_arrivals(2);
    let job = Job::new(2, Act::HoldThenPanic(panics.clone()));
    let panicking = rig.pool.try_submit(job).unwrap();
    panics.await_arrivals(1);
    panics.open();
    assert!(matches!(
        panicking.wait(),
        Err(ProcessingError::Panicked(_))
    ));
    assert!(tickets.iter().all(|ticket| !ticket.is_done()));
    held.open();
    for ticket in tickets {
        assert!(
            ticket.wait().unwrap().state < 3,
            "made when the pool was built"
        );
    }
    drain(&rig.pool);
}

/// Panics again when it is dropped, so many times.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 && !std::thread::panicking() {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

fn every_kind_of_panic_is_survived(kind: Kind) {
    let service = |n: u32, _: &TaskContext| {
        match n {
            1 => panic!("{EXPECTED}"),
            2 => panic!("{n} {EXPECTED}"),
            3 => panic_any(n),
            4 => panic_any(Bomb(1)),
            5 => panic_any(Bomb(100)),
            6 => panic_any(Box::new(EXPECTED) as Box<dyn Any + Send>),
            7 => std::panic::resume_unwind(Box::new("resumed")),
            _ => {}
        }
        Ok::<_, ()>(n)
    };
    let pool = kind.serve(builder(config(1)), service).unwrap();
    let nameless = "a panic without a message";
    let two = format!("2 {EXPECTED}");
    let messages = [
        EXPECTED, &two, nameless, nameless, nameless, nameless, "resumed",
    ];
    for (n, message) in (1..).zip(messages) {
        let answer = pool.try_submit(n).unwrap().wait();
        assert_eq!(
            answer,
            Err(ProcessingError::Panicked(message.to_owned())),
            "{n}"
        );
        assert_eq!(
            pool.try_submit(0).unwrap().wait(),
            Ok(0),
            "the worker goes on after {n}"
        );
    }
    assert_eq!(drain(&pool).lanes[1].panicked, 7);
}

fn a_panic_is_told_to_subscribers(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let events = rig.pool.events();
    let second = rig.pool.events();
    assert_eq!(events.try_recv(), None);
    assert!(rig.pool.try_submit(Job::panic(7)).unwrap().wait().is_err());
    let panicked = PoolEvent::WorkerPanicked {
        worker: 0,
        message: format!("7 {EXPECTED}"),
    };
    let stopped = PoolEvent::WorkerStopped {
        worker: 0,
        reason: None,
    };
    assert_eq!(events.recv(), Some(panicked.clone()));
    assert_eq!(block_on(second.recv_async()), Some(panicked));
    drain(&rig.pool);
    assert_eq!(events.recv_timeout(common::LONG), Some(PoolEvent::Closed));
    assert_eq!(events.recv(), Some(stopped));
    drop(rig);
    assert_eq!(events.recv(), None);
}

fn a_thousand_panics_lose_no_worker(kind: Kind) {
    let rig = Rig::new(kind, config(3));
    let tickets: Vec<_> = (0..1_000)
        .map(|id| {
            let job = if id % 2 == 0 {
                Job::panic(id)
            } else {
                Job::echo(id)
            };
            rig.pool.submit_blocking(job).unwrap()
        })
        .collect();
    for (id, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait().is_ok(), id % 2 == 1);
    }
    let meeting = Gate::meeting(3);
    let meet = (0..3).map(|id| Job::hold(id, &meeting));
    let tickets: Vec<_> = meet.map(|job| rig.pool.try_submit(job).unwrap()).collect();
    assert!(
        tickets.into_iter().all(|ticket| ticket.wait().is_ok()),
        "all three are there"
    );
    assert_eq!(
        drain(&rig.pool)
            .workers
            .iter()
            .map(|worker| worker.panics)
            .sum::<u64>(),
        500
    );
}

fn a_panic_while_the_pool_is_built_fails_the_build(kind: Kind) {
    for (workers, bad) in [(1, 0), (4, 0), (4, 2), (4, 3)] {
        let alive = Arc::new(());
        let made = Arc::clone(&alive);
        let error = Rig::with_extra(kind, builder(config(workers)), move |worker, _| {
            assert!(worker != bad, "{worker} {EXPECTED}");
            Box::new(Arc::clone(&made))
        })
        .err()
        .expect("the build fails");
        match &error {
            BuildError::Service { worker, message } => {
                assert_eq!((*worker, message), (bad, &format!("{bad} {EXPECTED}")));
            }
            other => panic!("{other:?}"),
        }
        assert!(
            error.to_string().contains(&format!("worker {bad}")),
            "{error}"
        );
        assert_eq!(
            Arc::strong_count(&alive),
            1,
            "nothing of it is left running"
        );
    }
}

/// A pool whose service can make each worker's state once, and no more.
fn unrenewable(kind: Kind, workers: usize) -> Rig {
    let config = config(workers).lanes(lanes(8, OverflowPolicy::Wait));
    Rig::with_extra(kind, builder(config), move |_, number| {
        assert!(number < workers as u64, "no more state, {EXPECTED}");
        Box::new(())
    })
    .unwrap()
}

fn a_panic_while_state_is_made_anew_ends_that_worker(kind: Kind) {
    let rig = unrenewable(kind, 2);
    let events = rig.pool.events();
    let answer = rig.pool.try_submit(Job::panic(1)).unwrap().wait();
    assert!(
        matches!(answer, Err(ProcessingError::Panicked(_))),
        "{answer:?}"
    );
    let (mut gone, mut reason) = (usize::MAX, None);
    while gone == usize::MAX {
        match events.recv() {
            Some(PoolEvent::WorkerPanicked { .. }) => {}
            Some(PoolEvent::WorkerStopped {
                worker,
                reason: why,
            }) => (gone, reason) = (worker, why),
            other => panic!("{other:?}"),
        }
    }
    assert!(reason.is_some_and(|why| why.contains("no more state")));
    for id in 0..100 {
        assert_ne!(
            rig.pool
                .submit_blocking(Job::echo(id))
                .unwrap()
                .wait()
                .unwrap()
                .worker,
            gone
        );
    }
    let statistics = rig.pool.statistics();
    assert_eq!(statistics.workers[gone].status, WorkerHealthStatus::Stopped);
    assert_ne!(
        statistics.workers[1 - gone].status,
        WorkerHealthStatus::Stopped
    );
    drain(&rig.pool);
}

fn the_last_worker_to_end_answers_everybody(kind: Kind) {
    let rig = unrenewable(kind, 2);
    let gate = Gate::new();
    let crash = |id| Job::new(id, Act::HoldThenPanic(gate.clone()));
    let crashing: Vec<_> = (0..2)
        .map(|id| rig.pool.try_submit(crash(id)).unwrap())
        .collect();
    gate.await_arrivals(2);
    let mut queued = Vec::new();
    for lane in TaskPriority::ALL {
        queued.extend((0..8).map(|id| rig.submit(id, lane)));
    }
    let mut submit = pin!(rig.pool.submit(Job::echo(100)));
    assert!(poll_once(submit.as_mut()).is_pending());
    let blocked = {
        let pool = rig.pool.clone();
        std::thread::spawn(move || pool.submit_blocking(Job::echo(101)).map(drop))
    };
    gate.open();
    for ticket in crashing {
        assert!(matches!(ticket.wait(), Err(ProcessingError::Panicked(_))));
    }
    for ticket in queued {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    assert!(matches!(
        block_on(submit),
        Err(SubmitError::Closed(Job { id: 100, .. }))
    ));
    let refused = blocked.join().unwrap();
    assert!(
        matches!(refused, Err(SubmitError::Closed(Job { id: 101, .. }))),
        "{refused:?}"
    );
    assert!(matches!(
        rig.pool.try_submit(Job::echo(0)),
        Err(SubmitError::Closed(_))
    ));
    let statistics = drain(&rig.pool);
    assert_at_rest(&statistics);
    assert_eq!(
        (statistics.total().panicked, statistics.total().abandoned),
        (2, 32)
    );
}

/// Panics when it is dropped, unless a panic is under way.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "{EXPECTED}");
    }
}

fn state_that_panics_when_dropped_is_survived(kind: Kind) {
    let rig = Rig::with_extra(kind, builder(config(1)), |_, _| Box::new(Mine)).unwrap();
    for id in 0..20 {
        assert!(rig.pool.try_submit(Job::panic(id)).unwrap().wait().is_err());
        assert_eq!(rig.submit(id, NORMAL).wait().unwrap().state, id + 1);
    }
    assert_eq!(drain(&rig.pool).lanes[1].panicked, 20);
}
