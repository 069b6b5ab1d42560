//! The answer: given once, whole, to whoever still waits, and its page freed once, by the last to leave.
//!
//! The value is tracked by loom, which reports one that is never dropped; [`check`](super::check)
//! counts the cells of the page.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::alloc::Track;
use loom::thread;

use super::{DEADLOCK, Flaw, LEAK, RACE, check, join_all, must_fail};
use crate::idle::caller;
use crate::reply::{Delivery, Promise, Slab};
use crate::sync::Mutation;

type Value = Track<u32>;

const ANSWER: u32 = 7;

/// A slab of one page.
fn slab() -> Arc<Slab<Value>> {
    Arc::new(Slab::new(1))
}

/// Waits for the answer of a caller's half.
macro_rules! wait {
    ($half:expr) => {
        caller::wait(None, |context| $half.poll(context))
            .expect("there is no deadline")
            .map(Track::into_inner)
    };
}

/// The worker answers. Returns what became of it, whether the caller slept or not.
fn answer(promise: Promise<Value>) -> Delivery {
    match promise.complete(Track::new(ANSWER)) {
        Delivery::Woke => Delivery::Delivered,
        delivery => delivery,
    }
}

/// Threads: a worker that answers; the main thread waits, the pool being gone already.
///
/// Property: the caller gets the value, whole, however early or late it falls asleep; then the page
/// is freed, once.
///
/// Broken by: an answer without Release, a look without Acquire; a torn change of the state, which
/// loses a sleeper.
#[test]
fn complete_against_wait() {
    check(|| {
        let slab = slab();
        let (promise, mut half) = Promise::pair(&slab).expect("a page of slots");
        drop(slab);
        let worker = thread::spawn(move || answer(promise));
        assert_eq!(wait!(half), Some(ANSWER));
        assert_eq!(join_all([worker]), [Delivery::Delivered]);
    });
}

#[test]
fn complete_against_wait_needs_the_release() {
    let flaw = Flaw::Layer(Mutation::NoRelease);
    must_fail("reply::complete_against_wait", flaw, RACE);
}

#[test]
fn complete_against_wait_needs_the_acquire() {
    let flaw = Flaw::Layer(Mutation::NoAcquire);
    must_fail("reply::complete_against_wait", flaw, RACE);
}

#[test]
fn complete_against_wait_needs_whole_changes() {
    let flaw = Flaw::Layer(Mutation::TornRmw);
    must_fail("reply::complete_against_wait", flaw, DEADLOCK);
}

/// Threads: a worker that answers; the pool that drops its slab; the main thread, whose caller has
/// asked once and then leaves.
///
/// Property: the value is dropped once, by whoever has it last, and the page is freed once, by the
/// last of the three.
///
/// Broken by: an owner that is forgotten; a page word without Acquire and Release.
#[test]
fn complete_against_cancel() {
    check(|| {
        let slab = Slab::new(1);
        let (promise, mut half) = Promise::pair(&slab).expect("a page of slots");
        let worker = thread::spawn(move || {
            let wanted = promise.is_wanted();
            (wanted, answer(promise))
        });
        let pool = thread::spawn(move || drop(slab));
        let polled = half.poll(&mut Context::from_waker(Waker::noop()));
        if Flaw::HalfForgotten.is_built_in() {
            std::mem::forget(half);
        } else {
            drop(half);
        }
        pool.join().expect("no thread panics");
        let (wanted, delivery) = worker.join().expect("no thread panics");
        match polled {
            Poll::Ready(value) => {
                assert_eq!(value.map(Track::into_inner), Some(ANSWER));
                assert_eq!((wanted, delivery), (true, Delivery::Delivered));
            }
            Poll::Pending => assert!(wanted || delivery == Delivery::Unwanted),
        }
    });
}

#[test]
fn complete_against_cancel_needs_both_halves() {
    must_fail("reply::complete_against_cancel", Flaw::HalfForgotten, LEAK);
}

#[test]
fn complete_against_cancel_needs_the_release() {
    let flaw = Flaw::Layer(Mutation::NoRelease);
    must_fail("reply::complete_against_cancel", flaw, RACE);
}

/// Threads: a worker that drops its promise unanswered; the main thread, whose caller asks with one
/// waker and then waits with another.
///
/// Property: the caller is told that there is no answer; the page is freed once.
///
/// Broken by: a promise that is forgotten, so that the caller waits for ever.
#[test]
fn loss_against_wait() {
    check(|| {
        let slab = slab();
        let (promise, mut half) = Promise::pair(&slab).expect("a page of slots");
        let worker = thread::spawn(move || {
            if Flaw::HalfForgotten.is_built_in() {
                std::mem::forget(promise);
            }
        });
        let polled = half.poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() {
            assert_eq!(wait!(half), None);
        }
        join_all([worker]);
        assert!(half.is_answered());
    });
}

#[test]
fn loss_against_wait_needs_both_halves() {
    must_fail("reply::loss_against_wait", Flaw::HalfForgotten, DEADLOCK);
}

/// Threads: a worker that answers; the shutdown that answers everybody in its place and then drops the
/// slab; the main thread, whose caller waits.
///
/// Property: there is one answer, and worker and caller agree on whose it is; value and page are
/// freed once.
///
/// Broken by: a torn change of the state; an answer without Release.
#[test]
fn complete_against_shutdown_against_wait() {
    check(|| {
        let slab = Slab::new(1);
        let (promise, mut half) = Promise::pair(&slab).expect("a page of slots");
        let worker = thread::spawn(move || answer(promise));
        let shutdown = thread::spawn(move || slab.abandon_all());
        let expected = match wait!(half) {
            Some(value) => {
                assert_eq!(value, ANSWER);
                (Delivery::Delivered, 0)
            }
            None => (Delivery::TooLate, 1),
        };
        let delivery = worker.join().expect("no thread panics");
        let abandoned = shutdown.join().expect("no thread panics");
        assert_eq!((delivery, abandoned), expected, "one answer");
    });
}

#[test]
fn complete_against_shutdown_against_wait_needs_whole_changes() {
    let test = "reply::complete_against_shutdown_against_wait";
    must_fail(test, Flaw::Layer(Mutation::TornRmw), DEADLOCK);
}

#[test]
fn complete_against_shutdown_against_wait_needs_the_release() {
    let test = "reply::complete_against_shutdown_against_wait";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

/// Threads: a worker that answers; the shutdown; the main thread, whose caller asks once and leaves.
///
/// Property: as above, for a caller that does not wait for its answer.
///
/// Broken by: a half that is forgotten.
#[test]
fn complete_against_shutdown_against_cancel() {
    check(|| {
        let slab = Slab::new(1);
        let (promise, mut half) = Promise::pair(&slab).expect("a page of slots");
        let worker = thread::spawn(move || answer(promise));
        let shutdown = thread::spawn(move || slab.abandon_all());
        let polled = half.poll(&mut Context::from_waker(Waker::noop()));
        if Flaw::HalfForgotten.is_built_in() {
            std::mem::forget(half);
        } else {
            drop(half);
        }
        let delivery = worker.join().expect("no thread panics");
        let abandoned = shutdown.join().expect("no thread panics");
        match polled.map(|value| value.is_some()) {
            Poll::Ready(true) => assert_eq!((delivery, abandoned), (Delivery::Delivered, 0)),
            Poll::Ready(false) => assert_eq!((delivery, abandoned), (Delivery::TooLate, 1)),
            Poll::Pending => assert_eq!(delivery == Delivery::TooLate, abandoned == 1),
        }
    });
}

#[test]
fn complete_against_shutdown_against_cancel_needs_both_halves() {
    let test = "reply::complete_against_shutdown_against_cancel";
    must_fail(test, Flaw::HalfForgotten, LEAK);
}

/// Threads: two callers that take a slot, and give it back, of a page that has one left; the main
/// thread is the second.
///
/// Property: a slot has one pair of owners at a time, and the next finds it as the last left it.
///
/// Broken by: a torn claim of a slot's bit; a bit cleared without Release.
#[test]
fn taking_against_freeing() {
    check(|| {
        let slab = slab();
        let taken: Vec<_> = (0..62).map(|_| Promise::pair(&slab)).collect();
        let other = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || ask_and_answer(&slab))
        };
        ask_and_answer(&slab);
        join_all([other]);
        drop(taken);
    });
}

/// A caller and its worker on one thread.
fn ask_and_answer(slab: &Slab<Value>) {
    let (promise, mut half) = Promise::pair(slab).expect("the slab grows");
    assert_eq!(answer(promise), Delivery::Delivered);
    assert_eq!(wait!(half), Some(ANSWER));
}

#[test]
fn taking_against_freeing_needs_whole_claims() {
    let flaw = Flaw::Layer(Mutation::TornRmw);
    must_fail("reply::taking_against_freeing", flaw, RACE);
}

#[test]
fn taking_against_freeing_needs_the_release() {
    let flaw = Flaw::Layer(Mutation::NoRelease);
    must_fail("reply::taking_against_freeing", flaw, RACE);
}
