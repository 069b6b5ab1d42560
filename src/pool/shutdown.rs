//! The end of a pool: nothing more comes in, everything that came in is accounted for.

use std::time::{Duration, Instant};

use super::WorkerPool;
use crate::stats::WorkerPoolStatistics;
use crate::sync::thread;
use crate::task::TaskContext;

/// What a shutdown came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport<Q> {
    /// Whether every accepted task has run and every worker has ended.
    pub drained: bool,
    /// Requests that no worker started in time: of the shared lanes, then of each worker's, lane by lane and
    /// oldest first; then those with a key, of each key oldest first. Their callers were told that they are
    /// abandoned.
    pub returned: Vec<Returned<Q>>,
    /// Tasks that workers still run, of a batch the first one. Their callers were told that they are abandoned; the
    /// workers end when the service lets them.
    pub running: Vec<RunningTask>,
    /// How many tasks those workers hold beside them: the others of a batch that runs, and very cheap ones that had
    /// been claimed and will not be started. Their callers were told that they are abandoned.
    pub claimed: u64,
    /// The statistics at the end.
    pub statistics: WorkerPoolStatistics,
}

/// A request that was accepted and not started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Returned<Q> {
    /// The request.
    pub request: Q,
    /// Its lane.
    pub lane: usize,
    /// Its context.
    pub context: TaskContext,
}

/// A task that a worker still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningTask {
    /// The worker.
    pub worker: usize,
    /// The task's lane.
    pub lane: usize,
    /// The connection's and the message's number of its context.
    pub context: TaskContext,
}

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// Accepts nothing more, runs what was accepted for at most `limit`, then abandons the rest:
    /// answers every caller, hands back the requests that were not started, and names the tasks
    /// that still run.
    ///
    /// May be called from several handles; each report has what that call took back.
    ///
    /// # Blocking
    /// For at most `limit` and a moment. On a worker of this pool it does not wait for that worker, and
    /// reports its task as running.
    pub fn shutdown_blocking(&self, limit: Duration) -> ShutdownReport<Q> {
        let waiting_worker = usize::from(self.is_nested());
        self.shut_down(limit, waiting_worker)
    }

    /// Shuts down, waiting for all workers but so many who themselves wait for this.
    fn shut_down(&self, limit: Duration, waiting_workers: usize) -> ShutdownReport<Q> {
        let events = self.events();
        self.engine.close();
        let deadline = Instant::now().checked_add(limit);
        let mut ended = self.owner.all_ended(deadline, waiting_workers, &events);
        let mut returned = Vec::new();
        if !ended {
            self.engine.abandon_queued(|taken| {
                let crate::engine::TakenBack {
                    lane,
                    request,
                    context,
                } = taken;
                returned.push(Returned {
                    request,
                    lane,
                    context,
                });
            });
            self.engine.abandon_running();
            // Workers that had just finished have nothing more to do.
            ended = self.engine.alive() <= waiting_workers;
        }
        let drained = ended && waiting_workers == 0 && returned.is_empty();
        if self.engine.alive() == 0 {
            self.owner.join();
        }
        let running = self.engine.shards.crew.used().filter_map(|worker| {
            self.engine.blocks[worker]
                .running()
                .map(|(lane, context)| RunningTask {
                    worker,
                    lane,
                    context,
                })
        });
        let running: Vec<_> = running.collect();
        ShutdownReport {
            drained,
            returned,
            claimed: self.engine.held().saturating_sub(running.len() as u64),
            running,
            statistics: self.statistics(),
        }
    }
}

impl<Q, R, E> WorkerPool<Q, R, E>
where
    Q: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// As [`WorkerPool::shutdown_blocking`], without blocking: the waiting is done by a thread of its
    /// own. Needs no runtime. Dropping the future does not stop the shutdown.
    ///
    /// # Panics
    /// When the system refuses a thread.
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport<Q> {
        // Closed before the first await, so that a future that is dropped has begun all the same.
        self.engine.close();
        let pool = self.clone();
        let (done, report) = flume::bounded(1);
        let waiting_worker = usize::from(self.is_nested());
        let wait = move || {
            // Nobody may be there to take it.
            let _ = done.send(pool.shut_down(limit, waiting_worker));
        };
        thread::Builder::new()
            .name("lanepool-shutdown".to_owned())
            .spawn(wait)
            .expect("a thread can be started for the shutdown");
        report
            .recv_async()
            .await
            .expect("the shutdown's thread sends its report")
    }
}
