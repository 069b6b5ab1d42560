//! The pull loop of both kinds of workers: whose turn is it, claim, hand over one by one.

use crate::engine::Engine;
use crate::lane::pick::{self, Turns};
use crate::lane::run::{LONGEST_RUN, Run};
use crate::task::Task;

use super::run_length::RunLength;

/// One worker's way of taking tasks.
///
/// Tasks of one lane that came in one claim lie in the *hand* and are given out one by one. They
/// count as that lane's: before each of them the higher lanes are looked at, and from those only
/// single tasks are taken meanwhile.
pub(super) struct Puller<Q, R, E> {
    worker: usize,
    turns: Turns,
    hand: Run<Task<Q, R, E>>,
    length: RunLength,
}

impl<Q, R, E> Puller<Q, R, E> {
    /// For worker `worker`, which claims at most `longest_run` tasks at once.
    pub(super) fn new(engine: &Engine<Q, R, E>, worker: usize, longest_run: usize) -> Self {
        debug_assert!(longest_run <= LONGEST_RUN);
        Self {
            worker,
            turns: Turns::new(&engine.config.weights()),
            hand: Run::new(),
            length: RunLength::new(longest_run),
        }
    }

    /// The next task and its lane; `None` when no lane has one to give.
    #[inline]
    pub(super) fn next(&mut self, engine: &Engine<Q, R, E>) -> Option<(usize, Task<Q, R, E>)> {
        let mut occupied = engine.lanes.occupied();
        if self.hand.is_empty() {
            self.length.done(|| engine.clock.now_ns());
        } else {
            occupied |= 1 << self.hand.lane();
        }
        if let Some(lane) = self.turns.pull(occupied) {
            self.turns.served(lane);
            // One only: what is above has waited long enough after that.
            if let Some(task) = self.take(engine, lane, 1) {
                return Some((lane, task));
            }
        }
        let longest = self.length.get();
        let mut left = occupied;
        while let Some(lane) = pick::highest(left) {
            left &= !(1 << lane);
            if let Some(task) = self.take(engine, lane, longest) {
                self.turns.served(lane);
                return Some((lane, task));
            }
        }
        None
    }

    #[inline]
    fn take(
        &mut self,
        engine: &Engine<Q, R, E>,
        lane: usize,
        most: usize,
    ) -> Option<Task<Q, R, E>> {
        if self.hand.is_empty() {
            self.hand.begin(lane);
            let workers = engine.blocks.len();
            let taken = engine
                .lanes
                .pop(lane, most, workers, |task| self.hand.push(task));
            if taken == 0 {
                return None;
            }
            engine.blocks[self.worker].claim(lane, taken);
            self.length.claimed(taken, || engine.clock.now_ns());
        } else if self.hand.lane() != lane {
            let mut single = None;
            if engine.lanes.pop(lane, 1, 1, |task| single = Some(task)) > 0 {
                engine.blocks[self.worker].claim(lane, 1);
                self.length.claimed(1, || engine.clock.now_ns());
            }
            return single;
        }
        self.hand.pop()
    }

    /// Whether runs are as long as they may be.
    pub(super) fn runs_are_longest(&self) -> bool {
        self.length.is_longest()
    }

    /// What is left in the hand of a worker that ends: lane and task.
    pub(super) fn lay_down(&mut self) -> Option<(usize, Task<Q, R, E>)> {
        let lane = self.hand.lane();
        self.hand.pop().map(|task| (lane, task))
    }
}
