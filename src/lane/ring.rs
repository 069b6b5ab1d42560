//! A bounded queue for many producers and many consumers, after Dmitry Vyukov's sequence ring.
//!
//! Positions count up for ever in 64 bits. Position `p` lives in slot `p & mask`, and the slot's
//! *sequence* says whose turn it is:
//!
//! | sequence | meaning |
//! |---|---|
//! | `p` | free for the producer that claims position `p` |
//! | `p + 1` | holds the value of position `p` |
//! | `p + capacity` | taken; free for the next lap |
//!
//! **Push.** 1. Read the tail `t` and the sequence of its slot; if that is not `t`, the ring is full,
//! closed, or the tail has moved. 2. Claim `t` by a compare-exchange of the tail. 3. Write the
//! value. 4. Publish: sequence `t + 1`.
//!
//! **Pop.** 1. Read the head `h` and count the slots from there that are published. 2. Claim them by
//! one compare-exchange of the head. 3. Move the values out. 4. Release each: sequence
//! `h + capacity`. Pop never reads the tail, so the producers keep that cache line to themselves.
//!
//! **Close.** One bit of the tail. A claim expects the bit clear, so after [`Ring::close`] returns no
//! position can be claimed any more and the tail is the exact number of values ever accepted. The
//! open path pays nothing for it: a tail with the bit set equals no sequence.
//!
//! # Orderings
//!
//! - `slot-publish`: the producer's Release of `t + 1` with the consumer's Acquire. The value is
//!   written before and read after.
//! - `slot-release`: the consumer's Release of `h + capacity` with the next lap's producer's
//!   Acquire. The value is moved out before the slot is written again.
//! - `tail-claim` and `head-claim`: the compare-exchanges are `SeqCst` because the idle protocol and
//!   the gate build on them (`idle-dekker`, `gate-dekker`); the ring itself would do with Relaxed.
//!
//! # Progress
//!
//! No operation takes a lock. A producer that is preempted between claim and publish delays the
//! values behind its own until it runs again (they are claimed, hence visible to
//! [`Ring::has_claims`]), so no user code runs inside that window.
#![expect(
    unsafe_code,
    reason = "slots are handed between threads by their sequence"
)]

use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{UnsafeCell, hint};

/// Set in the tail once the ring is closed.
const CLOSED: u64 = 1 << 63;

/// Why a push was refused. The draft comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal<D> {
    /// Every slot holds a value.
    Full(D),
    /// The ring accepts nothing more.
    Closed(D),
}

struct Slot<T> {
    /// Whose turn the slot is: see the table above. Written by whoever the turn belongs to.
    sequence: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// The bounded queue. See the module's documentation.
pub(crate) struct Ring<T> {
    /// The next position to claim for a push, and [`CLOSED`]. Producers write it; a consumer reads
    /// it only when it is about to sleep.
    tail: CachePadded<AtomicU64>,
    /// The next position to claim for a pop. Consumers write it.
    head: CachePadded<AtomicU64>,
    slots: Box<[Slot<T>]>,
    /// `slots.len() - 1`; the length is a power of two.
    mask: u64,
}

// SAFETY: a value is written by the one thread that claimed its position and read by the one that
// claimed it for a pop, never by two at a time, so sharing the ring moves values between threads and
// no more.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; `&Ring<T>` gives out no `&T`.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> std::fmt::Debug for Ring<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T> Ring<T> {
    /// Bytes that one slot occupies.
    #[cfg(feature = "internals")]
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// A ring for at least `capacity` values: rounded up to a power of two, 2 or more.
    ///
    /// With one slot, "holds the value" and "free for the next lap" would be the same sequence.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(2).next_power_of_two() as u64;
        let slot = |position| Slot {
            sequence: AtomicU64::new(position),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            tail: CachePadded::new(AtomicU64::new(0)),
            head: CachePadded::new(AtomicU64::new(0)),
            slots: (0..capacity).map(slot).collect(),
            mask: capacity - 1,
        }
    }

    /// How many values fit.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline(always)]
    fn slot(&self, position: u64) -> &Slot<T> {
        // SAFETY: the mask is the length less one, so the masked index is below the length.
        unsafe { self.slots.get_unchecked((position & self.mask) as usize) }
    }

    /// Appends a value and returns its position.
    ///
    /// # Errors
    /// Full or closed; the value comes back.
    #[cfg(any(test, feature = "internals"))]
    #[inline]
    pub(crate) fn push(&self, value: T) -> Result<u64, Refusal<T>> {
        self.push_with(value, |value, _| value)
    }

    /// Appends what `seal` makes of the draft and the claimed position; returns the position.
    ///
    /// `seal` runs between claim and publish: it must be short and must not panic.
    ///
    /// # Errors
    /// Full or closed; the draft comes back.
    #[inline]
    pub(crate) fn push_with<D>(
        &self,
        draft: D,
        seal: impl FnOnce(D, u64) -> T,
    ) -> Result<u64, Refusal<D>> {
        let mut contention = Contention::new();
        let mut retried = false;
        // Relaxed: a stale tail shows in the slot's sequence or fails the claim.
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(tail);
            // ORDERING(slot-release): Acquire, so that the last lap's value has left the slot.
            let sequence = slot.sequence.load(Ordering::Acquire);
            if sequence == tail {
                // ORDERING(tail-claim): SeqCst, the store side of `idle-dekker`: a worker about to
                // sleep either sees this claim or is seen asleep by the load that follows it.
                match self.tail.compare_exchange_weak(
                    tail,
                    tail + 1,
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        self.publish(slot, tail, seal(draft, tail));
                        return Ok(tail);
                    }
                    Err(_) => contention.back_off(),
                }
            } else if tail & CLOSED != 0 {
                return Err(Refusal::Closed(draft));
            } else if sequence < tail {
                // A lap behind: still occupied, or a consumer has claimed it and is about to
                // release it, which is worth one more look.
                if retried || tail - self.head.load(Ordering::Relaxed) > self.mask {
                    return Err(Refusal::Full(draft));
                }
                retried = true;
                hint::spin_loop();
            }
            // Relaxed: as at the first load.
            tail = self.tail.load(Ordering::Relaxed);
        }
    }

    /// Appends up to `count` values in one claim and returns how many; 0 when full or closed.
    ///
    /// `next` is called once for each claimed position, in order, between claim and publish: it must
    /// be short and must not panic.
    #[inline]
    pub(crate) fn push_n(&self, count: usize, mut next: impl FnMut(u64) -> T) -> usize {
        let mut contention = Contention::new();
        loop {
            // Relaxed: a stale tail shows in the slots' sequences or fails the claim.
            let tail = self.tail.load(Ordering::Relaxed);
            // ORDERING(slot-release): Acquire for each counted slot, as in `push_with`. All are
            // looked at: slots are released out of order, so the last being free proves nothing.
            let free = (0..count as u64)
                .take_while(|i| self.slot(tail + i).sequence.load(Ordering::Acquire) == tail + i)
                .count() as u64;
            if free == 0 {
                // ORDERING(slot-release): the same load as above, to tell full from a stale tail.
                let sequence = self.slot(tail).sequence.load(Ordering::Acquire);
                if count == 0 || tail & CLOSED != 0 || sequence < tail {
                    return 0;
                }
                continue;
            }
            // ORDERING(tail-claim): SeqCst, as in `push_with`.
            let claim = self.tail.compare_exchange_weak(
                tail,
                tail + free,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            if claim.is_ok() {
                for position in tail..tail + free {
                    self.publish(self.slot(position), position, next(position));
                }
                return free as usize;
            }
            contention.back_off();
        }
    }

    #[inline(always)]
    fn publish(&self, slot: &Slot<T>, position: u64, value: T) {
        // SAFETY: winning the claim gave this thread sole use of the slot for this lap; consumers
        // look only after the sequence below changes.
        slot.value.with_mut(|cell| unsafe { (*cell).write(value) });
        // ORDERING(slot-publish): Release makes the write above visible to the consumer's Acquire.
        slot.sequence.store(position + 1, Ordering::Release);
    }

    /// Takes the oldest value. `None` when there is none, or when it is claimed but not yet
    /// published ([`Ring::has_claims`] tells the two apart).
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        let mut taken = None;
        self.pop_share(1, 1, |value| taken = Some(value));
        taken
    }

    /// Takes up to `most` of the oldest values in one claim and returns how many. When fewer are
    /// ready, takes one of `sharers` equal shares of them, so that one worker does not carry off what
    /// several could run.
    #[inline]
    pub(crate) fn pop_share(&self, most: usize, sharers: usize, mut take: impl FnMut(T)) -> usize {
        if most == 0 {
            return 0;
        }
        let mut contention = Contention::new();
        loop {
            // Relaxed: a stale head shows in the slot's sequence or fails the claim.
            let head = self.head.load(Ordering::Relaxed);
            // ORDERING(slot-publish): Acquire, so that the value is there once its sequence is.
            let sequence = self.slot(head).sequence.load(Ordering::Acquire);
            if sequence <= head {
                return 0;
            }
            if sequence > head + 1 {
                // Another consumer released this slot. Its claim of the head came before, so the
                // next load sees a later head.
                continue;
            }
            let mut ready = 1;
            while ready < most as u64 && self.published(head + ready) {
                ready += 1;
            }
            if ready < most as u64 {
                ready = ready.div_ceil(sharers as u64);
            }
            // ORDERING(head-claim): SeqCst, the store side of `gate-dekker`: a submitter about to
            // wait for room either sees this claim or is seen waiting by the load that follows it.
            let claim = self.head.compare_exchange_weak(
                head,
                head + ready,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            if claim.is_ok() {
                for position in head..head + ready {
                    take(self.release(position));
                }
                return ready as usize;
            }
            contention.back_off();
        }
    }

    #[inline(always)]
    fn published(&self, position: u64) -> bool {
        // ORDERING(slot-publish): Acquire, so that the value is there once its sequence is.
        self.slot(position).sequence.load(Ordering::Acquire) == position + 1
    }

    #[inline(always)]
    fn release(&self, position: u64) -> T {
        let slot = self.slot(position);
        // SAFETY: winning the claim of the head gave this thread sole use of the published value;
        // producers look only after the sequence below changes.
        let value = slot
            .value
            .with(|cell| unsafe { (*cell).assume_init_read() });
        // ORDERING(slot-release): Release keeps the read above before the next lap's write.
        slot.sequence
            .store(position + self.mask + 1, Ordering::Release);
        value
    }

    /// Whether the oldest position is published: a cheap look that reads no producer's line.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        // Relaxed: a stale head gives a wrong answer for a moment, and the caller looks again.
        self.published(self.head.load(Ordering::Relaxed))
    }

    /// Whether a worker must not sleep on account of this ring: it holds a value, a claimed position,
    /// or it has been closed. The last look of the idle protocol.
    pub(crate) fn stirs(&self) -> bool {
        // ORDERING(idle-dekker): SeqCst, the load side: the caller has announced its sleep before.
        // The tail comes first: if the head is read equal to it, everything up to it was claimed.
        let tail = self.tail.load(Ordering::SeqCst);
        tail != self.head.load(Ordering::Relaxed)
    }

    /// Whether a position is claimed for a push and not yet for a pop.
    pub(crate) fn has_claims(&self) -> bool {
        self.len() > 0
    }

    /// How many positions are claimed for a push and not yet for a pop: exact when nothing moves.
    pub(crate) fn len(&self) -> usize {
        let taken = self.taken();
        self.accepted().saturating_sub(taken) as usize
    }

    /// Whether a push would find a free slot: the last look of a submitter that waits for room.
    pub(crate) fn has_room(&self, at_least: usize) -> bool {
        // ORDERING(gate-dekker): SeqCst, the load side: the caller has counted itself as waiting.
        let head = self.head.load(Ordering::SeqCst);
        let used = self.accepted().saturating_sub(head) as usize;
        used + at_least <= self.capacity()
    }

    /// How many values were ever accepted.
    pub(crate) fn accepted(&self) -> u64 {
        // Relaxed: a gauge; exact once the ring is closed and the close was seen.
        self.tail.load(Ordering::Relaxed) & !CLOSED
    }

    /// How many values were ever taken.
    pub(crate) fn taken(&self) -> u64 {
        // Relaxed: a gauge.
        self.head.load(Ordering::Relaxed)
    }

    /// Refuses every later push. Values that are in the ring stay.
    pub(crate) fn close(&self) {
        // ORDERING(tail-claim): SeqCst: like a claim it moves the tail, so a worker about to sleep
        // sees it or is woken by the call that follows.
        self.tail.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Whether the ring was closed.
    pub(crate) fn is_closed(&self) -> bool {
        // ORDERING(tail-claim): Acquire: whoever sees the bit sees what its setter did before.
        self.tail.load(Ordering::Acquire) & CLOSED != 0
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Steps aside after a lost compare-exchange: 4, 8, … 128 pauses. Without it two producers lose three
/// quarters of their throughput to each other.
struct Contention {
    losses: u32,
}

impl Contention {
    const MOST_DOUBLINGS: u32 = 5;

    #[inline(always)]
    fn new() -> Self {
        Self { losses: 0 }
    }

    #[cold]
    fn back_off(&mut self) {
        hint::pause(4 << self.losses);
        self.losses = (self.losses + 1).min(Self::MOST_DOUBLINGS);
    }
}
