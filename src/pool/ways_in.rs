//! The ways to hand one request over.
//!
//! All of them check the request, make a task, and enter a lane; they differ in how they wait for
//! room and for the answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::WorkerPool;
use crate::admission::OverflowPolicy;
use crate::error::{ExecuteError, SubmitError};
use crate::idle::{Attention, caller};
use crate::lane::Refusal;
use crate::reply::{Promise, Ticket};
use crate::sync::{hint, thread};
use crate::task::{Address, Offer, ProcessingTask, TaskContext, TaskPriority};
use crate::worker::nesting;

/// Looks at a full lane with a short pause between, before it yields.
const PAUSES: u32 = 16;
/// Yields to the workers that could make room, before it queues at the gate.
const YIELDS: u32 = 20;

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// Hands a request over and awaits the response.
    ///
    /// When the lane is full this waits for room, or refuses, as the lane's policy says. Dropping the
    /// future cancels: a task that has not been started never will be. Needs no runtime.
    ///
    /// # Errors
    /// The request was refused and is inside the error, or the task has another outcome.
    ///
    /// # Examples
    /// ```
    /// # use lanepool::{service_fn, TaskContext, TaskPriority, WorkerPool};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = WorkerPool::new(service_fn(|text: String, _: &TaskContext| {
    ///     text.parse::<u32>()
    /// }))?;
    /// let number = pool.execute("17".into(), TaskPriority::High, TaskContext::new()).await?;
    /// assert_eq!(number, 17);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute(
        &self,
        request: Q,
        priority: TaskPriority,
        context: TaskContext,
    ) -> Result<R, ExecuteError<Q, E>> {
        let task = ProcessingTask::new(request)
            .priority(priority)
            .context(context);
        let mut offer = self.offer(task);
        let ticket = self.admit_promised(&mut offer)?;
        let attention = self.enter(&mut offer).await?;
        if attention == Attention::Searching {
            caller::linger(&self.engine.async_luck, || ticket.is_done()).await;
        }
        Ok(ticket.await?)
    }

    /// Hands a request over and waits for the response.
    ///
    /// # Errors
    /// As [`WorkerPool::execute`]; and [`SubmitError::Nested`] on a worker of this pool.
    ///
    /// # Blocking
    /// Until the task has its outcome.
    pub fn execute_blocking(
        &self,
        request: Q,
        priority: TaskPriority,
        context: TaskContext,
    ) -> Result<R, ExecuteError<Q, E>> {
        let (ticket, attention) = self.submit_and_wait(request, priority, context, None)?;
        self.spin(&ticket, attention);
        Ok(ticket.wait()?)
    }

    /// Hands a request over and waits for the response, for `timeout` altogether.
    ///
    /// # Errors
    /// As [`WorkerPool::execute_blocking`]; [`SubmitError::Full`] when there was no room in time;
    /// [`ExecuteError::TimedOut`] when there was no answer in time, and the task is cancelled if it
    /// has not been started.
    ///
    /// # Blocking
    /// For at most `timeout`.
    pub fn execute_timeout(
        &self,
        request: Q,
        priority: TaskPriority,
        context: TaskContext,
        timeout: Duration,
    ) -> Result<R, ExecuteError<Q, E>> {
        let deadline = Instant::now().checked_add(timeout);
        let (ticket, attention) = self.submit_and_wait(request, priority, context, deadline)?;
        self.spin(&ticket, attention);
        let left = match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        };
        match ticket.wait_timeout(left) {
            Ok(answer) => Ok(answer?),
            Err(_cancelled) => Err(ExecuteError::TimedOut),
        }
    }

    /// Hands a task over for a ticket, without waiting.
    ///
    /// # Errors
    /// The task was refused, because the lane is full, say; the request is inside the error.
    #[inline]
    pub fn try_submit(
        &self,
        task: impl Into<ProcessingTask<Q>>,
    ) -> Result<Ticket<R, E>, SubmitError<Q>> {
        let mut offer = self.offer(task.into());
        let ticket = self.admit_promised(&mut offer)?;
        self.try_enter(&mut offer)?;
        Ok(ticket)
    }

    /// Hands a task over for a ticket. When the lane is full this waits for room, or refuses, as the
    /// lane's policy says. Dropped while it waits, it drops the request.
    ///
    /// # Errors
    /// The task was refused; the request is inside the error.
    pub async fn submit(
        &self,
        task: impl Into<ProcessingTask<Q>>,
    ) -> Result<Ticket<R, E>, SubmitError<Q>> {
        let mut offer = self.offer(task.into());
        let ticket = self.admit_promised(&mut offer)?;
        self.enter(&mut offer).await?;
        Ok(ticket)
    }

    /// Hands a task over for a ticket, waiting for room as [`WorkerPool::submit`] does.
    ///
    /// # Errors
    /// The task was refused; the request is inside the error. [`SubmitError::Nested`] if it would have
    /// to wait and this is a worker of this pool.
    ///
    /// # Blocking
    /// While the lane is full.
    pub fn submit_blocking(
        &self,
        task: impl Into<ProcessingTask<Q>>,
    ) -> Result<Ticket<R, E>, SubmitError<Q>> {
        let mut offer = self.offer(task.into());
        let ticket = self.admit_promised(&mut offer)?;
        self.enter_blocking(&mut offer, None)?;
        Ok(ticket)
    }

    /// Hands a task over that nobody waits for, without waiting.
    ///
    /// # Errors
    /// The task was refused; the request is inside the error.
    #[inline(always)]
    pub fn try_spawn(&self, task: impl Into<ProcessingTask<Q>>) -> Result<(), SubmitError<Q>> {
        let mut offer = self.offer(task.into());
        self.admit(&mut offer)?;
        self.try_enter(&mut offer).map(drop)
    }

    /// Hands a task over that nobody waits for, waiting for room as [`WorkerPool::submit`] does.
    ///
    /// # Errors
    /// The task was refused; the request is inside the error.
    pub async fn spawn(&self, task: impl Into<ProcessingTask<Q>>) -> Result<(), SubmitError<Q>> {
        let mut offer = self.offer(task.into());
        self.admit(&mut offer)?;
        self.enter(&mut offer).await.map(drop)
    }

    /// Hands a task over that nobody waits for, waiting for room as [`WorkerPool::submit`] does.
    ///
    /// # Errors
    /// As [`WorkerPool::submit_blocking`].
    ///
    /// # Blocking
    /// While the lane is full.
    #[inline]
    pub fn spawn_blocking(&self, task: impl Into<ProcessingTask<Q>>) -> Result<(), SubmitError<Q>> {
        let mut offer = self.offer(task.into());
        self.admit(&mut offer)?;
        self.enter_blocking(&mut offer, None).map(drop)
    }

    fn submit_and_wait(
        &self,
        request: Q,
        priority: TaskPriority,
        context: TaskContext,
        deadline: Option<Instant>,
    ) -> Result<(Ticket<R, E>, Attention), SubmitError<Q>> {
        let task = ProcessingTask::new(request)
            .priority(priority)
            .context(context);
        let mut offer = self.offer(task);
        self.admit(&mut offer)?;
        if self.is_nested() {
            return Err(self.refuse_nested(&mut offer));
        }
        let ticket = self.promise(&mut offer)?;
        let attention = self.enter_blocking(&mut offer, deadline)?;
        Ok((ticket, attention))
    }

    /// Polls for the answer for a moment, unless a worker had to be woken and cannot be that quick.
    fn spin(&self, ticket: &Ticket<R, E>, attention: Attention) {
        if attention != Attention::Woken {
            caller::spin(&self.engine.luck, || ticket.is_done());
        }
    }

    pub(super) fn is_nested(&self) -> bool {
        nesting::is_inside(Arc::as_ptr(&self.engine).addr())
    }

    /// The task with its lane, which there may not be.
    #[inline(always)]
    pub(super) fn offer(&self, task: ProcessingTask<Q>) -> Offer<Q, R, E> {
        let lane = match task.address {
            Address::Priority(priority) => self.engine.lane_of(priority),
            Address::Lane(lane) => lane,
        };
        Offer::new(lane, task.request, task.context)
    }

    /// Looks whether the task's lane exists and its deadline is ahead.
    #[inline(always)]
    pub(super) fn admit(&self, offer: &mut Offer<Q, R, E>) -> Result<(), SubmitError<Q>> {
        let lanes = self.engine.lanes.len();
        if offer.lane >= lanes {
            return Err(SubmitError::NoSuchLane {
                lane: offer.lane,
                lanes,
                request: offer.take_back(),
            });
        }
        if (offer.context.has_deadline() || self.engine.config.default_timeout.is_some())
            && !self.date(&mut offer.context)
        {
            self.engine.front.refuse(offer.lane);
            return Err(SubmitError::Expired(offer.take_back()));
        }
        Ok(())
    }

    #[inline(always)]
    fn admit_promised(&self, offer: &mut Offer<Q, R, E>) -> Result<Ticket<R, E>, SubmitError<Q>> {
        self.admit(offer)?;
        self.promise(offer)
    }

    /// Sets the default deadline if there is none. Returns whether the deadline is still ahead.
    #[cold]
    fn date(&self, context: &mut TaskContext) -> bool {
        if context.has_deadline() {
            return !context.expired(|| self.engine.clock.now_ns());
        }
        let timeout = self.engine.config.default_timeout.unwrap_or(Duration::MAX);
        if let Some(deadline) = self.engine.clock.now().checked_add(timeout) {
            *context = context.with_deadline(deadline);
        }
        true
    }

    /// Promises the outcome of a task to the holder of the ticket.
    #[inline(always)]
    pub(super) fn promise(
        &self,
        offer: &mut Offer<Q, R, E>,
    ) -> Result<Ticket<R, E>, SubmitError<Q>> {
        match Promise::pair(&self.engine.slab) {
            Some((promise, half)) => {
                offer.promise(promise);
                Ok(Ticket::new(half))
            }
            None => Err(self.refuse(Refusal::Full, offer)),
        }
    }

    #[inline(always)]
    fn try_enter(&self, offer: &mut Offer<Q, R, E>) -> Result<Attention, SubmitError<Q>> {
        match self.engine.submit(offer) {
            Ok(attention) => Ok(attention),
            Err(refusal) => Err(self.refuse(refusal, offer)),
        }
    }

    /// Counts a refusal and hands the request back.
    #[cold]
    pub(super) fn refuse(&self, refusal: Refusal, offer: &mut Offer<Q, R, E>) -> SubmitError<Q> {
        self.engine.front.refuse(offer.lane);
        match refusal {
            Refusal::Full => SubmitError::Full(offer.take_back()),
            Refusal::Closed => SubmitError::Closed(offer.take_back()),
        }
    }

    /// Counts a refusal of work that would wait for its own pool, and hands the request back.
    #[cold]
    pub(super) fn refuse_nested(&self, offer: &mut Offer<Q, R, E>) -> SubmitError<Q> {
        self.engine.front.refuse(offer.lane);
        SubmitError::Nested(offer.take_back())
    }

    pub(super) fn may_wait(&self, lane: usize) -> bool {
        self.engine.config.lanes[lane].overflow == OverflowPolicy::Wait
    }

    async fn enter(&self, offer: &mut Offer<Q, R, E>) -> Result<Attention, SubmitError<Q>> {
        let mut refusal = match self.engine.submit(offer) {
            Ok(attention) => return Ok(attention),
            Err(refusal) => refusal,
        };
        let mut turn = self.engine.turn(offer.lane);
        loop {
            if refusal == Refusal::Closed || !self.may_wait(offer.lane) {
                return Err(self.refuse(refusal, offer));
            }
            poll_fn(|context| turn.poll(context)).await;
            refusal = match self.engine.submit(offer) {
                Ok(attention) => {
                    turn.got_in();
                    return Ok(attention);
                }
                Err(refusal) => refusal,
            };
        }
    }

    #[inline(always)]
    fn enter_blocking(
        &self,
        offer: &mut Offer<Q, R, E>,
        deadline: Option<Instant>,
    ) -> Result<Attention, SubmitError<Q>> {
        match self.engine.submit(offer) {
            Ok(attention) => Ok(attention),
            Err(refusal) => self.wait_to_enter(refusal, offer, deadline),
        }
    }

    /// Waits for room: a moment with pauses, some yields, then at the gate.
    #[cold]
    fn wait_to_enter(
        &self,
        mut refusal: Refusal,
        offer: &mut Offer<Q, R, E>,
        deadline: Option<Instant>,
    ) -> Result<Attention, SubmitError<Q>> {
        let mut turn = self.engine.turn(offer.lane);
        let mut tries = 0;
        loop {
            if refusal == Refusal::Closed || !self.may_wait(offer.lane) {
                return Err(self.refuse(refusal, offer));
            }
            if self.is_nested() {
                return Err(self.refuse_nested(offer));
            }
            match tries {
                0 => hint::pause(PAUSES),
                1..=YIELDS => thread::yield_now(),
                _ => {
                    if caller::wait(deadline, |context| turn.poll(context)).is_none() {
                        return Err(self.refuse(refusal, offer));
                    }
                }
            }
            tries += 1;
            refusal = match self.engine.submit(offer) {
                Ok(attention) => {
                    turn.got_in();
                    return Ok(attention);
                }
                Err(refusal) => refusal,
            };
        }
    }
}
