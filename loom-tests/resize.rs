//! Workers that are told to go, those who have placed tasks with them, and the pool that closes meanwhile.
//!
//! A worker that is not started stands for one that is busy for as long as the model lasts.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::common::{Engine, assert_conserved, close, of_threads, placed, spawn_worker};
use super::{DEADLOCK, Flaw, check, join_all, must_fail, rest_in_one_order};
use crate::engine::Missing;
use crate::error::ProcessingError;
use crate::lane::Claim;
use crate::reply::{Promise, Ticket};
use crate::schedule::SchedulingStrategy::RoundRobin;
use crate::sync::Mutation;
use crate::task::{Offer, TaskContext};
use crate::worker::shift::Shift;
use crate::worker::thread::Searcher;

/// Two workers where nobody steals; the second one is to go.
fn engine() -> Arc<Engine> {
    let engine = of_threads(placed(2, RoundRobin, false));
    assert_eq!(engine.settle_on(1, false), 1);
    engine
}

/// A submitter that has read the number of workers before one of them was to go, and chooses that one.
fn submit_to_the_second(engine: &Engine, promise: Promise<Result<u32, ProcessingError<()>>>) {
    engine.shards.crew.set_general(2);
    engine.placement.ticket();
    let offer = Offer {
        lane: 0,
        context: TaskContext::new(),
        request: 1,
        promise,
    };
    if Flaw::CallTheOwner.is_built_in() {
        submit_and_look_once(engine, offer);
    } else {
        assert!(engine.submit(offer).is_ok(), "there is room");
    }
}

/// The steps of `Engine::submit` but for the second look whether the worker has gone.
fn submit_and_look_once(engine: &Engine, offer: Offer<u32, u32, ()>) {
    let shard = &engine.shards.make_apart().shards[1];
    if shard.is_left() {
        assert!(engine.submit(offer).is_ok(), "there is room");
        return;
    }
    let make = |claim: Claim<'_, _>| offer.accept(claim, 0);
    assert!(shard.tasks.push_with(0, make).is_ok(), "there is room");
    engine.roster.call(1);
}

/// A worker that ends when it has found a task.
fn spawn_finder(engine: &Arc<Engine>, worker: usize) -> JoinHandle<bool> {
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        let mut searcher = Searcher::new(Arc::clone(&engine));
        let mut shift = Shift::new(engine, worker, 1);
        let found = searcher.find(&mut shift);
        rest_in_one_order();
        found
    })
}

/// Threads: a worker that stays; one that leaves its shard, as one that goes does; the main thread places a task with
/// the one that goes.
///
/// Property: the worker that stays finds the task, wherever it lies and however early or late that worker falls
/// asleep.
///
/// Broken by: a submitter that calls the task's own worker and nobody else; no single order; a wake-up that the
/// futex loses.
#[test]
fn a_task_for_a_worker_that_goes() {
    check(|| {
        let engine = engine();
        let stays = spawn_finder(&engine, 0);
        let goes = {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                engine.shards.leave(1);
                engine.roster.wake_all();
                true
            })
        };
        submit_to_the_second(&engine, Promise::default());
        assert_eq!(join_all([goes, stays]), [true, true]);
    });
}

#[test]
fn a_task_for_a_worker_that_goes_needs_the_second_look() {
    let test = "resize::a_task_for_a_worker_that_goes";
    must_fail(test, Flaw::CallTheOwner, DEADLOCK);
}

#[test]
fn a_task_for_a_worker_that_goes_needs_the_single_order() {
    let test = "resize::a_task_for_a_worker_that_goes";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

#[test]
fn a_task_for_a_worker_that_goes_needs_the_wake_up() {
    let test = "resize::a_task_for_a_worker_that_goes";
    must_fail(test, Flaw::Layer(Mutation::LostWake), DEADLOCK);
}

/// Threads: a worker without a task; the main thread tells it to go and waits for its end.
///
/// Property: the worker ends, however early or late it falls asleep.
///
/// Broken by: no single order; a wake-up that the futex loses.
#[test]
fn told_to_go_against_falling_asleep() {
    check(|| {
        let engine = of_threads(placed(2, RoundRobin, false));
        let worker = spawn_worker(&engine, 1);
        assert_eq!(engine.settle_on(1, false), 1);
        join_all([worker]);
        assert_eq!(engine.alive(), 1);
        assert!(!engine.shards.shared.hint().is_leaving());
    });
}

#[test]
fn told_to_go_against_falling_asleep_needs_the_single_order() {
    let test = "resize::told_to_go_against_falling_asleep";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

#[test]
fn told_to_go_against_falling_asleep_needs_the_wake_up() {
    let test = "resize::told_to_go_against_falling_asleep";
    must_fail(test, Flaw::Layer(Mutation::LostWake), DEADLOCK);
}

/// Threads: a worker that is to go, with a task in its own lane; the main thread calls it back, and then closes the
/// pool.
///
/// Property: the worker has gone or stays, and nothing between; if it stays it runs the task, and ends with the
/// pool.
///
/// Broken by: a close that does not wake a sleeping worker.
#[test]
fn called_back_against_going() {
    check(|| {
        let engine = engine();
        let (promise, half) = Promise::pair(&engine.slab).expect("a page of slots");
        submit_to_the_second(&engine, promise);
        let ticket = Ticket::new(half);
        let worker = spawn_worker(&engine, 1);
        let has_gone = match engine.keep(2) {
            Missing::Places(missing) => missing == [1],
            Missing::Closed => unreachable!("nobody has closed the pool"),
        };
        assert!(!engine.shards.shared.hint().is_leaving());
        if has_gone {
            join_all([worker]);
            engine.worker_ends(0, None);
            assert_conserved(&engine, &[Some(ticket.wait())]);
        } else {
            assert_eq!(ticket.wait(), Ok(2));
            close(&engine);
            join_all([worker]);
        }
    });
}

#[test]
fn called_back_against_going_needs_to_be_told() {
    let test = "resize::called_back_against_going";
    must_fail(test, Flaw::CloseInSilence, DEADLOCK);
}
