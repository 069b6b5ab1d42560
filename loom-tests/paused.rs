//! Lanes that are paused and resumed while tasks come, with the real engine.

use loom::thread;

use super::common::{assert_conserved, config, of_threads, spawn_worker, submit};
use super::{DEADLOCK, Flaw, check, join_all, must_fail};
use crate::reply::Ticket;
use crate::sync::Mutation;

/// Threads: one worker, who falls asleep over a paused lane or is about to; a caller whose task waits in it;
/// the main thread resumes the lane, and closes when the caller has its answer.
///
/// Property: the task is run, whether it came before the lane was resumed or after.
///
/// Broken by: a resume that wakes nobody; no single order of the resume, the announcement and the looks
/// at both; a wake-up that the futex loses.
#[test]
fn resuming_against_sleeping() {
    check(|| {
        let engine = of_threads(config(1));
        engine.set_paused(0, true);
        let ticket = submit(&engine, 1).expect("there is room");
        let worker = spawn_worker(&engine, 0);
        let caller = thread::spawn(move || Some(ticket.wait()));
        if Flaw::ResumeInSilence.is_built_in() {
            engine.shards.shared.set_paused(1, false);
        } else {
            engine.set_paused(0, false);
        }
        let answers = join_all([caller]);
        assert_eq!(answers, [Some(Ok(2))]);
        engine.close();
        join_all([worker]);
        assert_conserved(&engine, &answers);
    });
}

#[test]
fn resuming_against_sleeping_needs_to_be_told() {
    let test = "paused::resuming_against_sleeping";
    must_fail(test, Flaw::ResumeInSilence, DEADLOCK);
}

#[test]
fn resuming_against_sleeping_needs_the_single_order() {
    let test = "paused::resuming_against_sleeping";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: one worker; somebody who pauses the lane; the main thread hands over a task and closes.
///
/// Property: whichever comes first, the task is run: a pool that closes has no paused lane.
///
/// Broken by: a lane that is paused although the pool is closed.
#[test]
fn pausing_against_close() {
    check(|| {
        let engine = of_threads(config(1));
        let ticket = submit(&engine, 1).expect("there is room");
        let pauser = {
            let engine = std::sync::Arc::clone(&engine);
            thread::spawn(move || {
                if Flaw::PauseTheClosed.is_built_in() {
                    engine.shards.shared.set_paused(1, true);
                } else {
                    engine.set_paused(0, true);
                }
            })
        };
        engine.close();
        join_all([pauser]);
        let worker = spawn_worker(&engine, 0);
        let answer = Some(Ticket::wait(ticket));
        assert_eq!(answer, Some(Ok(2)));
        join_all([worker]);
        assert_conserved(&engine, &[answer]);
    });
}

#[test]
fn pausing_against_close_needs_an_open_pool() {
    let test = "paused::pausing_against_close";
    must_fail(test, Flaw::PauseTheClosed, DEADLOCK);
}
