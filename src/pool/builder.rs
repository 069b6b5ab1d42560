//! Starts the workers of a pool.

use std::sync::Arc;

use super::WorkerPool;
use super::shutdown::Owner;
use crate::clock::Clock;
use crate::config::WorkerPoolConfig;
use crate::cpus;
use crate::engine::Engine;
use crate::error::BuildError;
use crate::idle::parker::Parker;
use crate::idle::{Sleeper, pace};
use crate::service::{BatchService, Service};
use crate::stats::{PerformanceMonitor, Watch};
use crate::sync::thread;
use crate::worker::batch_shift::BatchShift;
use crate::worker::shift::Shift;
use crate::worker::thread::make_state_of;
use crate::worker::{self, nesting};

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
        let sleepers = (0..config.workers()).map(|_| sleeper()).collect::<Vec<_>>();
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
        live: fn(&S, Recruit<Q, R, E>),
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
        let (ready, failures) = flume::unbounded();
        let longest_run = match kind {
            Kind::Singles => engine.config.max_run_length,
            // A batch takes what it needs one by one, and nothing waits in a hand while it runs.
            Kind::Batches => 1,
        };
        let mut threads = Vec::with_capacity(engine.blocks.len());
        let mut failure = None;
        for worker in 0..engine.blocks.len() {
            let recruit = Recruit {
                worker,
                engine: Arc::clone(&engine),
                longest_run,
                ready: ready.clone(),
            };
            let (service, exit) = (Arc::clone(&service), exit.clone());
            let named =
                thread::Builder::new().name(format!("{}-{worker}", engine.config.thread_name));
            let sized = match engine.config.thread_stack_size {
                Some(bytes) => named.stack_size(bytes),
                None => named,
            };
            match sized.spawn(move || {
                live(&service, recruit);
                drop(exit);
            }) {
                Ok(handle) => threads.push(handle),
                Err(source) => {
                    failure = Some(BuildError::Spawn { worker, source });
                    break;
                }
            }
        }
        drop((ready, exit));
        // Ends when every worker has its state or has failed to make it.
        for (worker, message) in failures.iter() {
            failure.get_or_insert(BuildError::Service { worker, message });
        }
        let owner = Owner::new(Arc::clone(&engine), exits, threads, longest_run);
        match failure {
            None => Ok(WorkerPool {
                engine,
                owner: Arc::new(owner),
            }),
            Some(failure) => {
                engine.close();
                owner.join();
                Err(failure)
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
        let service = Arc::new(service);
        let make = |worker| service.state(worker);
        self.start_async(Kind::Singles, make, |state, shift| {
            worker::async_task::work(Arc::clone(&service), state, shift)
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
        let service = Arc::new(service);
        let make = |worker| service.state(worker);
        self.start_async(Kind::Batches, make, |state, shift| {
            worker::batch_task::work(Arc::clone(&service), state, BatchShift::new(shift))
        })
    }

    /// Starts tokio tasks that work so.
    #[cfg(feature = "tokio")]
    fn start_async<Q, R, E, T, W>(
        self,
        kind: Kind,
        make: impl Fn(usize) -> T,
        work: impl Fn(T, Shift<Q, R, E>) -> W,
    ) -> Result<WorkerPool<Q, R, E>, BuildError>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        use crate::idle::waker_cell::WakerCell;

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
        let mut states = Vec::with_capacity(engine.blocks.len());
        for worker in 0..engine.blocks.len() {
            let made = make_state_of(|| make(worker));
            states.push(made.map_err(|message| BuildError::Service { worker, message })?);
        }
        let (exit, exits) = flume::bounded(0);
        for (worker, state) in states.into_iter().enumerate() {
            // Hoarding costs more than a claim when the tasks held may wait for one that sleeps.
            let work = work(state, Shift::new(Arc::clone(&engine), worker, 1));
            let exit = exit.clone();
            runtime.spawn(async move {
                work.await;
                drop(exit);
            });
        }
        let owner = Owner::new(Arc::clone(&engine), exits, Vec::new(), 1);
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

/// What a worker's thread starts with.
struct Recruit<Q, R, E> {
    worker: usize,
    engine: Arc<Engine<Q, R, E>>,
    longest_run: usize,
    /// Where it says that it could not make its state; dropped when it has done so.
    ready: flume::Sender<(usize, String)>,
}

impl<Q, R, E> Recruit<Q, R, E> {
    /// The life of a worker's thread: makes its state, and works.
    fn serve<T>(self, make: impl FnOnce(usize) -> T, work: impl FnOnce(T, Shift<Q, R, E>)) {
        let Self {
            worker,
            engine,
            longest_run,
            ready,
        } = self;
        let _inside = nesting::enter(Arc::as_ptr(&engine).addr());
        let state = match make_state_of(|| make(worker)) {
            Ok(state) => state,
            Err(message) => {
                // The builder may have given up already.
                let _ = ready.send((worker, message));
                return;
            }
        };
        let shift = Shift::new(engine, worker, longest_run);
        // The builder waits until all have sent or gone, so the sender must not outlive this.
        drop(ready);
        work(state, shift);
    }
}
