//! The pull loop of both kinds of workers: whose turn is it, claim, draw one by one.

use super::hand::{Drawn, Hand, LONGEST_RUN};
use super::run_length::RunLength;
use crate::engine::Engine;
use crate::lane::pick::{self, Turns};
use crate::stats::WorkerBlock;

/// One worker's way of taking tasks.
///
/// Tasks of one lane that came in one claim lie in the hand and are drawn one by one. They count as
/// that lane's: before each of them the higher lanes are looked at, and from those only single tasks
/// are taken meanwhile.
pub(super) struct Puller {
    turns: Turns,
    length: RunLength,
}

impl Puller {
    /// For a worker that claims at most `longest_run` tasks at once.
    pub(super) fn new(weights: &[u32], longest_run: usize) -> Self {
        debug_assert!(longest_run <= LONGEST_RUN);
        Self {
            turns: Turns::new(weights),
            length: RunLength::new(longest_run),
        }
    }

    /// Draws the next task; `None` when no lane has one to give.
    #[inline]
    pub(super) fn next<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
    ) -> Option<Drawn> {
        let mut occupied = engine.lanes.occupied();
        if hand.is_empty() {
            self.length.done(|| engine.clock.now_ns());
        } else {
            occupied |= 1 << hand.lane();
        }
        if let Some(lane) = self.turns.pull(occupied) {
            self.turns.served(lane);
            // One only: what is above has waited long enough after that.
            let drawn = self.take(engine, block, hand, lane, 1);
            if drawn.is_some() {
                return drawn;
            }
        }
        let longest = self.length.get();
        let mut left = occupied;
        while let Some(lane) = pick::highest(left) {
            left &= !(1 << lane);
            let drawn = self.take(engine, block, hand, lane, longest);
            if drawn.is_some() {
                self.turns.served(lane);
                return drawn;
            }
        }
        None
    }

    #[inline]
    fn take<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        lane: usize,
        most: usize,
    ) -> Option<Drawn> {
        if hand.is_empty() {
            hand.begin(lane);
            let taken = engine
                .lanes
                .pop(lane, most, engine.blocks.len(), |task| hand.push(task));
            if taken == 0 {
                return None;
            }
            block.claim(lane, taken);
            self.length.claimed(taken, || engine.clock.now_ns());
            return Some(hand.draw());
        }
        if lane == hand.lane() {
            return Some(hand.draw());
        }
        let mut single = None;
        engine.lanes.pop(lane, 1, 1, |task| single = Some(task));
        single.map(|task| {
            block.claim(lane, 1);
            self.length.claimed(1, || engine.clock.now_ns());
            hand.overtake(lane, task)
        })
    }

    /// Whether runs are as long as they may be.
    pub(super) fn runs_are_longest(&self) -> bool {
        self.length.is_longest()
    }
}
