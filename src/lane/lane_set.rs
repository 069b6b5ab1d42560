//! One ring for each priority, and a word that says which of them may hold something.
//!
//! The word ([`Hint`]) says of lanes with one-sided error: a lane that holds something has its bit
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

use super::hint::Hint;
use super::pick::LaneBits;
use super::{Annex, Claim, Make, Refusal, Ring};
use crate::admission::Gate;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{dekker_fence, prefetch};

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
    /// A [`Hint`].
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

    /// Before a push to this lane: asks for what it needs.
    pub(crate) fn prefetch_push(&self, lane: usize) {
        self.lanes[lane].ring.prefetch_tail();
        prefetch::for_reading(&*self.occupied);
    }

    /// Appends a value to a lane; see [`Ring::push_with`].
    #[inline(always)]
    pub(crate) fn push_with<M: Make<T, X>>(
        &self,
        lane: usize,
        from: M,
    ) -> Result<(), (Refusal, M)> {
        let ring = &self.lanes[lane].ring;
        let position = ring.push_with(from)?;
        ring.prefetch_after(position);
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

    /// The lanes that may hold something, and whatever else the word says.
    #[inline]
    pub(crate) fn hint(&self) -> Hint {
        // Relaxed: a hint; before it sleeps a worker looks at the tails themselves.
        Hint(self.occupied.load(Ordering::Relaxed))
    }

    /// The word as the last look of the idle protocol reads it.
    pub(crate) fn last_hint(&self) -> Hint {
        // ORDERING(idle-dekker): SeqCst, the load side: the caller has announced its sleep before, and
        // whoever changes the word wakes the sleepers after.
        Hint(self.occupied.load(Ordering::SeqCst))
    }

    /// All lanes.
    pub(crate) fn all(&self) -> LaneBits {
        (1 << self.lanes.len()) - 1
    }

    fn of(&self, lanes: LaneBits) -> impl Iterator<Item = &Ring<T, X>> {
        let lanes = self
            .lanes
            .iter()
            .enumerate()
            .filter(move |(lane, _)| lanes & (1 << lane) != 0);
        lanes.map(|(_, lane)| &lane.ring)
    }

    /// Moves as many items of a lane as fit to the front of `into`, their annexes `beside`, or one of
    /// `sharers` shares when few are ready; lets waiting submitters in. Returns how many.
    #[inline(always)]
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

    /// Whether the head of any of these lanes is published: what a spinning worker polls.
    #[inline]
    pub(crate) fn any_ready(&self, lanes: LaneBits) -> bool {
        self.of(lanes).any(Ring::is_ready)
    }

    /// Whether a worker for these lanes must not sleep: the last look of the idle protocol.
    pub(crate) fn any_stirs(&self, lanes: LaneBits) -> bool {
        self.of(lanes).any(Ring::stirs)
    }

    /// As [`LaneSet::any_stirs`], but closed lanes stir only while something is left in them.
    pub(crate) fn any_holds(&self, lanes: LaneBits) -> bool {
        self.of(lanes).any(Ring::holds)
    }

    /// Whether any of these lanes holds something that no worker has claimed.
    pub(crate) fn any_claims(&self, lanes: LaneBits) -> bool {
        self.of(lanes).any(Ring::has_claims)
    }

    /// How much these lanes hold that no worker has claimed.
    pub(crate) fn waiting(&self, lanes: LaneBits) -> usize {
        self.of(lanes).map(Ring::len).sum()
    }

    /// Tells the workers to start nothing more, not even what they have claimed.
    pub(crate) fn give_up(&self) {
        self.tell(Hint::GIVEN_UP);
    }

    /// Tells the workers that tasks may wait in other sets too.
    pub(crate) fn point_elsewhere(&self) {
        self.tell(Hint::ELSEWHERE);
    }

    /// Tells the workers whether one of them is to go.
    pub(crate) fn set_leaving(&self, leaving: bool) {
        if leaving {
            self.tell(Hint::LEAVING);
        } else {
            // ORDERING(lane-hint, idle-dekker): SeqCst, as all changes of the word.
            self.occupied.fetch_and(!Hint::LEAVING, Ordering::SeqCst);
        }
    }

    fn tell(&self, bit: u32) {
        // ORDERING(lane-hint, idle-dekker): SeqCst, as all changes of the word.
        self.occupied.fetch_or(bit, Ordering::SeqCst);
    }

    /// Has the workers claim nothing from these lanes, or claim from them again; one caller at a time.
    /// Returns whether that changes anything.
    pub(crate) fn set_paused(&self, lanes: LaneBits, paused: bool) -> bool {
        let bits = Hint::pausing(lanes);
        // Relaxed: nobody else changes these bits.
        let before = self.occupied.load(Ordering::Relaxed);
        if paused && before & bits != bits {
            // ORDERING(lane-hint, idle-dekker): SeqCst, as all changes of the word.
            self.occupied.fetch_or(bits, Ordering::SeqCst);
            true
        } else if !paused && before & bits != 0 {
            // ORDERING(lane-hint, idle-dekker): SeqCst, as all changes of the word.
            self.occupied.fetch_and(!bits, Ordering::SeqCst);
            true
        } else {
            false
        }
    }

    /// Clears the bits of empty lanes. For a worker on its way to sleep.
    pub(crate) fn refresh_hint(&self) {
        let marked = self.hint().0;
        for (lane, Lane { ring, .. }) in self.lanes.iter().enumerate() {
            let bit = 1 << lane;
            if marked & bit == 0 || ring.has_claims() {
                continue;
            }
            // ORDERING(lane-hint): SeqCst, before the load of the tail below.
            self.occupied.fetch_and(!bit, Ordering::SeqCst);
            dekker_fence();
            if ring.holds() {
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
}
