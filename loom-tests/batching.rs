//! Batches that linger: closed by time, by size, because nothing else runs, and left by their members. With the real
//! desk, lanes, clock and replies, and the steps of one worker's loop.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::{DEADLOCK, Flaw, RACE, check, join_all, must_fail};
use crate::batch::Desk;
use crate::clock::{Clock, ManualClock};
use crate::idle::caller;
use crate::lane::pick::LaneBits;
use crate::lane::{Claim, LaneSet};
use crate::reply::{Promise, Slab};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutation, thread as facade};

const LANE: usize = 0;
const LINGER: Duration = Duration::from_nanos(10);

type Item = (u32, Promise<u32>);

/// One lane, one worker that lingers, and the clock by which it does.
struct Table {
    lanes: LaneSet<Item>,
    desk: Desk,
    clock: Clock,
    until_ns: u64,
    /// How many other workers run a batch.
    busy: AtomicUsize,
}

/// Why a worker closed its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Full,
    Time,
    Idle,
}

impl Table {
    /// A worker that will linger for [`LINGER`], while so many others run.
    fn new(busy: usize) -> (Arc<Self>, ManualClock) {
        let (clock, hands) = Clock::manual();
        let table = Self {
            lanes: LaneSet::new([4]),
            desk: Desk::new([LaneBits::MAX]),
            until_ns: clock.now_ns() + LINGER.as_nanos() as u64,
            clock,
            busy: AtomicUsize::new(busy),
        };
        (Arc::new(table), hands)
    }

    /// The steps of `Engine::submit` in a pool of batches.
    fn submit(&self, item: Item) {
        let pushed = self.lanes.push_with(LANE, |_: Claim<'_, ()>| item);
        assert!(pushed.is_ok(), "there is room");
        if !Flaw::PushPastTheDesk.is_built_in() {
            self.desk
                .rouse(LANE, false, || self.lanes.waiting(self.lanes.all()));
        }
    }

    fn why(&self, batch: &[Item], size: usize) -> Option<Why> {
        // Relaxed: the desk orders it, as it does for the blocks of workers.
        let idle = || self.busy.load(Ordering::Relaxed) == 0;
        if batch.len() >= size {
            Some(Why::Full)
        } else if idle() {
            Some(Why::Idle)
        } else {
            (self.clock.now_ns() >= self.until_ns).then_some(Why::Time)
        }
    }

    /// The steps of a worker with a batch that is to have so many requests, until it is closed.
    fn form(&self, mut batch: Vec<Item>, size: usize) -> (Vec<Item>, Why) {
        loop {
            while batch.len() < size
                && let Some((item, _)) = self.lanes.pop(LANE)
            {
                batch.push(item);
            }
            if let Some(why) = self.why(&batch, size) {
                return (batch, why);
            }
            self.linger(size - batch.len());
        }
    }

    fn linger(&self, lacks: usize) {
        let is_late = Flaw::WishAfterTheLook.is_built_in();
        if !is_late {
            self.desk.begin(0, lacks);
        }
        let stirs = self.lanes.any_stirs(self.lanes.all());
        if is_late {
            self.desk.begin(0, lacks);
        }
        // Relaxed: as above.
        let idle = self.busy.load(Ordering::Relaxed) == 0 && !Flaw::IdleUnasked.is_built_in();
        if stirs || idle {
            self.desk.end(0);
            facade::yield_now();
            return;
        }
        caller::wait(None, |context| {
            self.desk.poll(0, &self.clock, self.until_ns, context)
        });
        self.desk.end(0);
    }

    /// Runs a batch. Returns the requests that were still wanted, and how many were not.
    fn run(batch: Vec<Item>) -> (Vec<u32>, usize) {
        let (wanted, left): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|(_, promise)| promise.is_wanted());
        let answer = |(request, promise): Item| {
            let _ = promise.complete(request * 2);
            request
        };
        (wanted.into_iter().map(answer).collect(), left.len())
    }
}

/// Threads: a worker that lingers with one request and wants two more; two submitters with one each. Time does not
/// pass.
///
/// Property: the batch gets full: a worker never lingers beside enough requests.
///
/// Broken by: a wish that is written after the last look; a submitter that does not look at the desk; no single
/// order of wish, push and the looks at both.
#[test]
fn enough_requests_end_the_lingering() {
    check(|| {
        let (table, _hands) = Table::new(1);
        let item = |request| (request, Promise::default());
        let worker = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let (batch, why) = table.form(vec![item(0)], 3);
                assert_eq!(why, Why::Full);
                let mut requests: Vec<_> = batch.iter().map(|(request, _)| *request).collect();
                requests.sort_unstable();
                requests
            })
        };
        let submitter = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.submit(item(1)))
        };
        table.submit(item(2));
        join_all([submitter]);
        assert_eq!(join_all([worker]), [[0, 1, 2]]);
        assert_eq!(table.desk.lingering(), 0);
    });
}

#[test]
fn enough_requests_end_the_lingering_and_need_the_wish_first() {
    let test = "batching::enough_requests_end_the_lingering";
    must_fail(test, Flaw::WishAfterTheLook, DEADLOCK);
}

#[test]
fn enough_requests_end_the_lingering_and_need_the_look_at_the_desk() {
    let test = "batching::enough_requests_end_the_lingering";
    must_fail(test, Flaw::PushPastTheDesk, DEADLOCK);
}

#[test]
fn enough_requests_end_the_lingering_and_need_the_single_order() {
    let test = "batching::enough_requests_end_the_lingering";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: a worker that lingers with one request and wants one more; a clock that is turned past its time; a
/// submitter who brings the other one; the main thread, whose request is the first, leaves.
///
/// Property: the batch closes, by size or by time, and every request is in it, was left by its caller, or waits in the
/// lane for the next one; whoever was in it and stayed has its own answer.
///
/// Broken by: a push without Release.
#[test]
fn time_against_size_against_leaving() {
    check(|| {
        let (table, hands) = Table::new(1);
        let slab = Arc::new(Slab::new(2));
        let [first, second] = [(); 2].map(|()| Promise::pair(&slab).expect("a page of slots"));
        drop(slab);
        let worker = {
            let (table, promise) = (Arc::clone(&table), first.0);
            thread::spawn(move || {
                let (batch, why) = table.form(vec![(1, promise)], 2);
                assert_eq!(why == Why::Full, batch.len() == 2);
                Table::run(batch)
            })
        };
        let timer = thread::spawn(move || hands.advance(LINGER));
        let submitter = {
            let (table, promise) = (Arc::clone(&table), second.0);
            thread::spawn(move || table.submit((2, promise)))
        };
        drop(first.1);
        join_all([timer]);
        join_all([submitter]);
        let [(ran, left)] = join_all([worker]).try_into().expect("one worker");
        let waits = table.lanes.pop(LANE);
        assert!(left <= 1 && ran.len() + left + usize::from(waits.is_some()) == 2);
        assert_eq!(ran.contains(&2), waits.is_none(), "it is run or waits");
        let mut half = second.1;
        if waits.is_none() {
            let answer = caller::wait(None, |context| half.poll(context));
            assert_eq!(answer, Some(Some(4)), "the answer is its own");
        }
    });
}

#[test]
fn time_against_size_against_leaving_needs_the_release() {
    let test = "batching::time_against_size_against_leaving";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

/// Threads: a worker that lingers with one request because another worker runs; that one, which comes to its end
/// and finds nothing more. Time does not pass.
///
/// Property: the batch closes: nobody lingers while nothing else runs.
///
/// Broken by: a worker that does not ask, once it is known to linger, whether the others still run; no single order.
#[test]
fn nobody_lingers_in_an_idle_pool() {
    check(|| {
        let (table, _hands) = Table::new(1);
        let worker = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.form(vec![(1, Promise::default())], 2).1)
        };
        // Relaxed: the desk orders it.
        table.busy.store(0, Ordering::Relaxed);
        table.desk.rouse_all();
        assert_eq!(join_all([worker]), [Why::Idle]);
    });
}

#[test]
fn nobody_lingers_in_an_idle_pool_and_needs_the_single_order() {
    let test = "batching::nobody_lingers_in_an_idle_pool";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

#[test]
fn nobody_lingers_in_an_idle_pool_who_asks() {
    let test = "batching::nobody_lingers_in_an_idle_pool";
    must_fail(test, Flaw::IdleUnasked, DEADLOCK);
}
