//! One reply in flight.
//!
//! A slot has two owners, the worker's [`Promise`](super::Promise) and the caller's
//! [`Ticket`](super::Ticket); the second to finish gives the slot back. No reference count: the
//! state says who has finished. A third party, the pool's shutdown, may answer in the worker's
//! place.
//!
//! # States
//!
//! `EMPTY`: no value, nobody asleep. The worker may write the value; the caller may write a waker.
//!
//! `WAITING`: a waker lies in the slot. Whoever wants to touch it must first win `WAITING → LOCKED`
//! (to wake) or `WAITING → EMPTY` (the caller, to replace or remove it).
//!
//! `LOCKED`: the worker or the shutdown takes the waker out. It lasts a few instructions; the others
//! come back.
//!
//! `DONE`: the value lies in the slot and the worker has left. The caller takes it and frees the slot.
//!
//! `ABANDONED`: the shutdown answered, without a value; the worker still holds its half.
//!
//! `LOST`: answered without a value, and the worker has left: the task was dropped, or the worker
//! came too late. The caller frees the slot.
//!
//! `GONE`: the caller has left; a task that is not started never will be. The worker frees the slot.
//!
//! `SETTLED`: the caller has left with the shutdown's answer. The worker frees the slot.
//!
//! `DETACHED`: the caller has left but wants the task run. The worker frees the slot.
//!
//! # Orderings
//!
//! - `reply-value`: the worker's Release of `DONE` with the caller's Acquire: the value is written
//!   before and read after.
//! - `reply-waker`: the caller's Release of `WAITING` with the Acquire of whoever locks it.
//! - `reply-leave`: the Release of the first to leave with the Acquire of the second, which frees: all
//!   accesses of the first are over.
//!
//! # Progress
//!
//! Wait-free but for `LOCKED`, which one side meets only while another is between two adjacent
//! steps. An async caller that meets it asks to be polled again; the others spin.
#![expect(unsafe_code, reason = "the two halves share a slot by its state")]

use std::mem::MaybeUninit;
use std::task::{Poll, Waker};

use crate::panics;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{UnsafeCell, hint};

const EMPTY: u32 = 0;
const WAITING: u32 = 1;
const LOCKED: u32 = 2;
const DONE: u32 = 3;
const ABANDONED: u32 = 4;
const LOST: u32 = 5;
const GONE: u32 = 6;
const DETACHED: u32 = 7;
const SETTLED: u32 = 8;

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delivery {
    /// The caller has it or will find it.
    Delivered,
    /// The caller has it, and was woken for it.
    Woke,
    /// The caller had left.
    Unwanted,
    /// The shutdown had answered before.
    TooLate,
}

/// Whether the slot must be given back by the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Leave {
    /// The other half is still there and will free the slot.
    First,
    /// Nobody else holds it: free it.
    Last,
}

/// The cell that the two halves share. Aligned so that two callers' slots share no cache line.
#[repr(align(64))]
pub(crate) struct Slot<V> {
    /// One of the states above. Written by compare-exchange, by whom the state permits.
    state: AtomicU32,
    /// Its place in its page.
    pub(super) bit: u32,
    waker: UnsafeCell<Option<Waker>>,
    value: UnsafeCell<MaybeUninit<V>>,
}

impl<V> Slot<V> {
    pub(super) fn new(bit: u32) -> Self {
        Self {
            state: AtomicU32::new(EMPTY),
            bit,
            waker: UnsafeCell::new(None),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Makes a slot that nobody holds ready for two new owners.
    pub(super) fn reset(&self) {
        // Relaxed: the lane's publication carries it to the worker, and the slab's bitmap ordered it
        // after the last owner. A slot that is new is left alone: the shutdown may have abandoned it
        // already, and a plain store would race with that.
        if self.state.load(Ordering::Relaxed) != EMPTY {
            self.state.store(EMPTY, Ordering::Relaxed);
        }
    }

    #[inline]
    fn change(&self, from: u32, to: u32) -> Result<(), u32> {
        // ORDERING(reply-value, reply-waker, reply-leave): AcqRel: each change hands over what was
        // written before it and takes over what the last one handed over.
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }

    #[inline]
    fn state(&self) -> u32 {
        // ORDERING(reply-value, reply-waker, reply-leave): Acquire: what the state promises is there.
        self.state.load(Ordering::Acquire)
    }

    /// Whether anybody still wants the task run.
    #[inline(always)]
    pub(super) fn is_wanted(&self) -> bool {
        // Relaxed: a caller that leaves now may find its task run, and the answer is dropped.
        self.state.load(Ordering::Relaxed) != GONE
    }

    /// Whether the caller would find an answer.
    #[inline]
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.state(), DONE | ABANDONED | LOST)
    }

    /// The worker answers and leaves. A value that nobody takes comes back, to be dropped when the slot
    /// is out of hand: its drop is the user's code.
    ///
    /// # Safety
    /// The caller is the worker's half, uses it for the last time, and frees the slot on
    /// [`Leave::Last`].
    #[inline(always)]
    pub(super) unsafe fn complete(&self, value: V) -> (Delivery, Leave, Option<V>) {
        // SAFETY: only the worker's half writes the value, once, and the caller reads it only in
        // DONE, which is set after this.
        self.value.with_mut(|cell| unsafe { (*cell).write(value) });
        match self.change(EMPTY, DONE) {
            Ok(()) => (Delivery::Delivered, Leave::First, None),
            // SAFETY: as this function's.
            Err(state) => unsafe { self.complete_late(state) },
        }
    }

    /// The rest of [`Slot::complete`]: somebody sleeps or has left.
    ///
    /// # Safety
    /// As [`Slot::complete`]'s; the value is written.
    #[cold]
    unsafe fn complete_late(&self, mut state: u32) -> (Delivery, Leave, Option<V>) {
        loop {
            let changed = match state {
                EMPTY => self.change(EMPTY, DONE),
                WAITING => self.change(WAITING, LOCKED),
                ABANDONED => {
                    // SAFETY: written by `complete`; in ABANDONED and after nobody reads a value. It is
                    // taken out before the slot is given away: in LOST the caller may free it.
                    let value = unsafe { self.take_value() };
                    let leave = match self.change(ABANDONED, LOST) {
                        Ok(()) => Leave::First,
                        // Only the caller moves on from ABANDONED beside the worker, to SETTLED.
                        Err(_) => Leave::Last,
                    };
                    return (Delivery::TooLate, leave, Some(value));
                }
                GONE | DETACHED => {
                    // SAFETY: written by `complete`; the caller has left and will not read it.
                    let value = unsafe { self.take_value() };
                    return (Delivery::Unwanted, Leave::Last, Some(value));
                }
                SETTLED => {
                    // SAFETY: as above.
                    let value = unsafe { self.take_value() };
                    return (Delivery::TooLate, Leave::Last, Some(value));
                }
                _ => {
                    hint::spin_loop();
                    state = self.state();
                    continue;
                }
            };
            match (changed, state) {
                (Ok(()), WAITING) => {
                    self.wake_as(DONE);
                    return (Delivery::Woke, Leave::First, None);
                }
                (Ok(()), _) => return (Delivery::Delivered, Leave::First, None),
                (Err(now), _) => state = now,
            }
        }
    }

    /// Takes the waker out of a slot that is `LOCKED` by this thread, moves on to `state`, wakes.
    fn wake_as(&self, state: u32) {
        // SAFETY: LOCKED gives this thread sole use of the waker.
        let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
        // ORDERING(reply-value): Release: the value, if there is one, was written before. From here
        // on the caller may free the slot, so it is not touched any more.
        self.state.store(state, Ordering::Release);
        if let Some(waker) = waker {
            panics::wake(waker);
        }
    }

    /// The worker leaves without an answer.
    pub(super) fn lose(&self) -> Leave {
        loop {
            let state = self.state();
            let changed = match state {
                EMPTY | ABANDONED => self.change(state, LOST),
                WAITING => self.change(WAITING, LOCKED),
                GONE | DETACHED | SETTLED => return Leave::Last,
                _ => {
                    hint::spin_loop();
                    continue;
                }
            };
            if changed.is_ok() {
                if state == WAITING {
                    self.wake_as(LOST);
                }
                return Leave::First;
            }
        }
    }

    /// The shutdown answers in the worker's place. Does nothing where there is an answer already or
    /// nobody who waits. Returns whether it answered.
    pub(super) fn abandon(&self) -> bool {
        loop {
            let state = self.state();
            let changed = match state {
                EMPTY => self.change(EMPTY, ABANDONED),
                WAITING => self.change(WAITING, LOCKED),
                LOCKED => {
                    hint::spin_loop();
                    continue;
                }
                _ => return false,
            };
            if changed.is_ok() {
                if state == WAITING {
                    self.wake_as(ABANDONED);
                }
                return true;
            }
        }
    }

    /// The caller asks for the answer: `Ready(None)` is an answer without a value.
    ///
    /// # Safety
    /// The caller is the ticket's half. On `Ready` it has left; it frees the slot on [`Leave::Last`].
    pub(super) unsafe fn poll(&self, waker: &Waker) -> Poll<(Option<V>, Leave)> {
        let mut state = self.state();
        loop {
            let changed: Result<(), u32> = match state {
                EMPTY => {
                    // SAFETY: in EMPTY only the caller's half touches the waker.
                    self.waker
                        .with_mut(|cell| unsafe { *cell = Some(waker.clone()) });
                    match self.change(EMPTY, WAITING) {
                        Ok(()) => return Poll::Pending,
                        Err(now) => {
                            // SAFETY: the waker was not published: it is still the caller's.
                            self.waker.with_mut(|cell| unsafe { *cell = None });
                            Err(now)
                        }
                    }
                }
                WAITING => self.change(WAITING, EMPTY).and(Err(EMPTY)),
                LOCKED => {
                    waker.wake_by_ref();
                    return Poll::Pending;
                }
                DONE => {
                    // SAFETY: DONE promises a value, and only the caller reads it, once.
                    let value = self
                        .value
                        .with(|cell| unsafe { (*cell).assume_init_read() });
                    return Poll::Ready((Some(value), Leave::Last));
                }
                LOST => return Poll::Ready((None, Leave::Last)),
                ABANDONED => match self.change(ABANDONED, SETTLED) {
                    Ok(()) => return Poll::Ready((None, Leave::First)),
                    Err(now) => Err(now),
                },
                _ => unreachable!("the caller polls a slot that it has left"),
            };
            if let Err(now) = changed {
                state = now;
            }
        }
    }

    /// The caller leaves without the answer: cancels, or lets the task run for nobody. An answer that is
    /// there already comes back, to be dropped when the slot is out of hand.
    ///
    /// # Safety
    /// The caller is the ticket's half and uses it for the last time; it frees the slot on
    /// [`Leave::Last`].
    pub(super) unsafe fn leave(&self, cancel: bool) -> (Leave, Option<V>) {
        let left = if cancel { GONE } else { DETACHED };
        loop {
            let state = self.state();
            let changed = match state {
                EMPTY => self.change(EMPTY, left),
                ABANDONED => self.change(ABANDONED, SETTLED),
                WAITING => match self.change(WAITING, EMPTY) {
                    Ok(()) => {
                        // SAFETY: back in EMPTY only the caller's half touches the waker.
                        drop(self.waker.with_mut(|cell| unsafe { (*cell).take() }));
                        continue;
                    }
                    Err(now) => Err(now),
                },
                // SAFETY: DONE promises a value that only the caller may take.
                DONE => return (Leave::Last, Some(unsafe { self.take_value() })),
                LOST => return (Leave::Last, None),
                _ => {
                    hint::spin_loop();
                    continue;
                }
            };
            if changed.is_ok() {
                return (Leave::First, None);
            }
        }
    }

    /// # Safety
    /// The value is written, nobody has taken it and nobody else will.
    unsafe fn take_value(&self) -> V {
        // SAFETY: as this function's.
        self.value
            .with(|cell| unsafe { (*cell).assume_init_read() })
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use crate::task::Answer;

    #[test]
    fn an_answer_of_up_to_forty_bytes_shares_the_line_of_its_state() {
        assert_eq!(size_of::<Slot<[u8; 40]>>(), 64);
        assert_eq!(size_of::<Slot<Answer<u64, String>>>(), 64);
    }
}
