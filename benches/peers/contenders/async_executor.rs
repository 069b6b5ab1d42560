//! The async-executor crate.

use async_channel::Sender;
use async_executor::{Executor, StaticExecutor};
use futures_lite::future::block_on;

use super::{
    combined::Combined,
    spawned::{Return, Returning, Run, Spawner},
    tally,
    typed::Crew,
};
use crate::contender::{Contender, Kind, Serve, ServeBatch, Shape, Task};

pub(crate) enum AsyncExecutor {}

impl Contender for AsyncExecutor {
    const NAME: &'static str = "async-executor";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "A leaked (static) executor, its faster form, with threads that \
        block on `run`: `spawn` and `detach`, unbounded, an allocation for each task, which \
        answers by the task itself. Batches by a shared list: a closure takes one, and is handed \
        over when one begins.";

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
    executor: &'static StaticExecutor,
    /// Dropped to let the threads out.
    open: Sender<()>,
    crew: Crew,
}

impl Spawner for Pool {
    fn start(shape: Shape) -> Self {
        let executor = Executor::new().leak();
        let (open, closed) = async_channel::bounded::<()>(1);
        let crew = Crew::start(shape.workers, || {
            let closed = closed.clone();
            move || {
                // Ends by the error that says that `open` is gone.
                let _ = block_on(executor.run(closed.recv()));
            }
        });
        Self {
            executor,
            open,
            crew,
        }
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        tally::accepted();
        self.executor
            .spawn(async {
                job();
                tally::run();
            })
            .detach();
    }

    fn finish(self) {
        tally::settle();
        drop(self.open);
        self.crew.join();
    }
}

impl Returning for Pool {
    const FOR_ASYNC: bool = true;

    fn run(
        &self,
        job: impl FnOnce() -> u64 + Send + 'static,
    ) -> impl Future<Output = u64> + Send + 'static {
        self.executor.spawn(async { job() })
    }
}
