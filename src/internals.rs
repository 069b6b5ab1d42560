//! The ring and a few measures, for this project's benchmarks and fuzzers. No promise of stability.
#![expect(
    unsafe_code,
    reason = "values are read from the places that the ring has filled"
)]

use std::mem::MaybeUninit;

use crate::lane::{self, Claim, Make, Refusal};
use crate::task::{Filed, Task};
use crate::worker::LONGEST_RUN;

/// The ring of a lane.
#[derive(Debug)]
pub struct Ring<T>(lane::Ring<T>);

/// Why a push was refused; the value comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// Every slot holds a value.
    Full(T),
    /// The ring accepts nothing more.
    Closed(T),
}

/// A value is made from itself.
struct Value<T>(T);

impl<T> Make<T, ()> for Value<T> {
    #[inline(always)]
    fn make(self, _claim: Claim<'_, ()>) -> T {
        self.0
    }
}

impl<T> Ring<T> {
    /// A ring for at least `capacity` values: rounded up to a power of two, 2 or more.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(lane::Ring::with_capacity(capacity))
    }

    /// How many values fit.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// How many values are in it: exact when nothing moves.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Appends a value and returns its position.
    ///
    /// # Errors
    /// Full or closed.
    #[inline(always)]
    pub fn push(&self, value: T) -> Result<u64, Refused<T>> {
        self.0
            .push_with(Value(value))
            .map_err(|(refusal, Value(value))| match refusal {
                Refusal::Full | Refusal::Crowded => Refused::Full(value),
                Refusal::Closed => Refused::Closed(value),
            })
    }

    /// Takes the oldest value.
    #[inline(always)]
    pub fn pop(&self) -> Option<T> {
        self.0.pop().map(|(value, _)| value)
    }

    /// Appends up to `count` values in one claim; `next` must not panic.
    #[inline(always)]
    pub fn push_n(&self, count: usize, mut next: impl FnMut() -> T) -> usize {
        self.0.push_n(count, |_| next())
    }

    /// Moves as many values as fit, at most 16, in one claim, to the front of `into`, as a worker does; returns how
    /// many of them are initialised.
    #[inline(always)]
    pub fn pop_into(&self, into: &mut [MaybeUninit<T>]) -> usize {
        let beside = &mut [const { MaybeUninit::uninit() }; LONGEST_RUN];
        let most = into.len().min(LONGEST_RUN);
        self.0.pop_share(&mut into[..most], &mut beside[..most], 1)
    }

    /// Takes up to `most` values, at most 16, in one claim.
    #[inline(always)]
    pub fn pop_n(&self, most: usize, take: impl FnMut(T)) -> usize {
        self.pop_share(most, 1, take)
    }

    /// As [`Ring::pop_n`], but takes one of `sharers` equal shares when fewer than `most` are there.
    #[inline(always)]
    pub fn pop_share(&self, most: usize, sharers: usize, mut take: impl FnMut(T)) -> usize {
        let mut places = [const { MaybeUninit::uninit() }; LONGEST_RUN];
        let places = &mut places[..most.min(LONGEST_RUN)];
        let beside = &mut [const { MaybeUninit::uninit() }; LONGEST_RUN][..places.len()];
        let taken = self.0.pop_share(places, beside, sharers);
        for place in &mut places[..taken] {
            // SAFETY: the ring's `pop_share` has filled as many places as it says; each is read once.
            take(unsafe { place.assume_init_read() });
        }
        taken
    }

    /// Refuses every later push.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the ring was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Bytes that a lane takes for each task it can hold.
pub const fn slot_bytes<Q, R, E>() -> usize {
    lane::Ring::<Task<Q, R, E>, Filed>::SLOT_BYTES
}
