//! What all handles of a pool share beside the engine: its workers, from the owner's side.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::WorkerPool;
use super::hiring::{Hire, Hired};
use crate::engine::{Engine, Missing};
use crate::error::ResizeError;
use crate::events::EventStream;
use crate::panics;
use crate::sync::{Mutex, thread};

/// What an [`Owner`] is made of.
pub(super) struct Owned<Q, R, E> {
    pub(super) engine: Arc<Engine<Q, R, E>>,
    pub(super) hire: Hire<Q, R, E>,
    /// A sender of `exits`, as long as any worker has one.
    pub(super) exit: flume::WeakSender<Infallible>,
    /// Disconnected once every worker has ended: each holds a sender and sends nothing.
    pub(super) exits: flume::Receiver<Infallible>,
    pub(super) threads: Vec<thread::JoinHandle<()>>,
    pub(super) longest_run: usize,
}

/// What the last handle leaves behind: the ways to start workers and to tell that all of them have ended.
pub(super) struct Owner<Q, R, E> {
    engine: Arc<Engine<Q, R, E>>,
    hire: Hire<Q, R, E>,
    exit: flume::WeakSender<Infallible>,
    exits: flume::Receiver<Infallible>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    longest_run: usize,
    /// One change of the number of workers at a time.
    resizing: Mutex<()>,
}

impl<Q, R, E> Owner<Q, R, E> {
    pub(super) fn new(owned: Owned<Q, R, E>) -> Self {
        Self {
            engine: owned.engine,
            hire: owned.hire,
            exit: owned.exit,
            exits: owned.exits,
            threads: Mutex::new(owned.threads),
            longest_run: owned.longest_run,
            resizing: Mutex::new(()),
        }
    }

    pub(super) fn longest_run(&self) -> usize {
        self.longest_run
    }

    /// Waits until all workers but `waiting` have ended or the deadline passes. Returns whether they
    /// have. `events` were subscribed to before the pool closed.
    pub(super) fn all_ended(
        &self,
        deadline: Option<Instant>,
        waiting: usize,
        events: &EventStream,
    ) -> bool {
        if waiting == 0 {
            let ended = match deadline {
                Some(deadline) => self.exits.recv_deadline(deadline).err(),
                None => self
                    .exits
                    .recv()
                    .err()
                    .map(|_| flume::RecvTimeoutError::Disconnected),
            };
            return matches!(ended, Some(flume::RecvTimeoutError::Disconnected));
        }
        // Each worker says that it has ended after it has taken itself off.
        while self.engine.alive() > waiting {
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() || events.recv_timeout(left).is_none() {
                return self.engine.alive() <= waiting;
            }
        }
        true
    }

    /// Takes the ended threads off the system's hands.
    pub(super) fn join(&self) {
        let caller = thread::current().id();
        for handle in std::mem::take(&mut *self.threads.lock()) {
            // A worker that was removed may come here while it drops its state.
            if handle.thread().id() != caller {
                // A worker's panics are caught; what is left is the end of the process.
                let _ = handle.join();
            }
        }
    }

    /// Takes those threads that have ended off the system's hands.
    fn join_ended(&self) {
        let ended = {
            let mut threads = self.threads.lock();
            threads
                .extract_if(.., |handle| handle.is_finished())
                .collect::<Vec<_>>()
        };
        for handle in ended {
            // As in `join`.
            let _ = handle.join();
        }
    }

    fn set_workers(&self, count: usize) -> Result<usize, ResizeError> {
        let crew = &self.engine.shards.crew;
        let (least, most) = (crew.reserved() + 1, crew.places());
        if !(least..=most).contains(&count) {
            return Err(ResizeError::OutOfRange {
                asked: count,
                least,
                most,
            });
        }
        let _one_at_a_time = self.resizing.lock();
        self.join_ended();
        let general = count - crew.reserved();
        let Missing::Places(missing) = self.engine.keep(general) else {
            return Err(ResizeError::Closed);
        };
        let failure = if missing.is_empty() {
            None
        } else {
            // The last worker closes the pool before it lets go of its sender.
            let exit = self.exit.upgrade().ok_or(ResizeError::Closed)?;
            let Hired { threads, failure } = (self.hire)(&self.engine, &missing, &exit);
            self.threads.lock().extend(threads);
            failure
        };
        let workers = self.engine.settle_on(general, failure.is_some());
        match failure {
            None => Ok(workers),
            Some(failure) => Err(failure.into()),
        }
    }
}

impl<Q, R, E> Drop for Owner<Q, R, E> {
    fn drop(&mut self) {
        // Not joined: the last handle may be dropped on a worker, or while one runs for long.
        self.engine.close();
        self.engine.abandon_queued(panics::discard);
    }
}

impl<Q, R, E> fmt::Debug for Owner<Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Owner").finish_non_exhaustive()
    }
}

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// Adds or removes workers while the pool runs, so that it has `count` of them. Returns how many it has.
    ///
    /// Workers that are added have state of their own and take tasks at once. Workers that are removed finish the
    /// task that they run, and the few very cheap ones that they had claimed, start nothing more, and end; what
    /// waited in their own lanes the others take. Of the workers that take all lanes those with the highest
    /// numbers are removed; reserved ones stay. Workers that have ended by themselves are replaced, whether the
    /// number changes or not. Nothing that was promised of a task depends on who comes or goes: the tasks of a
    /// key start in their order, one at a time.
    ///
    /// Whoever comes or goes is told to [subscribers](WorkerPool::events). Calls from several handles take turns.
    ///
    /// # Errors
    /// `count` is not above the number of reserved workers or is more than
    /// [`max_workers`](crate::WorkerPoolConfig::max_workers), the pool is closed, a thread could not be started, or
    /// the service panicked while it made a worker's state. In the latter cases nobody is removed, and workers stay
    /// that were added before.
    ///
    /// # Blocking
    /// Until every worker that is added has its state; async services make it on the calling thread. Not for workers
    /// that are removed, whatever they run. A service that calls this while it makes a worker's state may wait for itself.
    ///
    /// # Examples
    /// ```
    /// use lanepool::{ResizeError, WorkerPool, WorkerPoolConfig, service_fn};
    ///
    /// let config = WorkerPoolConfig::builder().workers(2).max_workers(8).build()?;
    /// let pool = WorkerPool::with_config(service_fn(|n: u8, _: &_| Ok::<_, ()>(n)), config)?;
    /// assert_eq!(pool.set_workers(6)?, 6);
    /// assert_eq!(pool.set_workers(1)?, 1);
    /// let error = pool.set_workers(9).unwrap_err();
    /// assert!(matches!(error, ResizeError::OutOfRange { least: 1, most: 8, .. }));
    /// assert_eq!(pool.workers(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_workers(&self, count: usize) -> Result<usize, ResizeError> {
        self.owner.set_workers(count)
    }
}
