//! The few tasks that one worker took from one lane in one claim.
//!
//! A task is moved once from its lane into the hand, and its request once more, to the service; its
//! promise, and its papers if it has any, stay where they are until the outcome is known. A place
//! holds, in this order: nothing, a whole task, its promise alone, nothing.
#![expect(
    unsafe_code,
    reason = "a task leaves its place in two parts, and no place is moved twice"
)]

use std::mem::{self, MaybeUninit};
use std::ptr;

use crate::lane::LaneSet;
use crate::lane::pick::LaneBits;
use crate::reply::Promise;
use crate::schedule::Key;
use crate::task::{Answer, Filed, Papers, Task};

/// How many tasks a claim takes at most.
pub(crate) const LONGEST_RUN: usize = 16;

/// Tasks of one lane, oldest first, and in front of them at times one of a higher lane that has
/// overtaken them.
///
/// The places `next..end` hold whole tasks; the one that `open` names holds a promise, and is the one
/// before `next`; the others hold nothing. Beside a place with a marked promise lie its papers.
pub(super) struct Hand<Q, R, E> {
    places: [MaybeUninit<Task<Q, R, E>>; LONGEST_RUN],
    papers: [MaybeUninit<Filed>; LONGEST_RUN],
    lane: usize,
    /// The lane of the next task, or of the one that is played.
    front: usize,
    next: usize,
    end: usize,
    open: Open,
    /// The key of the first task, or of the one that is played, if it is one of a strand.
    key: Option<Key>,
}

/// The place of the task that is played: how many bytes into the places it begins. An index would have
/// to be multiplied once more when the task is done.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Open(usize);

impl Open {
    const NONE: Self = Self(usize::MAX);
}

impl<Q, R, E> Hand<Q, R, E> {
    pub(super) fn new() -> Self {
        Self {
            places: [const { MaybeUninit::uninit() }; LONGEST_RUN],
            papers: [const { MaybeUninit::uninit() }; LONGEST_RUN],
            lane: 0,
            front: 0,
            next: 0,
            end: 0,
            open: Open::NONE,
            key: None,
        }
    }

    /// Whether no whole task is left.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// The lane of the tasks. Meaningful while the hand is not empty.
    #[inline(always)]
    pub(super) fn lane(&self) -> usize {
        self.lane
    }

    /// The lane of the tasks as a set; none while the hand is empty.
    #[inline(always)]
    pub(super) fn lanes(&self) -> LaneBits {
        if self.is_empty() { 0 } else { 1 << self.lane }
    }

    /// The lane of the next task, or of the one that is played.
    #[inline(always)]
    pub(super) fn front(&self) -> usize {
        self.front
    }

    /// Claims up to `most` tasks of a lane for an empty hand, or one of `sharers` shares of what is
    /// there. Returns how many.
    ///
    /// # Panics
    /// When something is left of the last claim, or `most` is more than [`LONGEST_RUN`].
    #[inline(always)]
    pub(super) fn claim(
        &mut self,
        lanes: &LaneSet<Task<Q, R, E>, Filed>,
        lane: usize,
        most: usize,
        sharers: usize,
    ) -> usize {
        assert!(
            self.is_empty() && self.open == Open::NONE,
            "a hand is played before the next is dealt"
        );
        self.lane = lane;
        self.front = lane;
        self.next = 0;
        let (places, papers) = (&mut self.places[..most], &mut self.papers[..most]);
        self.end = lanes.pop_share(lane, places, papers, sharers);
        self.end
    }

    /// Claims a task of another lane and lays it down in front of the others, where one of them has been
    /// played. Returns whether there was one.
    ///
    /// # Panics
    /// When none has been played.
    pub(super) fn overtake(&mut self, lanes: &LaneSet<Task<Q, R, E>, Filed>, lane: usize) -> bool {
        let front = self.room_in_front();
        let (places, papers) = (
            &mut self.places[front..=front],
            &mut self.papers[front..=front],
        );
        let taken = lanes.pop_share(lane, places, papers, 1) > 0;
        if taken {
            self.next = front;
            self.front = lane;
        }
        taken
    }

    /// The place before the first task, where one has been played.
    fn room_in_front(&self) -> usize {
        assert!(
            self.next > 0 && self.open == Open::NONE,
            "a task overtakes between two others"
        );
        self.next - 1
    }

    /// Claims up to `most` tasks of a lane for an empty hand, or one in front of the others. Returns how
    /// many.
    ///
    /// # Panics
    /// As [`Hand::claim`] and [`Hand::overtake`].
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        lanes: &LaneSet<Task<Q, R, E>, Filed>,
        lane: usize,
        most: usize,
        sharers: usize,
    ) -> usize {
        if self.is_empty() {
            self.claim(lanes, lane, most, sharers)
        } else {
            usize::from(self.overtake(lanes, lane))
        }
    }

    /// Lays down the next task of a key: into an empty hand, or in front of the others.
    ///
    /// # Panics
    /// When the hand is not empty and none of its tasks has been played.
    pub(super) fn lay(&mut self, lane: usize, task: Task<Q, R, E>, papers: Papers, key: Key) {
        let place = if self.is_empty() {
            self.lane = lane;
            self.end = 1;
            0
        } else {
            self.room_in_front()
        };
        self.places[place].write(task);
        self.papers[place].write(Filed(papers));
        self.next = place;
        self.front = lane;
        self.key = Some(key);
    }

    /// Whether the task that was played is one of a strand, which has to be given back.
    #[inline(always)]
    pub(super) fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// The key of the task that was played, for whoever gives its strand back.
    pub(super) fn take_key(&mut self) -> Option<Key> {
        self.key.take()
    }

    /// The task whose place begins so many bytes into the hand.
    #[inline(always)]
    fn at(&self, place: Open) -> *const Task<Q, R, E> {
        self.places
            .as_ptr()
            .cast::<Task<Q, R, E>>()
            .wrapping_byte_add(place.0)
    }

    /// Plays the first task: takes its request. The last one played is done.
    ///
    /// # Panics
    /// When the hand is empty.
    #[inline(always)]
    pub(super) fn draw(&mut self) -> Q {
        debug_assert!(self.open == Open::NONE, "one task is played at a time");
        assert!(
            self.next < self.end,
            "only a hand that holds something is drawn from"
        );
        self.open = Open(self.next * size_of::<Task<Q, R, E>>());
        self.next += 1;
        // SAFETY: the place was among `next..end`, so it held a whole task; from here on it counts as
        // holding its promise alone.
        unsafe { ptr::read(&raw const (*self.at(self.open)).request) }
    }

    /// The promise of the task that is played.
    #[inline(always)]
    pub(super) fn promise(&self) -> Option<&Promise<Answer<R, E>>> {
        // SAFETY: an open place holds a promise.
        (self.open != Open::NONE).then(|| unsafe { &(*self.at(self.open)).promise })
    }

    /// The papers of the task that is played, if it has any.
    #[inline(always)]
    pub(super) fn papers(&self) -> Option<&Papers> {
        let has_papers = self.promise().is_some_and(Promise::is_marked);
        // SAFETY: beside a place with a marked promise lie papers, and the one before `next` is open.
        has_papers.then(|| unsafe { &self.papers[self.next - 1].assume_init_ref().0 })
    }

    /// Ends the play of a task and takes its promise.
    #[inline(always)]
    pub(super) fn close(&mut self) -> Option<Promise<Answer<R, E>>> {
        let open = mem::replace(&mut self.open, Open::NONE);
        if open == Open::NONE {
            return None;
        }
        self.front = self.lane;
        // SAFETY: the place held a promise; from here on it counts as empty.
        Some(unsafe { ptr::read(&raw const (*self.at(open)).promise) })
    }
}

impl<Q, R, E> Drop for Hand<Q, R, E> {
    fn drop(&mut self) {
        self.close();
        while !self.is_empty() {
            drop(self.draw());
            self.close();
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lane::Claim;

    type Token = Arc<()>;

    fn lanes(lane: usize, tokens: &[Token]) -> LaneSet<Task<Token, (), ()>, Filed> {
        let lanes = LaneSet::new([LONGEST_RUN, LONGEST_RUN]);
        for token in tokens {
            let task = Task {
                request: Arc::clone(token),
                promise: Promise::default(),
            };
            let make = |_: Claim<'_, Filed>| task;
            assert!(lanes.push_with(lane, make).is_ok(), "the lane has room");
        }
        lanes
    }

    #[test]
    fn tasks_are_drawn_in_order_and_overtaken_between_two() {
        let tokens: Vec<Token> = (0..3).map(|_| Arc::new(())).collect();
        let mut hand = Hand::new();
        assert_eq!(hand.claim(&lanes(0, &tokens[..2]), 0, LONGEST_RUN, 1), 2);
        assert!(Arc::ptr_eq(&hand.draw(), &tokens[0]));
        assert!(hand.promise().is_some() && hand.papers().is_none());
        assert!(hand.close().is_some() && hand.close().is_none());
        let above = lanes(1, &tokens[2..]);
        assert!(hand.overtake(&above, 1));
        assert!(Arc::ptr_eq(&hand.draw(), &tokens[2]));
        hand.close();
        assert!(!hand.overtake(&above, 1), "there was one only");
        assert!(Arc::ptr_eq(&hand.draw(), &tokens[1]));
        assert!(hand.is_empty());
    }

    #[test]
    fn whatever_is_left_is_dropped_once() {
        let token = Token::new(());
        let all = vec![Arc::clone(&token); LONGEST_RUN];
        let mut hand = Hand::new();
        hand.claim(&lanes(0, &all), 0, LONGEST_RUN, 1);
        drop(all);
        drop(hand.draw());
        assert_eq!(Arc::strong_count(&token), LONGEST_RUN);
        drop(hand);
        assert_eq!(Arc::strong_count(&token), 1);
    }
}
