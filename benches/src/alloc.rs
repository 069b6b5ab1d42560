//! Counts heap allocations, of all threads.
//!
//! Counting starts with the first [`Phase`]. Until then an allocation costs one look at a flag more than the
//! system's, so that a process that measures times is not slowed by counters that all threads write to.
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
//! assert!(during.growth_bytes() >= text.len() as i64);
//! # Ok(())
//! # }
//! ```

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::Result;

// Written by every thread that allocates; read at the ends of a phase. They only count, so no ordering is
// needed: the loop that a phase encloses joins or hears from the threads whose work it counts.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
// Written by every thread that frees; read as the two above.
static FREED_BYTES: AtomicU64 = AtomicU64::new(0);
// Set by the first phase and never cleared; read by every thread that allocates or frees.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// The system's allocator, counting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

#[inline]
fn record(bytes: usize) {
    if COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[inline]
fn record_freed(bytes: usize) {
    if COUNTING.load(Ordering::Relaxed) {
        FREED_BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting
// touches a few atomics and allocates nothing.
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
        record_freed(layout.size());
        // SAFETY: the caller keeps `realloc`'s contract, and `pointer` came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        record_freed(layout.size());
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
    /// The sizes of what was freed, in bytes, whenever it had been allocated.
    pub freed_bytes: u64,
}

impl Allocated {
    /// By how many bytes the heap's contents grew; negative if they shrank.
    #[must_use]
    pub fn growth_bytes(&self) -> i64 {
        self.bytes.wrapping_sub(self.freed_bytes) as i64
    }
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
        COUNTING.store(true, Ordering::Relaxed);
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
        self.so_far()
    }

    /// What was allocated since the start, while the phase goes on.
    #[must_use]
    pub fn so_far(&self) -> Allocated {
        let end = now();
        Allocated {
            allocations: end.allocations - self.0.allocations,
            bytes: end.bytes - self.0.bytes,
            freed_bytes: end.freed_bytes - self.0.freed_bytes,
        }
    }
}

fn now() -> Allocated {
    Allocated {
        allocations: ALLOCATIONS.load(Ordering::Relaxed),
        bytes: BYTES.load(Ordering::Relaxed),
        freed_bytes: FREED_BYTES.load(Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_may_grow_and_shrink() {
        let allocated = |bytes, freed_bytes| Allocated {
            allocations: 1,
            bytes,
            freed_bytes,
        };
        assert_eq!(allocated(100, 30).growth_bytes(), 70);
        assert_eq!(allocated(30, 100).growth_bytes(), -70);
    }

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
