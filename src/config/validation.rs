//! Every bound of a configuration, and the check that lists all problems at once.

use std::time::Duration;

use super::{
    MOST_CAPACITY, MOST_STACK, MOST_SUB_RINGS, MOST_WEIGHT, MOST_WORKER_WEIGHT, MOST_WORKERS,
    WorkerPoolConfig,
};
use crate::batch::MOST_BATCH;
use crate::error::{ConfigError, ConfigProblem};
use crate::lane::pick::MOST_LANES;
use crate::worker::LONGEST_RUN;

const LEAST_STACK: usize = 16 * 1024;
const MOST_NAME: usize = 64;

impl WorkerPoolConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// All problems at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Problems(Vec::new());
        problems.at_most("worker_count", self.worker_count, 0, MOST_WORKERS);
        if self.max_workers != 0 && !(self.workers()..=MOST_WORKERS).contains(&self.max_workers) {
            let allowed = format!(
                "0, or {} to {MOST_WORKERS}",
                self.workers().min(MOST_WORKERS)
            );
            problems.add("max_workers", self.max_workers.to_string(), allowed);
        }
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
        self.validate_scheduling(&mut problems);
        self.validate_batching(&mut problems);
        ConfigError::of(problems.0)
    }

    fn validate_scheduling(&self, problems: &mut Problems) {
        problems.worker_weights(&self.worker_weights, self.places());
        for (index, reservation) in self.reserved.iter().enumerate() {
            if reservation.workers == 0 {
                let field = format!("reserved[{index}].workers");
                problems.add(field, "0".to_owned(), "1 or more");
            }
        }
        let reserved = self.reserved_workers();
        if reserved > 0 && reserved >= self.workers() {
            let allowed = format!(
                "fewer workers than the pool has, which is {}, so that one remains for all lanes",
                self.workers()
            );
            problems.add("reserved", reserved.to_string(), allowed);
        }
        if let Some(ageing) = self.ageing
            && ageing < Duration::from_micros(1)
        {
            problems.add("ageing", format!("{ageing:?}"), "1 µs or more, or none");
        }
        problems.at_most("sub_rings", self.sub_rings, 1, MOST_SUB_RINGS);
    }

    fn validate_batching(&self, problems: &mut Problems) {
        let batching = &self.batching;
        problems.at_most("batching.batch_size", batching.batch_size, 1, MOST_BATCH);
        if batching.max_batch_wait.is_zero() || batching.max_batch_wait < batching.batch_timeout {
            let allowed = format!(
                "more than 0, and no less than batch_timeout, which is {:?}",
                batching.batch_timeout
            );
            let value = format!("{:?}", batching.max_batch_wait);
            problems.add("batching.max_batch_wait", value, allowed);
        }
        if batching.target_p99.is_some_and(|time| time.is_zero()) {
            problems.add(
                "batching.target_p99",
                "0".to_owned(),
                "more than 0, or none",
            );
        }
    }

    /// Checks weights for so many workers.
    ///
    /// # Errors
    /// All problems at once.
    pub(crate) fn validate_weights(weights: &[u32], workers: usize) -> Result<(), ConfigError> {
        let mut problems = Problems(Vec::new());
        problems.worker_weights(weights, workers);
        ConfigError::of(problems.0)
    }
}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn worker_weights(&mut self, weights: &[u32], workers: usize) {
        if !weights.is_empty() && weights.len() != workers {
            let allowed = format!("none, or one for each of the {workers} workers");
            self.add(
                "worker_weights",
                format!("{} weights", weights.len()),
                allowed,
            );
        }
        for (index, weight) in weights.iter().enumerate() {
            let field = format!("worker_weights[{index}]");
            self.at_most(field, *weight as usize, 1, MOST_WORKER_WEIGHT as usize);
        }
    }

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
