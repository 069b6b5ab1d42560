//! The ring and a few measures, for this project's benchmarks and fuzzers. No promise of stability.

use crate::lane::{self, Refusal};
use crate::task::Task;

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
        self.0.push(value).map_err(|refusal| match refusal {
            Refusal::Full(value) => Refused::Full(value),
            Refusal::Closed(value) => Refused::Closed(value),
        })
    }

    /// Takes the oldest value.
    #[inline(always)]
    pub fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    /// Appends up to `count` values in one claim; `next` must not panic.
    #[inline(always)]
    pub fn push_n(&self, count: usize, next: impl FnMut(u64) -> T) -> usize {
        self.0.push_n(count, next)
    }

    /// Takes up to `most` values in one claim.
    #[inline(always)]
    pub fn pop_n(&self, most: usize, take: impl FnMut(T)) -> usize {
        self.0.pop_share(most, 1, take)
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
    lane::Ring::<Task<Q, R, E>>::SLOT_BYTES
}
