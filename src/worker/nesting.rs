//! Whether the calling thread is a worker, and of which pool.

use std::cell::Cell;

thread_local!(static POOL: Cell<usize> = const { Cell::new(0) });

/// Marks the thread as a worker of a pool for as long as it lives.
pub(crate) struct Inside(());

/// The thread works for the pool at this address from now on.
#[must_use = "the mark goes when this is dropped"]
pub(crate) fn enter(pool: usize) -> Inside {
    POOL.with(|current| current.set(pool));
    Inside(())
}

impl Drop for Inside {
    fn drop(&mut self) {
        POOL.with(|current| current.set(0));
    }
}

/// Whether the thread works for the pool at this address.
#[inline]
pub(crate) fn is_inside(pool: usize) -> bool {
    POOL.with(|current| current.get() == pool)
}
