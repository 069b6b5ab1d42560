//! The only place that knows whether the crate runs on the machine or inside a loom model.
//!
//! Everything that threads meet in (atomics, cells, locks, parking, yielding) is imported from
//! here. `native` forwards to std and to the futex; `modelled` forwards to loom and can weaken
//! itself on request, so that a model can be shown to fail. What carries no protocol is in
//! [`counter`] and stays native in both: loom need not interleave a statistic.

#[cfg(all(test, feature = "loom"))]
pub(crate) mod modelled;
#[cfg(not(all(test, feature = "loom")))]
mod native;
pub(crate) mod prefetch;

#[cfg(all(test, feature = "loom"))]
pub(crate) use modelled::*;
#[cfg(not(all(test, feature = "loom")))]
pub(crate) use native::*;

/// Atomics that order nothing: statistics, hints and caches. Always native.
pub(crate) mod counter {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

    /// Adds to a counter that one thread alone writes.
    ///
    /// A plain load and store: a read-modify-write would cost ten times as much and buy nothing,
    /// because no other thread writes.
    #[inline]
    pub(crate) fn bump(counter: &AtomicU64, by: u64) {
        // Relaxed: the owner reads back its own store; readers accept any recent value.
        counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
    }
}
