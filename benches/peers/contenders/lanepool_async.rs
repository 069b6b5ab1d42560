//! This project, with workers that are tokio tasks.

use std::convert::Infallible;

use lanepool::{Answers, Batch, TaskContext, WorkerPool, async_service_fn};
use tokio::runtime::Runtime;

use super::{
    lanepool::{Pool, answers, batch_config, config},
    runtime::{multi_thread, multi_thread_with_timers},
};
use crate::contender::{Calls, Contender, Kind, Priority, Serve, ServeBatch, Shape, Task, Tasks};

pub(crate) enum LanepoolAsync {}

impl Contender for LanepoolAsync {
    const NAME: &'static str = "lanepool-async";
    const KIND: Kind = Kind::Ours;
    const NOTE: &'static str = "Async workers on a tokio runtime of their own with as many \
        threads, everything else as by default but the capacity of the lanes, and the largest size \
        of a batch.";

    type Tasks<T: Task> = Hosted<Pool<T, ()>>;
    type Calls<S: Serve> = Hosted<Pool<u64, u64>>;
    type Batches<S: ServeBatch> = Hosted<Pool<u64, u64>>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        let runtime = multi_thread(shape.workers);
        let service = async_service_fn(|task: T, _: TaskContext| async {
            task.run();
            Ok::<(), Infallible>(())
        });
        let pool = WorkerPool::<T, (), Infallible>::builder()
            .config(config(shape))
            .runtime(runtime.handle().clone())
            .build_async(service)
            .expect("the pool starts");
        Hosted {
            pool: Pool(pool),
            runtime,
        }
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        let runtime = multi_thread(shape.workers);
        let service = Answering(serve);
        let pool = WorkerPool::<u64, u64, Infallible>::builder()
            .config(config(shape))
            .runtime(runtime.handle().clone())
            .build_async(service)
            .expect("the pool starts");
        Hosted {
            pool: Pool(pool),
            runtime,
        }
    }

    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S> {
        // A batch that lingers does so by the clock.
        let runtime = multi_thread_with_timers(shape.workers);
        let pool = WorkerPool::<u64, u64, Infallible>::builder()
            .config(batch_config(shape, most))
            .runtime(runtime.handle().clone())
            .build_batches_async(Answering(serve))
            .expect("the pool starts");
        Hosted {
            pool: Pool(pool),
            runtime,
        }
    }
}

/// A named service, because its future borrows what serves; a closure's would need a copy for each request.
struct Answering<S>(S);

impl<S: Serve> lanepool::AsyncService<u64> for Answering<S> {
    type Response = u64;
    type Error = Infallible;
    type State = ();

    fn state(&self, _worker: usize) {}

    async fn call(&self, _: &mut (), request: u64, _: &TaskContext) -> Result<u64, Infallible> {
        Ok(self.0.serve(request))
    }
}

impl<S: ServeBatch> lanepool::AsyncBatchService<u64> for Answering<S> {
    type Response = u64;
    type Error = Infallible;
    type State = ();

    fn state(&self, _worker: usize) {}

    async fn call_batch(
        &self,
        _: &mut (),
        batch: Batch<u64>,
    ) -> Result<Answers<u64, Infallible>, Infallible> {
        Ok(answers(&self.0, &batch))
    }
}

/// A pool and the runtime that its workers run on.
pub(crate) struct Hosted<P> {
    pool: P,
    runtime: Runtime,
}

impl<T: Task> Tasks<T> for Hosted<Pool<T, ()>> {
    fn submit(&self, task: T, priority: Priority) {
        self.pool.submit(task, priority);
    }

    fn finish(self) {
        self.pool.finish();
        drop(self.runtime);
    }
}

impl Calls for Hosted<Pool<u64, u64>> {
    fn call(&self, request: u64, priority: Priority) -> u64 {
        self.pool.call(request, priority)
    }

    fn call_async(&self, request: u64, priority: Priority) -> impl Future<Output = u64> + Send {
        self.pool.call_async(request, priority)
    }

    fn finish(self) {
        self.pool.finish();
        drop(self.runtime);
    }
}
