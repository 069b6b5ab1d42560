//! What a user says about batches.

use std::time::Duration;

use crate::task::TaskPriority;

/// The most requests of a batch.
pub const MOST_BATCH: usize = 1_024;

/// How batches form. A part of [`WorkerPoolConfig`](crate::WorkerPoolConfig) that only pools of batch
/// services look at.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lanepool::{BatchProcessorConfig, WorkerPoolConfig};
///
/// let config = WorkerPoolConfig::builder()
///     .workers(2)
///     .batching(BatchProcessorConfig::new().batch_size(64).batch_timeout(Duration::from_millis(2)))
///     .build()?;
/// assert!(config.batching.enable_adaptive_batching);
///
/// let wrong = BatchProcessorConfig::new().batch_size(0).max_batch_wait(Duration::ZERO);
/// let error = WorkerPoolConfig::builder().batching(wrong).build().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # Ok::<(), lanepool::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BatchProcessorConfig {
    /// The most requests of a batch: 1 to [`MOST_BATCH`]; 32 by default.
    pub batch_size: usize,
    /// How long a batch that is not full lingers for more, counted from when a worker took its first
    /// request; zero for not at all, which is natural batching: what is there goes. 1 ms by default. It closes up to an
    /// eighth, and up to 0.1 ms, earlier, because timers are late.
    ///
    /// With adaptive batching a worker lingers no longer than a batch is learnt to cost however small it is, since after that
    /// it had better run what it has, and not at all where that is less than 0.05 ms; unless
    /// [`close_when_idle`](Self::close_when_idle) is off. Batches of a key, with which no worker waits, have the whole time.
    pub batch_timeout: Duration,
    /// No batch lingers on once its oldest request was accepted this long ago, or as much earlier. More than zero and not less
    /// than `batch_timeout`; 10 ms by default.
    pub max_batch_wait: Duration,
    /// Whether the pool learns what batches cost and aims at the size that pays, of at most `batch_size`.
    /// Otherwise it aims at `batch_size`. By what it has learnt it also chooses among requests with deadlines: those that
    /// would be late in any case [expire](crate::ProcessingError::Expired) in favour of others, and the tightest of a lane
    /// go first. On by default.
    pub enable_adaptive_batching: bool,
    /// With adaptive batching, the time from acceptance to answer that 99 of 100 requests should stay
    /// below. More than zero, or none, which is the default.
    pub target_p99: Option<Duration>,
    /// Whether a batch goes at once while nothing else runs in the pool, where to wait for more could only
    /// make it late. On by default.
    pub close_when_idle: bool,
    /// A batch that holds a request of this priority or a higher one does not linger; `Critical` by
    /// default. In a pool of few lanes that counts only of a lane that lower priorities do not share.
    pub urgent: Option<TaskPriority>,
    /// Whether only requests of the same key go together: the key of their context, or else its
    /// connection. Those with neither go together as well. Off by default.
    pub keyed: bool,
}

impl Default for BatchProcessorConfig {
    fn default() -> Self {
        Self {
            batch_size: 32,
            batch_timeout: Duration::from_millis(1),
            max_batch_wait: Duration::from_millis(10),
            enable_adaptive_batching: true,
            target_p99: None,
            close_when_idle: true,
            urgent: Some(TaskPriority::Critical),
            keyed: false,
        }
    }
}

impl BatchProcessorConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most requests of a batch.
    #[must_use]
    pub fn batch_size(mut self, requests: usize) -> Self {
        self.batch_size = requests;
        self
    }

    /// Sets how long a batch lingers for more.
    #[must_use]
    pub fn batch_timeout(mut self, timeout: Duration) -> Self {
        self.batch_timeout = timeout;
        self
    }

    /// Sets how old a request may be while its batch lingers.
    #[must_use]
    pub fn max_batch_wait(mut self, wait: Duration) -> Self {
        self.max_batch_wait = wait;
        self
    }

    /// Sets whether the pool learns which size pays.
    #[must_use]
    pub fn enable_adaptive_batching(mut self, adaptive: bool) -> Self {
        self.enable_adaptive_batching = adaptive;
        self
    }

    /// Sets the time to answer that adaptive batching aims to stay below.
    #[must_use]
    pub fn target_p99(mut self, time: Duration) -> Self {
        self.target_p99 = Some(time);
        self
    }

    /// Sets whether a batch goes at once while nothing else runs.
    #[must_use]
    pub fn close_when_idle(mut self, close: bool) -> Self {
        self.close_when_idle = close;
        self
    }

    /// Sets from which priority on requests do not linger; `None` for no priority.
    #[must_use]
    pub fn urgent(mut self, from: Option<TaskPriority>) -> Self {
        self.urgent = from;
        self
    }

    /// Sets whether only requests of the same key go together.
    #[must_use]
    pub fn keyed(mut self, keyed: bool) -> Self {
        self.keyed = keyed;
        self
    }
}
