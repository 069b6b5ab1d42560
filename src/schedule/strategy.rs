//! The strategies by name.

/// Where a task waits until a worker takes it. Can be changed while the pool runs; see
/// [`TaskScheduler::set_strategy`](crate::TaskScheduler::set_strategy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SchedulingStrategy {
    /// In the lanes of one worker after the other.
    RoundRobin,
    /// In the lanes of the worker with fewer tasks, of two that are chosen at random ("power of two
    /// choices", Mitzenmacher 1996).
    LeastLoaded,
    /// In the lanes of a worker chosen at random.
    Random,
    /// A task with a key waits for the tasks of its key that came before it; those of one key start in
    /// the order of their submission, one at a time. The key is the context's
    /// [`key`](crate::TaskContext::key), or else its
    /// [`connection_id`](crate::TaskContext::connection_id). Tasks without one wait as under
    /// [`PriorityBased`](Self::PriorityBased). Which worker takes a key's tasks is the
    /// [`LoadBalancingStrategy`]'s choice.
    HashBased,
    /// In lanes that all workers share. No placement balances better than workers that take the next
    /// task when they are free, so this is the default.
    #[default]
    PriorityBased,
}

impl SchedulingStrategy {
    /// All strategies, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::RoundRobin,
        Self::LeastLoaded,
        Self::Random,
        Self::HashBased,
        Self::PriorityBased,
    ];
}

/// Which worker takes the tasks of a key, or a part of a batch, where tasks are placed with workers. Can
/// be changed while the pool runs; see [`LoadBalancer::set_strategy`](crate::LoadBalancer::set_strategy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LoadBalancingStrategy {
    /// One worker after the other.
    RoundRobin,
    /// The worker with the fewest tasks in its lanes and its hand.
    LeastConnections,
    /// One worker after the other, each as often as its weight says
    /// ([`worker_weights`](crate::WorkerPoolConfig::worker_weights)).
    WeightedRoundRobin,
    /// Of two workers chosen at random the one with the lower product of its outstanding tasks and the
    /// time that its tasks take, a moving average that follows peaks at once ("peak EWMA", Finagle).
    ResponseTimeWeighted,
    /// Whichever of the others has the shortest measured waits; see
    /// [`AdaptiveLoadController`](crate::AdaptiveLoadController).
    #[default]
    AdaptiveHybrid,
}

impl LoadBalancingStrategy {
    /// All strategies, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::RoundRobin,
        Self::LeastConnections,
        Self::WeightedRoundRobin,
        Self::ResponseTimeWeighted,
        Self::AdaptiveHybrid,
    ];
}
