//! Submitters that wait while a lane is full: no notice is lost, whoever gives up.

use std::sync::Arc;
use std::task::{Context, Waker};

use loom::thread;

use super::{DEADLOCK, Flaw, check, join_all, must_fail, pop, push};
use crate::admission::{Room, Turn};
use crate::idle::caller;
use crate::lane::{LaneSet, Ring};
use crate::sync::Mutation;

/// A lane of two tasks, and full.
fn full_lane() -> Arc<LaneSet<u32>> {
    let lanes = LaneSet::new([2]);
    for task in [1, 2] {
        assert!(push(&lanes, 0, task), "there is room");
    }
    Arc::new(lanes)
}

fn turn(lanes: &LaneSet<u32>) -> Turn<'_, Ring<u32>> {
    let lane = lanes.lane(0);
    Turn::new(&lane.gate, &lane.ring)
}

/// The steps of a blocking way in, without its pauses. Returns whether the task got in.
fn enter(lanes: &LaneSet<u32>, task: u32) -> bool {
    if push(lanes, 0, task) {
        return true;
    }
    let mut turn = turn(lanes);
    while !lanes.is_closed() {
        caller::wait(None, |context| turn.poll(context));
        if push(lanes, 0, task) {
            if Flaw::NoticeKept.is_built_in() {
                std::mem::forget(turn);
            } else {
                turn.got_in();
            }
            return true;
        }
    }
    false
}

fn spawn_submitter(lanes: &Arc<LaneSet<u32>>, task: u32) -> thread::JoinHandle<bool> {
    let lanes = Arc::clone(lanes);
    thread::spawn(move || enter(&lanes, task))
}

/// Threads: a submitter of a full lane; the main thread takes one task.
///
/// Property: the submitter gets in, however early or late it falls asleep.
///
/// Broken by: no single order of the head's claim, the count of waiting and the looks at both.
#[test]
fn one_submitter() {
    check(|| {
        let lanes = full_lane();
        let submitter = spawn_submitter(&lanes, 3);
        assert_eq!(pop(&lanes, 0), Some(1));
        assert_eq!(join_all([submitter]), [true]);
    });
}

#[test]
fn one_submitter_needs_the_single_order() {
    let flaw = Flaw::Layer(Mutation::NoSeqCst);
    must_fail("gate::one_submitter", flaw, DEADLOCK);
}

/// Threads: two submitters of a full lane; the main thread takes both tasks, one by one.
///
/// Property: both get in: one notice is in flight at a time, and whoever got in passes it on.
///
/// Broken by: a notice that is kept.
#[test]
fn two_submitters() {
    check(|| {
        let lanes = full_lane();
        let submitters = [3, 4].map(|task| spawn_submitter(&lanes, task));
        assert_eq!([pop(&lanes, 0), pop(&lanes, 0)], [Some(1), Some(2)]);
        assert_eq!(join_all(submitters), [true, true]);
        assert!(!lanes.lane(0).ring.has_room(1));
    });
}

#[test]
fn two_submitters_need_the_single_order() {
    let flaw = Flaw::Layer(Mutation::NoSeqCst);
    must_fail("gate::two_submitters", flaw, DEADLOCK);
}

/// Threads: two submitters of a full lane; the main thread takes both tasks in one claim, which lets in
/// one submitter.
///
/// Property: both get in.
///
/// Broken by: a notice that is kept by the submitter that got in.
#[test]
fn two_submitters_and_one_claim() {
    check(|| {
        let lanes = full_lane();
        let submitters = [3, 4].map(|task| spawn_submitter(&lanes, task));
        // The steps of `LaneSet::pop_share`.
        let lane = lanes.lane(0);
        let taken = [lane.ring.pop(), lane.ring.pop()].map(|item| item.map(|(task, _)| task));
        assert_eq!(taken, [Some(1), Some(2)]);
        lane.gate.freed(&lane.ring);
        assert_eq!(join_all(submitters), [true, true]);
    });
}

#[test]
fn two_submitters_and_one_claim_need_the_notice() {
    let test = "gate::two_submitters_and_one_claim";
    must_fail(test, Flaw::NoticeKept, DEADLOCK);
}

/// Threads: a submitter that queues up and gives up, as a future that is dropped does; a submitter that
/// waits; the main thread takes one task.
///
/// Property: the one that waits gets in, though the notice may have gone to the other.
///
/// Broken by: a notice that is kept by the submitter that gave up.
#[test]
fn a_dropped_submitter() {
    check(|| {
        let lanes = full_lane();
        let dropped = {
            let lanes = Arc::clone(&lanes);
            thread::spawn(move || {
                let mut turn = turn(&lanes);
                let _ = turn.poll(&mut Context::from_waker(Waker::noop()));
                if Flaw::NoticeKept.is_built_in() {
                    std::mem::forget(turn);
                }
                true
            })
        };
        let submitter = spawn_submitter(&lanes, 3);
        assert_eq!(pop(&lanes, 0), Some(1));
        assert_eq!(join_all([dropped, submitter]), [true, true]);
    });
}

#[test]
fn a_dropped_submitter_needs_to_pass_its_notice() {
    must_fail("gate::a_dropped_submitter", Flaw::NoticeKept, DEADLOCK);
}

/// Threads: two submitters of a full lane; the main thread closes it.
///
/// Property: both find out that they cannot get in.
///
/// Broken by: a close that tells nobody.
#[test]
fn close_against_submitters() {
    check(|| {
        let lanes = full_lane();
        let submitters = [3, 4].map(|task| spawn_submitter(&lanes, task));
        if Flaw::CloseInSilence.is_built_in() {
            lanes.lane(0).ring.close();
        } else {
            lanes.close();
        }
        assert_eq!(join_all(submitters), [false, false]);
    });
}

#[test]
fn close_against_submitters_needs_to_be_told() {
    must_fail(
        "gate::close_against_submitters",
        Flaw::CloseInSilence,
        DEADLOCK,
    );
}
