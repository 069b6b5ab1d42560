//! The rusty_pool crate.

use std::time::Duration;

use rusty_pool::ThreadPool;

use super::{
    combined::Combined,
    spawned::{Reply, Run, Spawner, rendezvous},
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum RustyPool {}

impl Contender for RustyPool {
    const NAME: &'static str = "rusty_pool";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "`execute` on a pool of a fixed size whose threads are started at \
        once; unbounded, a box for each closure. Answers by a one-shot channel or a slot: its own \
        result handle is a channel that costs more. Batches by a shared list: a closure takes one, \
        and is handed over when one begins.";

    type Tasks<T: Task> = Run<Pool>;
    type Calls<S: Serve> = Reply<Pool, S>;
    type Batches<S: ServeBatch> = Combined<Pool, S>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Run::start(shape)
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        Reply::start(shape, serve)
    }

    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S> {
        Combined::start(shape, most, serve)
    }
}

pub(crate) struct Pool {
    pool: ThreadPool,
    workers: usize,
}

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        // A core worker is never retired, so the time to keep others alive does not matter.
        let pool = ThreadPool::new(shape.workers, shape.workers, Duration::from_secs(60));
        pool.start_core_threads();
        Self {
            pool,
            workers: shape.workers,
        }
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.pool.execute(job);
    }

    fn finish(self) {
        // Its own join may look while a worker has taken a closure and has not said so yet.
        rendezvous(self.workers, |job| self.pool.execute(job));
        self.pool.shutdown_join();
    }
}
