//! What a caller sees of the scheduling.

use std::time::{Duration, Instant};

use super::SchedulingStrategy;

/// How a pool schedules, at one moment. Sums since the pool was built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SchedulingStatistics {
    /// The strategy in force.
    pub strategy: SchedulingStrategy,
    /// Changes of the strategy so far.
    pub epoch: u64,
    /// Tasks that were accepted.
    pub scheduled: u64,
    /// The same for each lane, lowest first: the distribution over the priorities.
    pub by_lane: Vec<u64>,
    /// Tasks that a worker took out of another one's lanes; the tasks of a key count when the key's turn
    /// was taken.
    pub stolen: u64,
    /// Tasks that found the lane of the chosen worker full and went to the lane that all share.
    pub overflowed: u64,
    /// Tasks that were accepted to be run in the order of their key.
    pub keyed: u64,
    /// Keys that have tasks now.
    pub live_keys: usize,
    /// How often the turn of a key was announced to the workers: once for each of its tasks, less those
    /// that were abandoned.
    pub key_runs: u64,
    /// Pulls that went to a lane because its task had waited for long.
    pub aged: u64,
    /// The mean time that it takes to decide where a task goes, of one decision in
    /// 64. Zero while there is nothing to decide.
    pub scheduling_time: Duration,
    /// How evenly the work is spread: Jain's index of the times for which services ran on the workers,
    /// from `1 / workers` (all on one) to 1 (the same on each). R. Jain, D. Chiu, W. Hawe, *A Quantitative
    /// Measure of Fairness and Discrimination for Resource Allocation in Shared Computer Systems*,
    /// DEC-TR-301, 1984. Estimated from the timed sample.
    pub balance_efficiency: f64,
}

/// What a load balancer knows of one worker.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// The worker's number.
    pub worker: usize,
    /// Tasks in its lanes and in its hand. Of shared lanes no worker has a part.
    pub current_load: u64,
    /// Tasks in its lanes; the waiting tasks of a key count as one.
    pub queue_depth: u64,
    /// From acceptance to outcome, of the timed sample: a moving average over about a second.
    pub average_response_time: Duration,
    /// Outcomes in a second, over the worker's life.
    pub throughput: f64,
    /// The share of outcomes that were failures or panics, 0 to 1, over the worker's life.
    pub error_rate: f64,
    /// When the response time was last measured.
    pub last_update: Option<Instant>,
}
