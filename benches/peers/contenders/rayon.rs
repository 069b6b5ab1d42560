//! rayon's `spawn`.

use std::thread::{self, JoinHandle};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{
    combined::Combined,
    spawned::{Reply, Run, Spawner},
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum Rayon {}

impl Contender for Rayon {
    const NAME: &'static str = "rayon";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "`spawn` on a ThreadPool of its own, whose threads are joined at \
        the end; unbounded, a box for each closure. Answers by a one-shot channel or a slot, \
        sooner than `install`. Batches by a shared list: a closure takes one, and is handed over \
        when one begins.";

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

/// Threads of its own making, because dropping rayon's pool does not wait for them.
pub(crate) struct Pool {
    pool: ThreadPool,
    threads: Vec<JoinHandle<()>>,
}

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        let mut threads = Vec::with_capacity(shape.workers);
        let pool = ThreadPoolBuilder::new()
            .num_threads(shape.workers)
            .spawn_handler(|worker| {
                threads.push(thread::spawn(|| worker.run()));
                Ok(())
            })
            .build()
            .expect("the pool starts");
        Self { pool, threads }
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.pool.spawn(job);
    }

    fn finish(self) {
        drop(self.pool);
        for thread in self.threads {
            thread.join().expect("no worker panics");
        }
    }
}
