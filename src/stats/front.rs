//! What submitters and the shutdown count, one block a lane.
//!
//! All accesses are Relaxed: a counter orders nothing.

use crossbeam_utils::CachePadded;

use crate::sync::counter::{AtomicU64, Ordering};
use crate::task::Outcome;

/// Counts that several threads write, none of them on the way of an accepted task.
#[derive(Debug)]
pub(crate) struct Front {
    lanes: Box<[CachePadded<Counts>]>,
}

#[derive(Debug, Default)]
struct Counts {
    refused: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Front {
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|_| CachePadded::default()).collect(),
        }
    }

    /// A task was refused.
    #[cold]
    pub(crate) fn refuse(&self, lane: usize) {
        // Relaxed: a counter.
        self.lanes[lane].refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A task ended without a worker.
    pub(crate) fn settle(&self, lane: usize, outcome: Outcome) {
        // Relaxed: a counter.
        self.lanes[lane].outcomes[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, lane: usize) -> u64 {
        self.lanes[lane].refused.load(Ordering::Relaxed)
    }

    pub(crate) fn outcome(&self, lane: usize, outcome: Outcome) -> u64 {
        self.lanes[lane].outcomes[outcome.index()].load(Ordering::Relaxed)
    }
}
