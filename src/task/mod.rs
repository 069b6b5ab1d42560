//! The task: one accepted request with its context and its reply.
//!
//! 1. [`context`] is what the caller says about a request.
//! 2. [`processing_task`] is the small builder in which a request is handed in.
//! 3. [`outcome`] is how a task can end.

mod context;
mod outcome;
mod processing_task;

pub use context::TaskContext;
pub use outcome::Outcome;
pub(crate) use processing_task::Address;
pub use processing_task::{ProcessingTask, TaskPriority};

use crate::error::ProcessingError;
use crate::lane::{Annex, Claim};
use crate::reply::Promise;

/// What a caller receives for an accepted task.
pub(crate) type Answer<R, E> = Result<R, ProcessingError<E>>;

/// A task on its way into a lane, in it, or out of it. Its papers go with it if it has any.
pub(crate) struct Task<Q, R, E> {
    pub(crate) request: Q,
    /// The worker's half of the reply; nobody's for fire-and-forget. Marked if there are papers.
    pub(crate) promise: Promise<Answer<R, E>>,
}

/// What few tasks carry beside their request: those whose caller said something, and those that are timed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Papers {
    pub(crate) context: TaskContext,
    /// When it was accepted, in nanoseconds of the pool's clock; 0 if it is not in the sample.
    pub(crate) stamp_ns: u64,
}

impl<Q, R, E> Annex<Task<Q, R, E>> for Papers {
    #[inline(always)]
    fn goes_with(task: &Task<Q, R, E>) -> bool {
        task.promise.is_marked()
    }
}

/// A task that no lane has taken yet. It stays with its submitter until one does.
pub(crate) struct Offer<Q, R, E> {
    pub(crate) lane: usize,
    pub(crate) context: TaskContext,
    /// The request and the promise; gone once the lane has taken them.
    parts: Option<(Q, Promise<Answer<R, E>>)>,
}

impl<Q, R, E> Offer<Q, R, E> {
    /// An offer to this lane. Nobody waits for the outcome until it is promised.
    #[inline(always)]
    pub(crate) fn new(lane: usize, request: Q, context: TaskContext) -> Self {
        Self {
            lane,
            context,
            parts: Some((request, Promise::default())),
        }
    }

    /// Promises the outcome to the other half's holder.
    ///
    /// # Panics
    /// When a lane has taken the task.
    #[inline(always)]
    pub(crate) fn promise(&mut self, promise: Promise<Answer<R, E>>) {
        let parts = self.parts.as_mut();
        parts
            .expect("an outcome is promised before a lane takes the task")
            .1 = promise;
    }

    /// The task, stamped so, for the lane that takes it.
    ///
    /// # Panics
    /// When it was taken before.
    #[inline(always)]
    pub(crate) fn take(&mut self, mut claim: Claim<'_, Papers>, stamp_ns: u64) -> Task<Q, R, E> {
        let (request, mut promise) = self.parts.take().expect("a lane takes a task once");
        if stamp_ns != 0 || !self.context.is_empty() {
            promise.mark();
            claim.lay_down(Papers {
                context: self.context,
                stamp_ns,
            });
        }
        Task { request, promise }
    }

    /// Takes the request back; whoever it was promised to is told that it was lost.
    ///
    /// # Panics
    /// When a lane has taken the task.
    pub(crate) fn take_back(&mut self) -> Q {
        let parts = self.parts.take();
        parts.expect("a refused task stays with its submitter").0
    }
}
