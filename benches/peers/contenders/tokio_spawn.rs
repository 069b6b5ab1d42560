//! tokio's `spawn`.

use std::thread;

use tokio::runtime::Runtime;

use super::{
    combined::Combined,
    runtime::multi_thread,
    spawned::{Return, Returning, Run, Spawner},
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum TokioSpawn {}

impl Contender for TokioSpawn {
    const NAME: &'static str = "tokio-spawn";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "`spawn` on a multi-thread runtime of its own; unbounded, an \
        allocation for each task, which answers blocking callers by the JoinHandle, and async ones \
        by a one-shot channel, which is faster with many. Batches by a shared list: a closure \
        takes one, and is handed over when one begins.";

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

pub(crate) struct Pool(Runtime);

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        Self(multi_thread(shape.workers))
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.0.spawn(async { job() });
    }

    fn finish(self) {
        // A runtime that shuts down drops what has not been run.
        while self.0.metrics().num_alive_tasks() > 0 {
            thread::yield_now();
        }
        drop(self.0);
    }
}

impl Returning for Pool {
    const FOR_ASYNC: bool = false;

    fn run(
        &self,
        job: impl FnOnce() -> u64 + Send + 'static,
    ) -> impl Future<Output = u64> + Send + 'static {
        let task = self.0.spawn(async { job() });
        async { task.await.expect("the task ends") }
    }
}
