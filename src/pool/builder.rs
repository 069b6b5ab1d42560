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
use crate::service::Service;
use crate::stats::{PerformanceMonitor, Watch};
use crate::sync::thread;
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
    ) -> Result<Arc<Engine<Q, R, E>>, BuildError> {
        config.validate()?;
        let sleepers = (0..config.workers()).map(|_| sleeper()).collect::<Vec<_>>();
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
        let (ready, failures) = flume::unbounded();
        let mut threads = Vec::with_capacity(engine.blocks.len());
        let mut failure = None;
        for worker in 0..engine.blocks.len() {
            let crew = (
                Arc::clone(&service),
                Arc::clone(&engine),
                ready.clone(),
                exit.clone(),
            );
            let named =
                thread::Builder::new().name(format!("{}-{worker}", engine.config.thread_name));
            let sized = match engine.config.thread_stack_size {
                Some(bytes) => named.stack_size(bytes),
                None => named,
            };
            match sized.spawn(move || {
                let (service, engine, ready, exit) = crew;
                run_thread(worker, &*service, engine, ready);
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
        let longest_run = engine.config.max_run_length;
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
        let mut states = Vec::with_capacity(engine.blocks.len());
        for worker in 0..engine.blocks.len() {
            let made = async_task::make_state(&*service, worker);
            states.push(made.map_err(|message| BuildError::Service { worker, message })?);
        }
        let (exit, exits) = flume::bounded(0);
        for (worker, state) in states.into_iter().enumerate() {
            // Hoarding costs more than a claim when the tasks held may wait for one that sleeps.
            let shift = Shift::new(Arc::clone(&engine), worker, 1);
            let work = async_task::work(Arc::clone(&service), state, shift);
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

/// The life of a worker's thread.
fn run_thread<Q, S: Service<Q>>(
    worker: usize,
    service: &S,
    engine: Arc<Engine<Q, S::Response, S::Error>>,
    ready: flume::Sender<(usize, String)>,
) where
    Q: Send + 'static,
{
    use crate::worker::{nesting, thread};

    let _inside = nesting::enter(Arc::as_ptr(&engine).addr());
    let state = match thread::make_state(service, worker) {
        Ok(state) => state,
        Err(message) => {
            // The builder may have given up already.
            let _ = ready.send((worker, message));
            return;
        }
    };
    let longest_run = engine.config.max_run_length;
    let shift = Shift::new(engine, worker, longest_run);
    // The builder waits until all have sent or gone, so the sender must not outlive this.
    drop(ready);
    thread::work(service, state, shift);
}
