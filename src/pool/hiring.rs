//! Starts workers: those that a pool is built with, and those that come later.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use crate::engine::Engine;
use crate::error::{BuildError, ResizeError};
use crate::panics;
use crate::sync::thread::{Builder, JoinHandle};
use crate::worker::nesting;
use crate::worker::shift::Shift;
use crate::worker::thread::make_state_of;

/// Nothing is ever sent: when all senders are gone every worker has ended.
pub(super) type Exit = flume::Sender<Infallible>;

/// Why a worker was not started.
#[derive(Debug)]
pub(super) enum Failure {
    /// The system refused a thread.
    Spawn {
        worker: usize,
        source: std::io::Error,
    },
    /// The service panicked while it made the state.
    Service { worker: usize, message: String },
    /// The pool was closed meanwhile.
    Closed,
}

impl From<Failure> for ResizeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Spawn { worker, source } => Self::Spawn { worker, source },
            Failure::Service { worker, message } => Self::Service { worker, message },
            Failure::Closed => Self::Closed,
        }
    }
}

impl From<Failure> for BuildError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Spawn { worker, source } => Self::Spawn { worker, source },
            Failure::Service { worker, message } => Self::Service { worker, message },
            Failure::Closed => {
                unreachable!("a pool is closed by its owner, who has it once it is built")
            }
        }
    }
}

/// The threads that were started, and why the others were not. The first failure counts.
#[derive(Debug, Default)]
pub(super) struct Hired {
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) failure: Option<Failure>,
}

/// Starts workers of a pool that runs, without its type naming the service. It keeps neither the service nor the
/// pool alive: a pool whose workers have all ended is closed, and needs no more.
pub(super) type Hire<Q, R, E> =
    Box<dyn Fn(&Arc<Engine<Q, R, E>>, &[usize], &Exit) -> Hired + Send + Sync>;

/// Whether workers are there from the start or come to a pool that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    AtFirst,
    Later,
}

/// How a thread of a service lives: it takes its place by [`Recruit::serve`].
pub(super) type Live<S, Q, R, E> = fn(&S, Recruit<Q, R, E>);

/// The way to start threads later.
pub(super) fn hire_threads<S, Q, R, E>(service: &Arc<S>, live: Live<S, Q, R, E>) -> Hire<Q, R, E>
where
    S: Send + Sync + 'static,
    Q: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let service = Arc::downgrade(service);
    Box::new(move |engine, workers, exit| {
        upgraded(&service, |service| {
            start_threads(service, live, engine, workers, exit, When::Later)
        })
    })
}

fn upgraded<S>(service: &Weak<S>, hire: impl FnOnce(&Arc<S>) -> Hired) -> Hired {
    match service.upgrade() {
        Some(service) => hire(&service),
        None => Hired {
            threads: Vec::new(),
            failure: Some(Failure::Closed),
        },
    }
}

/// Starts threads for these workers, all at once.
///
/// # Blocking
/// Until each of them has its state, or has failed to make it.
pub(super) fn start_threads<S, Q, R, E>(
    service: &Arc<S>,
    live: Live<S, Q, R, E>,
    engine: &Arc<Engine<Q, R, E>>,
    workers: &[usize],
    exit: &Exit,
    when: When,
) -> Hired
where
    S: Send + Sync + 'static,
    Q: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let (ready, failures) = flume::unbounded();
    let mut hired = Hired::default();
    for &worker in workers {
        let recruit = Recruit {
            worker,
            engine: Arc::clone(engine),
            ready: ready.clone(),
            when,
        };
        let (service, exit) = (Arc::clone(service), exit.clone());
        let named = Builder::new().name(format!("{}-{worker}", engine.config.thread_name));
        let sized = match engine.config.thread_stack_size {
            Some(bytes) => named.stack_size(bytes),
            None => named,
        };
        match sized.spawn(move || {
            live(&service, recruit);
            drop(exit);
        }) {
            Ok(handle) => hired.threads.push(handle),
            Err(source) => {
                hired.failure = Some(Failure::Spawn { worker, source });
                break;
            }
        }
    }
    drop(ready);
    // Ends when every worker has its state or has failed to make it.
    for failure in failures.iter() {
        hired.failure.get_or_insert(failure);
    }
    hired
}

/// What a worker's thread starts with.
pub(super) struct Recruit<Q, R, E> {
    worker: usize,
    engine: Arc<Engine<Q, R, E>>,
    /// Where it says why it does not work; dropped when it does.
    ready: flume::Sender<Failure>,
    when: When,
}

impl<Q, R, E> Recruit<Q, R, E> {
    /// The life of a worker's thread: makes its state, and works.
    pub(super) fn serve<T>(
        self,
        make: impl FnOnce(usize) -> T,
        work: impl FnOnce(T, Shift<Q, R, E>),
    ) {
        let Self {
            worker,
            engine,
            ready,
            when,
        } = self;
        let _inside = nesting::enter(Arc::as_ptr(&engine).addr());
        let state = match make_state_of(|| make(worker)) {
            Ok(state) => state,
            Err(message) => {
                // Whoever waits may have given up already.
                let _ = ready.send(Failure::Service { worker, message });
                return;
            }
        };
        if when == When::Later && !engine.takes_on(worker) {
            let _ = ready.send(Failure::Closed);
            return panics::discard(state);
        }
        let longest_run = engine.longest_run();
        let shift = Shift::new(engine, worker, longest_run);
        // Whoever waits does so until all have sent or gone, so the sender must not outlive this.
        drop(ready);
        work(state, shift);
    }
}

/// How tokio tasks of a service make their states and work, and where.
#[cfg(feature = "tokio")]
pub(super) struct Trade<S, T, W, Q, R, E> {
    pub(super) make: fn(&S, usize) -> T,
    pub(super) work: fn(Arc<S>, T, Shift<Q, R, E>) -> W,
    pub(super) runtime: tokio::runtime::Handle,
}

#[cfg(feature = "tokio")]
impl<S, T, W, Q, R, E> Trade<S, T, W, Q, R, E>
where
    W: Future<Output = ()> + Send + 'static,
{
    /// Starts a tokio task for a worker that has its state.
    pub(super) fn start(
        &self,
        service: &Arc<S>,
        engine: &Arc<Engine<Q, R, E>>,
        worker: usize,
        state: T,
        exit: &Exit,
    ) {
        // Hoarding costs more than a claim when the tasks held may wait for one that sleeps.
        let shift = Shift::new(Arc::clone(engine), worker, 1);
        let work = (self.work)(Arc::clone(service), state, shift);
        let exit = exit.clone();
        self.runtime.spawn(async move {
            work.await;
            drop(exit);
        });
    }
}

/// The way to start tokio tasks later.
#[cfg(feature = "tokio")]
pub(super) fn hire_tasks<S, T, W, Q, R, E>(
    service: &Arc<S>,
    trade: Trade<S, T, W, Q, R, E>,
) -> Hire<Q, R, E>
where
    S: Send + Sync + 'static,
    T: 'static,
    W: Future<Output = ()> + Send + 'static,
    Q: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let service = Arc::downgrade(service);
    Box::new(move |engine, workers, exit| {
        upgraded(&service, |service| {
            let mut hired = Hired::default();
            for &worker in workers {
                let state = match make_state_of(|| (trade.make)(service, worker)) {
                    Ok(state) => state,
                    Err(message) => {
                        hired.failure = Some(Failure::Service { worker, message });
                        break;
                    }
                };
                if !engine.takes_on(worker) {
                    panics::discard(state);
                    hired.failure = Some(Failure::Closed);
                    break;
                }
                trade.start(service, engine, worker, state, exit);
            }
            hired
        })
    })
}
