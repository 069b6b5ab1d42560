//! Async services that run several requests at once.

use std::future::Future;

use super::batch::{Answers, Batch};

/// What the async workers of a pool of batches run. As [`BatchService`](crate::BatchService), but each worker
/// is a tokio task: the number of workers is the number of batches in flight.
///
/// # Examples
/// ```
/// use lanepool::{Answers, AsyncBatchService, Batch, TaskContext, TaskPriority, WorkerPool, WorkerPoolConfig};
///
/// struct Sum;
///
/// impl AsyncBatchService<u64> for Sum {
///     type Response = u64;
///     type Error = std::convert::Infallible;
///     type State = ();
///
///     fn state(&self, _worker: usize) {}
///
///     async fn call_batch(
///         &self,
///         _: &mut (),
///         batch: Batch<u64>,
///     ) -> Result<Answers<u64, Self::Error>, Self::Error> {
///         tokio::task::yield_now().await;
///         Ok(batch.into_iter().map(|(n, _)| Ok(n + 1)).collect())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), lanepool::BuildError> {
/// let pool = WorkerPool::with_batches_async(Sum, WorkerPoolConfig::default())?;
/// assert_eq!(pool.execute(4, TaskPriority::Normal, TaskContext::new()).await, Ok(5));
/// # Ok(())
/// # }
/// ```
pub trait AsyncBatchService<Q>: Send + Sync + 'static {
    /// What a request is answered with.
    type Response: Send + 'static;
    /// What it is answered with when it fails; cloned for each request when a whole batch does.
    type Error: Clone + Send + 'static;
    /// What one worker keeps between batches.
    type State: Send + 'static;

    /// Makes the state of a worker.
    ///
    /// # Panics
    /// A panic while the pool is built fails the build; later it ends the worker.
    fn state(&self, worker: usize) -> Self::State;

    /// Runs a batch and answers each request of it; see
    /// [`BatchService::call_batch`](crate::BatchService::call_batch).
    ///
    /// # Panics
    /// A panic fails every request of the batch; the worker goes on with new state.
    ///
    /// # Errors
    /// What every request of the batch shall receive, if the batch as a whole failed.
    fn call_batch(
        &self,
        state: &mut Self::State,
        batch: Batch<Q>,
    ) -> impl Future<Output = BatchResult<Self::Response, Self::Error>> + Send;
}

/// What a batch comes to.
type BatchResult<R, E> = Result<Answers<R, E>, E>;

/// A closure as an async batch service without state. Made by [`async_batch_fn`].
#[derive(Clone, Copy)]
pub struct AsyncBatchFn<F> {
    function: F,
}

impl<F> std::fmt::Debug for AsyncBatchFn<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AsyncBatchFn")
            .finish_non_exhaustive()
    }
}

/// Makes an async batch service of a closure that returns a future.
///
/// # Examples
/// ```
/// use lanepool::{Batch, WorkerPool, WorkerPoolConfig, async_batch_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), lanepool::BuildError> {
/// let service = async_batch_fn(|batch: Batch<u32>| async move {
///     Ok::<_, ()>(batch.answer_each(|n, _| Ok(n * 2)))
/// });
/// let pool = WorkerPool::with_batches_async(service, WorkerPoolConfig::default())?;
/// assert_eq!(pool.execute_batch([20, 21]).await, [Ok(40), Ok(42)]);
/// # Ok(())
/// # }
/// ```
pub fn async_batch_fn<Q, R, E, F, Answer>(function: F) -> AsyncBatchFn<F>
where
    F: Fn(Batch<Q>) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Answers<R, E>, E>> + Send,
{
    AsyncBatchFn { function }
}

impl<Q, R, E, F, Answer> AsyncBatchService<Q> for AsyncBatchFn<F>
where
    F: Fn(Batch<Q>) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Answers<R, E>, E>> + Send,
    Q: Send,
    R: Send + 'static,
    E: Clone + Send + 'static,
{
    type Response = R;
    type Error = E;
    type State = ();

    fn state(&self, _worker: usize) {}

    fn call_batch(
        &self,
        _state: &mut (),
        batch: Batch<Q>,
    ) -> impl Future<Output = Result<Answers<R, E>, E>> + Send {
        (self.function)(batch)
    }
}
