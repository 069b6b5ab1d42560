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

/// Papers in a lane. They have a cache line to themselves: a submitter shall not have to wait for that of the task before,
/// which its worker has just read.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Filed(pub(crate) Papers);

impl<Q, R, E> Annex<Task<Q, R, E>> for Filed {
    const BLANK: Self = Self(Papers {
        context: TaskContext::EMPTY,
        stamp_ns: u64::MAX,
    });

    #[inline(always)]
    fn goes_with(task: &Task<Q, R, E>) -> bool {
        task.promise.is_marked()
    }
}

/// A task that no lane has taken yet. It stays with its submitter until one does.
pub(crate) struct Offer<Q, R, E> {
    pub(crate) lane: usize,
    pub(crate) context: TaskContext,
    pub(crate) request: Q,
    /// Nobody's, until the outcome is promised to somebody.
    pub(crate) promise: Promise<Answer<R, E>>,
}

impl<Q, R, E> Offer<Q, R, E> {
    /// The task, stamped so, for the lane that takes it.
    #[inline(always)]
    pub(crate) fn accept(mut self, mut claim: Claim<'_, Filed>, stamp_ns: u64) -> Task<Q, R, E> {
        if stamp_ns != 0 || !self.context.is_empty() {
            self.promise.mark();
            claim.lay_down(Filed(Papers {
                context: self.context,
                stamp_ns,
            }));
        }
        Task {
            request: self.request,
            promise: self.promise,
        }
    }

    /// As [`Offer::accept`], for a task that waits in no ring and has its papers with it.
    pub(crate) fn accept_apart(mut self, stamp_ns: u64) -> (Task<Q, R, E>, Papers) {
        self.promise.mark();
        let task = Task {
            request: self.request,
            promise: self.promise,
        };
        let papers = Papers {
            context: self.context,
            stamp_ns,
        };
        (task, papers)
    }
}
