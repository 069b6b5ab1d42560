//! Starts workers: those that a pool is built with, and those that come later.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use crate::engine::Engine;
use crate::error::{BuildError, ResizeError};
use crate::service::Service;
use crate::sync::thread::{Builder, JoinHandle};
use crate::worker::shift::Shift;
use crate::worker::{nesting, thread};

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

/// The way to start threads later.
pub(super) fn hire_threads<Q, S>(service: &Arc<S>) -> Hire<Q, S::Response, S::Error>
where
    Q: Send + 'static,
    S: Service<Q>,
{
    let service = Arc::downgrade(service);
    Box::new(move |engine, workers, exit| {
        upgraded(&service, |service| {
            start_threads(service, engine, workers, exit, When::Later)
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
pub(super) fn start_threads<Q, S>(
    service: &Arc<S>,
    engine: &Arc<Engine<Q, S::Response, S::Error>>,
    workers: &[usize],
    exit: &Exit,
    when: When,
) -> Hired
where
    Q: Send + 'static,
    S: Service<Q>,
{
    let (ready, failures) = flume::unbounded();
    let mut hired = Hired::default();
    for &worker in workers {
        let crew = (
            Arc::clone(service),
            Arc::clone(engine),
            ready.clone(),
            exit.clone(),
        );
        let named = Builder::new().name(format!("{}-{worker}", engine.config.thread_name));
        let sized = match engine.config.thread_stack_size {
            Some(bytes) => named.stack_size(bytes),
            None => named,
        };
        match sized.spawn(move || {
            let (service, engine, ready, exit) = crew;
            run_thread(worker, &*service, engine, ready, when);
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

/// The life of a worker's thread.
fn run_thread<Q, S: Service<Q>>(
    worker: usize,
    service: &S,
    engine: Arc<Engine<Q, S::Response, S::Error>>,
    ready: flume::Sender<Failure>,
    when: When,
) where
    Q: Send + 'static,
{
    let _inside = nesting::enter(Arc::as_ptr(&engine).addr());
    let state = match thread::make_state(service, worker) {
        Ok(state) => state,
        Err(message) => {
            // Whoever waits may have given up already.
            let _ = ready.send(Failure::Service { worker, message });
            return;
        }
    };
    if when == When::Later && !engine.takes_on(worker) {
        let _ = ready.send(Failure::Closed);
        return crate::panics::discard(state);
    }
    let longest_run = engine.config.max_run_length;
    let shift = Shift::new(engine, worker, longest_run);
    // Whoever waits does so until all have sent or gone, so the sender must not outlive this.
    drop(ready);
    thread::work(service, state, shift);
}

/// The way to start tokio tasks later.
#[cfg(feature = "tokio")]
pub(super) fn hire_tasks<Q, S>(
    service: &Arc<S>,
    runtime: tokio::runtime::Handle,
) -> Hire<Q, S::Response, S::Error>
where
    Q: Send + 'static,
    S: crate::AsyncService<Q>,
{
    use crate::worker::async_task;

    let service = Arc::downgrade(service);
    Box::new(move |engine, workers, exit| {
        upgraded(&service, |service| {
            let mut hired = Hired::default();
            for &worker in workers {
                let state = match async_task::make_state(&**service, worker) {
                    Ok(state) => state,
                    Err(message) => {
                        hired.failure = Some(Failure::Service { worker, message });
                        break;
                    }
                };
                if !engine.takes_on(worker) {
                    crate::panics::discard(state);
                    hired.failure = Some(Failure::Closed);
                    break;
                }
                start_task(service, engine, worker, state, &runtime, exit);
            }
            hired
        })
    })
}

/// Starts a tokio task for a worker that has its state.
#[cfg(feature = "tokio")]
pub(super) fn start_task<Q, S>(
    service: &Arc<S>,
    engine: &Arc<Engine<Q, S::Response, S::Error>>,
    worker: usize,
    state: S::State,
    runtime: &tokio::runtime::Handle,
    exit: &Exit,
) where
    Q: Send + 'static,
    S: crate::AsyncService<Q>,
{
    // Hoarding costs more than a claim when the tasks held may wait for one that sleeps.
    let shift = Shift::new(Arc::clone(engine), worker, 1);
    let work = crate::worker::async_task::work(Arc::clone(service), state, shift);
    let exit = exit.clone();
    runtime.spawn(async move {
        work.await;
        drop(exit);
    });
}
