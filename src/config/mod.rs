//! Everything that can be said about a pool before it is built.
//!
//! 1. [`builder`] sets it by name.
//! 2. [`validation`] checks every bound and lists all problems at once.

mod builder;
mod validation;

use std::time::Duration;

pub use builder::WorkerPoolConfigBuilder;

use crate::admission::OverflowPolicy;
use crate::batch::BatchProcessorConfig;
use crate::cpus;
use crate::lane::pick::{self, LaneBits};
use crate::schedule::{LoadBalancingStrategy, SchedulingStrategy};
use crate::task::TaskPriority;
use crate::worker::LONGEST_RUN;

/// The most workers a pool can have.
pub const MOST_WORKERS: usize = 1_024;
/// The most tasks a lane can hold.
pub const MOST_CAPACITY: usize = 1 << 24;
/// The largest weight of a lane.
pub const MOST_WEIGHT: u32 = 1_000_000;
/// The largest stack of a worker's thread, in bytes.
pub const MOST_STACK: usize = 1 << 30;
/// The largest weight of a worker.
pub const MOST_WORKER_WEIGHT: u32 = 10_000;
/// The most rings of a lane.
pub const MOST_SUB_RINGS: usize = 16;

/// How a pool is built. A plain struct; [`WorkerPoolConfig::builder`] checks as it builds, and every
/// constructor of a pool checks again.
///
/// # Examples
/// ```
/// use lanepool::{OverflowPolicy, TaskPriority, WorkerPoolConfig};
///
/// let config = WorkerPoolConfig::builder()
///     .workers(4)
///     .lane(TaskPriority::Low, |lane| lane.capacity(4_096).overflow(OverflowPolicy::Reject))
///     .build()?;
/// assert_eq!(config.worker_count, 4);
///
/// let error = WorkerPoolConfig::builder().workers(1_000_000).sample_every(0).build().unwrap_err();
/// assert_eq!(error.problems().len(), 2, "every problem at once");
/// # Ok::<(), lanepool::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct WorkerPoolConfig {
    /// Workers: threads of a sync service, tasks of an async one. 0 stands for one per CPU that this
    /// process may use (affinity and container quota respected). At most [`MOST_WORKERS`].
    pub worker_count: usize,
    /// The most workers that the pool can have later, when
    /// [`WorkerPool::set_workers`](crate::WorkerPool::set_workers) adds some: from as many as it is built with up to
    /// [`MOST_WORKERS`]. 0 stands for as many as it is built with. A place that is not used takes some kilobytes.
    pub max_workers: usize,
    /// The lanes, lowest first: 1 to 8. Four by default, one for each [`TaskPriority`].
    pub lanes: Vec<LaneConfig>,
    /// What the workers' threads are called, before a dash and their number: 1 to 64 bytes.
    pub thread_name: String,
    /// The stack of a worker's thread in bytes, 16 KiB to 1 GiB; the system's default if not given.
    pub thread_stack_size: Option<usize>,
    /// One task in this many is timed for the wait and run histograms; 1 times all, at some tens of
    /// nanoseconds each. Rounded up to a power of two. Counts are exact in any case.
    pub sample_every: u32,
    /// How many very cheap tasks a worker takes in one claim: 1 to 16. It adapts below this; see
    /// [`WorkerPool::starvation_bound`](crate::WorkerPool::starvation_bound).
    pub max_run_length: usize,
    /// The deadline of a task that comes without one, counted from its submission.
    pub default_timeout: Option<Duration>,
    /// Where tasks wait. Can be changed later.
    pub scheduling_strategy: SchedulingStrategy,
    /// Which worker takes the tasks of a key or a part of a batch. Can be changed later.
    pub load_balancing_strategy: LoadBalancingStrategy,
    /// Whether a worker without a task takes one that was placed with another worker.
    pub enable_task_stealing: bool,
    /// How much of the work each worker gets under
    /// [`LoadBalancingStrategy::WeightedRoundRobin`]: none given, or one for each worker that the pool can
    /// have, 1 to [`MOST_WORKER_WEIGHT`]. Can be changed later.
    pub worker_weights: Vec<u32>,
    /// Workers that are kept for urgent tasks. At least one worker remains for all lanes.
    pub reserved: Vec<Reservation>,
    /// A task that has waited this long counts as one lane higher, after twice as long as two lanes
    /// higher, and so on. Off by default; at least 1 µs.
    pub ageing: Option<Duration>,
    /// Rings of each lane, among which submitting threads are spread: 1 to [`MOST_SUB_RINGS`]. More
    /// than one may pay where many threads hand over very cheap tasks. Then order holds within each ring
    /// alone, and a task whose ring is full goes to another.
    pub sub_rings: usize,
    /// How requests form batches, in a pool of a [`BatchService`](crate::BatchService).
    pub batching: BatchProcessorConfig,
}

/// Some workers that take only tasks of one priority's lane and of higher ones, so that long tasks of
/// lower lanes never hold all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Reservation {
    /// The lowest priority that they take.
    pub priority: TaskPriority,
    /// How many workers, 1 or more.
    pub workers: usize,
}

/// One lane.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LaneConfig {
    /// How many tasks wait here at most: 1 to [`MOST_CAPACITY`], rounded up to a power of two, 2 or
    /// more. The memory is taken when the pool is built.
    pub capacity: usize,
    /// The lane's guaranteed share of pulls is its weight divided by the sum of all: 1 to
    /// [`MOST_WEIGHT`].
    pub weight: u32,
    /// What happens to a task when the lane is full.
    pub overflow: OverflowPolicy,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            capacity: 1_024,
            weight: 1,
            overflow: OverflowPolicy::Wait,
        }
    }
}

impl LaneConfig {
    /// A lane of 1,024 tasks and weight 1 whose submitters wait.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the capacity.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets the weight.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets what happens when the lane is full.
    #[must_use]
    pub fn overflow(mut self, overflow: OverflowPolicy) -> Self {
        self.overflow = overflow;
        self
    }
}

/// The weights of the four default lanes: under full load Low gets at least 1 pull in 85.
const DEFAULT_WEIGHTS: [u32; 4] = [1, 4, 16, 64];

impl Default for WorkerPoolConfig {
    fn default() -> Self {
        let lane = |weight| LaneConfig::new().weight(weight);
        Self {
            worker_count: 0,
            max_workers: 0,
            lanes: DEFAULT_WEIGHTS.map(lane).to_vec(),
            thread_name: "lanepool".to_owned(),
            thread_stack_size: None,
            sample_every: 64,
            max_run_length: LONGEST_RUN,
            default_timeout: None,
            scheduling_strategy: SchedulingStrategy::default(),
            load_balancing_strategy: LoadBalancingStrategy::default(),
            enable_task_stealing: true,
            worker_weights: Vec::new(),
            reserved: Vec::new(),
            ageing: None,
            sub_rings: 1,
            batching: BatchProcessorConfig::default(),
        }
    }
}

impl WorkerPoolConfig {
    /// Starts from the defaults.
    pub fn builder() -> WorkerPoolConfigBuilder {
        WorkerPoolConfigBuilder {
            config: Self::default(),
        }
    }

    /// How many workers that is on this machine.
    pub fn workers(&self) -> usize {
        if self.worker_count == 0 {
            cpus::usable().min(MOST_WORKERS)
        } else {
            self.worker_count
        }
    }

    /// How many workers the pool can have.
    pub(crate) fn places(&self) -> usize {
        match self.max_workers {
            0 => self.workers(),
            most => most,
        }
    }

    /// How many workers are kept for urgent tasks.
    pub(crate) fn reserved_workers(&self) -> usize {
        let reserved = self.reserved.iter().map(|kept| kept.workers);
        reserved.fold(0, usize::saturating_add)
    }

    /// The weights of the lanes, lowest first.
    pub(crate) fn weights(&self) -> Vec<u32> {
        self.lanes.iter().map(|lane| lane.weight).collect()
    }

    /// The lanes whose tasks the worker of each place takes. Those that take all come first, then the reserved
    /// ones, those of lower lanes first.
    pub(crate) fn worker_lanes(&self) -> Vec<LaneBits> {
        let mut lowest = vec![0; self.places()];
        let mut reserved: Vec<usize> = self
            .reserved
            .iter()
            .flat_map(|Reservation { priority, workers }| {
                std::iter::repeat_n(priority.lane(self.lanes.len()), *workers)
            })
            .collect();
        reserved.sort_unstable();
        let general = lowest.len().saturating_sub(reserved.len());
        lowest[general..].copy_from_slice(&reserved);
        lowest.iter().map(|lane| LaneBits::MAX << lane).collect()
    }

    /// Within how many pulls of the workers that take its tasks, so many of them, the task at the head of `lane`
    /// starts: `W * r * B(lane)`, twice that with ageing.
    pub(crate) fn starvation_bound(&self, lane: usize, takers: usize, longest_run: usize) -> u64 {
        let bound = pick::worker_bound(&self.weights(), lane);
        let ageing = if self.ageing.is_some() { 2 } else { 1 };
        (takers * longest_run) as u64 * bound * ageing
    }
}
