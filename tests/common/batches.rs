//! Pools of batches of both kinds, around a closure.

use std::time::Duration;

use lanepool::{Answers, Batch, BatchProcessorConfig, BuildError, PoolBuilder, WorkerPool};

use super::Kind;

/// What a batch comes to.
pub type BatchResult<R, E> = Result<Answers<R, E>, E>;

impl Kind {
    /// A pool of this kind that runs batches by a closure.
    pub fn serve_batches<Q, R, E>(
        self,
        builder: PoolBuilder,
        function: impl Fn(Batch<Q>) -> BatchResult<R, E> + Clone + Send + Sync + 'static,
    ) -> Result<WorkerPool<Q, R, E>, BuildError>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: Clone + Send + 'static,
    {
        match self {
            Kind::Threads => builder.build_batches(lanepool::batch_fn(function)),
            #[cfg(feature = "tokio")]
            Kind::Tasks => {
                let service = lanepool::async_batch_fn(move |batch| {
                    let function = function.clone();
                    async move { function(batch) }
                });
                builder
                    .runtime(super::runtime().handle().clone())
                    .build_batches_async(service)
            }
        }
    }
}

/// Batches of exactly this size, that linger for 1 s of the pool's clock whatever happens, and no longer than
/// 10 s.
pub fn lingering(size: usize) -> BatchProcessorConfig {
    BatchProcessorConfig::new()
        .batch_size(size)
        .enable_adaptive_batching(false)
        .batch_timeout(Duration::from_secs(1))
        .max_batch_wait(Duration::from_secs(10))
        .close_when_idle(false)
}

/// Waits until so many workers linger with a batch.
pub fn await_lingering<Q, R, E>(pool: &WorkerPool<Q, R, E>, workers: usize) {
    let processor = pool.batch_processor().expect("the pool runs batches");
    while processor.statistics().lingering != workers {
        std::thread::yield_now();
    }
}
