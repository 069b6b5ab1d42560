//! The executors crate.

use executors::{
    Executor, crossbeam_workstealing_pool, crossbeam_workstealing_pool::ThreadPool,
    parker::DynParker,
};

use super::{
    combined::Combined,
    spawned::{Reply, Run, Spawner},
    tally,
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum Executors {}

impl Contender for Executors {
    const NAME: &'static str = "executors";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "`execute` on its work-stealing pool with parking threads, whose \
        round trips are shorter than those of its channel pool; unbounded, a box for each closure. \
        Answers by a one-shot channel or a slot. Batches by a shared list: a closure takes one, \
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

pub(crate) struct Pool(ThreadPool<DynParker>);

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        Self(crossbeam_workstealing_pool::pool_with_auto_parker(
            shape.workers,
        ))
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        tally::accepted();
        self.0.execute(|| {
            job();
            tally::run();
        });
    }

    fn finish(self) {
        // A shutdown drops what is still queued.
        tally::settle();
        self.0.shutdown().expect("the workers end");
    }
}
