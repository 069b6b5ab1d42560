//! The few tasks that one worker took from one lane in one claim.
//!
//! A task is moved once from its lane into the hand and once more, its request alone, to the service;
//! its papers stay where they are until the outcome is known.

use crate::reply::Promise;
use crate::task::{Answer, Papers, Task};

/// How many tasks a claim takes at most.
pub(crate) const LONGEST_RUN: usize = 16;

/// Tasks of one lane, oldest first, and in front of them at times one of a higher lane that has
/// overtaken them.
pub(super) struct Hand<Q, R, E> {
    requests: [Option<Q>; LONGEST_RUN],
    papers: [Papers<R, E>; LONGEST_RUN],
    lane: usize,
    next: usize,
    end: usize,
}

/// A task that was drawn from the hand; its papers lie there still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(super) lane: usize,
    place: usize,
}

impl<Q, R, E> Hand<Q, R, E> {
    pub(super) fn new() -> Self {
        Self {
            requests: [const { None }; LONGEST_RUN],
            papers: std::array::from_fn(|_| Papers::default()),
            lane: 0,
            next: 0,
            end: 0,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// The lane of the tasks. Meaningful while the hand is not empty.
    #[inline]
    pub(super) fn lane(&self) -> usize {
        self.lane
    }

    /// Starts over with tasks of `lane`.
    #[inline]
    pub(super) fn begin(&mut self, lane: usize) {
        debug_assert!(self.is_empty(), "a hand is played before the next is dealt");
        self.lane = lane;
        self.next = 0;
        self.end = 0;
    }

    /// Appends a task. At most [`LONGEST_RUN`] fit since [`Hand::begin`].
    #[inline]
    pub(super) fn push(&mut self, task: Task<Q, R, E>) {
        self.lay(self.end, task);
        self.end += 1;
    }

    /// Draws the oldest task of a hand that is not empty.
    #[inline]
    pub(super) fn draw(&mut self) -> Drawn {
        debug_assert!(
            !self.is_empty(),
            "only a hand that holds something is drawn from"
        );
        let place = self.next;
        self.next += 1;
        Drawn {
            lane: self.lane,
            place,
        }
    }

    /// Lays down a task of a higher lane and draws it. The place before the next task is vacant: the
    /// task that lay there was drawn and has its outcome.
    pub(super) fn overtake(&mut self, lane: usize, task: Task<Q, R, E>) -> Drawn {
        let place = self.next - 1;
        self.lay(place, task);
        Drawn { lane, place }
    }

    #[inline]
    fn lay(&mut self, place: usize, task: Task<Q, R, E>) {
        self.requests[place] = Some(task.request);
        self.papers[place] = task.papers;
    }

    /// Takes the request of a drawn task.
    #[inline]
    pub(super) fn request(&mut self, drawn: Drawn) -> Option<Q> {
        self.requests[drawn.place].take()
    }

    /// The papers of a drawn task.
    #[inline]
    pub(super) fn papers(&self, drawn: Drawn) -> &Papers<R, E> {
        &self.papers[drawn.place]
    }

    /// Takes the promise of a drawn task.
    #[inline]
    pub(super) fn promise(&mut self, drawn: Drawn) -> Promise<Answer<R, E>> {
        std::mem::take(&mut self.papers[drawn.place].promise)
    }
}
