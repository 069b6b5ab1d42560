//! Where tasks wait and in which order they are taken, in the owner's hands.

use std::fmt;

use crate::engine::Engine;
use crate::schedule::{SchedulingStatistics, SchedulingStrategy};
use crate::task::TaskPriority;

/// The scheduling of a pool. From [`WorkerPool::scheduler`](crate::WorkerPool::scheduler).
///
/// # Examples
/// ```
/// use lanepool::{ProcessingTask, SchedulingStrategy, TaskPriority, WorkerPool, service_fn};
///
/// let pool = WorkerPool::new(service_fn(|n: u64, _: &_| Ok::<_, ()>(n)))?;
/// let scheduler = pool.scheduler();
/// assert_eq!(scheduler.strategy(), SchedulingStrategy::PriorityBased);
///
/// // Tasks of one asset in order, whatever waits for the others.
/// assert_eq!(scheduler.set_strategy(SchedulingStrategy::HashBased), 1);
/// let ticket = pool.submit_blocking(ProcessingTask::new(7).key(3)).expect("the pool is open");
/// assert_eq!(ticket.wait(), Ok(7));
/// assert_eq!(scheduler.statistics().keyed, 1);
///
/// scheduler.pause(TaskPriority::Low);
/// assert!(scheduler.is_paused(TaskPriority::Low));
/// scheduler.resume(TaskPriority::Low);
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub struct TaskScheduler<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
}

impl<'a, Q, R, E> TaskScheduler<'a, Q, R, E> {
    pub(super) fn new(engine: &'a Engine<Q, R, E>) -> Self {
        Self { engine }
    }

    /// The strategy in force.
    pub fn strategy(&self) -> SchedulingStrategy {
        self.engine.placement.plan().strategy()
    }

    /// How often the strategy was changed.
    pub fn epoch(&self) -> u64 {
        self.engine.placement.epoch()
    }

    /// Changes the strategy, between one submission and the next. Returns the new epoch.
    ///
    /// Tasks that wait stay where they are and are taken from there. Submissions that have begun may
    /// still follow the strategy before. From the first time that a pool is told
    /// [`HashBased`](SchedulingStrategy::HashBased), tasks with a key keep its order under every
    /// strategy that follows. A pool that is closed changes nothing.
    ///
    /// The first strategy other than [`PriorityBased`](SchedulingStrategy::PriorityBased) takes the memory for
    /// the workers' own lanes, as much as for the shared ones.
    pub fn set_strategy(&self, strategy: SchedulingStrategy) -> u64 {
        self.engine.set_strategy(strategy)
    }

    /// Has the workers take nothing from the lane of this priority. What they have claimed they finish, and one
    /// that is about to claim may still do so; tasks are still accepted, as far as the lane has room. While a lane
    /// is paused, each task of the others costs its worker a look at whose turn it is. Closing the pool resumes every lane.
    pub fn pause(&self, priority: TaskPriority) {
        self.engine.set_paused(self.engine.lane_of(priority), true);
    }

    /// Has the workers take from the lane of this priority again.
    pub fn resume(&self, priority: TaskPriority) {
        self.engine.set_paused(self.engine.lane_of(priority), false);
    }

    /// Whether the lane of this priority is paused.
    pub fn is_paused(&self, priority: TaskPriority) -> bool {
        let hint = self.engine.shards.shared.hint();
        hint.is_paused(self.engine.lane_of(priority))
    }

    /// How the pool schedules at this moment. Costs some microseconds and holds nobody up.
    pub fn statistics(&self) -> SchedulingStatistics {
        self.engine.scheduling_statistics()
    }
}

impl<Q, R, E> fmt::Debug for TaskScheduler<'_, Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TaskScheduler")
            .field("strategy", &self.strategy())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
