//! The pool's end, with the real engine and the workers' real loops: every accepted task has one
//! outcome, and everybody who waits is told.

use std::sync::Arc;

use loom::thread;

use super::common::{
    self, Engine, abandon_queued, assert_conserved, close, config, spawn_caller, spawn_worker,
    submit,
};
use super::{DEADLOCK, Flaw, LEAK, RACE, check, join_all, must_fail};
use crate::error::ProcessingError;
use crate::reply::Ticket;
use crate::sync::Mutation;
use crate::worker::shift::Shift;

fn of_threads(workers: usize) -> Arc<Engine> {
    common::of_threads(config(workers))
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

/// The shift of the first worker, in a box: a model's stack is small.
fn shift_of(engine: &Arc<Engine>) -> Box<Shift<u32, u32, ()>> {
    Box::new(Shift::new(Arc::clone(engine), 0, 1))
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
        let shift = shift_of(&engine);
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

    use super::common::engine_for;
    use super::*;
    use crate::idle::waker_cell::WakerCell;
    use crate::idle::{Sleeper, caller};
    use crate::service::async_service_fn;
    use crate::worker::async_task;

    type Work = Pin<Box<dyn Future<Output = ()>>>;

    fn of_tasks(workers: usize) -> Arc<Engine> {
        let sleeper = || Sleeper::Task(WakerCell::new());
        Arc::new(engine_for(config(workers), sleeper))
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
