//! What a submitter waits for when its task was not taken.

use std::task::{Context, Poll};

use crate::admission::Turn;
use crate::engine::Engine;
use crate::lane::{Refusal, Ring};
use crate::schedule::Key;
use crate::schedule::strands::KeyedLane;
use crate::task::{Filed, Offer, Task};

/// One submitter's places in the queues for room.
pub(super) struct Waiting<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
    lane: usize,
    turn: Turn<'a, Ring<Task<Q, R, E>, Filed>>,
    /// For a task that waits in the order of its key.
    keyed: Option<(Key, Turn<'a, KeyedLane>)>,
    /// Whether there is room, but not for more tasks of the key.
    crowded: bool,
}

impl<'a, Q, R, E> Waiting<'a, Q, R, E> {
    /// For whoever offers a task of this lane.
    pub(super) fn new(engine: &'a Engine<Q, R, E>, lane: usize) -> Self {
        Self {
            engine,
            lane,
            turn: engine.turn(lane),
            keyed: None,
            crowded: false,
        }
    }

    /// The offer was refused once more.
    pub(super) fn refused(&mut self, refusal: Refusal, offer: &Offer<Q, R, E>) {
        self.crowded = refusal == Refusal::Crowded;
        if self.crowded
            && let Some((_, turn)) = self.keyed.take()
        {
            // The room that it was let in for is others' to use.
            turn.got_in();
        }
        if !self.engine.placement.plan().is_keyed() {
            return;
        }
        let key = Key::of(&offer.context);
        if self.keyed.as_ref().map(|(key, _)| *key) != key {
            let lane = self.engine.strands.lane(self.lane);
            self.keyed = key.map(|key| (key, Turn::new(&lane.gate, lane)));
        }
    }

    /// Ready when it is worth trying again.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.keyed {
            Some((key, _)) if self.crowded => {
                self.engine.strands.poll_share(*key, self.lane, context)
            }
            Some((_, turn)) => turn.poll(context),
            None => self.turn.poll(context),
        }
    }

    /// Tells the next in the queue after this submitter got in.
    pub(super) fn got_in(self) {
        if let Some((_, turn)) = self.keyed {
            turn.got_in();
        }
        self.turn.got_in();
    }
}
