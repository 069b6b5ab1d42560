//! One ring for each priority, and a word that says which of them may hold something.
//!
//! The word (*occupied*) is a hint with one-sided error: a lane that holds something has its bit
//! set, or its submitter is just about to set it; a set bit may stand over an empty lane until a
//! worker on its way to sleep clears it. So a submitter writes the word only when it reads its bit
//! clear, which under load is never, and a worker decides by one load which lanes to look at.
//!
//! # Orderings
//!
//! - `lane-hint`: a submitter claims a position, then loads the word; a worker clears a bit, then
//!   loads the tail. All four are `SeqCst`, so either the submitter sees the bit cleared and sets
//!   it, or the worker sees the claim and sets it back.

use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use super::pick::LaneBits;
use super::{Annex, Claim, Make, Refusal, Ring};
use crate::admission::Gate;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::dekker_fence;

/// Set in the word when the pool gives up what is not started: no lane's bit, so a worker with tasks in
/// its hand takes a second look, and finds it.
pub(crate) const GIVEN_UP: LaneBits = 1 << 31;

/// A ring with the gate at which submitters wait while it is full.
#[derive(Debug)]
pub(crate) struct Lane<T, X: Annex<T> = ()> {
    pub(crate) ring: Ring<T, X>,
    pub(crate) gate: Gate,
}

/// All lanes of one shard, lowest first.
#[derive(Debug)]
pub(crate) struct LaneSet<T, X: Annex<T> = ()> {
    lanes: Box<[Lane<T, X>]>,
    /// A bit for each lane that may hold something. Submitters set, workers on their way to sleep
    /// clear.
    occupied: CachePadded<AtomicU32>,
}

impl<T, X: Annex<T>> LaneSet<T, X> {
    /// Lanes of these capacities, lowest first.
    pub(crate) fn new(capacities: impl IntoIterator<Item = usize>) -> Self {
        let lane = |capacity| {
            let ring = Ring::with_capacity(capacity);
            let gate = Gate::new(ring.capacity());
            Lane { ring, gate }
        };
        Self {
            lanes: capacities.into_iter().map(lane).collect(),
            occupied: CachePadded::new(AtomicU32::new(0)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    #[inline]
    pub(crate) fn lane(&self, lane: usize) -> &Lane<T, X> {
        &self.lanes[lane]
    }

    /// Appends a value to a lane; see [`Ring::push_with`].
    #[inline(always)]
    pub(crate) fn push_with<M: Make<T, X>>(
        &self,
        lane: usize,
        from: M,
    ) -> Result<(), (Refusal, M)> {
        self.lanes[lane].ring.push_with(from)?;
        self.mark(lane);
        Ok(())
    }

    /// Appends up to `count` values to a lane in one claim; see [`Ring::push_n`].
    pub(crate) fn push_n(
        &self,
        lane: usize,
        count: usize,
        make: impl FnMut(Claim<'_, X>) -> T,
    ) -> usize {
        let pushed = self.lanes[lane].ring.push_n(count, make);
        if pushed > 0 {
            self.mark(lane);
        }
        pushed
    }

    #[inline(always)]
    fn mark(&self, lane: usize) {
        dekker_fence();
        // ORDERING(lane-hint): SeqCst, after the claim of the tail.
        if self.occupied.load(Ordering::SeqCst) & (1 << lane) == 0 {
            self.set(lane);
        }
    }

    #[cold]
    #[inline(never)]
    fn set(&self, lane: usize) {
        // ORDERING(lane-hint): SeqCst; a set bit is never wrong, so nothing else depends on it.
        self.occupied.fetch_or(1 << lane, Ordering::SeqCst);
    }

    /// The lanes that may hold something.
    #[inline]
    pub(crate) fn occupied(&self) -> LaneBits {
        // Relaxed: a hint; before it sleeps a worker looks at the tails themselves.
        self.occupied.load(Ordering::Relaxed)
    }

    /// Moves as many items of a lane as fit to the front of `into`, their annexes `beside`, or one of
    /// `sharers` shares when few are ready; lets waiting submitters in. Returns how many.
    #[inline]
    pub(crate) fn pop_share(
        &self,
        lane: usize,
        into: &mut [MaybeUninit<T>],
        beside: &mut [MaybeUninit<X>],
        sharers: usize,
    ) -> usize {
        let lane = &self.lanes[lane];
        let taken = match (&mut *into, &mut *beside) {
            ([place], [beside]) => usize::from(lane.ring.pop_to(place, beside)),
            _ => lane.ring.pop_share(into, beside, sharers),
        };
        if taken > 0 {
            lane.gate.freed(&lane.ring);
        }
        taken
    }

    /// Takes the oldest item of a lane with its annex; lets waiting submitters in.
    pub(crate) fn pop(&self, lane: usize) -> Option<(T, Option<X>)> {
        let lane = &self.lanes[lane];
        let item = lane.ring.pop()?;
        lane.gate.freed(&lane.ring);
        Some(item)
    }

    /// Whether the head of any lane is published: what a spinning worker polls.
    #[inline]
    pub(crate) fn any_ready(&self) -> bool {
        self.lanes.iter().any(|lane| lane.ring.is_ready())
    }

    /// Whether a worker must not sleep: the last look of the idle protocol.
    pub(crate) fn any_stirs(&self) -> bool {
        self.lanes.iter().any(|lane| lane.ring.stirs())
    }

    /// Whether any lane holds something that no worker has claimed.
    pub(crate) fn any_claims(&self) -> bool {
        self.lanes.iter().any(|lane| lane.ring.has_claims())
    }

    /// Tells the workers to start nothing more, not even what they have claimed.
    pub(crate) fn give_up(&self) {
        // ORDERING(lane-hint): SeqCst, as all changes of the word; nothing else depends on it.
        self.occupied.fetch_or(GIVEN_UP, Ordering::SeqCst);
    }

    /// Clears the bits of empty lanes. For a worker on its way to sleep.
    pub(crate) fn refresh_hint(&self) {
        let marked = self.occupied();
        for (lane, Lane { ring, .. }) in self.lanes.iter().enumerate() {
            let bit = 1 << lane;
            if marked & bit == 0 || ring.has_claims() {
                continue;
            }
            // ORDERING(lane-hint): SeqCst, before the load of the tail below.
            self.occupied.fetch_and(!bit, Ordering::SeqCst);
            dekker_fence();
            if ring.stirs() {
                self.set(lane);
            }
        }
    }

    /// Refuses every later push on every lane and lets waiting submitters find out.
    pub(crate) fn close(&self) {
        for lane in &self.lanes {
            lane.ring.close();
        }
        for lane in &self.lanes {
            lane.gate.open_for_all();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ring.is_closed())
    }

    /// Whether everything that was ever accepted has been taken and nothing more can come.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_closed() && !self.any_claims()
    }
}
