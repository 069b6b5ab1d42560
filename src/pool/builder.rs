//! Starts the workers of a pool.

use std::sync::Arc;

use super::WorkerPool;
use super::hiring::{Live, When, hire_threads, start_threads};
use super::owner::{Owned, Owner};
use crate::clock::Clock;
use crate::config::WorkerPoolConfig;
use crate::cpus;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::idle::parker::Parker;
use crate::idle::{Sleeper, pace};
use crate::service::{BatchService, Service};
use crate::stats::{PerformanceMonitor, Watch};
use crate::worker;
use crate::worker::batch_shift::BatchShift;
#[cfg(feature = "tokio")]
use crate::worker::shift::Shift;

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
        kind: Kind,
    ) -> Result<Arc<Engine<Q, R, E>>, BuildError> {
        config.validate()?;
        let sleepers = (0..config.places()).map(|_| sleeper()).collect::<Vec<_>>();
        let engine = Engine::new(config, clock, watch, sleepers);
        Ok(Arc::new(match kind {
            Kind::Singles => engine,
            Kind::Batches => engine.with_batching(),
        }))
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
        self.start(Kind::Singles, service, |service: &S, recruit| {
            let make = |worker| service.state(worker);
            recruit.serve(make, |state, shift| {
                worker::thread::work(service, state, shift)
            });
        })
    }

    /// Starts a pool of threads that run batches.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    ///
    /// # Blocking
    /// Until every worker has its state.
    pub fn build_batches<Q, S>(
        self,
        service: S,
    ) -> Result<WorkerPool<Q, S::Response, S::Error>, BuildError>
    where
        Q: Send + 'static,
        S: BatchService<Q>,
    {
        self.start(Kind::Batches, service, |service: &S, recruit| {
            let make = |worker| service.state(worker);
            recruit.serve(make, |state, shift| {
                worker::batch_thread::work(service, state, BatchShift::new(shift));
            });
        })
    }

    /// Starts threads that live so.
    fn start<Q, R, E, S>(
        self,
        kind: Kind,
        service: S,
        live: Live<S, Q, R, E>,
    ) -> Result<WorkerPool<Q, R, E>, BuildError>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        S: Send + Sync + 'static,
    {
        let Self {
            config,
            clock,
            watch,
            ..
        } = self;
        let bed = || Sleeper::Thread(Parker::new());
        let engine = Self::engine(config, clock, watch, bed, kind)?;
        cpus::usable();
        pace::calibrate();
        let service = Arc::new(service);
        let (exit, exits) = flume::bounded(0);
        let workers: Vec<usize> = engine.shards.crew.present().collect();
        let hired = start_threads(&service, live, &engine, &workers, &exit, When::AtFirst);
        let owner = Owner::new(Owned {
            hire: hire_threads(&service, live),
            exit: exit.downgrade(),
            exits,
            threads: hired.threads,
            longest_run: engine.longest_run(),
            engine: Arc::clone(&engine),
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
        self.start_async(Kind::Singles, service, S::state, |service, state, shift| {
            worker::async_task::work(service, state, shift)
        })
    }

    /// Starts a pool of tokio tasks that run batches.
    ///
    /// # Errors
    /// As [`PoolBuilder::build_async`]; or batches are to linger and the runtime has no timer.
    #[cfg(feature = "tokio")]
    pub fn build_batches_async<Q, S>(
        self,
        service: S,
    ) -> Result<WorkerPool<Q, S::Response, S::Error>, BuildError>
    where
        Q: Send + 'static,
        S: crate::AsyncBatchService<Q>,
    {
        self.start_async(Kind::Batches, service, S::state, |service, state, shift| {
            worker::batch_task::work(service, state, BatchShift::new(shift))
        })
    }

    /// Starts tokio tasks that make their states and work so.
    #[cfg(feature = "tokio")]
    fn start_async<Q, R, E, S, T, W>(
        self,
        kind: Kind,
        service: S,
        make: fn(&S, usize) -> T,
        work: fn(Arc<S>, T, Shift<Q, R, E>) -> W,
    ) -> Result<WorkerPool<Q, R, E>, BuildError>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        S: Send + Sync + 'static,
        T: 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        use super::hiring::{Trade, hire_tasks};
        use crate::idle::waker_cell::WakerCell;
        use crate::worker::thread::make_state_of;

        let Self {
            config,
            clock,
            watch,
            runtime,
        } = self;
        let bed = || Sleeper::Task(WakerCell::new());
        let engine = Self::engine(config, clock, watch, bed, kind)?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            None => tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
        };
        let lingers = !engine.config.batching.batch_timeout.is_zero();
        if matches!(kind, Kind::Batches) && lingers && !has_timer(&runtime) {
            return Err(BuildError::NoTimer);
        }
        let service = Arc::new(service);
        let mut states = Vec::new();
        for worker in engine.shards.crew.present() {
            let made = make_state_of(|| make(&service, worker));
            let made = made.map_err(|message| BuildError::Service { worker, message })?;
            states.push((worker, made));
        }
        let (exit, exits) = flume::bounded(0);
        let trade = Trade {
            make,
            work,
            runtime,
        };
        for (worker, state) in states {
            trade.start(&service, &engine, worker, state, &exit);
        }
        let owner = Owner::new(Owned {
            engine: Arc::clone(&engine),
            hire: hire_tasks(&service, trade),
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

/// Whether a runtime can wake a task at a time. It says so only by a panic, whose message is printed.
#[cfg(feature = "tokio")]
fn has_timer(runtime: &tokio::runtime::Handle) -> bool {
    let _inside = runtime.enter();
    let sleep = || drop(tokio::time::sleep(std::time::Duration::ZERO));
    std::panic::catch_unwind(sleep).is_ok()
}

/// What the workers of a pool run.
#[derive(Clone, Copy)]
enum Kind {
    Singles,
    Batches,
}
