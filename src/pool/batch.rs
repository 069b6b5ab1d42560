//! Hands many requests over at once and gives the results in their order.

use std::future::poll_fn;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use super::WorkerPool;
use super::waiting::Waiting;
use crate::config::MOST_CAPACITY;
use crate::error::{ExecuteError, SubmitError};
use crate::idle::caller;
use crate::lane::Refusal;
use crate::reply::Ticket;
use crate::task::{Offer, ProcessingTask};

/// Tasks that enter a lane by one claim.
const CHUNK: usize = 16;

/// What a task of a batch came to so far. Not smaller than its result, so that the list of entries can
/// become the list of results where it lies.
enum Entry<Q, R, E> {
    Waiting(Ticket<R, E>),
    Done(Result<R, ExecuteError<Q, E>>),
}

impl<Q, R, E> Entry<Q, R, E> {
    fn refused(refused: SubmitError<Q>) -> Self {
        Self::Done(Err(refused.into()))
    }

    /// The result; a task that still waits is waited for.
    fn wait(self) -> Result<R, ExecuteError<Q, E>> {
        match self {
            Self::Waiting(ticket) => ticket.wait().map_err(ExecuteError::from),
            Self::Done(result) => result,
        }
    }
}

/// A batch on its way into the lanes.
struct Feed<'a, Q, R, E, I> {
    pool: &'a WorkerPool<Q, R, E>,
    tasks: I,
    /// Tasks of one lane that wait to enter it, last first.
    chunk: SmallVec<[Offer<Q, R, E>; CHUNK]>,
    lane: usize,
    /// A task of another lane than the chunk's.
    next: Option<Offer<Q, R, E>>,
    /// The number that tasks without one get.
    id: u64,
    /// One for each task seen so far, in order.
    entries: Vec<Entry<Q, R, E>>,
}

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// Hands a batch over and awaits all results, in the order of the tasks.
    ///
    /// A batch longer than its lane is fed through as room appears; an empty one is fine. Each task succeeds, fails
    /// or is refused for itself. Tasks without a batch's number get a new one, the same for all, which the service
    /// finds in their context. Tasks of one lane enter it in order, up to 16 by one claim.
    ///
    /// # Examples
    /// ```
    /// # use lanepool::{service_fn, ProcessingTask, TaskPriority, WorkerPool};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), lanepool::BuildError> {
    /// let pool = WorkerPool::new(service_fn(|n: u32, _: &_| if n == 2 { Err("two") } else { Ok(n) }))?;
    /// let tasks = (1..=3).map(|n| ProcessingTask::new(n).priority(TaskPriority::Low));
    /// let results = pool.execute_batch(tasks).await;
    /// assert_eq!(results[0], Ok(1));
    /// assert!(results[1].is_err());
    /// assert_eq!(results[2], Ok(3));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute_batch<T: Into<ProcessingTask<Q>>>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Vec<Result<R, ExecuteError<Q, E>>> {
        let mut entries = {
            let mut feed = Feed::new(self, tasks.into_iter());
            while let Some(mut waiting) = feed.advance() {
                poll_fn(|context| waiting.poll(context)).await;
                feed.enter();
                waiting.got_in();
            }
            feed.entries
        };
        for entry in &mut entries {
            if let Entry::Waiting(ticket) = entry {
                *entry = Entry::Done(ticket.await.map_err(ExecuteError::from));
            }
        }
        entries.into_iter().map(Entry::wait).collect()
    }

    /// Hands a batch over and waits for all results, in the order of the tasks; see
    /// [`WorkerPool::execute_batch`].
    ///
    /// On a worker of this pool every task is refused with [`SubmitError::Nested`].
    ///
    /// # Blocking
    /// Until every task has its outcome.
    pub fn execute_batch_blocking<T: Into<ProcessingTask<Q>>>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Vec<Result<R, ExecuteError<Q, E>>> {
        if self.is_nested() {
            let refuse = |task: T| {
                let offer = self.admit(task.into())?;
                Err(self.refuse_nested(offer).into())
            };
            return tasks.into_iter().map(refuse).collect();
        }
        let mut feed = Feed::new(self, tasks.into_iter());
        while let Some(mut waiting) = feed.advance() {
            let poll = |context: &mut Context<'_>| -> Poll<()> { waiting.poll(context) };
            caller::wait(None, poll);
            feed.enter();
            waiting.got_in();
        }
        feed.entries.into_iter().map(Entry::wait).collect()
    }
}

impl<'a, Q, R, E, T, I> Feed<'a, Q, R, E, I>
where
    T: Into<ProcessingTask<Q>>,
    I: Iterator<Item = T>,
{
    fn new(pool: &'a WorkerPool<Q, R, E>, tasks: I) -> Self {
        // A hint, and one that a caller may get wrong: no more is taken in advance than a lane holds.
        let expected = tasks.size_hint().0.min(MOST_CAPACITY);
        Self {
            pool,
            tasks,
            chunk: SmallVec::new(),
            lane: 0,
            next: None,
            id: pool.engine.next_batch_id(),
            entries: Vec::with_capacity(expected),
        }
    }

    /// Hands over as much as fits. Returns what it has to wait for, if it has to.
    fn advance(&mut self) -> Option<Waiting<'a, Q, R, E>> {
        loop {
            if let Some(refusal) = self.enter() {
                let mut waiting = Waiting::new(&self.pool.engine, self.lane);
                if let Some(next) = self.chunk.last() {
                    waiting.refused(refusal, next);
                }
                return Some(waiting);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Gathers the next tasks of one lane. Returns whether there are any.
    fn fill(&mut self) -> bool {
        while self.chunk.len() < CHUNK {
            let Some(offer) = self.next.take().or_else(|| self.admit_next()) else {
                break;
            };
            if self.chunk.is_empty() {
                self.lane = offer.lane;
            } else if offer.lane != self.lane {
                self.next = Some(offer);
                break;
            }
            match self.pool.promise(offer) {
                Ok((offer, ticket)) => {
                    self.chunk.push(offer);
                    self.entries.push(Entry::Waiting(ticket));
                }
                Err(refused) => self.entries.push(Entry::refused(refused)),
            }
        }
        self.chunk.reverse();
        !self.chunk.is_empty()
    }

    /// The next task that is not refused at once.
    fn admit_next(&mut self) -> Option<Offer<Q, R, E>> {
        loop {
            let mut task: ProcessingTask<Q> = self.tasks.next()?.into();
            if task.context.batch_id().is_none() {
                task.context = task.context.with_batch_id(self.id);
            }
            match self.pool.admit(task) {
                Ok(offer) => return Some(offer),
                Err(refused) => self.entries.push(Entry::refused(refused)),
            }
        }
    }

    /// Hands over what fits of the chunk. Returns why the rest has to wait, if it has to; what is refused for
    /// good takes its entry's place.
    fn enter(&mut self) -> Option<Refusal> {
        loop {
            let refusal = self.pool.engine.submit_n(self.lane, &mut self.chunk)?;
            if refusal != Refusal::Closed && self.pool.may_wait(self.lane) {
                return Some(refusal);
            }
            self.refuse_next(refusal);
        }
    }

    /// Refuses the next task of the chunk: others may have room where it has none.
    fn refuse_next(&mut self, refusal: Refusal) {
        let left = self.chunk.len();
        let Some(offer) = self.chunk.pop() else {
            return;
        };
        let refused = self.pool.refuse(refusal, offer);
        // The chunk's tasks are the last ones with a ticket, in order.
        let mut tickets = self
            .entries
            .iter_mut()
            .rev()
            .filter(|entry| matches!(entry, Entry::Waiting(_)));
        *tickets
            .nth(left - 1)
            .expect("each task has its ticket among the entries") = Entry::refused(refused);
    }
}
