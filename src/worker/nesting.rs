//! Whether the calling thread is a worker, and of which pool.

use std::cell::Cell;

thread_local!(static POOL: Cell<usize> = const { Cell::new(0) });

/// Marks the thread as a worker of a pool until it is dropped.
pub(crate) struct Inside {
    /// What it was before: a worker of one pool may poll the tasks of another.
    before: usize,
}

/// The thread works for the pool at this address from now on.
#[must_use = "the mark goes when this is dropped"]
pub(crate) fn enter(pool: usize) -> Inside {
    Inside {
        before: POOL.with(|current| current.replace(pool)),
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        POOL.with(|current| current.set(self.before));
    }
}

/// Whether the thread works for the pool at this address.
#[inline]
pub(crate) fn is_inside(pool: usize) -> bool {
    POOL.with(|current| current.get() == pool)
}
