//! Where the pool reads the time: the machine's clock, or one that a test turns by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::counter::{AtomicU64, Ordering};

/// The pool's clock.
///
/// Deadlines, waits and runs are read from it. [`Clock::manual`] makes one that stands still until
/// it is advanced, so that a test of deadlines depends on no machine's speed.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lanepool::{service_fn, Clock, ProcessingTask, SubmitError, WorkerPool};
///
/// let (clock, hands) = Clock::manual();
/// let deadline = clock.now() + Duration::from_secs(5);
/// let pool = WorkerPool::<u32, u32, ()>::builder()
///     .clock(clock)
///     .build(service_fn(|request: u32, _: &_| Ok(request)))?;
/// hands.advance(Duration::from_secs(6));
/// let late = pool.try_submit(ProcessingTask::new(1).deadline(deadline));
/// assert!(matches!(late, Err(SubmitError::Expired(1))));
/// # Ok::<(), lanepool::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    epoch: Instant,
    hands: Option<ManualClock>,
}

/// The hands of a [manual clock](Clock::manual).
#[derive(Clone, Debug)]
pub struct ManualClock {
    elapsed_ns: Arc<AtomicU64>,
}

impl Clock {
    /// The machine's monotonic clock.
    pub fn monotonic() -> Self {
        Self {
            epoch: Instant::now(),
            hands: None,
        }
    }

    /// A clock that moves only when its hands are advanced.
    pub fn manual() -> (Self, ManualClock) {
        let hands = ManualClock {
            elapsed_ns: Arc::new(AtomicU64::new(0)),
        };
        (
            Self {
                epoch: Instant::now(),
                hands: Some(hands.clone()),
            },
            hands,
        )
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.hands {
            None => Instant::now(),
            // Relaxed: a clock orders nothing.
            Some(hands) => {
                self.epoch + Duration::from_nanos(hands.elapsed_ns.load(Ordering::Relaxed))
            }
        }
    }

    /// Nanoseconds since the clock was made, at least 1: 0 stands for "not stamped".
    ///
    /// Out of line: few tasks are timed, and it would take registers from the way of the others.
    #[inline(never)]
    pub(crate) fn now_ns(&self) -> u64 {
        (self.now().saturating_duration_since(self.epoch).as_nanos() as u64).max(1)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::monotonic()
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        // Relaxed: a clock orders nothing.
        self.elapsed_ns
            .fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }
}
