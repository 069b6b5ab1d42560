//! The threadpool crate.

use super::{
    combined::Combined,
    spawned::{Reply, Run, Spawner},
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum Threadpool {}

impl Contender for Threadpool {
    const NAME: &'static str = "threadpool";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "`execute`, the only way in: an unbounded channel behind a mutex, a \
        box for each closure. Answers by a one-shot channel or a slot. Batches by a shared list: a \
        closure takes one, and is handed over when one begins.";

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

pub(crate) struct Pool(threadpool::ThreadPool);

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        Self(threadpool::ThreadPool::new(shape.workers))
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.0.execute(job);
    }

    fn finish(self) {
        self.0.join();
    }
}
