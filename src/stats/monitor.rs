//! A user's own eyes on the pool.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::sync::counter::{AtomicU32, Ordering};
use crate::task::Outcome;

/// Is told of every task as it passes. A pool with a monitor times every task.
///
/// The methods run on the submitter's thread and on the workers; they should be quick and must not
/// block. When one panics the monitor is not called again, and the pool goes on.
pub trait PerformanceMonitor: Send + Sync + 'static {
    /// A task was accepted into a lane. A worker may have taken it before this is called.
    fn on_enqueued(&self, lane: usize) {
        let _ = lane;
    }

    /// A worker is about to start a task that waited this long.
    fn on_dequeued(&self, lane: usize, wait: Duration) {
        let _ = (lane, wait);
    }

    /// A task that ran this long has its outcome. `run` is zero for one that was not started.
    fn on_finished(&self, lane: usize, run: Duration, outcome: Outcome) {
        let _ = (lane, run, outcome);
    }
}

/// A monitor behind a guard against its panics.
pub(crate) struct Watch {
    monitor: Box<dyn PerformanceMonitor>,
    /// Not 0 once a method panicked.
    blind: AtomicU32,
}

impl Watch {
    pub(crate) fn new(monitor: impl PerformanceMonitor) -> Self {
        Self {
            monitor: Box::new(monitor),
            blind: AtomicU32::new(0),
        }
    }

    pub(crate) fn tell(&self, tell: impl FnOnce(&dyn PerformanceMonitor)) {
        // Relaxed: a late notice costs another panic, which is caught as well.
        if self.blind.load(Ordering::Relaxed) != 0 {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&*self.monitor))) {
            self.blind.store(1, Ordering::Relaxed);
            crate::panics::message(panic);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}
