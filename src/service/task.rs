//! Async services, which run as tokio tasks.

use std::future::Future;

use crate::task::TaskContext;

/// What the async workers of a pool run. As [`Service`](crate::Service), but each worker is a tokio
/// task that runs one request at a time: the number of workers is the number of requests in flight.
///
/// # Examples
/// ```
/// use lanepool::{AsyncService, TaskContext, TaskPriority, WorkerPool};
///
/// struct Counter;
///
/// impl AsyncService<u64> for Counter {
///     type Response = u64;
///     type Error = std::convert::Infallible;
///     type State = u64;
///
///     fn state(&self, _worker: usize) -> u64 {
///         0
///     }
///
///     async fn call(&self, sum: &mut u64, request: u64, _: &TaskContext) -> Result<u64, Self::Error> {
///         tokio::task::yield_now().await;
///         *sum += request;
///         Ok(*sum)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), lanepool::BuildError> {
/// let pool = WorkerPool::new_async(Counter)?;
/// let sum = pool.execute(5, TaskPriority::Normal, TaskContext::new()).await;
/// assert_eq!(sum.unwrap(), 5);
/// # Ok(())
/// # }
/// ```
pub trait AsyncService<Q>: Send + Sync + 'static {
    /// What a request is answered with.
    type Response: Send + 'static;
    /// What it is answered with when it fails.
    type Error: Send + 'static;
    /// What one worker keeps between requests.
    type State: Send + 'static;

    /// Makes the state of a worker.
    ///
    /// # Panics
    /// A panic while the pool is built fails the build; later it ends the worker.
    fn state(&self, worker: usize) -> Self::State;

    /// Runs one request.
    ///
    /// # Panics
    /// A panic fails this request alone; the worker goes on with new state.
    ///
    /// # Errors
    /// Whatever the caller shall receive as
    /// [`ProcessingError::Failed`](crate::ProcessingError::Failed).
    fn call(
        &self,
        state: &mut Self::State,
        request: Q,
        context: &TaskContext,
    ) -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;
}

/// A closure as an async service without state. Made by [`async_service_fn`].
#[derive(Clone, Copy)]
pub struct AsyncServiceFn<F> {
    function: F,
}

impl<F> std::fmt::Debug for AsyncServiceFn<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AsyncServiceFn")
            .finish_non_exhaustive()
    }
}

/// Makes an async service of a closure that returns a future.
///
/// # Examples
/// ```
/// use lanepool::{async_service_fn, TaskContext, TaskPriority, WorkerPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), lanepool::BuildError> {
/// let pool = WorkerPool::new_async(async_service_fn(|n: u32, _: TaskContext| async move {
///     n.checked_mul(2).ok_or("too large")
/// }))?;
/// assert_eq!(pool.execute(21, TaskPriority::Normal, TaskContext::new()).await.unwrap(), 42);
/// # Ok(())
/// # }
/// ```
pub fn async_service_fn<Q, R, E, F, Answer>(function: F) -> AsyncServiceFn<F>
where
    F: Fn(Q, TaskContext) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<R, E>> + Send,
{
    AsyncServiceFn { function }
}

impl<Q, R, E, F, Answer> AsyncService<Q> for AsyncServiceFn<F>
where
    F: Fn(Q, TaskContext) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<R, E>> + Send,
    Q: Send,
    R: Send + 'static,
    E: Send + 'static,
{
    type Response = R;
    type Error = E;
    type State = ();

    fn state(&self, _worker: usize) {}

    fn call(
        &self,
        _state: &mut (),
        request: Q,
        context: &TaskContext,
    ) -> impl Future<Output = Result<R, E>> + Send {
        (self.function)(request, *context)
    }
}
