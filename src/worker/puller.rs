//! The pull loop of both kinds of workers: whose turn is it, claim, draw one by one.

use super::hand::{Hand, LONGEST_RUN};
use super::run_length::RunLength;
use crate::engine::Engine;
use crate::idle::pace;
use crate::lane::GIVEN_UP;
use crate::lane::pick::{self, LaneBits, Turns};
use crate::stats::WorkerBlock;
use crate::sync::hint;

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

    /// Brings the next task to the front of the hand. Returns whether any lane has one to give.
    #[inline(always)]
    pub(super) fn next<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
    ) -> bool {
        let occupied = engine.lanes.occupied();
        // Where no lane but the hand's holds something nothing is passed over, and the pull does not
        // count.
        if !hand.is_empty() && occupied & !(1 << hand.lane()) == 0 {
            return true;
        }
        self.pull(engine, block, hand, occupied)
    }

    /// The rest of [`Puller::next`]: there may be a choice, or there is nothing in the hand.
    #[inline(never)]
    fn pull<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        mut occupied: LaneBits,
    ) -> bool {
        if hand.is_empty() {
            self.length.done(|| engine.clock.now_ns());
            if self.length.lets_them_fill() {
                hint::pause(pace::fill_pauses());
                // The pool may have been given up meanwhile.
                occupied = engine.lanes.occupied();
            }
        } else {
            occupied |= 1 << hand.lane();
        }
        if occupied & GIVEN_UP != 0 {
            return false;
        }
        let counts = occupied & occupied.wrapping_sub(1) != 0;
        if counts && let Some(lane) = self.turns.pull(occupied) {
            self.turns.served(lane);
            // One only: what is above has waited long enough after that.
            if self.bring(engine, block, hand, lane, 1) {
                return true;
            }
        }
        let longest = self.length.get();
        while let Some(lane) = pick::highest(occupied) {
            occupied &= !(1 << lane);
            if self.bring(engine, block, hand, lane, longest) {
                self.turns.served(lane);
                return true;
            }
        }
        self.length.ran_dry();
        false
    }

    /// Sees to it that a task of this lane is at the front of the hand. Returns whether it is.
    #[inline]
    fn bring<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        lane: usize,
        most: usize,
    ) -> bool {
        let taken = if hand.is_empty() {
            let taken = hand.claim(&engine.lanes, lane, most, engine.blocks.len());
            if most > 1 && taken > 0 {
                self.length.ran(taken);
            }
            taken
        } else if lane == hand.lane() {
            return true;
        } else {
            usize::from(hand.overtake(&engine.lanes, lane))
        };
        if taken == 0 {
            return false;
        }
        block.claim(lane, taken);
        self.length.claimed(taken, || engine.clock.now_ns());
        true
    }

    /// Whether runs are as long as they may be.
    pub(super) fn runs_are_longest(&self) -> bool {
        self.length.is_longest()
    }
}
