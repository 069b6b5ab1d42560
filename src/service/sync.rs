//! Services that run on threads.

use crate::task::TaskContext;

/// What the threads of a pool run.
///
/// A service is shared by all workers; what a worker needs for itself (a buffer, a connection) is its
/// *state*, made on the worker's own thread and made anew after a panic. State needs to be neither
/// `Send` nor `Sync`.
///
/// # Examples
/// ```
/// use lanepool::{Service, TaskContext, WorkerPool};
///
/// struct Doubler;
///
/// impl Service<Vec<u8>> for Doubler {
///     type Response = usize;
///     type Error = std::convert::Infallible;
///     type State = Vec<u8>;
///
///     fn state(&self, _worker: usize) -> Vec<u8> {
///         Vec::with_capacity(4096)
///     }
///
///     fn call(
///         &self,
///         buffer: &mut Vec<u8>,
///         request: Vec<u8>,
///         _: &TaskContext,
///     ) -> Result<usize, Self::Error> {
///         buffer.clear();
///         buffer.extend(request.iter().chain(&request));
///         Ok(buffer.len())
///     }
/// }
///
/// let pool = WorkerPool::new(Doubler)?;
/// let length = pool.execute_blocking(vec![1, 2, 3], Default::default(), TaskContext::new());
/// assert_eq!(length.unwrap(), 6);
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub trait Service<Q>: Send + Sync + 'static {
    /// What a request is answered with.
    type Response: Send + 'static;
    /// What it is answered with when it fails.
    type Error: Send + 'static;
    /// What one worker keeps between requests.
    type State: 'static;

    /// Makes the state of a worker, on that worker.
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
    ) -> Result<Self::Response, Self::Error>;
}

/// A closure as a service without state. Made by [`service_fn`].
#[derive(Clone, Copy)]
pub struct ServiceFn<F> {
    function: F,
}

impl<F> std::fmt::Debug for ServiceFn<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServiceFn").finish_non_exhaustive()
    }
}

/// Makes a service of a closure.
///
/// # Examples
/// ```
/// use lanepool::{service_fn, TaskContext, TaskPriority, WorkerPool};
///
/// let pool = WorkerPool::new(service_fn(|name: String, _: &TaskContext| {
///     if name.is_empty() { Err("a name is needed") } else { Ok(format!("Hello, {name}!")) }
/// }))?;
/// let greeting = pool.execute_blocking("Ada".into(), TaskPriority::High, TaskContext::new());
/// assert_eq!(greeting.unwrap(), "Hello, Ada!");
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub fn service_fn<Q, R, E, F>(function: F) -> ServiceFn<F>
where
    F: Fn(Q, &TaskContext) -> Result<R, E> + Send + Sync + 'static,
{
    ServiceFn { function }
}

impl<Q, R, E, F> Service<Q> for ServiceFn<F>
where
    F: Fn(Q, &TaskContext) -> Result<R, E> + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    type Response = R;
    type Error = E;
    type State = ();

    fn state(&self, _worker: usize) {}

    #[inline]
    fn call(&self, _state: &mut (), request: Q, context: &TaskContext) -> Result<R, E> {
        (self.function)(request, context)
    }
}
