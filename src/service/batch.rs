//! Services that run several requests at once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use smallvec::SmallVec;

use crate::batch::{CloseReason, INLINE};
use crate::error::ProcessingError;
use crate::panics;
use crate::task::TaskContext;

/// Requests that are run together, in the order in which a worker took them.
///
/// Up to 8 lie in place; a larger batch is on the heap.
///
/// # Examples
/// ```
/// use lanepool::{Answers, Batch};
///
/// fn lengths(batch: Batch<String>) -> Answers<usize, &'static str> {
///     batch.answer_each(|text, _| if text.is_empty() { Err("empty") } else { Ok(text.len()) })
/// }
/// ```
#[derive(Debug)]
pub struct Batch<Q> {
    id: u64,
    reason: CloseReason,
    requests: SmallVec<[Q; INLINE]>,
    contexts: SmallVec<[TaskContext; INLINE]>,
}

impl<Q> Batch<Q> {
    /// One that forms. It is large to move, so the requests are put where they stay until it is given to the service.
    pub(crate) fn forming() -> Self {
        Self {
            id: 0,
            reason: CloseReason::Full,
            requests: SmallVec::new(),
            contexts: SmallVec::new(),
        }
    }

    pub(crate) fn push(&mut self, request: Q, context: TaskContext) {
        self.requests.push(request);
        self.contexts.push(context);
    }

    pub(crate) fn close(&mut self, id: u64, reason: CloseReason) {
        self.id = id;
        self.reason = reason;
    }

    /// The batch's number: no two of a pool have the same.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Why it was closed.
    pub fn close_reason(&self) -> CloseReason {
        self.reason
    }

    /// How many requests it has: 1 or more.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether it has none, which no service ever sees.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The requests.
    pub fn requests(&self) -> &[Q] {
        &self.requests
    }

    /// The context of each request.
    pub fn contexts(&self) -> &[TaskContext] {
        &self.contexts
    }

    /// Answers one request after the other. A panic of `answer` fails that request alone, and the worker keeps
    /// its state.
    pub fn answer_each<R, E>(
        self,
        mut answer: impl FnMut(Q, &TaskContext) -> Result<R, E>,
    ) -> Answers<R, E> {
        let one = |(request, context): (Q, TaskContext)| {
            // Unwind safety: what the closure shares with its next call is its own affair, as it is for a
            // service that panics and is called again.
            match catch_unwind(AssertUnwindSafe(|| answer(request, &context))) {
                Ok(result) => result.map_err(ProcessingError::Failed),
                Err(panic) => Err(ProcessingError::Panicked(panics::message(panic))),
            }
        };
        Answers {
            answers: self.into_iter().map(one).collect(),
        }
    }
}

impl<Q> IntoIterator for Batch<Q> {
    type Item = (Q, TaskContext);
    type IntoIter =
        std::iter::Zip<smallvec::IntoIter<[Q; INLINE]>, smallvec::IntoIter<[TaskContext; INLINE]>>;

    /// The requests with their contexts.
    fn into_iter(self) -> Self::IntoIter {
        self.requests.into_iter().zip(self.contexts)
    }
}

/// The answers to a batch: one for each request, in their order.
#[derive(Debug)]
pub struct Answers<R, E> {
    answers: SmallVec<[Result<R, ProcessingError<E>>; INLINE]>,
}

impl<R, E> Default for Answers<R, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, E> Answers<R, E> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            answers: SmallVec::new(),
        }
    }

    /// Answers the next request.
    pub fn push(&mut self, answer: Result<R, E>) {
        self.answers.push(answer.map_err(ProcessingError::Failed));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Takes them one by one, in their order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Result<R, ProcessingError<E>>> {
        self.answers.drain(..)
    }
}

impl<R, E> FromIterator<Result<R, E>> for Answers<R, E> {
    fn from_iter<I: IntoIterator<Item = Result<R, E>>>(answers: I) -> Self {
        let answers = answers.into_iter();
        Self {
            answers: answers
                .map(|answer| answer.map_err(ProcessingError::Failed))
                .collect(),
        }
    }
}

impl<R, E> Extend<Result<R, E>> for Answers<R, E> {
    fn extend<I: IntoIterator<Item = Result<R, E>>>(&mut self, answers: I) {
        answers.into_iter().for_each(|answer| self.push(answer));
    }
}

/// What the threads of a pool of batches run. As [`Service`](crate::Service), but a call takes a whole batch.
///
/// # Examples
/// One transaction for many rows: if it cannot be committed all of them fail, and a row that is not valid
/// fails alone.
/// ```
/// use lanepool::{Answers, Batch, BatchService, TaskContext, TaskPriority, WorkerPool, WorkerPoolConfig};
///
/// struct Table;
///
/// impl BatchService<i64> for Table {
///     type Response = usize;
///     type Error = String;
///     type State = Vec<i64>;
///
///     fn state(&self, _worker: usize) -> Vec<i64> {
///         Vec::new()
///     }
///
///     fn call_batch(
///         &self,
///         rows: &mut Vec<i64>,
///         batch: Batch<i64>,
///     ) -> Result<Answers<usize, String>, String> {
///         if rows.len() + batch.len() > 1_000 {
///             return Err("the table is full".to_owned());
///         }
///         Ok(batch.answer_each(|row, _| {
///             if row < 0 {
///                 return Err(format!("{row} is below 0"));
///             }
///             rows.push(row);
///             Ok(rows.len())
///         }))
///     }
/// }
///
/// let pool = WorkerPool::with_batches(Table, WorkerPoolConfig::default())?;
/// let answer = |row| pool.execute_blocking(row, TaskPriority::Normal, TaskContext::new());
/// assert_eq!(answer(7), Ok(1));
/// assert!(answer(-7).is_err());
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub trait BatchService<Q>: Send + Sync + 'static {
    /// What a request is answered with.
    type Response: Send + 'static;
    /// What it is answered with when it fails; cloned for each request when a whole batch does.
    type Error: Clone + Send + 'static;
    /// What one worker keeps between batches.
    type State: 'static;

    /// Makes the state of a worker, on that worker.
    ///
    /// # Panics
    /// A panic while the pool is built fails the build; later it ends the worker.
    fn state(&self, worker: usize) -> Self::State;

    /// Runs a batch and answers each request of it, in their order.
    ///
    /// A list of another length than the batch's answers nobody: every request of the batch ends with
    /// [`ProcessingError::Unanswered`], because an answer might be
    /// another's.
    ///
    /// # Panics
    /// A panic fails every request of the batch; the worker goes on with new state. Within
    /// [`Batch::answer_each`] it fails one request.
    ///
    /// # Errors
    /// What every request of the batch shall receive, if the batch as a whole failed.
    fn call_batch(
        &self,
        state: &mut Self::State,
        batch: Batch<Q>,
    ) -> Result<Answers<Self::Response, Self::Error>, Self::Error>;
}

/// A closure as a batch service without state. Made by [`batch_fn`].
#[derive(Clone, Copy)]
pub struct BatchFn<F> {
    function: F,
}

impl<F> std::fmt::Debug for BatchFn<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BatchFn").finish_non_exhaustive()
    }
}

/// Makes a batch service of a closure.
///
/// # Examples
/// ```
/// use lanepool::{Batch, WorkerPool, WorkerPoolConfig, batch_fn};
///
/// let service = batch_fn(|batch: Batch<u32>| {
///     let together: u32 = batch.requests().iter().sum();
///     Ok::<_, ()>(batch.into_iter().map(|(one, _)| Ok((one, together))).collect())
/// });
/// let pool = WorkerPool::with_batches(service, WorkerPoolConfig::default())?;
/// let results = pool.execute_batch_blocking([1, 2, 3]);
/// assert!(results.into_iter().all(|result| result.is_ok_and(|(one, together)| one <= together)));
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub fn batch_fn<Q, R, E, F>(function: F) -> BatchFn<F>
where
    F: Fn(Batch<Q>) -> Result<Answers<R, E>, E> + Send + Sync + 'static,
{
    BatchFn { function }
}

impl<Q, R, E, F> BatchService<Q> for BatchFn<F>
where
    F: Fn(Batch<Q>) -> Result<Answers<R, E>, E> + Send + Sync + 'static,
    R: Send + 'static,
    E: Clone + Send + 'static,
{
    type Response = R;
    type Error = E;
    type State = ();

    fn state(&self, _worker: usize) {}

    fn call_batch(&self, _state: &mut (), batch: Batch<Q>) -> Result<Answers<R, E>, E> {
        (self.function)(batch)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_one_answer_leaves_the_others() {
        let mut batch = Batch::forming();
        (1..=3).for_each(|n| batch.push(n, TaskContext::new()));
        let mut answers = batch.answer_each(|n, _| match n {
            1 => Ok(10),
            2 => panic!("two"),
            _ => Err("three"),
        });
        assert_eq!(answers.len(), 3);
        let answers: Vec<_> = answers.drain().collect();
        assert_eq!(
            answers,
            [
                Ok(10),
                Err(ProcessingError::Panicked("two".to_owned())),
                Err(ProcessingError::Failed("three")),
            ]
        );
    }
}
