//! Tasks in the workers' own lanes: whoever takes them, each has one outcome, and nobody sleeps while one
//! waits that he may take.
//!
//! A worker that is not started stands for one that is busy for as long as the model lasts.

use std::sync::Arc;

use loom::thread;

use super::common::{
    Engine, abandon_queued, assert_conserved, close, find, of_threads, offer, placed, shards_for,
    spawn_caller, spawn_worker, spawn_worker_with, submit,
};
use super::{DEADLOCK, Flaw, check, join_all, must_fail, rest_in_one_order};
use crate::lane::{Claim, LaneSet};
use crate::reply::{Promise, Ticket};
use crate::schedule::SchedulingStrategy::RoundRobin;
use crate::service::service_fn;
use crate::sync::Mutation;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::task::{Filed, Offer, Task, TaskContext};

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

/// A worker that leaves its shard. With the flaw that it leaves it open, the word here says so.
struct Leaver {
    engine: Arc<Engine>,
    left: AtomicU32,
}

impl Leaver {
    fn new(stealing: bool) -> Arc<Self> {
        Arc::new(Self {
            engine: engine(2, stealing),
            left: AtomicU32::new(0),
        })
    }

    /// The steps of `Engine::worker_ends`, of which one may be missing.
    fn leave(&self) {
        let engine = &self.engine;
        if Flaw::LeaveOpen.is_built_in() {
            // ORDERING(shard-left): SeqCst, as in `Shards::leave`.
            self.left.swap(1, Ordering::SeqCst);
            engine.roster.wake_all();
        } else if Flaw::LeaveInSilence.is_built_in() {
            engine.shards.leave(0);
        } else {
            engine.worker_ends(0, None);
        }
    }

    /// The shard, if it was left open.
    fn left_open(&self) -> Option<&LaneSet<Task<u32, u32, ()>, Filed>> {
        let apart = self.engine.shards.apart().expect("tasks are placed");
        let is_open = Flaw::LeaveOpen.is_built_in() && self.left.load(Ordering::SeqCst) != 0;
        is_open.then_some(&apart.shards[0].tasks)
    }

    /// What the worker that is left finds, in the shared lanes or in a shard.
    fn find(&self) -> u32 {
        let engine = &self.engine;
        let seat = engine.seat(1);
        let pull = || {
            let of_shards = shards_for(engine, seat).map(|shard| &shard.tasks);
            let sets = of_shards.chain([&engine.shards.shared]);
            let mut marked = sets
                .chain(self.left_open())
                .filter(|tasks| tasks.hint().lanes() != 0);
            marked.find_map(|tasks| tasks.pop(0))
        };
        let stirs = || {
            let holds = |tasks: &LaneSet<_, _>| tasks.any_holds(1);
            engine.shards.any_stirs(seat) || self.left_open().is_some_and(holds)
        };
        find(engine, seat, pull, stirs).0.request
    }

    /// Hands over a task that is for the worker that leaves.
    fn place(&self) {
        let offer = Offer {
            lane: 0,
            context: TaskContext::new(),
            request: 1,
            promise: Promise::default(),
        };
        assert!(self.engine.submit(offer).is_ok(), "there is room");
    }
}

fn leave_against_placing(stealing: bool) {
    let leaver = Leaver::new(stealing);
    let other = {
        let leaver = Arc::clone(&leaver);
        thread::spawn(move || leaver.find())
    };
    let submitter = {
        let leaver = Arc::clone(&leaver);
        thread::spawn(move || leaver.place())
    };
    leaver.leave();
    join_all([submitter]);
    assert_eq!(join_all([other]), [1]);
}

/// Threads: a worker that searches or falls asleep, where nobody steals; a submitter that places a task with another
/// worker; the main thread, in the part of that one, ends.
///
/// Property: the task is taken by the worker that is left: from the shard, if it came there before that was closed,
/// else from the shared lanes.
///
/// Broken by: a worker that leaves its shard open; one that leaves and wakes nobody; no single order.
#[test]
fn leaving_against_placing() {
    check(|| leave_against_placing(false));
}

#[test]
fn leaving_against_placing_needs_a_closed_shard() {
    let test = "shards::leaving_against_placing";
    must_fail(test, Flaw::LeaveOpen, DEADLOCK);
}

#[test]
fn leaving_against_placing_needs_to_be_told() {
    let test = "shards::leaving_against_placing";
    must_fail(test, Flaw::LeaveInSilence, DEADLOCK);
}

#[test]
fn leaving_against_placing_needs_the_single_order() {
    let test = "shards::leaving_against_placing";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: as in [`leaving_against_placing`], where the worker that is left may steal.
///
/// Property: the same. A task that is refused by a shard that was just closed goes to the shared lanes as any other,
/// and wakes somebody there.
///
/// Broken by: no single order; a wake-up that the futex loses.
#[test]
fn leaving_against_placing_among_thieves() {
    check(|| leave_against_placing(true));
}

#[test]
fn leaving_against_placing_among_thieves_needs_the_single_order() {
    let test = "shards::leaving_against_placing_among_thieves";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

#[test]
fn leaving_against_placing_among_thieves_needs_the_wake_up() {
    let test = "shards::leaving_against_placing_among_thieves";
    must_fail(test, Flaw::Layer(Mutation::LostWake), DEADLOCK);
}
