//! This project, with workers that are threads.

use std::{convert::Infallible, time::Duration};

use lanepool::{
    Answers, Batch, ProcessingTask, TaskContext, TaskPriority, WorkerPool, WorkerPoolConfig,
    batch_fn, service_fn,
};

use crate::contender::{Calls, Contender, Kind, Priority, Serve, ServeBatch, Shape, Task, Tasks};

/// Longer than any cell lasts; only a pool that hangs needs it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) enum Lanepool {}

impl Contender for Lanepool {
    const NAME: &'static str = "lanepool";
    const KIND: Kind = Kind::Ours;
    const NOTE: &'static str = "Thread workers and four lanes, everything as by default but the \
        number of workers and the capacity of the lanes: `spawn_blocking`, `execute_blocking`, \
        `execute`. Batches by `with_batches`, by default but for their largest size.";

    type Tasks<T: Task> = Pool<T, ()>;
    type Calls<S: Serve> = Pool<u64, u64>;
    type Batches<S: ServeBatch> = Pool<u64, u64>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        let service = service_fn(|task: T, _: &TaskContext| {
            task.run();
            Ok::<(), Infallible>(())
        });
        Pool(WorkerPool::with_config(service, config(shape)).expect("the pool starts"))
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        let service = service_fn(move |request: u64, _: &TaskContext| {
            Ok::<u64, Infallible>(serve.serve(request))
        });
        Pool(WorkerPool::with_config(service, config(shape)).expect("the pool starts"))
    }

    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S> {
        let service = batch_fn(move |batch| Ok(answers(&serve, &batch)));
        let config = batch_config(shape, most);
        Pool(WorkerPool::with_batches(service, config).expect("the pool starts"))
    }
}

/// Serves a batch.
pub(super) fn answers(serve: &impl ServeBatch, batch: &Batch<u64>) -> Answers<u64, Infallible> {
    serve.prepare(batch.len());
    let requests = batch.requests().iter();
    requests.map(|&request| Ok(serve.serve(request))).collect()
}

pub(super) fn batch_config(shape: Shape, most: usize) -> WorkerPoolConfig {
    let mut config = config(shape);
    config.batching.batch_size = most;
    config
}

pub(super) fn config(shape: Shape) -> WorkerPoolConfig {
    let mut config = WorkerPoolConfig {
        worker_count: shape.workers,
        ..WorkerPoolConfig::default()
    };
    for lane in &mut config.lanes {
        lane.capacity = shape.capacity;
    }
    config
}

/// A pool with either kind of workers; what is submitted goes the same ways.
pub(crate) struct Pool<Q, R>(pub(super) WorkerPool<Q, R, Infallible>);

impl<Q: Send + 'static, R: Send + 'static> Pool<Q, R> {
    fn close(self) {
        let report = self.0.shutdown_blocking(PATIENCE);
        assert!(report.drained, "the pool was not drained in {PATIENCE:?}");
        let statistics = report.statistics;
        if let Err(imbalance) = statistics.conserved() {
            panic!("the conservation law is broken: {imbalance}");
        }
        let total = statistics.total();
        assert_eq!(
            total.completed, total.submitted,
            "not every task was completed"
        );
    }
}

impl<T: Task> Tasks<T> for Pool<T, ()> {
    fn submit(&self, task: T, priority: Priority) {
        let task = ProcessingTask::new(task).priority(lane(priority));
        self.0.spawn_blocking(task).expect("the pool is open");
    }

    fn finish(self) {
        self.close();
    }
}

impl Calls for Pool<u64, u64> {
    fn call(&self, request: u64, priority: Priority) -> u64 {
        self.0
            .execute_blocking(request, lane(priority), TaskContext::new())
            .expect("the task completes")
    }

    async fn call_async(&self, request: u64, priority: Priority) -> u64 {
        self.0
            .execute(request, lane(priority), TaskContext::new())
            .await
            .expect("the task completes")
    }

    fn finish(self) {
        self.close();
    }
}

fn lane(priority: Priority) -> TaskPriority {
    match priority {
        Priority::Low => TaskPriority::Low,
        Priority::Normal => TaskPriority::Normal,
        Priority::High => TaskPriority::High,
        Priority::Critical => TaskPriority::Critical,
    }
}
