//! The ways to hand one request over.
//!
//! All of them check the request, make a task, and enter a lane; they differ in how they wait for
//! room and for the answer.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::WorkerPool;
use super::waiting::Waiting;
use crate::admission::{OverflowPolicy, Room};
use crate::clock;
use crate::error::{ExecuteError, SubmitError};
use crate::idle::{Attention, caller};
use crate::lane::Refusal;
use crate::reply::{Promise, Ticket};
use crate::sync::{hint, patience};
use crate::task::{Address, Offer, ProcessingTask, TaskContext, TaskPriority};
use crate::worker::nesting;

/// Looks for room in a full lane, with some pauses before each.
const LOOKS: u32 = patience(32);
const PAUSES: u32 = 8;
/// Yields to the workers that could make room, before it queues at the gate.
const YIELDS: u32 = patience(4);

/// The offer of a task, and the ticket for its outcome.
pub(super) type Promised<Q, R, E> = (Offer<Q, R, E>, Ticket<R, E>);

/// The deadline has passed.
struct Late;

impl<Q, R, E> WorkerPool<Q, R, E> {
    /// Hands a request over and awaits the response.
    ///
    /// When the lane is full this waits for room, or refuses, as the lane's policy says. Dropping the
    /// future cancels: a task that has not been started never will be. Needs no runtime.
    ///
    /// A caller that comes again and again, alone on its thread, polls for its answer before it lets the thread go,
    /// as long as that pays: for up to 1.5 µs where a worker looks for work, 30 µs where one had to be woken.
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
        let (offer, mut ticket) = self.promise(self.admit(task)?)?;
        let attention = match self.engine.submit(offer) {
            Ok(attention) => attention,
            Err((refusal, offer)) => self.enter_later(refusal, offer).await?,
        };
        let mut just_came = true;
        let answer = poll_fn(|context| {
            if mem::take(&mut just_came) {
                let luck = &self.engine.async_luck;
                caller::linger(luck, context, attention, || ticket.is_done());
            }
            let polled = Pin::new(&mut ticket).poll(context);
            if polled.is_pending() {
                caller::gives_way(context);
            }
            polled
        });
        Ok(answer.await?)
    }

    /// Hands a request over and waits for the response.
    ///
    /// # Errors
    /// As [`WorkerPool::execute`]; and [`SubmitError::Nested`] on a worker of this pool.
    ///
    /// # Blocking
    /// Until the task has its outcome. Before it sleeps the caller polls for the answer, as long as that pays: for up to
    /// 2 µs, or 30 µs where a worker had to be woken.
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
        let (offer, ticket) = self.promise(self.admit(task.into())?)?;
        self.try_enter(offer)?;
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
        let (offer, ticket) = self.promise(self.admit(task.into())?)?;
        if let Err((refusal, offer)) = self.engine.submit(offer) {
            self.enter_later(refusal, offer).await?;
        }
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
        let (offer, ticket) = self.promise(self.admit(task.into())?)?;
        self.enter_blocking(offer, None)?;
        Ok(ticket)
    }

    /// Hands a task over that nobody waits for, without waiting.
    ///
    /// # Errors
    /// The task was refused; the request is inside the error.
    #[inline(always)]
    pub fn try_spawn(&self, task: impl Into<ProcessingTask<Q>>) -> Result<(), SubmitError<Q>> {
        let offer = self.admit(task.into())?;
        self.try_enter(offer).map(drop)
    }

    /// Hands a task over that nobody waits for, waiting for room as [`WorkerPool::submit`] does.
    ///
    /// # Errors
    /// The task was refused; the request is inside the error.
    pub async fn spawn(&self, task: impl Into<ProcessingTask<Q>>) -> Result<(), SubmitError<Q>> {
        let offer = self.admit(task.into())?;
        if let Err((refusal, offer)) = self.engine.submit(offer) {
            self.enter_later(refusal, offer).await?;
        }
        Ok(())
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
        let offer = self.admit(task.into())?;
        self.enter_blocking(offer, None).map(drop)
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
        let offer = self.admit(task)?;
        if self.is_nested() {
            return Err(self.refuse_nested(offer));
        }
        let (offer, ticket) = self.promise(offer)?;
        let attention = self.enter_blocking(offer, deadline)?;
        Ok((ticket, attention))
    }

    /// Polls for the answer for a while.
    fn spin(&self, ticket: &Ticket<R, E>, attention: Attention) {
        caller::spin(&self.engine.luck, attention, || ticket.is_done());
    }

    pub(super) fn is_nested(&self) -> bool {
        nesting::is_inside(Arc::as_ptr(&self.engine).addr())
    }

    /// Finds the task's lane and looks at its deadline.
    #[inline(always)]
    pub(super) fn admit(&self, task: ProcessingTask<Q>) -> Result<Offer<Q, R, E>, SubmitError<Q>> {
        let ProcessingTask {
            request,
            mut context,
            address,
        } = task;
        let lane = match address {
            Address::Priority(priority) => self.engine.lane_of(priority),
            Address::Lane(lane) if lane < self.engine.shards.shared.len() => lane,
            Address::Lane(lane) => {
                let lanes = self.engine.shards.shared.len();
                return Err(SubmitError::NoSuchLane {
                    lane,
                    lanes,
                    request,
                });
            }
        };
        if context.has_deadline() || self.engine.config.default_timeout.is_some() {
            match self.deadline_ns(context.deadline_ns()) {
                Ok(deadline_ns) => context.set_deadline_ns(deadline_ns),
                Err(Late) => {
                    self.engine.front.refuse(lane);
                    return Err(SubmitError::Expired(request));
                }
            }
        }
        Ok(Offer {
            lane,
            context,
            request,
            promise: Promise::default(),
        })
    }

    /// The deadline of a task: its own, or the default one if it has none. The numbers alone, because
    /// a context whose address is taken has to lie in memory for every task.
    #[cold]
    fn deadline_ns(&self, own: Option<u64>) -> Result<Option<u64>, Late> {
        if let Some(deadline_ns) = own {
            let late = self.engine.clock.now_ns() >= deadline_ns;
            return if late { Err(Late) } else { Ok(own) };
        }
        let timeout = self.engine.config.default_timeout.unwrap_or(Duration::MAX);
        let deadline = self.engine.clock.now().checked_add(timeout);
        Ok(deadline.map(clock::to_ns))
    }

    /// Promises the outcome of a task to the holder of the ticket.
    #[inline(always)]
    pub(super) fn promise(
        &self,
        mut offer: Offer<Q, R, E>,
    ) -> Result<Promised<Q, R, E>, SubmitError<Q>> {
        match Promise::pair(&self.engine.slab) {
            Some((promise, half)) => {
                offer.promise = promise;
                Ok((offer, Ticket::new(half)))
            }
            None => Err(self.refuse(Refusal::Full, offer)),
        }
    }

    #[inline(always)]
    fn try_enter(&self, offer: Offer<Q, R, E>) -> Result<Attention, SubmitError<Q>> {
        self.engine
            .submit(offer)
            .map_err(|(refusal, offer)| self.refuse(refusal, offer))
    }

    /// Counts a refusal and hands the request back.
    #[cold]
    pub(super) fn refuse(&self, refusal: Refusal, offer: Offer<Q, R, E>) -> SubmitError<Q> {
        self.engine.front.refuse(offer.lane);
        match refusal {
            Refusal::Full | Refusal::Crowded => SubmitError::Full(offer.request),
            Refusal::Closed => SubmitError::Closed(offer.request),
        }
    }

    /// Counts a refusal of work that would wait for its own pool, and hands the request back.
    #[cold]
    pub(super) fn refuse_nested(&self, offer: Offer<Q, R, E>) -> SubmitError<Q> {
        self.engine.front.refuse(offer.lane);
        SubmitError::Nested(offer.request)
    }

    pub(super) fn may_wait(&self, lane: usize) -> bool {
        self.engine.config.lanes[lane].overflow == OverflowPolicy::Wait
    }

    /// Awaits room for an offer that was refused. Apart from the first try, so that a caller who need not wait makes
    /// no future for it, into which the offer would have to be moved.
    async fn enter_later(
        &self,
        mut refusal: Refusal,
        mut offer: Offer<Q, R, E>,
    ) -> Result<Attention, SubmitError<Q>> {
        let lane = offer.lane;
        let mut waiting = Waiting::new(&self.engine, lane);
        loop {
            if refusal == Refusal::Closed || !self.may_wait(lane) {
                return Err(self.refuse(refusal, offer));
            }
            waiting.refused(refusal, &offer);
            poll_fn(|context| waiting.poll(context)).await;
            (refusal, offer) = match self.engine.submit(offer) {
                Ok(attention) => {
                    waiting.got_in();
                    return Ok(attention);
                }
                Err(refused) => refused,
            };
        }
    }

    #[inline(always)]
    fn enter_blocking(
        &self,
        offer: Offer<Q, R, E>,
        deadline: Option<Instant>,
    ) -> Result<Attention, SubmitError<Q>> {
        match self.engine.submit(offer) {
            Ok(attention) => Ok(attention),
            Err((refusal, offer)) => self.wait_to_enter(refusal, offer, deadline),
        }
    }

    /// Waits a moment for the workers to make room, an eighth of the lane or more, so that the submitter can
    /// go on for a while: first beside them, then, if that has paid lately, letting them have this CPU. Returns
    /// whether they did.
    fn await_room(&self, lane: usize) -> bool {
        let ring = &self.engine.shards.shared.lane(lane).ring;
        let beside = (0..LOOKS).any(|_| {
            hint::pause(PAUSES);
            ring.has_room((ring.capacity() / 8).max(1))
        });
        if beside {
            return true;
        }
        let luck = &self.engine.room_luck;
        luck.yield_until(YIELDS, || ring.has_room((ring.capacity() / 2).max(1)))
    }

    /// Waits for room: a moment beside the workers, then at the gate.
    #[cold]
    fn wait_to_enter(
        &self,
        mut refusal: Refusal,
        mut offer: Offer<Q, R, E>,
        deadline: Option<Instant>,
    ) -> Result<Attention, SubmitError<Q>> {
        let lane = offer.lane;
        let mut waiting = Waiting::new(&self.engine, lane);
        let mut tries = 0;
        loop {
            if refusal == Refusal::Closed || !self.may_wait(lane) {
                return Err(self.refuse(refusal, offer));
            }
            if self.is_nested() {
                return Err(self.refuse_nested(offer));
            }
            waiting.refused(refusal, &offer);
            if tries > 0 || !self.await_room(lane) {
                let waited = caller::wait(deadline, |context| waiting.poll(context));
                if waited.is_none() {
                    return Err(self.refuse(refusal, offer));
                }
            }
            tries += 1;
            (refusal, offer) = match self.engine.submit(offer) {
                Ok(attention) => {
                    waiting.got_in();
                    return Ok(attention);
                }
                Err(refused) => refused,
            };
        }
    }
}
