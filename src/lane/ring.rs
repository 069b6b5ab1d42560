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
//! **Annex.** What few values carry ([`Annex`]) lies beside the slots, in a place for each that nobody
//! touches for the others: the fewer cache lines a value takes, the faster it goes from one CPU to
//! the other. A place belongs to whoever its slot belongs to.
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
use std::ptr;

use crossbeam_utils::CachePadded;

use crate::admission::Room;
use crate::idle::pace;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{UnsafeCell, hint, prefetch, thread};

/// Set in the tail once the ring is closed.
const CLOSED: u64 = 1 << 63;

/// A push asks for what a later one will write, so many positions ahead: far enough for the line to arrive meanwhile, and
/// so near that its consumer has left it.
const AHEAD: u64 = 8;

/// Why a push was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Every slot holds a value.
    Full,
    /// The ring accepts nothing more.
    Closed,
    /// There is room, but not for more tasks of this key.
    Crowded,
}

/// A few words that go with some values and not with others.
pub(crate) trait Annex<T>: Copy {
    /// What lies in a place before its first use. Not all zeros: the memory of zeros may come from the system page
    /// by page as it is first written, and then a submission would have to wait for that.
    const BLANK: Self;

    /// Whether the value was pushed with an annex.
    fn goes_with(value: &T) -> bool;
}

/// For values that never have one.
impl<T> Annex<T> for () {
    const BLANK: Self = ();

    #[inline(always)]
    fn goes_with(_value: &T) -> bool {
        false
    }
}

/// A place beside each slot of a ring.
type Annexes<X> = Box<[UnsafeCell<X>]>;

/// A position that this thread has claimed for a push and not published yet.
pub(crate) struct Claim<'a, X> {
    position: u64,
    annexes: &'a Annexes<X>,
}

impl<X> Claim<'_, X> {
    #[inline(always)]
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Lays down what goes with the value.
    pub(crate) fn lay_down(&mut self, annex: X) {
        let index = self.position as usize & (self.annexes.len() - 1);
        // SAFETY: the claim gave this thread sole use of the slot and of the place beside it.
        self.annexes[index].with_mut(|place| unsafe { *place = annex });
        // Who lays something down mostly does so again, and a consumer's CPU has had that place last.
        let soon = self.position.wrapping_add(AHEAD) as usize & (self.annexes.len() - 1);
        prefetch::for_writing(&self.annexes[soon]);
    }
}

/// What a value is made from once a position is claimed for it; comes back if none is.
pub(crate) trait Make<T, X> {
    /// Runs between claim and publication: it must be short and must not panic.
    fn make(self, claim: Claim<'_, X>) -> T;
}

impl<T, X, F: FnOnce(Claim<'_, X>) -> T> Make<T, X> for F {
    #[inline(always)]
    fn make(self, claim: Claim<'_, X>) -> T {
        self(claim)
    }
}

struct Slot<T> {
    /// Whose turn the slot is: see the table above. Written by whoever the turn belongs to.
    sequence: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// The slots, held in a local: the compiler may not keep a field in a register across an atomic
/// access, and would load it again for every slot.
struct Slots<'a, T>(&'a [Slot<T>]);

impl<T> Clone for Slots<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slots<'_, T> {}

impl<'a, T> Slots<'a, T> {
    #[inline(always)]
    fn capacity(self) -> u64 {
        self.0.len() as u64
    }

    /// The slot of a position.
    #[inline(always)]
    fn at(self, position: u64) -> &'a Slot<T> {
        // SAFETY: the length is a power of two, so the masked index is below it.
        unsafe {
            self.0
                .get_unchecked((position & (self.capacity() - 1)) as usize)
        }
    }

    /// The slots of up to `most` positions from this one on, as far as they lie side by side: a run
    /// that wrapped around would need its index masked for every slot.
    #[inline(always)]
    fn run(self, position: u64, most: usize) -> &'a [Slot<T>] {
        let index = (position & (self.capacity() - 1)) as usize;
        // SAFETY: as in `at`; the end is at most the length.
        unsafe {
            self.0
                .get_unchecked(index..index + most.min(self.0.len() - index))
        }
    }
}

/// How many slots of a run, from its first on, meet a condition on the slot and its position. Looks at
/// four at a time while all four meet it, which takes a third off the cost of a look.
#[inline(always)]
fn count_while<T>(run: &[Slot<T>], position: u64, is: impl Fn(&Slot<T>, u64) -> bool) -> usize {
    let at = |index: usize| is(&run[index], position + index as u64);
    let mut count = 0;
    while count + 4 <= run.len() && at(count) & at(count + 1) & at(count + 2) & at(count + 3) {
        count += 4;
    }
    while count < run.len() && at(count) {
        count += 1;
    }
    count
}

impl<T> Slot<T> {
    /// Publishes the slot that this thread claimed for a push and filled.
    #[inline(always)]
    fn publish(&self, position: u64) {
        // ORDERING(slot-publish): Release makes the value visible to the consumer's Acquire.
        self.sequence.store(position + 1, Ordering::Release);
    }

    /// Moves the value out of the slot that this thread claimed for a pop. Returns whether it has an annex.
    #[inline(always)]
    fn take<X: Annex<T>>(&self, place: &mut MaybeUninit<T>) -> bool {
        // SAFETY: winning the claim of the head gave this thread sole use of the published value, which
        // it moves out once; producers look only after the slot is released.
        self.value.with(|cell| unsafe {
            ptr::copy_nonoverlapping((*cell).as_ptr(), place.as_mut_ptr(), 1);
            X::goes_with(place.assume_init_ref())
        })
    }

    /// Gives the slot that was emptied to the next lap's producer.
    #[inline(always)]
    fn release(&self, position: u64, capacity: u64) {
        // ORDERING(slot-release): Release keeps the reads of the value and its annex before the next
        // lap's writes.
        self.sequence.store(position + capacity, Ordering::Release);
    }

    /// Whether the slot holds the value of this position.
    #[inline(always)]
    fn is_published(&self, position: u64) -> bool {
        // ORDERING(slot-publish): Acquire, so that the value is there once its sequence is.
        self.sequence.load(Ordering::Acquire) == position + 1
    }

    /// Whether the slot is free for the producer that claims this position.
    #[inline(always)]
    fn is_free(&self, position: u64) -> bool {
        // ORDERING(slot-release): Acquire, so that the last lap's value has left the slot.
        self.sequence.load(Ordering::Acquire) == position
    }
}

/// The bounded queue. See the module's documentation.
pub(crate) struct Ring<T, X: Annex<T> = ()> {
    /// The next position to claim for a push, and [`CLOSED`]. Producers write it; a consumer reads
    /// it only when it is about to sleep.
    tail: CachePadded<AtomicU64>,
    /// The next position to claim for a pop. Consumers write it.
    head: CachePadded<AtomicU64>,
    /// As many as a power of two.
    slots: Box<[Slot<T>]>,
    /// A place beside each slot.
    annexes: Annexes<X>,
}

// SAFETY: a value is written by the one thread that claimed its position and read by the one that
// claimed it for a pop, never by two at a time, so sharing the ring moves values between threads and
// no more.
unsafe impl<T: Send, X: Annex<T> + Send> Send for Ring<T, X> {}
// SAFETY: as above; `&Ring` gives out no `&T` and no `&X`.
unsafe impl<T: Send, X: Annex<T> + Send> Sync for Ring<T, X> {}

impl<T, X: Annex<T>> std::fmt::Debug for Ring<T, X> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T, X: Annex<T>> Ring<T, X> {
    /// Bytes that one slot occupies, with the place beside it.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<T>>() + size_of::<X>();

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
            annexes: (0..capacity).map(|_| UnsafeCell::new(X::BLANK)).collect(),
        }
    }

    /// How many values fit.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline(always)]
    fn slots(&self) -> Slots<'_, T> {
        Slots(&self.slots)
    }

    #[inline(always)]
    fn claimed(&self, position: u64) -> Claim<'_, X> {
        Claim {
            position,
            annexes: &self.annexes,
        }
    }

    /// Takes the annex of the value that this thread moves out of its claimed slot.
    #[cold]
    fn take_annex(&self, position: u64, beside: &mut MaybeUninit<X>) {
        let index = position as usize & (self.annexes.len() - 1);
        // SAFETY: winning the claim of the head gave this thread sole use of the slot, hence of the
        // place beside it, which was filled before the slot was published.
        self.annexes[index].with(|annex| beside.write(unsafe { *annex }));
    }

    /// Appends a value; returns its position.
    ///
    /// What it is made from is passed by value, so that a small one goes from registers to its slot.
    ///
    /// # Errors
    /// Full or closed; what it would have been made from.
    #[inline(always)]
    pub(crate) fn push_with<M: Make<T, X>>(&self, from: M) -> Result<u64, (Refusal, M)> {
        let slots = self.slots();
        let mut losses = 0;
        let mut retried = false;
        loop {
            // Relaxed: a stale tail shows in the slot's sequence or fails the claim.
            let tail = self.tail.load(Ordering::Relaxed);
            let slot = slots.at(tail);
            // ORDERING(slot-release): Acquire, so that the last lap's value has left the slot.
            let sequence = slot.sequence.load(Ordering::Acquire);
            if sequence == tail {
                if self.claim_tail(tail, 1) {
                    // SAFETY: winning the claim gave this thread sole use of the slot for this lap.
                    slot.value
                        .with_mut(|cell| unsafe { (*cell).write(from.make(self.claimed(tail))) });
                    slot.publish(tail);
                    return Ok(tail);
                }
                losses = back_off(losses);
            } else if tail & CLOSED != 0 {
                return Err((Refusal::Closed, from));
            } else if sequence < tail {
                // A lap behind: still occupied, or a consumer has claimed it and is about to
                // release it, which is worth one more look.
                if retried || tail >= self.taken() + slots.capacity() {
                    return Err((Refusal::Full, from));
                }
                retried = true;
                hint::spin_loop();
            }
        }
    }

    /// Before a push: asks for the tail.
    pub(crate) fn prefetch_tail(&self) {
        prefetch::for_writing(&*self.tail);
    }

    /// After a push to this position: asks for the slot of one that comes soon. A consumer's CPU has had it last, and to
    /// get it from there takes longer than the whole of a push.
    #[inline(always)]
    pub(crate) fn prefetch_after(&self, position: u64) {
        prefetch::for_writing(self.slots().at(position + AHEAD));
    }

    /// Appends up to `count` values in one claim and returns how many; 0 when full or closed. One claim
    /// ends where the slots do, so it may return fewer than there is room for: call again.
    ///
    /// `make` returns the value of each claimed position, in order. It runs between claim and publish:
    /// it must be short and must not panic.
    #[inline]
    pub(crate) fn push_n(&self, count: usize, mut make: impl FnMut(Claim<'_, X>) -> T) -> usize {
        let slots = self.slots();
        let mut losses = 0;
        loop {
            // Relaxed: a stale tail shows in the slots' sequences or fails the claim.
            let tail = self.tail.load(Ordering::Relaxed);
            // Every slot is looked at: they are released out of order, so that the last one being
            // free proves nothing.
            let run = slots.run(tail, count);
            let free = count_while(run, tail, Slot::is_free);
            if free == 0 {
                // ORDERING(slot-release): the load of `is_free` again, to tell full from a stale
                // tail.
                let sequence = slots.at(tail).sequence.load(Ordering::Acquire);
                if count == 0 || tail & CLOSED != 0 || sequence < tail {
                    return 0;
                }
                continue;
            }
            if self.claim_tail(tail, free) {
                for (slot, position) in run[..free].iter().zip(tail..) {
                    // SAFETY: winning the claim gave this thread sole use of the slot for this lap.
                    slot.value
                        .with_mut(|cell| unsafe { (*cell).write(make(self.claimed(position))) });
                    slot.publish(position);
                }
                return free;
            }
            losses = back_off(losses);
        }
    }

    /// Takes the oldest value and its annex; `None` as [`Ring::pop_to`] returns `false`.
    #[inline]
    pub(crate) fn pop(&self) -> Option<(T, Option<X>)> {
        let (mut place, mut beside) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        if !self.pop_to(&mut place, &mut beside) {
            return None;
        }
        // SAFETY: `pop_to` has filled the place.
        let value = unsafe { place.assume_init() };
        // SAFETY: and the one beside it for a value that has an annex.
        let annex = X::goes_with(&value).then(|| unsafe { beside.assume_init() });
        Some((value, annex))
    }

    /// Moves the oldest value to `place`, and its annex if it has one `beside`. Returns whether there was one; there is none to take when it
    /// is claimed but not yet published ([`Ring::has_claims`] tells the two apart).
    #[inline]
    pub(crate) fn pop_to(&self, place: &mut MaybeUninit<T>, beside: &mut MaybeUninit<X>) -> bool {
        let slots = self.slots();
        let mut losses = 0;
        loop {
            // Relaxed: a stale head shows in the slot's sequence or fails the claim.
            let head = self.head.load(Ordering::Relaxed);
            let slot = slots.at(head);
            // ORDERING(slot-publish): Acquire, so that the value is there once its sequence is.
            let sequence = slot.sequence.load(Ordering::Acquire);
            if sequence == head + 1 {
                if self.claim_head(head, 1) {
                    if slot.take::<X>(place) {
                        self.take_annex(head, beside);
                    }
                    slot.release(head, slots.capacity());
                    return true;
                }
                losses = back_off(losses);
            } else if sequence <= head {
                return false;
            }
            // Else another consumer released this slot. Its claim of the head came before, so the
            // next load sees a later head.
        }
    }

    /// Moves as many of the oldest values as fit, in one claim, to the front of `into`, and their
    /// annexes to the same places of `beside`; returns how many. One claim ends where the slots do. When fewer are ready than fit, takes one of `sharers`
    /// equal shares of them, so that one worker does not carry off what several could run.
    #[inline]
    pub(crate) fn pop_share(
        &self,
        into: &mut [MaybeUninit<T>],
        beside: &mut [MaybeUninit<X>],
        sharers: usize,
    ) -> usize {
        let slots = self.slots();
        let mut losses = 0;
        loop {
            // Relaxed: a stale head shows in the slot's sequence or fails the claim.
            let head = self.head.load(Ordering::Relaxed);
            let run = slots.run(head, into.len());
            let mut ready = count_while(run, head, Slot::is_published);
            if ready == 0 {
                // ORDERING(slot-publish): the load of `is_published` again, to tell empty from a
                // stale head.
                if into.is_empty() || slots.at(head).sequence.load(Ordering::Acquire) <= head {
                    return 0;
                }
                continue;
            }
            if ready < into.len() {
                ready = share(ready, sharers);
            }
            if self.claim_head(head, ready) {
                for (index, (slot, place)) in run[..ready].iter().zip(into).enumerate() {
                    let position = head + index as u64;
                    if slot.take::<X>(place) {
                        self.take_annex(position, &mut beside[index]);
                    }
                    slot.release(position, slots.capacity());
                }
                return ready;
            }
            losses = back_off(losses);
        }
    }

    #[inline(always)]
    fn claim_head(&self, head: u64, count: usize) -> bool {
        let next = head + count as u64;
        // ORDERING(head-claim): SeqCst, the store side of `gate-dekker`: a submitter about to wait for
        // room either sees this claim or is seen waiting by the load that follows it.
        let claim =
            self.head
                .compare_exchange_weak(head, next, Ordering::SeqCst, Ordering::Relaxed);
        claim.is_ok()
    }

    #[inline(always)]
    fn claim_tail(&self, tail: u64, count: usize) -> bool {
        let next = tail + count as u64;
        // ORDERING(tail-claim): SeqCst, the store side of `idle-dekker`: a worker about to sleep either
        // sees this claim or is seen asleep by the load that follows it.
        let claim =
            self.tail
                .compare_exchange_weak(tail, next, Ordering::SeqCst, Ordering::Relaxed);
        claim.is_ok()
    }

    /// Whether the oldest position is published: a cheap look that reads no producer's line.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        // Relaxed: a stale head gives a wrong answer for a moment, and the caller looks again.
        let head = self.head.load(Ordering::Relaxed);
        self.slots().at(head).is_published(head)
    }

    /// Whether a worker must not sleep on account of this ring: it holds a value, a claimed position,
    /// or it has been closed. The last look of the idle protocol.
    pub(crate) fn stirs(&self) -> bool {
        // ORDERING(idle-dekker): SeqCst, the load side: the caller has announced its sleep before.
        // The tail comes first: if the head is read equal to it, everything up to it was claimed.
        let tail = self.tail.load(Ordering::SeqCst);
        tail != self.head.load(Ordering::Relaxed)
    }

    /// As [`Ring::stirs`], but of a closed ring only while something is left in it.
    pub(crate) fn holds(&self) -> bool {
        // ORDERING(idle-dekker): SeqCst, as in `stirs`.
        let tail = self.tail.load(Ordering::SeqCst) & !CLOSED;
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

impl<T, X: Annex<T>> Room for Ring<T, X> {
    fn has_room(&self, at_least: usize) -> bool {
        // ORDERING(head-claim, gate-dekker): SeqCst, the load side: the caller has counted itself as
        // waiting.
        let head = self.head.load(Ordering::SeqCst);
        let used = self.accepted().saturating_sub(head) as usize;
        used + at_least <= self.capacity()
    }

    fn is_closed(&self) -> bool {
        Ring::is_closed(self)
    }
}

impl<T, X: Annex<T>> Drop for Ring<T, X> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// One of `sharers` equal shares, rounded up.
#[inline(always)]
fn share(ready: usize, sharers: usize) -> usize {
    // A division costs more than all the rest of a claim, and next to always there is one ready.
    if ready == 1 || sharers == 1 {
        ready
    } else {
        ready.div_ceil(sharers)
    }
}

/// Steps aside after a lost compare-exchange, twice as long each time up to 32 times; returns the losses so far.
/// Without it two producers lose three quarters of their throughput to each other.
///
/// Who loses three times in a row also lets other threads have its CPU: those that run at the same time want the same
/// line, and of two producers neither gets far while no worker runs.
#[cold]
#[inline(never)]
fn back_off(losses: u32) -> u32 {
    const MOST_DOUBLINGS: u32 = 5;
    const LOSSES_TO_YIELD: u32 = 2;
    hint::pause(pace::loss_pauses() << losses);
    if losses >= LOSSES_TO_YIELD {
        thread::yield_now();
    }
    (losses + 1).min(MOST_DOUBLINGS)
}
