//! What users hand in may panic where nobody expects it: when it is dropped, when it is woken, when it is
//! told. The pool goes on, and everybody is answered.

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use common::{
    EXPECTED, Gate, Job, Kind, Rig, assert_at_rest, block_on, builder, config, drain,
    for_both_kinds, lanes, poll_once,
};
use lanepool::{
    Clock, Outcome, OverflowPolicy, PerformanceMonitor, ProcessingError, ProcessingTask,
    TaskContext, TaskPriority, WorkerPool,
};

const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    a_response_that_panics_when_dropped_harms_nobody,
    a_request_that_panics_when_dropped_harms_nobody,
    a_shutdown_takes_back_requests_that_panic_when_dropped,
    a_dropped_pool_answers_past_requests_that_panic_when_dropped,
    the_last_worker_answers_past_requests_that_panic_when_dropped,
    a_waker_that_panics_harms_no_worker,
    a_waker_that_panics_does_not_stop_a_shutdown,
    a_waker_that_panics_at_a_full_lane_loses_no_task,
    a_monitor_that_panics_is_not_called_again,
);

/// Panics when it is dropped while armed, unless a panic is under way.
#[derive(Debug)]
struct Mine {
    armed: bool,
}

impl Drop for Mine {
    fn drop(&mut self) {
        assert!(!self.armed || std::thread::panicking(), "{EXPECTED}");
    }
}

/// A service that waits at the gate, then answers with the armed or harmless thing it was asked for.
fn mines(kind: Kind, gate: &Gate) -> WorkerPool<bool, Mine, Mine> {
    let gate = gate.clone();
    let service = move |armed: bool, _: &TaskContext| {
        gate.pass();
        if armed {
            Ok(Mine { armed })
        } else {
            Err(Mine { armed })
        }
    };
    kind.serve(builder(config(1)), service).unwrap()
}

fn a_response_that_panics_when_dropped_harms_nobody(kind: Kind) {
    let gate = Gate::new();
    let pool = mines(kind, &gate);
    let ticket = pool.try_submit(true).unwrap();
    gate.await_arrivals(1);
    drop(ticket);
    let detached = pool.try_submit(true).unwrap();
    detached.detach();
    pool.try_spawn(true).unwrap();
    gate.open();
    for _ in 0..3 {
        let answer = pool.execute_blocking(false, NORMAL, TaskContext::new());
        assert!(answer.is_err_and(|error| format!("{error:?}").contains("Failed")));
    }
    let counts = &drain(&pool).lanes[1];
    assert_eq!((counts.completed, counts.failed), (3, 3));
}

/// Requests that are armed or not; armed ones are disarmed by the service, so only those that are never
/// started go off.
fn armed(kind: Kind, builder: lanepool::PoolBuilder, gate: &Gate) -> WorkerPool<Mine, u64, ()> {
    let gate = gate.clone();
    let service = move |mut mine: Mine, context: &TaskContext| {
        mine.armed = false;
        if context.key() == Some(1) {
            gate.pass();
        }
        Ok(context.message_id().unwrap_or(0))
    };
    kind.serve(builder, service).unwrap()
}

fn mine(id: u64) -> ProcessingTask<Mine> {
    ProcessingTask::new(Mine { armed: true }).message_id(id)
}

/// Occupies the only worker until the gate opens.
fn hold(pool: &WorkerPool<Mine, u64, ()>, gate: &Gate) {
    pool.try_spawn(mine(0).key(1)).map_err(drop).unwrap();
    gate.await_arrivals(1);
}

fn a_request_that_panics_when_dropped_harms_nobody(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let deadline = clock.now() + Duration::from_secs(1);
    let gate = Gate::new();
    let pool = armed(kind, builder(config(1)).clock(clock), &gate);
    hold(&pool, &gate);
    drop(pool.try_submit(mine(1)).unwrap());
    let late = pool.try_submit(mine(2).deadline(deadline)).unwrap();
    let after = pool.try_submit(mine(3)).unwrap();
    hands.advance(Duration::from_secs(2));
    gate.open();
    assert_eq!(late.wait(), Err(ProcessingError::Expired));
    assert_eq!(after.wait(), Ok(3), "the worker goes on");
    let counts = &drain(&pool).lanes[1];
    assert_eq!(
        (counts.completed, counts.cancelled, counts.expired),
        (2, 1, 1)
    );
}

fn a_shutdown_takes_back_requests_that_panic_when_dropped(kind: Kind) {
    let gate = Gate::new();
    let pool = armed(kind, builder(config(1)), &gate);
    hold(&pool, &gate);
    let kept: Vec<_> = (1..4)
        .map(|id| pool.try_submit(mine(id)).unwrap())
        .collect();
    drop(pool.try_submit(mine(4)).unwrap());
    let last = pool.try_submit(mine(5)).unwrap();
    let mut report = pool.shutdown_blocking(Duration::ZERO);
    let ids: Vec<_> = report
        .returned
        .iter()
        .map(|back| back.context.message_id())
        .collect();
    assert_eq!(ids, [1, 2, 3, 5].map(Some));
    report
        .returned
        .iter_mut()
        .for_each(|back| back.request.armed = false);
    for ticket in kept.into_iter().chain([last]) {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    gate.open();
    let counts = &drain(&pool).lanes[1];
    assert_eq!(
        (counts.abandoned, counts.cancelled, counts.completed),
        (4, 1, 1)
    );
}

fn a_dropped_pool_answers_past_requests_that_panic_when_dropped(kind: Kind) {
    let gate = Gate::new();
    let pool = armed(kind, builder(config(1)), &gate);
    hold(&pool, &gate);
    let tickets: Vec<_> = (1..6)
        .map(|id| pool.try_submit(mine(id)).unwrap())
        .collect();
    // Whoever drops the pool may see the panic; that is not the point here.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(pool)));
    for ticket in &tickets {
        assert!(ticket.is_done(), "answered though its worker is held");
    }
    for ticket in tickets {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    gate.open();
}

fn the_last_worker_answers_past_requests_that_panic_when_dropped(kind: Kind) {
    let gate = Gate::new();
    let crash = gate.clone();
    // The only worker crashes and cannot renew its state.
    let config = config(1);
    let config = config.lanes(lanes(8, OverflowPolicy::Wait));
    let rig = Rig::with_extra(kind, builder(config), |_, number| {
        assert!(number == 0, "no more state, {EXPECTED}");
        Box::new(())
    })
    .unwrap();
    let crashing = rig
        .pool
        .try_submit(Job::new(0, common::Act::HoldThenPanic(crash)))
        .unwrap();
    gate.await_arrivals(1);
    let tickets: Vec<_> = (1..6)
        .map(|id| {
            let mine = Mine { armed: true };
            rig.pool
                .try_submit(Job::run(id, move |_| drop(mine)))
                .unwrap()
        })
        .collect();
    gate.open();
    assert!(matches!(crashing.wait(), Err(ProcessingError::Panicked(_))));
    for ticket in tickets {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    assert_eq!(drain(&rig.pool).lanes[1].abandoned, 5);
}

struct Alarm;

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        panic!("a waker, {EXPECTED}");
    }
}

/// Polls once with a waker that panics when it is called.
fn poll_with_alarm<F: Future>(future: std::pin::Pin<&mut F>) {
    let waker = Waker::from(Arc::new(Alarm));
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
}

fn a_waker_that_panics_harms_no_worker(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut first = rig.submit(1, NORMAL);
    let mut failing = rig.pool.try_submit(Job::fail(2)).unwrap();
    let mut panicking = rig.pool.try_submit(Job::panic(3)).unwrap();
    poll_with_alarm(pin!(&mut first));
    poll_with_alarm(pin!(&mut failing));
    poll_with_alarm(pin!(&mut panicking));
    let after = rig.submit(4, NORMAL);
    gate.open();
    assert_eq!(after.wait().unwrap().id, 4, "the worker goes on");
    assert_eq!(
        first.wait().unwrap().id,
        1,
        "the answer was there before the waker was called"
    );
    assert_eq!(
        failing.wait(),
        Err(ProcessingError::Failed(common::Failure(2)))
    );
    assert!(matches!(
        panicking.wait(),
        Err(ProcessingError::Panicked(_))
    ));
    let counts = &drain(&rig.pool).lanes[1];
    assert_eq!(
        (counts.completed, counts.failed, counts.panicked),
        (2, 1, 1)
    );
}

fn a_waker_that_panics_does_not_stop_a_shutdown(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = Gate::new();
    let mut running = rig.pool.try_submit(Job::hold(0, &gate)).unwrap();
    gate.await_arrivals(1);
    poll_with_alarm(pin!(&mut running));
    let mut queued: Vec<_> = (1..5).map(|id| rig.submit(id, NORMAL)).collect();
    poll_with_alarm(pin!(&mut queued[1]));
    poll_with_alarm(pin!(&mut queued[3]));
    let report = rig.pool.shutdown_blocking(Duration::ZERO);
    assert_eq!((report.returned.len(), report.running.len()), (4, 1));
    for ticket in queued.into_iter().chain([running]) {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    gate.open();
    drain(&rig.pool);
}

fn a_waker_that_panics_at_a_full_lane_loses_no_task(kind: Kind) {
    let rig = Rig::new(kind, config(1).lanes(lanes(2, OverflowPolicy::Wait)));
    let gate = rig.hold_all();
    let queued = [rig.submit(1, NORMAL), rig.submit(2, NORMAL)];
    let mut hostile = Box::pin(rig.pool.submit(Job::echo(3)));
    poll_with_alarm(hostile.as_mut());
    let mut patient = pin!(rig.pool.submit(Job::echo(4)));
    assert!(poll_once(patient.as_mut()).is_pending());
    gate.open();
    for (id, ticket) in (1..).zip(queued) {
        assert_eq!(ticket.wait().unwrap().id, id, "whoever waits at the gate");
    }
    drop(hostile);
    assert_eq!(
        block_on(async { patient.await.unwrap().await.unwrap() }).id,
        4
    );
    assert_eq!(drain(&rig.pool).lanes[1].completed, 3);
}

/// Panics in the method with this number, and counts the calls.
struct Grumpy {
    panics_in: u64,
    calls: Arc<AtomicU64>,
}

impl Grumpy {
    fn call(&self, method: u64) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(method != self.panics_in, "{EXPECTED}");
    }
}

impl PerformanceMonitor for Grumpy {
    fn on_enqueued(&self, _: usize) {
        self.call(0);
    }

    fn on_dequeued(&self, _: usize, _: Duration) {
        self.call(1);
    }

    fn on_finished(&self, _: usize, _: Duration, _: Outcome) {
        self.call(2);
    }
}

fn a_monitor_that_panics_is_not_called_again(kind: Kind) {
    for panics_in in 0..3 {
        let calls = Arc::new(AtomicU64::new(0));
        let monitor = Grumpy {
            panics_in,
            calls: Arc::clone(&calls),
        };
        let rig = Rig::build(kind, builder(config(1)).monitor(monitor)).unwrap();
        for id in 0..50 {
            let answer = rig
                .pool
                .execute_blocking(Job::echo(id), NORMAL, TaskContext::new());
            assert_eq!(answer.unwrap().id, id);
        }
        let statistics = drain(&rig.pool);
        assert_at_rest(&statistics);
        assert_eq!(statistics.lanes[1].completed, 50);
        assert_eq!(statistics.workers[0].panics, 0, "not the service's");
        let calls = calls.load(Ordering::SeqCst);
        assert!((1..=3).contains(&calls), "{calls} calls");
    }
}
