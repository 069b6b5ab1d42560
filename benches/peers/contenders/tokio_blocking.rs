//! tokio's `spawn_blocking`.

use tokio::runtime::{Builder, Runtime};

use super::{
    combined::Combined,
    spawned::{Return, Returning, Run, Spawner, rendezvous},
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum TokioBlocking {}

impl Contender for TokioBlocking {
    const NAME: &'static str = "tokio-spawn-blocking";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "`spawn_blocking` on a runtime of its own with as many blocking \
        threads as workers; unbounded, an allocation for each closure, which answers blocking \
        callers by the JoinHandle, and async ones by a one-shot channel, which is faster with \
        many. Batches by a shared list: a closure takes one, and is handed over when one begins.";

    type Tasks<T: Task> = Run<Pool>;
    type Calls<S: Serve> = Return<Pool, S>;
    type Batches<S: ServeBatch> = Combined<Pool, S>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Run::start(shape)
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        Return::start(shape, serve)
    }

    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S> {
        Combined::start(shape, most, serve)
    }
}

pub(crate) struct Pool {
    /// Nobody drives it: only its blocking threads are used.
    runtime: Runtime,
    workers: usize,
}

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(shape.workers)
            .build()
            .expect("the runtime starts");
        let pool = Self {
            runtime,
            workers: shape.workers,
        };
        // Its threads start when they are needed.
        rendezvous(pool.workers, |job| pool.spawn(job));
        pool
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.runtime.spawn_blocking(job);
    }

    fn finish(self) {
        // A runtime that shuts down drops what has not been run.
        rendezvous(self.workers, |job| self.spawn(job));
        drop(self.runtime);
    }
}

impl Returning for Pool {
    const FOR_ASYNC: bool = false;

    fn run(
        &self,
        job: impl FnOnce() -> u64 + Send + 'static,
    ) -> impl Future<Output = u64> + Send + 'static {
        let task = self.runtime.spawn_blocking(job);
        async { task.await.expect("the task ends") }
    }
}
