//! Keyed tasks when a worker ends and when a pool does: with the real engine, and the steps of one worker's search.
//!
//! Here nobody runs a worker's whole loop: those who end call what they call, and who searches does so by hand, because
//! the rest of the loop multiplies the orders and adds nothing to these properties.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::common::{
    Engine, abandon_queued, find, of_threads, offer, placed, shards_for, submit_as,
};
use super::{DEADLOCK, Flaw, check, join_all, must_fail};
use crate::config::{LaneConfig, WorkerPoolConfig};
use crate::error::ProcessingError;
use crate::lane::Claim;
use crate::reply::Ticket;
use crate::schedule::Key;
use crate::schedule::SchedulingStrategy::HashBased;
use crate::schedule::shards::Seat;
use crate::schedule::strands::{Admitted, Taken};
use crate::sync::Mutation;
use crate::task::{Offer, Task, TaskContext};
use crate::worker::shift::Shift;
use crate::worker::thread::Searcher;

const KEY: Key = Key::Given(1);
const LANE: usize = 0;
const LEFT_OVER: &str = "no key and no run is left";

/// One lane of four tasks, of which one key may have two.
fn config(workers: usize, stealing: bool) -> WorkerPoolConfig {
    WorkerPoolConfig {
        lanes: vec![LaneConfig::new().capacity(4)],
        ..placed(workers, HashBased, stealing)
    }
}

fn keyed() -> TaskContext {
    TaskContext::new().with_key(1)
}

/// Hands over a task of the one key. `None` when it was refused.
fn submit(engine: &Engine, request: u32) -> Option<Ticket<u32, ()>> {
    submit_as(engine, LANE, keyed(), request)
}

/// The task of the key whose run is the first that this worker finds.
fn pull(engine: &Engine, seat: Seat) -> Option<Task<u32, u32, ()>> {
    let apart = engine.shards.apart()?;
    let of_shards = shards_for(engine, seat).map(|shard| &shard.runs);
    let mut marked = of_shards
        .chain([&apart.runs])
        .filter(|runs| runs.hint().lanes() != 0);
    let (key, _) = marked.find_map(|runs| runs.pop(LANE))?;
    match engine.strands.take(key, |_| true) {
        Taken::Task(LANE, (task, _)) => Some(task),
        Taken::Task(..) | Taken::NotNow(_) => panic!("there is one lane"),
        Taken::Nothing => None,
    }
}

/// Nothing waits any more, and no key is there for whose sake something could.
fn assert_empty(engine: &Engine) {
    let apart = engine.shards.make_apart();
    let of_shards = apart.shards.iter().map(|shard| &shard.runs);
    let runs: usize = of_shards
        .chain([&apart.runs])
        .map(|set| set.waiting(1))
        .sum();
    assert_eq!((engine.strands.live(), runs), (0, 0), "{LEFT_OVER}");
    assert_eq!(engine.strands.lane(LANE).len(), 0, "no task waits");
}

/// Starts a worker that has the first task of the key in its hand, and ends.
fn spawn_ending(engine: &Arc<Engine>) -> JoinHandle<()> {
    let by_hand = [Flaw::LeaveInSilence, Flaw::LeaveFirst];
    let engine = Arc::clone(engine);
    if by_hand.into_iter().any(Flaw::is_built_in) {
        let task = pull(&engine, engine.seat(0)).expect("the key's run waits");
        return thread::spawn(move || end_with_a_flaw(&engine, task));
    }
    let mut searcher = Searcher::new(Arc::clone(&engine));
    let mut shift = Box::new(Shift::new(engine, 0, 1));
    assert!(searcher.find(&mut shift), "the key's run waits");
    thread::spawn(move || drop(shift))
}

/// The steps of a shift that is dropped, of which one is wrong.
fn end_with_a_flaw(engine: &Engine, task: Task<u32, u32, ()>) {
    let _ = task.promise.complete(Err(ProcessingError::Abandoned));
    if Flaw::LeaveFirst.is_built_in() {
        engine.worker_ends(0, None);
        assert_eq!(engine.strands.give_back(KEY), Some(LANE));
        // It takes its shard for its own still, and itself for the one who will look there.
        let runs = &engine.shards.make_apart().shards[0].runs;
        assert!(runs.push_with(LANE, |_: Claim<'_, ()>| KEY).is_ok());
    } else {
        assert_eq!(engine.strands.give_back(KEY), Some(LANE));
        engine.announce_next(KEY, LANE, engine.seat(0));
        engine.shards.leave(0);
    }
}

/// A worker that ends with the first of a key's two tasks, against another one on its way to sleep.
fn hand_over(stealing: bool) {
    let engine = of_threads(config(2, stealing));
    let [first, second] = [1, 2].map(|request| submit(&engine, request).expect("there is room"));
    let ending = spawn_ending(&engine);
    let other = {
        let engine = Arc::clone(&engine);
        thread::spawn(move || {
            let seat = engine.seat(1);
            let stirs = || engine.shards.any_stirs(seat);
            let task = find(&engine, seat, || pull(&engine, seat), stirs);
            assert_eq!(task.request, 2);
            assert!(first.is_done(), "a key's tasks go one by one");
            let _ = task.promise.complete(Ok(4));
            assert_eq!(engine.strands.give_back(KEY), None);
        })
    };
    join_all([ending, other]);
    assert_eq!(second.wait(), Ok(4));
    assert_empty(&engine);
}

/// Threads: a worker that has the first of a key's two tasks in its hand, and ends; another one, who may steal,
/// searches or falls asleep.
///
/// Property: the other one takes the second task, after the first has its outcome. The worker that ends counts itself
/// as the one to go on with the key; so it is its end that has the others look.
///
/// Broken by: a worker that ends and wakes nobody; one that ends before it gives its key back, and puts the run into a
/// shard that nobody looks at any more; no single order.
#[test]
fn handing_over_to_a_thief() {
    check(|| hand_over(true));
}

#[test]
fn handing_over_to_a_thief_needs_to_be_told() {
    let test = "keys::handing_over_to_a_thief";
    must_fail(test, Flaw::LeaveInSilence, DEADLOCK);
}

#[test]
fn handing_over_to_a_thief_needs_the_order_of_the_end() {
    let test = "keys::handing_over_to_a_thief";
    must_fail(test, Flaw::LeaveFirst, DEADLOCK);
}

#[test]
fn handing_over_to_a_thief_needs_the_single_order() {
    let test = "keys::handing_over_to_a_thief";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: as in [`handing_over_to_a_thief`], where nobody steals.
///
/// Property: the same. The run goes to where all workers look.
///
/// Broken by: a worker that ends before it gives its key back, and puts the run into a shard that nobody looks at any
/// more.
#[test]
fn handing_over_where_nobody_steals() {
    check(|| hand_over(false));
}

#[test]
fn handing_over_where_nobody_steals_needs_the_order_of_the_end() {
    let test = "keys::handing_over_where_nobody_steals";
    must_fail(test, Flaw::LeaveFirst, DEADLOCK);
}

/// Threads: a submitter of the first task of a key; a worker that looks once; the main thread shuts down with no time
/// left: it closes, takes back what waits and ends what runs it finds.
///
/// Property: the task is refused, run or handed back, one of these; no key and no run is left, though the submitter
/// may announce a run whose task is taken already.
///
/// Broken by: a shutdown that does not wait for those who announce; a submitter that is not counted until it has
/// announced.
#[test]
fn shutdown_against_announcing() {
    check(|| {
        let engine = of_threads(config(1, true));
        let worker = {
            let engine = Arc::clone(&engine);
            thread::spawn(move || work_once(&engine))
        };
        let submitter = {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                if Flaw::AnnounceUncounted.is_built_in() {
                    submit_uncounted(&engine, 1)
                } else {
                    submit(&engine, 1)
                }
            })
        };
        engine.close();
        let returned = if Flaw::RunsNotAwaited.is_built_in() {
            abandon_at_once(&engine)
        } else {
            abandon_queued(&engine)
        };
        let ticket = join_all([submitter]).pop().expect("one submitter");
        let told = match ticket.map(Ticket::wait) {
            None => (0, 0),
            Some(Ok(2)) => (1, 0),
            Some(Err(ProcessingError::Abandoned)) => (0, 1),
            Some(other) => panic!("an answer that nobody gave: {other:?}"),
        };
        let run = join_all([worker]).into_iter().sum();
        assert_eq!(
            (run, returned),
            told,
            "one outcome, of which the caller is told"
        );
        assert_empty(&engine);
    });
}

/// The steps of a worker with the next task, if it finds one. Returns how many it ran.
fn work_once(engine: &Engine) -> usize {
    let seat = engine.seat(0);
    let Some(task) = pull(engine, seat) else {
        return 0;
    };
    let _ = task.promise.complete(Ok(task.request * 2));
    if let Some(lane) = engine.strands.give_back(KEY) {
        engine.announce_next(KEY, lane, seat);
    }
    1
}

/// The steps of `Engine::abandon_queued` for keyed tasks, without the wait.
fn abandon_at_once(engine: &Engine) -> usize {
    let tasks = engine.strands.drain();
    let apart = engine.shards.make_apart();
    for runs in [&apart.runs, &apart.shards[0].runs] {
        while let Some((key, _)) = runs.pop(LANE) {
            engine.strands.end_run(key);
        }
    }
    tasks.len()
}

/// The steps of `Engine::submit_keyed`, of which one comes too early.
fn submit_uncounted(engine: &Engine, request: u32) -> Option<Ticket<u32, ()>> {
    let (offer, ticket) = offer(engine, LANE, keyed(), request);
    let make = |offer: Offer<_, _, _>, _| offer.accept_apart(0);
    let admitted = engine.strands.admit(KEY, LANE, offer, make).ok()?;
    assert_eq!(admitted, Admitted::First);
    engine.strands.announced();
    let runs = &engine.shards.make_apart().runs;
    assert!(runs.push_with(LANE, |_: Claim<'_, ()>| KEY).is_ok());
    Some(ticket)
}

#[test]
fn shutdown_against_announcing_needs_to_wait() {
    let test = "keys::shutdown_against_announcing";
    must_fail(test, Flaw::RunsNotAwaited, LEFT_OVER);
}

#[test]
fn shutdown_against_announcing_needs_the_count() {
    let test = "keys::shutdown_against_announcing";
    must_fail(test, Flaw::AnnounceUncounted, LEFT_OVER);
}
