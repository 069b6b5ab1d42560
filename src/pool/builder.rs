//! Builds a pool.

use std::sync::Arc;

use super::WorkerPool;
use super::hiring::{When, hire_threads, start_threads};
#[cfg(feature = "tokio")]
use super::hiring::{hire_tasks, start_task};
use super::owner::{Owned, Owner};
use crate::clock::Clock;
use crate::config::WorkerPoolConfig;
use crate::cpus;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::idle::parker::Parker;
use crate::idle::{Sleeper, pace};
use crate::service::Service;
use crate::stats::{PerformanceMonitor, Watch};

/// Builds a pool.
///
/// # Examples
/// ```
/// use lanepool::{PoolBuilder, WorkerPoolConfig, service_fn};
///
/// let pool = PoolBuilder::new()
///     .config(WorkerPoolConfig::builder().workers(2).thread_name("assets").build()?)
///     .build(service_fn(|n: u8, _: &_| Ok::<_, ()>(n)))?;
/// assert_eq!(pool.workers(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    config: WorkerPoolConfig,
    clock: Clock,
    watch: Option<Watch>,
    #[cfg(feature = "tokio")]
    runtime: Option<tokio::runtime::Handle>,
}

impl Default for PoolBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PoolBuilder {
    /// A pool with the default configuration, the machine's clock and no monitor.
    pub fn new() -> Self {
        Self {
            config: WorkerPoolConfig::default(),
            clock: Clock::monotonic(),
            watch: None,
            #[cfg(feature = "tokio")]
            runtime: None,
        }
    }

    /// Sets the configuration.
    pub fn config(mut self, config: WorkerPoolConfig) -> Self {
        self.config = config;
        self
    }

    /// Tells a monitor of every task.
    pub fn monitor(mut self, monitor: impl PerformanceMonitor) -> Self {
        self.watch = Some(Watch::new(monitor));
        self
    }

    /// Reads the time from this clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Runs async workers on this runtime instead of the current one.
    #[cfg(feature = "tokio")]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    fn engine<Q, R, E>(
        config: WorkerPoolConfig,
        clock: Clock,
        watch: Option<Watch>,
        sleeper: fn() -> Sleeper,
    ) -> Result<Arc<Engine<Q, R, E>>, BuildError> {
        config.validate()?;
        let sleepers = (0..config.places()).map(|_| sleeper()).collect::<Vec<_>>();
        Ok(Arc::new(Engine::new(config, clock, watch, sleepers)))
    }

    /// Starts a pool of threads.
    ///
    /// # Errors
    /// The configuration is not valid, a thread could not be started, or the service panicked while
    /// it made a worker's state. Then nothing is left running.
    ///
    /// # Blocking
    /// Until every worker has its state.
    pub fn build<Q, S>(self, service: S) -> Result<WorkerPool<Q, S::Response, S::Error>, BuildError>
    where
        Q: Send + 'static,
        S: Service<Q>,
    {
        let Self {
            config,
            clock,
            watch,
            ..
        } = self;
        let bed = || Sleeper::Thread(Parker::new());
        let engine = Self::engine(config, clock, watch, bed)?;
        cpus::usable();
        pace::calibrate();
        let service = Arc::new(service);
        let (exit, exits) = flume::bounded(0);
        let workers: Vec<usize> = engine.shards.crew.present().collect();
        let hired = start_threads(&service, &engine, &workers, &exit, When::AtFirst);
        let owner = Owner::new(Owned {
            engine: Arc::clone(&engine),
            hire: hire_threads(&service),
            exit: exit.downgrade(),
            exits,
            threads: hired.threads,
            longest_run: engine.config.max_run_length,
        });
        drop(exit);
        match hired.failure {
            None => Ok(WorkerPool {
                engine,
                owner: Arc::new(owner),
            }),
            Some(failure) => {
                engine.close();
                owner.join();
                Err(failure.into())
            }
        }
    }

    /// Starts a pool of tokio tasks.
    ///
    /// # Errors
    /// The configuration is not valid, there is no runtime, or the service panicked while it made a
    /// worker's state. Then nothing is left running.
    #[cfg(feature = "tokio")]
    pub fn build_async<Q, S>(
        self,
        service: S,
    ) -> Result<WorkerPool<Q, S::Response, S::Error>, BuildError>
    where
        Q: Send + 'static,
        S: crate::AsyncService<Q>,
    {
        use crate::idle::waker_cell::WakerCell;
        use crate::worker::async_task;

        let Self {
            config,
            clock,
            watch,
            runtime,
        } = self;
        let bed = || Sleeper::Task(WakerCell::new());
        let engine = Self::engine(config, clock, watch, bed)?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            None => tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
        };
        let service = Arc::new(service);
        let mut states = Vec::new();
        for worker in engine.shards.crew.present() {
            let made = async_task::make_state(&*service, worker);
            let made = made.map_err(|message| BuildError::Service { worker, message })?;
            states.push((worker, made));
        }
        let (exit, exits) = flume::bounded(0);
        for (worker, state) in states {
            start_task(&service, &engine, worker, state, &runtime, &exit);
        }
        let owner = Owner::new(Owned {
            engine: Arc::clone(&engine),
            hire: hire_tasks(&service, runtime),
            exit: exit.downgrade(),
            exits,
            threads: Vec::new(),
            longest_run: 1,
        });
        Ok(WorkerPool {
            engine,
            owner: Arc::new(owner),
        })
    }
}
