//! The handle: everything a user does with a pool.
//!
//! 1. [`builder`] builds it, [`hiring`] starts workers, and [`owner`] adds and removes some.
//! 2. [`ways_in`] hands requests over, one at a time.
//! 3. [`batch`] hands over many and keeps their order.
//! 4. [`stream`] hands over many and takes results as they come.
//! 5. [`scheduler`] and [`load_balancer`] change how the pool schedules, and show it.
//! 6. [`batch_processor`] shows how requests form batches.
//! 7. [`shutdown`] ends the pool and accounts for everything.

mod batch;
mod batch_processor;
mod builder;
mod hiring;
mod load_balancer;
mod owner;
mod scheduler;
mod shutdown;
mod stream;
mod waiting;
mod ways_in;

use std::fmt;
use std::sync::Arc;

pub use batch_processor::{BatchProcessor, BatchingQueue};
pub use builder::PoolBuilder;
pub use load_balancer::LoadBalancer;
pub use scheduler::TaskScheduler;
pub use shutdown::{Returned, RunningTask, ShutdownReport};
pub use stream::{ResultStream, StreamItem};

use crate::config::WorkerPoolConfig;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::events::EventStream;
use crate::service::{BatchService, Service};
use crate::stats::{PerformanceMonitor, WorkerPoolStatistics};
use crate::task::TaskPriority;

/// A pool of workers for requests `Q`, answered by responses `R` or errors `E`.
///
/// A handle: clones are cheap and share the pool. When the last handle is dropped the pool accepts
/// nothing more, tasks that wait in the lanes are abandoned and their callers told so, tasks that
/// run are finished and answered, and the workers end. [`WorkerPool::shutdown`] is the kinder way.
///
/// The type does not name the service.
///
/// # Examples
/// ```
/// use lanepool::{service_fn, TaskContext, TaskPriority, WorkerPool};
///
/// let pool = WorkerPool::new(service_fn(|n: u64, _: &TaskContext| {
///     n.checked_mul(2).ok_or("too large to double")
/// }))?;
/// let answer = pool.execute_blocking(21, TaskPriority::High, TaskContext::new());
/// assert_eq!(answer.unwrap(), 42);
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub struct WorkerPool<Q, R, E> {
    engine: Arc<Engine<Q, R, E>>,
    owner: Arc<owner::Owner<Q, R, E>>,
}

impl<Q, R, E> Clone for WorkerPool<Q, R, E> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            owner: Arc::clone(&self.owner),
        }
    }
}

impl<Q, R, E> fmt::Debug for WorkerPool<Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WorkerPool")
            .field("workers", &self.engine.shards.crew.workers())
            .field("lanes", &self.engine.shards.shared.len())
            .field("closed", &self.engine.shards.shared.is_closed())
            .finish_non_exhaustive()
    }
}

impl<Q, R, E> WorkerPool<Q, R, E>
where
    Q: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// A pool of threads with the default configuration: one per usable CPU, four lanes.
    ///
    /// # Errors
    /// A thread could not be started, or the service panicked while it made a worker's state.
    ///
    /// # Blocking
    /// Until every worker has its state.
    pub fn new<S>(service: S) -> Result<Self, BuildError>
    where
        S: Service<Q, Response = R, Error = E>,
    {
        PoolBuilder::new().build(service)
    }

    /// A pool of threads.
    ///
    /// # Errors
    /// As [`WorkerPool::new`], or the configuration is not valid.
    ///
    /// # Blocking
    /// Until every worker has its state.
    pub fn with_config<S>(service: S, config: WorkerPoolConfig) -> Result<Self, BuildError>
    where
        S: Service<Q, Response = R, Error = E>,
    {
        PoolBuilder::new().config(config).build(service)
    }

    /// A pool of threads whose tasks a monitor is told of.
    ///
    /// # Errors
    /// As [`WorkerPool::with_config`].
    ///
    /// # Blocking
    /// Until every worker has its state.
    pub fn with_performance_monitor<S>(
        service: S,
        config: WorkerPoolConfig,
        monitor: impl PerformanceMonitor,
    ) -> Result<Self, BuildError>
    where
        S: Service<Q, Response = R, Error = E>,
    {
        PoolBuilder::new()
            .config(config)
            .monitor(monitor)
            .build(service)
    }

    /// A pool of tokio tasks on the current runtime, with the default configuration.
    ///
    /// # Errors
    /// There is no runtime, or the service panicked while it made a worker's state.
    #[cfg(feature = "tokio")]
    pub fn new_async<S>(service: S) -> Result<Self, BuildError>
    where
        S: crate::AsyncService<Q, Response = R, Error = E>,
    {
        PoolBuilder::new().build_async(service)
    }

    /// A pool of tokio tasks on the current runtime.
    ///
    /// # Errors
    /// As [`WorkerPool::new_async`], or the configuration is not valid.
    #[cfg(feature = "tokio")]
    pub fn with_config_async<S>(service: S, config: WorkerPoolConfig) -> Result<Self, BuildError>
    where
        S: crate::AsyncService<Q, Response = R, Error = E>,
    {
        PoolBuilder::new().config(config).build_async(service)
    }

    /// A pool of threads that run batches of requests; [`batching`](WorkerPoolConfig::batching) says how these
    /// form.
    ///
    /// # Errors
    /// As [`WorkerPool::with_config`].
    ///
    /// # Blocking
    /// Until every worker has its state.
    pub fn with_batches<S>(service: S, config: WorkerPoolConfig) -> Result<Self, BuildError>
    where
        S: BatchService<Q, Response = R, Error = E>,
    {
        PoolBuilder::new().config(config).build_batches(service)
    }

    /// A pool of tokio tasks on the current runtime that run batches of requests.
    ///
    /// # Errors
    /// As [`WorkerPool::with_config_async`]; or batches are to linger and the runtime has no timer.
    #[cfg(feature = "tokio")]
    pub fn with_batches_async<S>(service: S, config: WorkerPoolConfig) -> Result<Self, BuildError>
    where
        S: crate::AsyncBatchService<Q, Response = R, Error = E>,
    {
        PoolBuilder::new()
            .config(config)
            .build_batches_async(service)
    }

    /// For everything that the constructors do not say; the same as [`PoolBuilder::new`].
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }
}

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// The configuration the pool was built with.
    pub fn config(&self) -> &WorkerPoolConfig {
        &self.engine.config
    }

    /// How many workers the pool has: as many as it was built with, or was last [told](WorkerPool::set_workers) to
    /// have. Those that have ended by themselves count.
    pub fn workers(&self) -> usize {
        self.engine.shards.crew.workers()
    }

    /// The share of workers that run a task now, 0 to 1, of those that have not ended.
    pub fn usage_ratio(&self) -> f64 {
        self.engine.usage_ratio()
    }

    /// All statistics at this moment. Costs some microseconds and holds nobody up.
    pub fn statistics(&self) -> WorkerPoolStatistics {
        self.engine.statistics()
    }

    /// Where tasks wait and in which order they are taken: to change it, and to see it.
    pub fn scheduler(&self) -> TaskScheduler<'_, Q, R, E> {
        TaskScheduler::new(&self.engine)
    }

    /// Which worker takes the tasks of a key or a part of a batch: to change it, and to see it.
    pub fn load_balancer(&self) -> LoadBalancer<'_, Q, R, E> {
        LoadBalancer::new(&self.engine)
    }

    /// How requests form batches; `None` if the service takes them one by one.
    pub fn batch_processor(&self) -> Option<BatchProcessor<'_, Q, R, E>> {
        BatchProcessor::of(&self.engine)
    }

    /// What happens to the pool from now on. A subscriber that falls 1,024 events behind loses the
    /// newest.
    pub fn events(&self) -> EventStream {
        self.engine.events.subscribe()
    }

    /// The starvation bound: a task at the head of this priority's lane is started within so many
    /// pulls of all workers together, however full the other lanes are.
    ///
    /// `N(L) = W * r * B(L)` for `W` workers that take the lane and runs of at most `r` tasks (1 for async workers;
    /// [`max_run_length`](WorkerPoolConfig::max_run_length) for threads, though runs of more than
    /// one form only when tasks cost less than 60 ns). With `n` lanes of weights `w` that add up to
    /// `S`, `B(L) = ceil(S / w(L)) + n - 2` below the top lane, and for the top lane the least `k`
    /// with `k >= 1 + sum of ceil(k / ceil(S / w(L)))` over the lanes below; `B = 1` for a single
    /// lane. With [ageing](WorkerPoolConfig::ageing) it doubles.
    ///
    /// Once the pool has placed tasks anywhere else than in the shared lanes, each worker goes around among `s`
    /// sets, 4 as a rule, and this is `s` times as much. Of a task in a worker's own lanes it is that
    /// worker's pulls that count, `s * r * B(L)` of them.
    ///
    /// # Examples
    /// ```
    /// use lanepool::{service_fn, TaskPriority, WorkerPool, WorkerPoolConfig};
    ///
    /// let config = WorkerPoolConfig::builder().workers(2).max_run_length(1).build()?;
    /// let pool = WorkerPool::with_config(service_fn(|n: u8, _: &_| Ok::<_, ()>(n)), config)?;
    /// assert_eq!(pool.starvation_bound(TaskPriority::Critical), 2 * 4);
    /// assert_eq!(pool.starvation_bound(TaskPriority::Low), 2 * (85 + 4 - 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn starvation_bound(&self, priority: TaskPriority) -> u64 {
        let lane = self.engine.lane_of(priority);
        let bound = self.engine.config.starvation_bound(
            lane,
            self.engine.eligible(lane),
            self.owner.longest_run(),
        );
        bound * self.engine.sets_at_home() as u64
    }
}
