//! Every bound of a pool, and the check that lists all problems at once.

use std::time::Duration;

use crate::admission::OverflowPolicy;
use crate::cpus;
use crate::error::{ConfigError, ConfigProblem};
use crate::lane::pick::{self, MOST_LANES};
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

const LEAST_STACK: usize = 16 * 1024;
const MOST_NAME: usize = 64;

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
            lanes: DEFAULT_WEIGHTS.map(lane).to_vec(),
            thread_name: "lanepool".to_owned(),
            thread_stack_size: None,
            sample_every: 64,
            max_run_length: LONGEST_RUN,
            default_timeout: None,
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

    /// Checks every bound.
    ///
    /// # Errors
    /// All problems at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Problems(Vec::new());
        problems.at_most("worker_count", self.worker_count, 0, MOST_WORKERS);
        problems.at_most("lanes", self.lanes.len(), 1, MOST_LANES);
        for (index, lane) in self.lanes.iter().enumerate() {
            let field = |name| format!("lanes[{index}].{name}");
            problems.at_most(field("capacity"), lane.capacity, 1, MOST_CAPACITY);
            problems.at_most(
                field("weight"),
                lane.weight as usize,
                1,
                MOST_WEIGHT as usize,
            );
        }
        let name = &self.thread_name;
        if name.is_empty() || name.len() > MOST_NAME || name.contains('\0') {
            problems.add(
                "thread_name",
                format!("{name:?}"),
                "1 to 64 bytes, none of them NUL",
            );
        }
        if let Some(stack) = self.thread_stack_size {
            problems.at_most("thread_stack_size", stack, LEAST_STACK, MOST_STACK);
        }
        problems.at_most("sample_every", self.sample_every as usize, 1, 1 << 20);
        problems.at_most("max_run_length", self.max_run_length, 1, LONGEST_RUN);
        if self
            .default_timeout
            .is_some_and(|timeout| timeout.is_zero())
        {
            problems.add("default_timeout", "0".to_owned(), "more than 0, or none");
        }
        ConfigError::of(problems.0)
    }

    /// The weights of the lanes, lowest first.
    pub(crate) fn weights(&self) -> Vec<u32> {
        self.lanes.iter().map(|lane| lane.weight).collect()
    }

    /// Within how many pulls of all workers the task at the head of `lane` starts: `W * r * B(lane)`.
    pub(crate) fn starvation_bound(&self, lane: usize, longest_run: usize) -> u64 {
        let bound = pick::worker_bound(&self.weights(), lane);
        (self.workers() * longest_run) as u64 * bound
    }
}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, value: String, allowed: impl Into<String>) {
        self.0.push(ConfigProblem {
            field: field.into(),
            value,
            allowed: allowed.into(),
        });
    }

    fn at_most(&mut self, field: impl Into<String>, value: usize, least: usize, most: usize) {
        if !(least..=most).contains(&value) {
            self.add(field, value.to_string(), format!("{least} to {most}"));
        }
    }
}

/// Builds a [`WorkerPoolConfig`]; see there.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerPoolConfigBuilder {
    config: WorkerPoolConfig,
}

impl WorkerPoolConfigBuilder {
    /// Sets the number of workers; 0 for one per usable CPU.
    pub fn workers(mut self, count: usize) -> Self {
        self.config.worker_count = count;
        self
    }

    /// Replaces all lanes, lowest first.
    pub fn lanes(mut self, lanes: impl IntoIterator<Item = LaneConfig>) -> Self {
        self.config.lanes = lanes.into_iter().collect();
        self
    }

    /// Changes the lane of a priority. Does nothing when there are no lanes.
    pub fn lane(
        mut self,
        priority: TaskPriority,
        change: impl FnOnce(LaneConfig) -> LaneConfig,
    ) -> Self {
        let index = priority.lane(self.config.lanes.len());
        if let Some(lane) = self.config.lanes.get_mut(index) {
            *lane = change(std::mem::take(lane));
        }
        self
    }

    /// Sets what the workers' threads are called.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.config.thread_name = name.into();
        self
    }

    /// Sets the stack of the workers' threads, in bytes.
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.config.thread_stack_size = Some(bytes);
        self
    }

    /// Times one task in this many.
    pub fn sample_every(mut self, tasks: u32) -> Self {
        self.config.sample_every = tasks;
        self
    }

    /// Sets how many very cheap tasks a worker takes in one claim.
    pub fn max_run_length(mut self, tasks: usize) -> Self {
        self.config.max_run_length = tasks;
        self
    }

    /// Gives tasks without a deadline one that is this far from their submission.
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.config.default_timeout = Some(timeout);
        self
    }

    /// Checks and builds.
    ///
    /// # Errors
    /// All problems at once.
    pub fn build(self) -> Result<WorkerPoolConfig, ConfigError> {
        self.config.validate()?;
        Ok(self.config)
    }
}
