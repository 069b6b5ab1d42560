//! Sets a configuration by name.

use std::time::Duration;

use super::{LaneConfig, Reservation, WorkerPoolConfig};
use crate::batch::BatchProcessorConfig;
use crate::error::ConfigError;
use crate::schedule::{LoadBalancingStrategy, SchedulingStrategy};
use crate::task::TaskPriority;

/// Builds a [`WorkerPoolConfig`]; see there.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerPoolConfigBuilder {
    pub(super) config: WorkerPoolConfig,
}

impl WorkerPoolConfigBuilder {
    /// Sets the number of workers; 0 for one per usable CPU.
    pub fn workers(mut self, count: usize) -> Self {
        self.config.worker_count = count;
        self
    }

    /// Sets how many workers the pool can have later; 0 for no more than it is built with.
    pub fn max_workers(mut self, count: usize) -> Self {
        self.config.max_workers = count;
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

    /// Sets where tasks wait.
    pub fn scheduling_strategy(mut self, strategy: SchedulingStrategy) -> Self {
        self.config.scheduling_strategy = strategy;
        self
    }

    /// Sets which worker takes the tasks of a key or a part of a batch.
    pub fn load_balancing_strategy(mut self, strategy: LoadBalancingStrategy) -> Self {
        self.config.load_balancing_strategy = strategy;
        self
    }

    /// Sets whether a worker without a task takes one that was placed with another worker.
    pub fn enable_task_stealing(mut self, steal: bool) -> Self {
        self.config.enable_task_stealing = steal;
        self
    }

    /// Sets how much of the work each worker gets under
    /// [`LoadBalancingStrategy::WeightedRoundRobin`].
    pub fn worker_weights(mut self, weights: impl IntoIterator<Item = u32>) -> Self {
        self.config.worker_weights = weights.into_iter().collect();
        self
    }

    /// Keeps so many workers for tasks of this priority and higher ones, beside those that are kept
    /// already.
    pub fn reserve(mut self, priority: TaskPriority, workers: usize) -> Self {
        self.config.reserved.push(Reservation { priority, workers });
        self
    }

    /// Has a task that waited this long count as one lane higher.
    pub fn ageing(mut self, after: Duration) -> Self {
        self.config.ageing = Some(after);
        self
    }

    /// Sets how many rings each lane has.
    pub fn sub_rings(mut self, rings: usize) -> Self {
        self.config.sub_rings = rings;
        self
    }

    /// Sets how requests form batches.
    pub fn batching(mut self, batching: BatchProcessorConfig) -> Self {
        self.config.batching = batching;
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
