//! Where the pool reads the time: the machine's clock, or one that a test turns by hand.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::panics;
use crate::sync::Mutex;
use crate::sync::counter::{AtomicU64, Ordering};

/// The pool's clock.
///
/// Deadlines, waits and runs are read from it. [`Clock::manual`] makes one that stands still until
/// it is advanced, so that a test of deadlines depends on no machine's speed.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lanepool::{Clock, PoolBuilder, ProcessingTask, SubmitError, service_fn};
///
/// let (clock, hands) = Clock::manual();
/// let deadline = clock.now() + Duration::from_secs(5);
/// let pool = PoolBuilder::new()
///     .clock(clock)
///     .build(service_fn(|request: u32, _: &_| Ok::<_, ()>(request)))?;
/// hands.advance(Duration::from_secs(6));
/// let late = pool.try_submit(ProcessingTask::new(1).deadline(deadline));
/// assert!(matches!(late, Err(SubmitError::Expired(1))));
/// # Ok::<(), lanepool::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    /// When this clock began, in nanoseconds since the process's epoch.
    began_ns: u64,
    hands: Option<ManualClock>,
}

/// The hands of a [manual clock](Clock::manual).
#[derive(Clone, Debug)]
pub struct ManualClock {
    elapsed_ns: Arc<AtomicU64>,
    /// Who waits for a time that has not come, to be woken at each advance.
    waiting: Arc<Mutex<Vec<Waker>>>,
}

/// The moment from which this process counts its nanoseconds: an `Instant` in half the space, and a
/// comparison instead of a calculation.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// An instant in nanoseconds since the epoch, at least 1: 0 stands for "none".
pub(crate) fn to_ns(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(epoch());
    // In half the width that `as_nanos` calculates in: five hundred years fit.
    let seconds_ns = since.as_secs().saturating_mul(1_000_000_000);
    seconds_ns
        .saturating_add(u64::from(since.subsec_nanos()))
        .max(1)
}

/// What it costs to read the machine's clock, in nanoseconds: measured once a process.
fn reading_ns() -> u64 {
    static READING_NS: OnceLock<u64> = OnceLock::new();
    *READING_NS.get_or_init(|| {
        const SAMPLE: u64 = 64;
        // The shortest of a few, because any of them may be interrupted.
        let shortest = (0..8).map(|_| {
            let start_ns = to_ns(Instant::now());
            let last_ns = (0..SAMPLE).fold(start_ns, |_, _| to_ns(Instant::now()));
            last_ns.saturating_sub(start_ns) / SAMPLE
        });
        shortest.min().unwrap_or(0)
    })
}

/// The instant that is so many nanoseconds after the epoch.
pub(crate) fn from_ns(ns: u64) -> Instant {
    epoch() + Duration::from_nanos(ns)
}

impl Clock {
    /// The machine's monotonic clock.
    pub fn monotonic() -> Self {
        Self {
            began_ns: to_ns(Instant::now()),
            hands: None,
        }
    }

    /// A clock that moves only when its hands are advanced.
    pub fn manual() -> (Self, ManualClock) {
        let hands = ManualClock {
            elapsed_ns: Arc::new(AtomicU64::new(0)),
            waiting: Arc::new(Mutex::new(Vec::new())),
        };
        (
            Self {
                hands: Some(hands.clone()),
                ..Self::monotonic()
            },
            hands,
        )
    }

    /// The time.
    pub fn now(&self) -> Instant {
        match &self.hands {
            None => Instant::now(),
            Some(_) => from_ns(self.now_ns()),
        }
    }

    /// The time in nanoseconds since the process's epoch.
    ///
    /// Out of line: few tasks are timed, and it would take registers from the way of the others.
    #[inline(never)]
    pub(crate) fn now_ns(&self) -> u64 {
        match &self.hands {
            None => to_ns(Instant::now()),
            // Relaxed: a clock orders nothing.
            Some(hands) => self.began_ns + hands.elapsed_ns.load(Ordering::Relaxed),
        }
    }

    /// By how much longer something seems that is timed by two readings, in nanoseconds.
    pub(crate) fn reading_ns(&self) -> u64 {
        match &self.hands {
            None => reading_ns(),
            Some(_) => 0,
        }
    }

    /// Ready once the clock shows this time. Only a manual clock calls the waker: of the machine's the waiter
    /// itself has to see the time pass.
    pub(crate) fn poll_until(&self, until_ns: u64, context: &mut Context<'_>) -> Poll<()> {
        if let Some(hands) = &self.hands {
            // Before the look at the time, so that an advance is either seen or heard.
            let mut waiting = hands.waiting.lock();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
        }
        if self.now_ns() >= until_ns {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// The instant at which this time comes, if it comes by itself.
    pub(crate) fn instant_of(&self, ns: u64) -> Option<Instant> {
        self.hands.is_none().then(|| from_ns(ns))
    }

    /// When this clock began, in nanoseconds since the process's epoch.
    pub(crate) fn began_ns(&self) -> u64 {
        self.began_ns
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
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(panics::wake);
    }
}
