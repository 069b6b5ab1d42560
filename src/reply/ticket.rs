//! The caller's half of a reply.
#![expect(unsafe_code, reason = "a half of a slot is used as its state permits")]

use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::slab;
use super::slot::{Leave, Slot};
use crate::error::ProcessingError;
use crate::idle::caller;
use crate::task::Answer;

/// The caller's hold on a slot, whatever lies in it. Dropping it cancels.
pub(crate) struct Half<V> {
    slot: Option<NonNull<Slot<V>>>,
}

// SAFETY: a half is one of two owners of a slot whose state tells what it may touch; it takes a `V`
// over from another thread.
unsafe impl<V: Send> Send for Half<V> {}
// SAFETY: through `&Half` only the state can be read.
unsafe impl<V: Send> Sync for Half<V> {}

impl<V> Half<V> {
    /// # Safety
    /// The caller hands over the ticket's ownership of the slot.
    pub(super) unsafe fn new(slot: NonNull<Slot<V>>) -> Self {
        Self { slot: Some(slot) }
    }

    /// Ready with the value, or with `None` if the task was abandoned.
    ///
    /// # Panics
    /// When polled after it was ready.
    #[inline]
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<V>> {
        let slot = self
            .slot
            .expect("a reply is not polled again after it was taken");
        // SAFETY: this half keeps the slot alive.
        match unsafe { slot.as_ref().poll(context.waker()) } {
            Poll::Pending => Poll::Pending,
            Poll::Ready((value, leave)) => {
                self.slot = None;
                if leave == Leave::Last {
                    // SAFETY: both owners have left.
                    unsafe { slab::free(slot) };
                }
                Poll::Ready(value)
            }
        }
    }

    /// Whether a poll would be ready.
    #[inline]
    pub(crate) fn is_answered(&self) -> bool {
        // SAFETY: this half keeps the slot alive.
        self.slot
            .is_none_or(|slot| unsafe { slot.as_ref() }.is_answered())
    }

    /// Gives the half up: cancels, or lets the task run for nobody.
    #[inline(never)]
    fn leave(&mut self, cancel: bool) {
        let Some(slot) = self.slot.take() else { return };
        // SAFETY: this half keeps the slot alive; it is given up here.
        let (leave, untaken) = unsafe { slot.as_ref().leave(cancel) };
        if leave == Leave::Last {
            // SAFETY: both owners have left.
            unsafe { slab::free(slot) };
        }
        drop(untaken);
    }
}

impl<V> Drop for Half<V> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.leave(true);
        }
    }
}

/// A caller's hold on a task that was accepted: await it, or wait for it from a thread.
///
/// Dropping a ticket cancels: a task that still waits in its lane is never run, one that runs is
/// finished and its result dropped. [`Ticket::detach`] lets it run for nobody.
///
/// A ticket may outlive its pool; it is always answered.
///
/// # Examples
/// ```
/// use lanepool::{service_fn, WorkerPool};
///
/// let pool = WorkerPool::new(service_fn(|request: u32, _: &_| Ok::<_, ()>(request + 1)))?;
/// let tickets: Vec<_> = (0..3).map(|n| pool.try_submit(n).expect("room for three")).collect();
/// let answers: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait()).collect();
/// assert_eq!(answers, [Ok(1), Ok(2), Ok(3)]);
/// # Ok::<(), lanepool::BuildError>(())
/// ```
#[must_use = "dropping a ticket cancels its task; `detach` lets it run"]
pub struct Ticket<R, E> {
    half: Half<Answer<R, E>>,
}

impl<R, E> Ticket<R, E> {
    pub(crate) fn new(half: Half<Answer<R, E>>) -> Self {
        Self { half }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// What became of the task instead of a response.
    ///
    /// # Blocking
    /// Until the task has its outcome. Not for async code: await the ticket there.
    pub fn wait(mut self) -> Answer<R, E> {
        let answer = caller::wait(None, |context| self.half.poll(context));
        answer.flatten().unwrap_or(Err(ProcessingError::Abandoned))
    }

    /// Waits for the answer, at most for `limit`.
    ///
    /// # Errors
    /// The ticket itself when the time is up: wait again, or drop it to cancel.
    ///
    /// # Blocking
    /// For at most `limit`.
    pub fn wait_timeout(mut self, limit: Duration) -> Result<Answer<R, E>, Self> {
        let deadline = Instant::now().checked_add(limit);
        match caller::wait(deadline, |context| self.half.poll(context)) {
            Some(answer) => Ok(answer.unwrap_or(Err(ProcessingError::Abandoned))),
            None => Err(self),
        }
    }

    /// Whether the answer is there, so that waiting would not block.
    pub fn is_done(&self) -> bool {
        self.half.is_answered()
    }

    /// Lets the task run though nobody waits for its result.
    pub fn detach(mut self) {
        self.half.leave(false);
    }
}

impl<R, E> Future for Ticket<R, E> {
    type Output = Answer<R, E>;

    /// # Panics
    /// When polled after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.half
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(ProcessingError::Abandoned)))
    }
}

impl<R, E> std::fmt::Debug for Ticket<R, E> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ticket")
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}
