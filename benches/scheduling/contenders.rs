//! The strategies that are compared.

use lanepool::{LoadBalancingStrategy, SchedulingStrategy, WorkerPoolConfig};

use crate::loads::{Load, WORKERS};

/// Where tasks wait, and for tasks of keys whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) strategy: SchedulingStrategy,
    pub(crate) balancing: LoadBalancingStrategy,
}

/// What a pool does that is told nothing else.
pub(crate) const DEFAULT: Contender = Contender {
    strategy: SchedulingStrategy::PriorityBased,
    balancing: LoadBalancingStrategy::AdaptiveHybrid,
};

/// What a pool does that is told to keep order by key, and nothing else.
pub(crate) const KEYED_DEFAULT: Contender = Contender {
    strategy: SchedulingStrategy::HashBased,
    balancing: LoadBalancingStrategy::AdaptiveHybrid,
};

/// All of them. The balancing makes a difference to tasks with keys alone.
pub(crate) fn all() -> Vec<Contender> {
    let plain = [
        SchedulingStrategy::PriorityBased,
        SchedulingStrategy::RoundRobin,
        SchedulingStrategy::LeastLoaded,
        SchedulingStrategy::Random,
    ];
    let plain = plain.map(|strategy| Contender {
        strategy,
        ..DEFAULT
    });
    let keyed = LoadBalancingStrategy::ALL.map(|balancing| Contender {
        balancing,
        ..KEYED_DEFAULT
    });
    plain.into_iter().chain(keyed).collect()
}

impl Contender {
    /// Whether it runs the tasks of a key in order, one at a time.
    pub(crate) fn is_keyed(self) -> bool {
        self.strategy == SchedulingStrategy::HashBased
    }

    /// Whether it chooses a balancing by what it measures, and so needs a warm-up.
    pub(crate) fn is_adaptive(self) -> bool {
        self.is_keyed() && self.balancing == LoadBalancingStrategy::AdaptiveHybrid
    }

    pub(crate) fn name(self) -> String {
        if self.is_keyed() {
            format!("{:?}, {:?}", self.strategy, self.balancing)
        } else {
            format!("{:?}", self.strategy)
        }
    }

    /// Its pool.
    pub(crate) fn config(self, load: &Load) -> WorkerPoolConfig {
        WorkerPoolConfig {
            worker_count: WORKERS,
            scheduling_strategy: self.strategy,
            load_balancing_strategy: self.balancing,
            worker_weights: load.weights.to_vec(),
            sample_every: 1,
            ..WorkerPoolConfig::default()
        }
    }
}
