//! Tasks in the order of their keys: one strand for each key that has any.
//!
//! A *strand* is the queue of one key's tasks. It exists while one of them waits or runs. Workers do not
//! take tasks from strands of their own accord: a strand is announced to them by a *run*, its key in a
//! ring of runs, and there is never more than one run of a key on its way. Whoever takes the run may start
//! the first task of the strand, and puts the run back, or ends it with the last task, when that task
//! has its outcome. So tasks of a key start in the order in which they came, one at a time, whichever
//! workers there are.
//!
//! **Admit.** Under the lock of the key: 1. see that the strand is within its share of the lane; 2. claim
//! a place among the lane's keyed tasks; 3. append the task. If the strand was not there it is now, and
//! 4. the caller announces the run, after the lock.
//!
//! **Take**, when a run is pulled: the first task leaves the strand. **Give back**, when it has its outcome:
//! the strand is removed if nothing waits, else the caller announces its next run.
//!
//! How many keyed tasks a lane holds is bounded by its capacity, as it is for the others, and one key's by
//! half of that, so that a key with more tasks than a worker can do leaves room for the others. Between
//! step 2 and the announcement a task is accepted and no ring shows it: that is counted in `announcing`,
//! and a worker does not end for want of tasks while it is not 0.
//!
//! # Orderings
//!
//! - `keyed-claim`: the claim of a place is a compare-exchange of the number of accepted tasks, of which
//!   one bit is the close; so no task is accepted after the close. Who loads that bit sees
//!   `announcing` as it was before the claims that came before it.
//! - `gate-dekker`: as for rings; `taken` is the head.
//! - All else is under the lock of the key.
//!
//! # Progress
//!
//! Blocking, for the length of a queue operation: keys share some locks.

mod batches;

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

pub(crate) use batches::{Judge, Stage};
use crossbeam_utils::CachePadded;

use super::Key;
use crate::admission::{Gate, Room};
use crate::batch::{CloseReason, Forming};
use crate::lane::Refusal;
use crate::panics;
use crate::sync::KeyMap;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::counter;

/// Set in the number of accepted tasks once the lane accepts nothing more.
const CLOSED: u64 = 1 << 63;

/// How many waiting tasks decide where a strand's run waits.
const LOOK_AHEAD: usize = 16;

/// Below so many keys the memory of the largest number of them is kept.
const KEYS_KEPT: usize = 4_096;

/// The keyed tasks of one lane: how many came, how many were taken, who waits for room.
#[derive(Debug)]
pub(crate) struct KeyedLane {
    /// Tasks ever accepted, and [`CLOSED`]. Submitters write it.
    accepted: CachePadded<AtomicU64>,
    /// Tasks ever taken. Workers write it.
    taken: CachePadded<AtomicU64>,
    capacity: u64,
    pub(crate) gate: Gate,
}

impl KeyedLane {
    fn new(capacity: usize) -> Self {
        Self {
            accepted: CachePadded::new(AtomicU64::new(0)),
            taken: CachePadded::new(AtomicU64::new(0)),
            capacity: capacity as u64,
            gate: Gate::new(capacity),
        }
    }

    /// Claims a place. Returns how many were claimed before.
    fn claim(&self) -> Result<u64, Refusal> {
        // Relaxed: the compare-exchange checks it.
        let mut accepted = self.accepted.load(Ordering::Relaxed);
        loop {
            if accepted & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            // Relaxed: a stale number refuses a submitter that then waits, and looks again.
            if accepted.saturating_sub(self.taken.load(Ordering::Relaxed)) >= self.capacity {
                return Err(Refusal::Full);
            }
            // ORDERING(keyed-claim): AcqRel: the announcement counted before is seen with the close.
            match self.accepted.compare_exchange_weak(
                accepted,
                accepted + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(accepted),
                Err(now) => accepted = now,
            }
        }
    }

    /// Tasks ever accepted.
    pub(crate) fn accepted(&self) -> u64 {
        // Relaxed: a gauge.
        self.accepted.load(Ordering::Relaxed) & !CLOSED
    }

    /// Tasks that wait: exact when nothing moves.
    pub(crate) fn len(&self) -> u64 {
        // Relaxed: a gauge. Read before the accepted ones, so that it is never the larger number.
        let taken = self.taken.load(Ordering::Relaxed);
        self.accepted().saturating_sub(taken)
    }

    fn took(&self, tasks: u64) {
        // ORDERING(gate-dekker): SeqCst, before the load of the number of waiting submitters.
        self.taken.fetch_add(tasks, Ordering::SeqCst);
        self.gate.freed(self);
    }

    fn close(&self) {
        // ORDERING(keyed-claim): SeqCst: no claim comes after it.
        self.accepted.fetch_or(CLOSED, Ordering::SeqCst);
    }
}

impl Room for KeyedLane {
    fn has_room(&self, at_least: usize) -> bool {
        // ORDERING(gate-dekker): SeqCst, the load side: the caller has counted itself as waiting.
        let taken = self.taken.load(Ordering::SeqCst);
        self.accepted().saturating_sub(taken) + at_least as u64 <= self.capacity
    }

    fn is_closed(&self) -> bool {
        // ORDERING(keyed-claim): Acquire: with the bit, whatever was counted before it.
        self.accepted.load(Ordering::Acquire) & CLOSED != 0
    }
}

/// The queue of one key.
#[derive(Debug)]
pub(crate) struct Strand<T> {
    waiting: VecDeque<(usize, T)>,
    /// Whether its run is on its way or one of its tasks runs, or it is to be announced later.
    live: bool,
    /// The batch that forms here, until it is announced; and then why it closed.
    forming: Option<Box<Forming>>,
    reason: Option<CloseReason>,
    /// Submitters that wait until the strand is within its share again.
    crowd: Vec<Waker>,
}

impl<T> Default for Strand<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            live: false,
            forming: None,
            reason: None,
            crowd: Vec::new(),
        }
    }
}

/// What became of a task that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a strand that is new has to be announced"]
pub(crate) enum Admitted {
    /// It waits behind others of its key.
    Behind,
    /// It is the first of its key: announce its run, then call [`Strands::announced`].
    First,
}

/// What a run that was pulled led to.
#[derive(Debug)]
#[must_use = "a run that is not for this worker has to be put back"]
pub(crate) enum Taken<T> {
    /// The first task, and its lane.
    Task(usize, T),
    /// The first task is of this lane, which the worker does not take now: put the run there.
    NotNow(usize),
    /// The shutdown was quicker.
    Nothing,
}

/// All strands of a pool.
#[derive(Debug)]
pub(crate) struct Strands<T> {
    map: KeyMap<Key, Strand<T>>,
    lanes: Box<[KeyedLane]>,
    /// Strands that are there and whose first run is not announced yet.
    announcing: CachePadded<AtomicUsize>,
    /// How many strands there are, and how many the map has room for: gauges.
    live: counter::AtomicUsize,
    peak: counter::AtomicUsize,
    /// Runs that were announced.
    runs: counter::AtomicU64,
}

impl<T> Strands<T> {
    /// For lanes of these capacities, lowest first.
    pub(crate) fn new(capacities: impl IntoIterator<Item = usize>) -> Self {
        Self {
            map: KeyMap::new(),
            lanes: capacities.into_iter().map(KeyedLane::new).collect(),
            announcing: CachePadded::new(AtomicUsize::new(0)),
            live: counter::AtomicUsize::new(0),
            peak: counter::AtomicUsize::new(0),
            runs: counter::AtomicU64::new(0),
        }
    }

    pub(crate) fn lane(&self, lane: usize) -> &KeyedLane {
        &self.lanes[lane]
    }

    /// How many tasks of one key may wait that are of this lane.
    fn share(&self, lane: usize) -> usize {
        (self.lanes[lane].capacity / 2).max(1) as usize
    }

    /// Appends a task to the strand of its key. `make` gets the number of its place.
    ///
    /// # Errors
    /// The lane is full or closed, or the strand has its share of it; what the task is made from.
    pub(crate) fn admit<M>(
        &self,
        key: Key,
        lane: usize,
        from: M,
        make: impl FnOnce(M, u64) -> T,
    ) -> Result<Admitted, (Refusal, M)> {
        // ORDERING(keyed-claim): before the claim, whose Release shows it to whoever sees the close.
        self.announcing.fetch_add(1, Ordering::AcqRel);
        let admitted = self.map.with(key, Self::is_gone, |strand| {
            let is_new = self.append(strand, lane, from, make)?;
            Ok(if is_new {
                Admitted::First
            } else {
                Admitted::Behind
            })
        });
        if !matches!(admitted, Ok(Admitted::First)) {
            self.announced();
        }
        admitted
    }

    /// Appends a task to a strand. Returns whether the strand is new.
    fn append<M>(
        &self,
        strand: &mut Strand<T>,
        lane: usize,
        from: M,
        make: impl FnOnce(M, u64) -> T,
    ) -> Result<bool, (Refusal, M)> {
        // The close first: who waits for the share of a key in a closed lane would wait for nothing.
        if self.lanes[lane].is_closed() {
            return Err((Refusal::Closed, from));
        }
        if strand.waiting.len() >= self.share(lane) {
            return Err((Refusal::Crowded, from));
        }
        let place = match self.lanes[lane].claim() {
            Ok(place) => place,
            Err(refusal) => return Err((refusal, from)),
        };
        if strand.waiting.capacity() == 0 {
            // Most keys never have a second one.
            strand.waiting.reserve_exact(1);
        }
        strand.waiting.push_back((lane, make(from, place)));
        let is_new = !std::mem::replace(&mut strand.live, true);
        if is_new {
            self.count_in();
        }
        Ok(is_new)
    }

    /// The lane in which a strand's run is to wait: that of its most urgent task among the next few.
    fn run_lane(strand: &Strand<T>) -> Option<usize> {
        let next = strand.waiting.iter().take(LOOK_AHEAD);
        next.map(|(lane, _)| *lane).max()
    }

    /// The run of a new strand has been announced.
    pub(crate) fn announced(&self) {
        // ORDERING(keyed-claim): Release: whoever reads 0 sees the run in its ring.
        self.announcing.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether an accepted task may be in no ring yet. For a worker that has seen the close.
    pub(crate) fn is_announcing(&self) -> bool {
        // ORDERING(keyed-claim): Acquire: if it is 0 the runs are in their rings.
        self.announcing.load(Ordering::Acquire) != 0
    }

    /// Whether a strand can be removed.
    fn is_gone(strand: &Strand<T>) -> bool {
        !strand.live && strand.waiting.is_empty() && strand.crowd.is_empty()
    }

    /// The first task of a key whose run was pulled by a worker that takes tasks of some lanes.
    pub(crate) fn take(&self, key: Key, takes: impl FnOnce(usize) -> bool) -> Taken<T> {
        let (taken, crowd) = self.map.with(key, Self::is_gone, |strand| {
            let Some((lane, _)) = strand.waiting.front() else {
                self.end(strand);
                return (Taken::Nothing, std::mem::take(&mut strand.crowd));
            };
            if !takes(*lane) {
                return (Taken::NotNow(*lane), Vec::new());
            }
            let (lane, task) = strand.waiting.pop_front().expect("there is a first one");
            let is_roomy = strand.waiting.len() < self.share(lane).div_ceil(2);
            let crowd = if is_roomy {
                std::mem::take(&mut strand.crowd)
            } else {
                Vec::new()
            };
            (Taken::Task(lane, task), crowd)
        });
        if let Taken::Task(lane, _) = &taken {
            self.lanes[*lane].took(1);
        }
        crowd.into_iter().for_each(panics::wake);
        taken
    }

    /// Ends a key whose run the shutdown has taken, after it took the tasks.
    pub(crate) fn end_run(&self, key: Key) {
        let taken = self.take(key, |_| false);
        debug_assert!(
            matches!(taken, Taken::Nothing),
            "nothing is admitted after the close"
        );
    }

    /// The task that was taken has its outcome. Returns the lane in which the strand's next run is to
    /// wait: that of its most urgent task among the next few.
    pub(crate) fn give_back(&self, key: Key) -> Option<usize> {
        let lane = self.map.with(key, Self::is_gone, |strand| {
            let lane = Self::run_lane(strand);
            if lane.is_none() {
                self.end(strand);
            }
            lane
        });
        if lane.is_none() {
            self.make_small();
        }
        lane
    }

    fn end(&self, strand: &mut Strand<T>) {
        if std::mem::take(&mut strand.live) {
            // Relaxed: a gauge.
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn count_in(&self) {
        // Relaxed: gauges.
        let live = self.live.fetch_add(1, Ordering::Relaxed) + 1;
        if live > self.peak.load(Ordering::Relaxed) {
            self.peak.store(live, Ordering::Relaxed);
        }
    }

    /// Gives memory back when most of the keys have gone.
    fn make_small(&self) {
        // Relaxed: gauges.
        let live = self.live.load(Ordering::Relaxed);
        let peak = self.peak.load(Ordering::Relaxed);
        if peak > KEYS_KEPT && live < peak / 4 {
            self.peak.store(live, Ordering::Relaxed);
            self.map.shrink();
        }
    }

    /// Waits until the strand of this key is within its share of the lane, or the lane is closed.
    pub(crate) fn poll_share(&self, key: Key, lane: usize, context: &mut Context<'_>) -> Poll<()> {
        self.map.with(key, Self::is_gone, |strand| {
            if strand.waiting.len() < self.share(lane) || self.lanes[lane].is_closed() {
                return Poll::Ready(());
            }
            if !strand
                .crowd
                .iter()
                .any(|waker| waker.will_wake(context.waker()))
            {
                strand.crowd.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Accepts nothing more; whoever waits for room finds out.
    pub(crate) fn close(&self) {
        self.lanes.iter().for_each(KeyedLane::close);
        for lane in &self.lanes {
            lane.gate.open_for_all();
        }
        let mut crowds = Vec::new();
        self.map
            .for_each(|_, strand| crowds.append(&mut strand.crowd));
        crowds.into_iter().for_each(panics::wake);
    }

    /// Takes every task that waits. The strands are closed, so that nothing comes after.
    pub(crate) fn drain(&self) -> Vec<(usize, T)> {
        let mut tasks = Vec::new();
        self.map.for_each(|_, strand| {
            tasks.extend(strand.waiting.drain(..));
            // A batch that forms has no run whose end would be that of the key, and a worker may be about to look
            // after it.
            if strand.forming.take().is_some() {
                self.end(strand);
            }
        });
        for (lane, _) in &tasks {
            self.lanes[*lane].took(1);
        }
        tasks
    }

    /// Each key that has tasks, with how many of them wait and whether they form a batch that lingers.
    pub(crate) fn for_each(&self, mut see: impl FnMut(Key, usize, bool)) {
        self.map
            .for_each(|key, strand| see(*key, strand.waiting.len(), strand.forming.is_some()));
    }

    /// A run was announced.
    pub(crate) fn count_run(&self) {
        // Relaxed: a counter.
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs that were ever announced.
    pub(crate) fn runs(&self) -> u64 {
        // Relaxed: a counter.
        self.runs.load(Ordering::Relaxed)
    }

    /// Keys that have tasks.
    pub(crate) fn live(&self) -> usize {
        // Relaxed: a gauge.
        self.live.load(Ordering::Relaxed)
    }
}
