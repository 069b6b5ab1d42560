//! The word that says which lanes may hold something: a lane that holds something has its bit set.

use std::sync::Arc;

use loom::thread;

use super::{Flaw, check, join_all, must_fail, pop, push};
use crate::lane::LaneSet;
use crate::sync::Mutation;

/// Threads: a submitter; two workers on their way to sleep, who clear the bit of the lane that was
/// empty a moment ago, the main thread being the second.
///
/// Property: when all are done the lane holds the task, and its bit is set.
///
/// Broken by: no single order of the claim, the change of the word and the looks at both.
#[test]
fn clearing_against_marking() {
    check(|| {
        let lanes = Arc::new(LaneSet::new([2]));
        assert!(push(&lanes, 0, 0), "there is room");
        assert_eq!(pop(&lanes, 0), Some(0));
        let [submitter, worker] = [(); 2].map(|()| Arc::clone(&lanes));
        let submitter = thread::spawn(move || assert!(push(&submitter, 0, 1), "there is room"));
        let worker = thread::spawn(move || worker.refresh_hint());
        lanes.refresh_hint();
        join_all([submitter, worker]);
        assert!(lanes.any_claims(lanes.all()));
        assert_eq!(
            lanes.hint().lanes(),
            1,
            "a lane that holds a task is marked"
        );
    });
}

#[test]
fn clearing_against_marking_needs_the_single_order() {
    let test = "lanes::clearing_against_marking";
    let word = "a lane that holds a task is marked";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), word);
}

/// Threads: two submitters of different lanes, and a worker on its way to sleep that finds the hint
/// of both cleared already.
///
/// Property: no mark is lost to another lane's.
///
/// Broken by: a torn mark, which writes back the word as it was before the other's.
#[test]
fn marks_of_two_lanes() {
    check(|| {
        let lanes = Arc::new(LaneSet::new([2, 2]));
        let submitters = [0, 1].map(|lane| {
            let lanes = Arc::clone(&lanes);
            thread::spawn(move || assert!(push(&lanes, lane, 1), "there is room"))
        });
        lanes.refresh_hint();
        join_all(submitters);
        assert_eq!(lanes.hint().lanes(), 0b11, "both lanes are marked");
    });
}

#[test]
fn marks_of_two_lanes_need_whole_marks() {
    let test = "lanes::marks_of_two_lanes";
    must_fail(
        test,
        Flaw::Layer(Mutation::TornRmw),
        "both lanes are marked",
    );
}
