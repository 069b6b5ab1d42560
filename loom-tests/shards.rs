//! Tasks in the workers' own lanes: whoever takes them, each has one outcome, and nobody sleeps while one
//! waits that he may take.
//!
//! A worker that is not started stands for one that is busy for as long as the model lasts.

use std::sync::Arc;

use super::common::{
    Engine, abandon_queued, assert_conserved, close, of_threads, offer, placed, spawn_caller,
    spawn_worker, spawn_worker_with, submit,
};
use super::{DEADLOCK, Flaw, check, join_all, must_fail, rest_in_one_order};
use crate::lane::Claim;
use crate::reply::Ticket;
use crate::schedule::SchedulingStrategy::RoundRobin;
use crate::service::service_fn;
use crate::sync::Mutation;
use crate::task::TaskContext;

/// The engine under a placement by turns.
fn engine(workers: usize, stealing: bool) -> Arc<Engine> {
    of_threads(placed(workers, RoundRobin, stealing))
}

/// Places the next task with the worker after the one whose turn it is.
fn skip_a_turn(engine: &Engine) {
    engine.placement.ticket();
}

/// Places a task with the first worker and waits for the answer.
fn submit_and_wait(engine: &Engine, request: u32) -> Result<u32, ()> {
    let answer = if Flaw::WakeAnybody.is_built_in() || Flaw::CallTheOwner.is_built_in() {
        submit_with_a_flaw(engine, request)
    } else {
        submit(engine, request).expect("there is room")
    };
    answer.wait().map_err(|_| ())
}

/// The steps of `Engine::submit` but for the last, which is to wake whoever may take the task.
fn submit_with_a_flaw(engine: &Engine, request: u32) -> Ticket<u32, ()> {
    let (offer, ticket) = offer(engine, 0, TaskContext::new(), request);
    let turn = engine.placement.ticket() as usize;
    let apart = engine.shards.make_apart();
    let tasks = &apart.shards[turn].tasks;
    let pushed = tasks.push_with(0, |claim: Claim<'_, _>| offer.accept(claim, 0));
    assert!(pushed.is_ok(), "there is room");
    if Flaw::CallTheOwner.is_built_in() {
        engine.roster.call(turn);
    } else if let Some(look) = engine.roster.look() {
        engine.roster.call_on(look, 0, None);
    }
    ticket
}

/// Threads: two workers, the first with a task in its own lane, which the second may steal; the main thread
/// closes and takes back what is queued, as a shutdown does whose time is up.
///
/// Property: the task is run once or handed back; both workers end; the law of conservation holds.
///
/// Broken by: a close that does not wake a sleeping worker.
#[test]
fn stealing_against_pulling_against_shutdown() {
    check(|| {
        let engine = engine(2, true);
        let ticket = submit(&engine, 1).expect("there is room");
        let workers = [0, 1].map(|worker| {
            let service = service_fn(|request: u32, _: &TaskContext| {
                // Nothing is left to take, and `pool` has the end of idle workers.
                rest_in_one_order();
                Ok(request * 2)
            });
            spawn_worker_with(&engine, worker, service)
        });
        close(&engine);
        let returned = abandon_queued(&engine);
        if returned > 0 {
            rest_in_one_order();
        }
        join_all(workers);
        assert_conserved(&engine, &[Some(ticket.wait())]);
        assert_eq!(engine.statistics().total().abandoned, returned as u64);
    });
}

#[test]
fn stealing_against_pulling_against_shutdown_needs_to_be_told() {
    let test = "shards::stealing_against_pulling_against_shutdown";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}

/// Threads: a worker that may steal; the main thread places a task with the other one, who is busy, and waits
/// for the answer.
///
/// Property: the task is stolen, however early or late the thief falls asleep.
///
/// Broken by: a submitter that calls nobody but the task's own worker; no single order; a wake-up that the
/// futex loses.
#[test]
fn a_task_of_a_busy_worker() {
    check(|| {
        let engine = engine(2, true);
        let thief = spawn_worker(&engine, 1);
        assert_eq!(submit_and_wait(&engine, 1), Ok(2));
        rest_in_one_order();
        engine.close();
        join_all([thief]);
    });
}

#[test]
fn a_task_of_a_busy_worker_needs_whoever_comes() {
    let test = "shards::a_task_of_a_busy_worker";
    must_fail(test, Flaw::CallTheOwner, DEADLOCK);
}

#[test]
fn a_task_of_a_busy_worker_needs_the_single_order() {
    let test = "shards::a_task_of_a_busy_worker";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

#[test]
fn a_task_of_a_busy_worker_needs_the_wake_up() {
    let test = "shards::a_task_of_a_busy_worker";
    must_fail(test, Flaw::Layer(Mutation::LostWake), DEADLOCK);
}

/// Threads: two workers where nobody steals, the first of them asleep; the main thread places a task with
/// the second, and waits for the answer.
///
/// Property: the second worker is woken for it, though another one sleeps and comes first.
///
/// Broken by: a submitter that wakes anybody; no single order.
#[test]
fn a_task_for_one_worker_alone() {
    check(|| {
        let engine = engine(2, false);
        let asleep = engine.roster.announce(engine.roster.begin_search(0));
        let worker = spawn_worker(&engine, 1);
        skip_a_turn(&engine);
        assert_eq!(submit_and_wait(&engine, 1), Ok(2));
        rest_in_one_order();
        engine.close();
        join_all([worker]);
        let _search = engine.roster.withdraw(asleep);
    });
}

#[test]
fn a_task_for_one_worker_alone_needs_that_worker() {
    let test = "shards::a_task_for_one_worker_alone";
    must_fail(test, Flaw::WakeAnybody, DEADLOCK);
}

#[test]
fn a_task_for_one_worker_alone_needs_the_single_order() {
    let test = "shards::a_task_for_one_worker_alone";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: one worker that may steal; a caller whose task is placed with the other one, who is busy; the
/// main thread shuts down with time enough, and waits for the worker.
///
/// Property: the worker ends; a task that was accepted is run.
///
/// Broken by: a close that does not wake a sleeping worker; no single order.
#[test]
fn close_against_placing() {
    check(|| {
        let engine = engine(2, true);
        let thief = spawn_worker(&engine, 1);
        let caller = spawn_caller(&engine, 1);
        close(&engine);
        join_all([thief]);
        let answers = join_all([caller]);
        assert!(matches!(answers[..], [None | Some(Ok(2))]));
        assert_conserved(&engine, &answers);
    });
}

#[test]
fn close_against_placing_needs_to_be_told() {
    let test = "shards::close_against_placing";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}
