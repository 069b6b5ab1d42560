//! Counts heap allocations, of all threads.
//!
//! A bench target that wants the count says
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: lanepool_bench::alloc::Counting = lanepool_bench::alloc::Counting;
//!
//! # fn main() -> lanepool_bench::Result<()> {
//! let phase = lanepool_bench::alloc::Phase::start()?;
//! let text = String::from("one allocation of nineteen bytes").replace("nineteen", "few");
//! let during = phase.stop();
//! assert!(during.allocations >= 2 && during.bytes > text.len() as u64);
//! # Ok(())
//! # }
//! ```

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::Result;

// Written by every thread that allocates; read at the ends of a phase. They only count, so no ordering is
// needed: the loop that a phase encloses joins or hears from the threads whose work it counts.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

fn record(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting
// touches two atomics and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        record(size);
        // SAFETY: the caller keeps `realloc`'s contract, and `pointer` came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and `pointer` came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What was allocated in a phase, by any thread; growing an allocation counts as one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// How many.
    pub allocations: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

/// A stretch of time in which allocations are counted.
#[derive(Debug)]
#[must_use = "a phase counts until it is stopped"]
pub struct Phase(Allocated);

impl Phase {
    /// Starts to count.
    ///
    /// # Errors
    ///
    /// [`Counting`] is not the global allocator, so that every count would be a false zero.
    pub fn start() -> Result<Self> {
        let before = now();
        drop(black_box(Box::new(0_u64)));
        let after = now();
        if after.allocations == before.allocations {
            return Err(
                "allocations are not counted: make `Counting` the bench target's global allocator"
                    .into(),
            );
        }
        Ok(Self(after))
    }

    /// What was allocated since the start.
    #[must_use]
    pub fn stop(self) -> Allocated {
        let end = now();
        Allocated {
            allocations: end.allocations - self.0.allocations,
            bytes: end.bytes - self.0.bytes,
        }
    }
}

fn now() -> Allocated {
    Allocated {
        allocations: ALLOCATIONS.load(Ordering::Relaxed),
        bytes: BYTES.load(Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The library's own tests do not install the counting allocator (the doctest above does), so here a
    // phase must refuse to start rather than count nothing.
    #[test]
    fn a_phase_refuses_to_count_nothing() {
        assert!(
            Phase::start()
                .unwrap_err()
                .to_string()
                .contains("global allocator")
        );
    }
}
