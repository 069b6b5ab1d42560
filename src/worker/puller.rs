//! The pull loop of both kinds of workers: whose turn is it, claim, draw one by one.

use super::ages::Ages;
use super::hand::Hand;
use super::run_length::RunLength;
use super::sources::{Found, Sources};
use crate::engine::Engine;
use crate::idle::pace;
use crate::lane::Hint;
use crate::lane::pick::{self, LaneBits, Turns};
use crate::schedule::shards::Seat;
use crate::stats::WorkerBlock;
use crate::sync::hint;

/// One worker's way of taking tasks.
///
/// Tasks of one lane that came in one claim lie in the hand and are drawn one by one. They count as
/// that lane's: before each of them the higher lanes are looked at, and from those only single tasks
/// are taken meanwhile.
pub(super) struct Puller {
    worker: usize,
    /// The lanes whose tasks this worker takes.
    lanes: LaneBits,
    turns: Turns,
    length: RunLength,
    sources: Sources,
    /// How long tasks have waited, if that counts.
    ages: Option<Box<Ages>>,
    /// Whether it does not take all lanes by their turns alone.
    is_picky: bool,
}

/// No lane is preferred.
fn no_preference(_: &mut Puller) -> Option<usize> {
    None
}

impl Puller {
    /// For the worker of this seat, which claims runs of this length at most.
    pub(super) fn new(seat: Seat, weights: &[u32], length: RunLength, ages: Option<Ages>) -> Self {
        Self {
            worker: seat.worker,
            lanes: seat.lanes,
            turns: Turns::new(weights),
            length,
            sources: Sources::new(seat),
            is_picky: ages.is_some() || seat.lanes != LaneBits::MAX,
            ages: ages.map(Box::new),
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
        let hint = engine.shards.shared.hint();
        // Where no lane but the hand's holds something nothing is passed over, and the pull does not
        // count.
        if !hand.is_empty() && hint.is_at_most(hand.lane()) {
            return true;
        }
        self.pull(engine, block, hand, hint)
    }

    /// The rest of [`Puller::next`]: there may be a choice, or there is nothing in the hand.
    #[inline(never)]
    fn pull<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        mut hint: Hint,
    ) -> bool {
        if hand.is_empty() {
            self.length.done(|| engine.clock.now_ns());
            if self.length.lets_them_fill() {
                hint::pause(pace::fill_pauses());
                // The pool may have been given up meanwhile.
                hint = engine.shards.shared.hint();
            }
        }
        if self.is_picky || !hint.is_plain() {
            return self.pull_among(engine, block, hand, hint);
        }
        let lanes = hint.lanes() | hand.lanes();
        let found = self.bring_next(hand, lanes, no_preference, |puller, hand, lane, most| {
            puller.bring(engine, block, hand, lane, most)
        });
        if !found {
            self.length.ran_dry();
        }
        found
    }

    /// As [`Puller::pull`], where some lanes are out of the question, others come first for their age, or
    /// tasks wait in other sets than the shared one.
    #[inline(never)]
    fn pull_among<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        hint: Hint,
    ) -> bool {
        if hint.is_given_up() {
            return false;
        }
        if hint.is_leaving() && engine.shards.crew.is_to_go(self.worker) {
            // What it holds is its own.
            return !hand.is_empty();
        }
        let open = self.lanes & hint.open();
        let mut lanes = hint.lanes();
        if hint.is_elsewhere() {
            lanes |= self.sources.hints(engine);
        }
        let lanes = (lanes & open) | hand.lanes();
        // Once a claim: what is in the hand goes on.
        let is_claim = hand.is_empty();
        let prefer = |puller: &mut Self| is_claim.then(|| puller.aged(engine, block, lanes))?;
        let found = self.bring_next(hand, lanes, prefer, |puller, hand, lane, most| {
            puller.bring_from_any(engine, block, hand, lane, most, hint.is_elsewhere())
        });
        let found = found || hint.is_elsewhere() && self.steal(engine, block, hand, open);
        if !found {
            self.length.ran_dry();
        }
        found
    }

    /// Brings a task of the lane whose turn it is, of these lanes that may hold something. `prefer` may
    /// name another than the highest.
    #[inline(always)]
    fn bring_next<Q, R, E>(
        &mut self,
        hand: &mut Hand<Q, R, E>,
        mut lanes: LaneBits,
        prefer: impl FnOnce(&mut Self) -> Option<usize>,
        bring: impl Fn(&mut Self, &mut Hand<Q, R, E>, usize, usize) -> bool,
    ) -> bool {
        let counts = lanes & lanes.wrapping_sub(1) != 0;
        if counts && let Some(lane) = self.turns.pull(lanes).or_else(|| prefer(self)) {
            self.turns.served(lane);
            // One only: what is above has waited long enough after that.
            if bring(self, hand, lane, 1) {
                return true;
            }
        }
        let longest = self.length.get();
        while let Some(lane) = pick::highest(lanes) {
            lanes &= !(1 << lane);
            if bring(self, hand, lane, longest) {
                self.turns.served(lane);
                return true;
            }
        }
        false
    }

    /// A lane that goes before higher ones because its task has waited for long.
    #[inline]
    fn aged<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        lanes: LaneBits,
    ) -> Option<usize> {
        let ages = self.ages.as_mut()?;
        let lane = ages.preferred(engine, lanes)?;
        block.record_aged();
        Some(lane)
    }

    /// Sees to it that a task of this lane is at the front of the hand, out of the shared lanes. Returns
    /// whether it is.
    #[inline(always)]
    fn bring<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        lane: usize,
        most: usize,
    ) -> bool {
        let shared = &engine.shards.shared;
        let taken = if hand.is_empty() {
            let taken = hand.claim(shared, lane, most, engine.shards.crew.workers());
            if most > 1 && taken > 0 {
                self.length.ran(taken);
            }
            taken
        } else if lane == hand.lane() {
            return true;
        } else {
            usize::from(hand.overtake(shared, lane))
        };
        if taken == 0 {
            return false;
        }
        block.claim(lane, taken);
        self.length.claimed(taken, || engine.clock.now_ns());
        true
    }

    /// Sees to it that a task of this lane is at the front of the hand, out of any set that this worker is
    /// at home in. Returns whether it is.
    #[inline(never)]
    fn bring_from_any<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        lane: usize,
        most: usize,
        elsewhere: bool,
    ) -> bool {
        if !elsewhere {
            return self.bring(engine, block, hand, lane, most);
        }
        if !hand.is_empty() && lane == hand.lane() {
            return true;
        }
        let found = self.sources.take(engine, hand, lane, most);
        self.count(engine, block, hand, lane, &found)
    }

    /// Takes a task out of another worker's lanes, if nothing is at home.
    fn steal<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        lanes: LaneBits,
    ) -> bool {
        let longest = self.length.get();
        match self.sources.steal(engine, block, hand, lanes, longest) {
            Some((lane, found)) => self.count(engine, block, hand, lane, &found),
            None => false,
        }
    }

    /// Counts tasks that came from one of several sets. Returns whether there are any.
    fn count<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &Hand<Q, R, E>,
        lane: usize,
        found: &Found,
    ) -> bool {
        if found.tasks == 0 {
            return false;
        }
        let lane = if found.is_keyed { hand.front() } else { lane };
        block.claim(lane, found.tasks);
        self.length.claimed(found.tasks, || engine.clock.now_ns());
        true
    }

    /// Whether runs are as long as they may be.
    pub(super) fn runs_are_longest(&self) -> bool {
        self.length.is_longest()
    }
}
