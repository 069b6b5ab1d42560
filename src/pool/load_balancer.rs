//! Which worker takes the tasks of a key or a part of a batch, in the owner's hands.

use std::fmt;

use crate::config::WorkerPoolConfig;
use crate::engine::Engine;
use crate::error::ConfigError;
use crate::schedule::{LoadBalancingStrategy, WorkerMetrics};

/// The load balancing of a pool. From [`WorkerPool::load_balancer`](crate::WorkerPool::load_balancer).
///
/// Tasks that wait in shared lanes need none: a worker that is free takes the next. It decides where tasks
/// are placed with workers: the tasks of a key, which stay with a worker from one to the next, and the parts
/// of a batch under [`SchedulingStrategy`](crate::SchedulingStrategy)`::RoundRobin`, `LeastLoaded` and
/// `Random`. An idle worker that may steal corrects it.
///
/// # Examples
/// ```
/// use lanepool::{LoadBalancingStrategy, WorkerPool, WorkerPoolConfig, service_fn};
///
/// let config = WorkerPoolConfig::builder().workers(2).build()?;
/// let pool = WorkerPool::with_config(service_fn(|n: u64, _: &_| Ok::<_, ()>(n)), config)?;
/// let balancer = pool.load_balancer();
/// balancer.set_strategy(LoadBalancingStrategy::WeightedRoundRobin);
/// balancer.set_weights(&[3, 1])?;
/// assert_eq!(balancer.metrics().len(), 2);
///
/// let error = balancer.set_weights(&[0, 1, 2]).unwrap_err();
/// assert_eq!(error.problems().len(), 2, "every problem at once, and nothing is changed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LoadBalancer<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
}

impl<'a, Q, R, E> LoadBalancer<'a, Q, R, E> {
    pub(super) fn new(engine: &'a Engine<Q, R, E>) -> Self {
        Self { engine }
    }

    /// The strategy that was asked for.
    pub fn strategy(&self) -> LoadBalancingStrategy {
        self.engine.balancer.strategy()
    }

    /// The strategy that is followed: what
    /// [`AdaptiveHybrid`](LoadBalancingStrategy::AdaptiveHybrid) has chosen, if that was asked for.
    pub fn in_force(&self) -> LoadBalancingStrategy {
        self.engine.balancer.in_force()
    }

    /// How often strategy or weights were changed.
    pub fn epoch(&self) -> u64 {
        self.engine.balancer.epoch()
    }

    /// Changes the strategy. Returns the new epoch.
    pub fn set_strategy(&self, strategy: LoadBalancingStrategy) -> u64 {
        self.engine.set_balancing(strategy)
    }

    /// Changes the workers' weights. Returns the new epoch.
    ///
    /// # Errors
    /// All problems at once; then nothing is changed.
    pub fn set_weights(&self, weights: &[u32]) -> Result<u64, ConfigError> {
        let workers = self.engine.blocks.len();
        WorkerPoolConfig::validate_weights(weights, workers)?;
        Ok(self.engine.balancer.change_weights(weights, workers))
    }

    /// What is known of each worker at this moment.
    pub fn metrics(&self) -> Vec<WorkerMetrics> {
        self.engine.worker_metrics()
    }
}

impl<Q, R, E> fmt::Debug for LoadBalancer<'_, Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoadBalancer")
            .field("strategy", &self.strategy())
            .field("in_force", &self.in_force())
            .finish_non_exhaustive()
    }
}
