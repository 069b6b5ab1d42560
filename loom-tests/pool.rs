//! The pool's end, with the real engine and the workers' real loops: every accepted task has one
//! outcome, and everybody who waits is told.
//!
//! Only the threads' start is the models' own, because loom must know its threads; and what a
//! `WorkerPool` does by hand when it is shut down or dropped is repeated here step by step.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::{DEADLOCK, Flaw, LEAK, RACE, check, join_all, must_fail};
use crate::clock::Clock;
use crate::config::{LaneConfig, WorkerPoolConfig};
use crate::engine;
use crate::error::ProcessingError;
use crate::idle::Sleeper;
use crate::idle::parker::Parker;
use crate::reply::{Promise, Ticket};
use crate::service::service_fn;
use crate::sync::Mutation;
use crate::task::{Offer, TaskContext};
use crate::worker::shift::Shift;
use crate::worker::thread as worker_thread;

type Engine = engine::Engine<u32, u32, ()>;
type Answer = Result<u32, ProcessingError<()>>;

/// An engine of one lane of two tasks, with a clock that stands still.
fn engine(workers: usize, sleeper: fn() -> Sleeper) -> Arc<Engine> {
    let config = WorkerPoolConfig {
        worker_count: workers,
        lanes: vec![LaneConfig::new().capacity(2)],
        max_run_length: 1,
        ..Default::default()
    };
    let sleepers = (0..workers).map(|_| sleeper());
    Arc::new(Engine::new(config, Clock::manual().0, None, sleepers))
}

fn of_threads(workers: usize) -> Arc<Engine> {
    engine(workers, || Sleeper::Thread(Parker::new()))
}

/// The steps of `WorkerPool::try_submit`. `None` when the task was refused.
fn submit(engine: &Engine, request: u32) -> Option<Ticket<u32, ()>> {
    let (promise, half) = Promise::pair(&engine.slab).expect("a page of slots");
    let offer = Offer {
        lane: 0,
        context: TaskContext::new(),
        request,
        promise,
    };
    let submitted = engine.submit(offer);
    if submitted.is_err() {
        engine.front.refuse(0);
    }
    submitted.is_ok().then(|| Ticket::new(half))
}

/// A worker that answers each request by its double.
fn spawn_worker(engine: &Arc<Engine>, worker: usize) -> JoinHandle<()> {
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        let service = service_fn(|request: u32, _: &TaskContext| Ok(request * 2));
        let mut shift = Shift::new(engine, worker, 1);
        let mut searcher = worker_thread::Searcher::default();
        worker_thread::serve(&service, &mut (), &mut shift, &mut searcher);
        if Flaw::NoGuard.is_built_in() {
            std::mem::forget(shift);
        }
    })
}

/// A caller that hands a request over and waits. `None` when the task was refused.
fn spawn_caller(engine: &Arc<Engine>, request: u32) -> JoinHandle<Option<Answer>> {
    let engine = Arc::clone(engine);
    thread::spawn(move || submit(&engine, request).map(Ticket::wait))
}

fn close(engine: &Engine) {
    if Flaw::CloseInSilence.is_built_in() {
        engine.lanes.close();
    } else {
        engine.close();
    }
}

/// Checks the conservation law at rest, and that the outcomes are the answers that callers got.
fn assert_conserved(engine: &Engine, answers: &[Option<Answer>]) {
    let statistics = engine.statistics();
    statistics.conserved().expect("every task has one outcome");
    let total = statistics.total();
    assert_eq!((total.queued, total.running), (0, 0), "nothing is left");
    let count = |is: fn(&Option<Answer>) -> bool| answers.iter().filter(|a| is(a)).count() as u64;
    let told = [
        count(|answer| matches!(answer, Some(Ok(_)))),
        count(|answer| matches!(answer, Some(Err(ProcessingError::Abandoned)))),
        count(|answer| answer.is_none()),
    ];
    let counted = [total.completed, total.abandoned, total.refused];
    assert_eq!(counted, told, "what was counted is what callers were told");
}

/// Threads: one worker; one caller that hands over a request and waits; the main thread shuts down
/// with time enough, and waits for the worker.
///
/// Property: the worker ends; a task that was accepted is run; the law of conservation holds.
///
/// Broken by: a close that does not wake a sleeping worker; no single order of the close, the
/// announcement and the looks at both; a wake-up that the futex loses.
#[test]
fn close_against_submit() {
    check(|| {
        let engine = of_threads(1);
        let worker = spawn_worker(&engine, 0);
        let caller = spawn_caller(&engine, 1);
        close(&engine);
        join_all([worker]);
        let answers = join_all([caller]);
        assert!(matches!(answers[..], [None | Some(Ok(2))]));
        assert_conserved(&engine, &answers);
    });
}

#[test]
fn close_against_submit_needs_to_be_told() {
    let test = "pool::close_against_submit";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}

#[test]
fn close_against_submit_needs_the_single_order() {
    let test = "pool::close_against_submit";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

#[test]
fn close_against_submit_needs_the_wake_up() {
    let test = "pool::close_against_submit";
    must_fail(test, Flaw::Layer(Mutation::LostWake), DEADLOCK);
}

/// Threads: one worker; one caller that hands over a request and waits; the main thread closes and
/// takes back what is queued, as a shutdown does whose time is up.
///
/// Property: the caller has one answer, which is what was counted; the request of a task that was not
/// started is handed back, and of no other.
///
/// Broken by: a close that does not wake a sleeping worker; an edge without Release.
#[test]
fn shutdown_against_submit() {
    check(|| {
        let engine = of_threads(1);
        let worker = spawn_worker(&engine, 0);
        let caller = spawn_caller(&engine, 1);
        close(&engine);
        let returned = abandon_queued(&engine);
        let answers = join_all([caller]);
        join_all([worker]);
        if returned > 0 {
            assert_eq!(answers, [Some(Err(ProcessingError::Abandoned))]);
        }
        assert_conserved(&engine, &answers);
    });
}

/// Returns how many requests were handed back.
fn abandon_queued(engine: &Engine) -> usize {
    let mut returned = 0;
    engine.abandon_queued(|_| returned += 1);
    returned
}

#[test]
fn shutdown_against_submit_needs_to_be_told() {
    let test = "pool::shutdown_against_submit";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}

#[test]
fn shutdown_against_submit_needs_the_release() {
    let test = "pool::shutdown_against_submit";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

/// Threads: one worker, which may have started the task or hold it in its hand; the task's caller, who
/// waits; the main thread shuts down with no time left: closes, takes back what is queued, and answers
/// for what the worker holds.
///
/// Property: as above; and a task that is finished after its caller was told that it is abandoned
/// counts as abandoned.
///
/// Broken by: a close that does not wake a sleeping worker.
#[test]
fn shutdown_against_a_running_task() {
    check(|| {
        let engine = of_threads(1);
        let ticket = submit(&engine, 1).expect("there is room");
        let worker = spawn_worker(&engine, 0);
        let caller = thread::spawn(move || Some(ticket.wait()));
        close(&engine);
        let returned = abandon_queued(&engine);
        engine.abandon_running();
        let answers = join_all([caller]);
        join_all([worker]);
        if returned > 0 {
            assert_eq!(answers, [Some(Err(ProcessingError::Abandoned))]);
        }
        assert_conserved(&engine, &answers);
    });
}

#[test]
fn shutdown_against_a_running_task_needs_to_be_told() {
    let test = "pool::shutdown_against_a_running_task";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}

/// Threads: one worker, which may be running the first of two tasks; a caller that waits for its answer;
/// the main thread drops the pool: closes, and abandons what is queued. Then it drops the ticket of
/// the second task, which outlives the pool.
///
/// Property: the task that runs is finished and answered, one that waits is abandoned, and the
/// replies' page is freed when the last ticket goes.
///
/// Broken by: a close that does not wake a sleeping worker; a worker that goes without its guard.
#[test]
fn drop_against_a_running_task() {
    check(|| {
        let engine = of_threads(1);
        let [first, second] = [1, 2].map(|request| submit(&engine, request).expect("room for two"));
        let worker = spawn_worker(&engine, 0);
        let caller = thread::spawn(move || Some(first.wait()));
        close(&engine);
        engine.abandon_queued(drop);
        join_all([worker]);
        let first = caller.join().expect("no thread panics");
        assert!(second.is_done(), "everybody is answered");
        let statistics = engine.statistics();
        drop(engine);
        let answers = [first, Some(second.wait())];
        statistics.conserved().expect("every task has one outcome");
        let completed = answers.iter().flatten().filter(|answer| answer.is_ok());
        assert_eq!(statistics.total().completed, completed.count() as u64);
    });
}

#[test]
fn drop_against_a_running_task_needs_to_be_told() {
    let test = "pool::drop_against_a_running_task";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}

#[test]
fn drop_against_a_running_task_needs_its_guard() {
    let test = "pool::drop_against_a_running_task";
    must_fail(test, Flaw::NoGuard, LEAK);
}

/// Threads: the last worker, which ends without having been told to, as one does whose service cannot
/// make new state or whose runtime is gone; a caller that hands over a request and waits.
///
/// Property: the caller is refused or told that its task is abandoned, and never left waiting.
///
/// Broken by: a worker that goes without its guard.
#[test]
fn the_last_worker_against_submit() {
    check(|| {
        let engine = of_threads(1);
        let shift = Shift::new(Arc::clone(&engine), 0, 1);
        let caller = spawn_caller(&engine, 1);
        if Flaw::NoGuard.is_built_in() {
            std::mem::forget(shift);
        } else {
            drop(shift);
        }
        let answers = join_all([caller]);
        assert_eq!(engine.alive(), 0);
        assert_conserved(&engine, &answers);
    });
}

#[test]
fn the_last_worker_against_submit_needs_its_guard() {
    let test = "pool::the_last_worker_against_submit";
    must_fail(test, Flaw::NoGuard, DEADLOCK);
}

#[cfg(feature = "tokio")]
mod of_tasks {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::idle::caller;
    use crate::idle::waker_cell::WakerCell;
    use crate::service::async_service_fn;
    use crate::worker::async_task;

    type Work = Pin<Box<dyn Future<Output = ()>>>;

    fn of_tasks(workers: usize) -> Arc<Engine> {
        engine(workers, || Sleeper::Task(WakerCell::new()))
    }

    /// An async worker that answers each request by its double.
    fn work(engine: &Arc<Engine>, worker: usize) -> Work {
        let double = |request: u32, _| async move { Ok(request * 2) };
        let service = Arc::new(async_service_fn(double));
        let shift = Shift::new(Arc::clone(engine), worker, 1);
        Box::pin(async_task::work(service, (), shift))
    }

    /// Polls a worker that has nothing to do, so that it sleeps.
    fn send_to_sleep(work: &mut Work) {
        let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }

    fn run(mut work: Work) {
        caller::wait(None, |context| work.as_mut().poll(context));
    }

    /// Threads: one async worker; one caller; the main thread shuts down with time enough.
    ///
    /// Property: as for threads.
    ///
    /// Broken by: a close that does not wake a sleeping worker.
    #[test]
    fn close_against_submit() {
        check(|| {
            let engine = of_tasks(1);
            let work = work(&engine, 0);
            let worker = thread::spawn(move || run(work));
            let caller = spawn_caller(&engine, 1);
            close(&engine);
            join_all([worker]);
            let answers = join_all([caller]);
            assert!(matches!(answers[..], [None | Some(Ok(2))]));
            assert_conserved(&engine, &answers);
        });
    }

    #[test]
    fn close_against_submit_needs_to_be_told() {
        let test = "pool::of_tasks::close_against_submit";
        must_fail(test, Flaw::CloseInSilence, DEADLOCK);
    }

    /// Threads: two async workers that sleep, of which one is dropped, as a runtime does that ends, and
    /// the other is polled when it is woken; the main thread hands over a request and waits.
    ///
    /// Property: the task is run, though the wake-up may have gone to the worker that was dropped.
    ///
    /// Broken by: a worker that is dropped without its guard.
    #[test]
    fn dropped_while_woken() {
        check(|| {
            let engine = of_tasks(2);
            let [mut doomed, mut other] = [0, 1].map(|worker| work(&engine, worker));
            send_to_sleep(&mut doomed);
            send_to_sleep(&mut other);
            let other = thread::spawn(move || run(other));
            let doomed = thread::spawn(move || {
                if Flaw::NoGuard.is_built_in() {
                    std::mem::forget(doomed);
                } else {
                    drop(doomed);
                }
            });
            let answer = submit(&engine, 1).map(Ticket::wait);
            assert_eq!(answer, Some(Ok(2)));
            doomed.join().expect("no thread panics");
            engine.close();
            other.join().expect("no thread panics");
            assert_conserved(&engine, &[answer]);
        });
    }

    #[test]
    fn dropped_while_woken_needs_its_guard() {
        let test = "pool::of_tasks::dropped_while_woken";
        must_fail(test, Flaw::NoGuard, DEADLOCK);
    }
}
