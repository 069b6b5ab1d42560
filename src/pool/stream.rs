//! Hands many requests over and takes the results as they come.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::WorkerPool;
use crate::error::{ProcessingError, SubmitError};
use crate::idle::caller;
use crate::panics;
use crate::reply::Ticket;
use crate::sync::Mutex;
use crate::task::{ProcessingTask, TaskContext};

/// Tasks under way whose results are taken in the order in which they come.
///
/// At most `limit` tasks are outstanding; take a result to make room for another. Dropping the stream
/// cancels what has not been started. Made by [`WorkerPool::stream`].
///
/// # Examples
/// ```
/// use lanepool::{service_fn, ProcessingTask, WorkerPool};
///
/// let pool = WorkerPool::new(service_fn(|n: u64, _: &_| Ok::<_, ()>(n * n)))?;
/// let mut stream = pool.stream(4);
/// let mut numbers = 1..=100;
/// let mut sum = 0;
/// loop {
///     while stream.has_room()
///         && let Some(n) = numbers.next()
///     {
///         stream.submit_blocking(ProcessingTask::new(n).message_id(n)).expect("the pool is open");
///     }
///     match stream.next_blocking() {
///         Some(item) => sum += item.result.unwrap(),
///         None => break,
///     }
/// }
/// assert_eq!(sum, 338_350);
/// # Ok::<(), lanepool::BuildError>(())
/// ```
#[must_use = "dropping a stream cancels its tasks"]
pub struct ResultStream<Q, R, E> {
    pool: WorkerPool<Q, R, E>,
    /// A place for each task that may be outstanding.
    places: Vec<Place<R, E>>,
    vacant: Vec<usize>,
    ready: Arc<Ready>,
}

/// A result of a [`ResultStream`].
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamItem<R, E> {
    /// The context the task came with; its numbers tell whose result this is.
    pub context: TaskContext,
    /// What became of the task.
    pub result: Result<R, ProcessingError<E>>,
}

struct Place<R, E> {
    task: Option<(Ticket<R, E>, TaskContext)>,
    waker: Waker,
}

/// The places whose tickets are worth a look, and who waits for one.
#[derive(Debug)]
struct Ready {
    state: Mutex<ReadyState>,
}

#[derive(Debug)]
struct ReadyState {
    places: VecDeque<usize>,
    waiter: Option<Waker>,
}

/// Wakes the stream for one place.
struct Bell {
    place: usize,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiter = {
            let mut state = self.ready.state.lock();
            state.places.push_back(self.place);
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            panics::wake(waiter);
        }
    }
}

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// A stream of results with at most `limit` tasks outstanding (at least 1).
    pub fn stream(&self, limit: usize) -> ResultStream<Q, R, E> {
        let limit = limit.max(1);
        let places = VecDeque::with_capacity(limit + 1);
        let ready = Arc::new(Ready {
            state: Mutex::new(ReadyState {
                places,
                waiter: None,
            }),
        });
        let place = |place| Place {
            task: None,
            waker: Waker::from(Arc::new(Bell {
                place,
                ready: Arc::clone(&ready),
            })),
        };
        ResultStream {
            pool: self.clone(),
            places: (0..limit).map(place).collect(),
            vacant: (0..limit).rev().collect(),
            ready,
        }
    }
}

impl<Q, R, E> ResultStream<Q, R, E> {
    /// How many tasks are outstanding: handed over, and their results not taken.
    pub fn outstanding(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Whether another task can be handed over before a result is taken.
    pub fn has_room(&self) -> bool {
        !self.vacant.is_empty()
    }

    /// Hands a task over; waits for room in its lane as [`WorkerPool::submit`] does.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when `limit` tasks are outstanding; else as [`WorkerPool::submit`].
    pub async fn submit(
        &mut self,
        task: impl Into<ProcessingTask<Q>>,
    ) -> Result<(), SubmitError<Q>> {
        let task = self.admit(task.into())?;
        let context = task.context;
        let ticket = self.pool.submit(task).await?;
        self.seat(ticket, context);
        Ok(())
    }

    /// Hands a task over; waits for room in its lane as [`WorkerPool::submit_blocking`] does.
    ///
    /// # Errors
    /// As [`ResultStream::submit`], or as [`WorkerPool::submit_blocking`].
    ///
    /// # Blocking
    /// While the lane is full.
    pub fn submit_blocking(
        &mut self,
        task: impl Into<ProcessingTask<Q>>,
    ) -> Result<(), SubmitError<Q>> {
        let task = self.admit(task.into())?;
        let context = task.context;
        let ticket = self.pool.submit_blocking(task)?;
        self.seat(ticket, context);
        Ok(())
    }

    /// Hands a task over without waiting.
    ///
    /// # Errors
    /// As [`ResultStream::submit`], and when the lane is full.
    pub fn try_submit(&mut self, task: impl Into<ProcessingTask<Q>>) -> Result<(), SubmitError<Q>> {
        let task = self.admit(task.into())?;
        let context = task.context;
        let ticket = self.pool.try_submit(task)?;
        self.seat(ticket, context);
        Ok(())
    }

    fn admit(&self, task: ProcessingTask<Q>) -> Result<ProcessingTask<Q>, SubmitError<Q>> {
        if self.has_room() {
            Ok(task)
        } else {
            Err(SubmitError::Full(task.request))
        }
    }

    fn seat(&mut self, ticket: Ticket<R, E>, context: TaskContext) {
        let place = self
            .vacant
            .pop()
            .expect("room was checked when the task was admitted");
        self.places[place].task = Some((ticket, context));
        // The first look leaves the place's waker with the ticket.
        self.places[place].waker.wake_by_ref();
    }

    /// The next result that comes; `None` when no task is outstanding.
    pub async fn next(&mut self) -> Option<StreamItem<R, E>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next result that comes; `None` when no task is outstanding.
    ///
    /// # Blocking
    /// Until there is one.
    pub fn next_blocking(&mut self) -> Option<StreamItem<R, E>> {
        caller::wait(None, |context| self.poll_next(context)).flatten()
    }

    /// Polls for the next result; `Ready(None)` when no task is outstanding.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<StreamItem<R, E>>> {
        while self.outstanding() > 0 {
            let place = {
                let mut state = self.ready.state.lock();
                match state.places.pop_front() {
                    Some(place) => place,
                    None => {
                        state.waiter = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            let Place { task, waker } = &mut self.places[place];
            let Some((ticket, task_context)) = task else {
                continue;
            };
            let mut place_context = Context::from_waker(waker);
            let Poll::Ready(result) = Pin::new(ticket).poll(&mut place_context) else {
                continue;
            };
            let item = StreamItem {
                context: *task_context,
                result,
            };
            *task = None;
            self.vacant.push(place);
            return Poll::Ready(Some(item));
        }
        Poll::Ready(None)
    }
}

impl<Q, R, E> fmt::Debug for ResultStream<Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResultStream")
            .field("limit", &self.places.len())
            .field("outstanding", &self.outstanding())
            .finish_non_exhaustive()
    }
}
