//! Batches of a key: how they form, and who has them announced when their time has come.

use super::Engine;
use crate::batch::{Batching, Decision, Entry, Forming, Situation};
use crate::idle::Attention;
use crate::lane::Refusal;
use crate::lane::pick::LaneBits;
use crate::schedule::Key;
use crate::schedule::shards::Seat;
use crate::schedule::strands::{Judge, Stage};
use crate::task::{Offer, Papers, Task};

/// The engine at one moment, as a judge of batches.
struct Moment<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
    batching: &'a Batching,
    now_ns: u64,
    idle: bool,
    closed: bool,
}

impl<Q, R, E> Judge<(Task<Q, R, E>, Papers)> for Moment<'_, Q, R, E> {
    fn join(&self, forming: &mut Forming, lane: usize, (_, papers): &(Task<Q, R, E>, Papers)) {
        let urgent = self.batching.is_urgent(lane);
        let deadline_ns = papers.context.deadline_ns();
        forming.join(self.now_ns, papers.stamp_ns, deadline_ns, urgent);
    }

    fn decide(&self, key: Key, forming: &Forming) -> Decision {
        let lead_ns = match forming.deadline_ns {
            Some(_) => self.batching.lead_ns(Some(key), forming.len + 1),
            None => 0,
        };
        let situation = Situation {
            now_ns: self.now_ns,
            target: self.batching.target(Some(key)),
            lead_ns,
            // No worker waits with it.
            patience_ns: u64::MAX,
            idle: self.idle,
            closed: self.closed || self.engine.shards.shared.is_closed(),
        };
        self.batching.decide(forming, &situation)
    }

    fn target(&self, key: Key) -> usize {
        self.batching.target(Some(key))
    }
}

impl<Q, R, E> Engine<Q, R, E> {
    fn moment(&self, idle: bool) -> Moment<'_, Q, R, E> {
        Moment {
            engine: self,
            batching: self.batching(),
            now_ns: self.clock.now_ns(),
            idle,
            closed: false,
        }
    }

    /// Appends the task to those of its key, which form a batch.
    pub(super) fn submit_to_batch(
        &self,
        key: Key,
        offer: Offer<Q, R, E>,
    ) -> Result<Attention, (Refusal, Offer<Q, R, E>)> {
        let lane = offer.lane;
        let moment = self.moment(self.busy() == 0);
        let accept = |offer: Offer<Q, R, E>, place| offer.accept_apart(self.stamp_ns(place));
        let stage = self
            .strands
            .admit_to_batch(key, lane, offer, accept, &moment)?;
        let attention = self.go_on(key, stage);
        self.tell_enqueued(lane, 1);
        Ok(attention)
    }

    /// Does what the stage of a key's batch asks for.
    fn go_on(&self, key: Key, stage: Stage) -> Attention {
        match stage {
            Stage::Same => Attention::Busy,
            Stage::Due(lane) => {
                let attention = self.announce(key, lane);
                self.strands.announced();
                attention
            }
            Stage::Lingers(entry) => self.put_on_list(entry),
        }
    }

    /// Sees to it that somebody looks after a batch when its time has come.
    fn put_on_list(&self, entry: Entry) -> Attention {
        let batching = self.batching();
        let live = self.strands.live();
        let is_first = batching
            .waitlist
            .push(entry, live, |entry| self.strands.is_stale(entry));
        if !is_first {
            return Attention::Busy;
        }
        if batching.waitlist.has_keeper() {
            batching.desk.rouse_all();
            return Attention::Busy;
        }
        // Whoever takes any lane can keep the time.
        let top = self.shards.shared.len() - 1;
        self.notify(top, None)
    }

    /// The tasks that were taken for a batch do not hold up the others of their key any more.
    pub(crate) fn form_rest(&self, key: Key) {
        // The worker that asks is not idle.
        let stage = self.strands.form_rest(key, &self.moment(false));
        self.go_on(key, stage);
    }

    /// Announces the batches whose time has come; all that linger if the pool is closed, and one if nothing else
    /// runs. Returns whether there were any.
    pub(crate) fn ripen(&self) -> bool {
        let waitlist = &self.batching().waitlist;
        if waitlist.next_ns().is_none() {
            return false;
        }
        let moment = self.moment(self.busy() == 0 && self.batching().config.close_when_idle);
        let all = self.shards.shared.is_closed();
        let mut found = false;
        loop {
            let one_more = moment.idle && !found;
            let by_ns = if all || one_more {
                u64::MAX - 1
            } else {
                moment.now_ns
            };
            let Some(entry) = waitlist.pop(by_ns) else {
                return found;
            };
            let stage = self.strands.ripen(&entry, &moment);
            found |= matches!(stage, Stage::Due(_));
            self.go_on(entry.key, stage);
        }
    }

    /// Whether batches linger and nobody keeps the time.
    pub(crate) fn wants_keeper(&self) -> bool {
        self.batching_if_any()
            .is_some_and(|batching| batching.waitlist.wants_keeper())
    }

    /// Whether a worker must not sleep: the last look of the idle protocol.
    pub(crate) fn any_stirs(&self, seat: Seat) -> bool {
        self.shards.any_stirs(seat) || self.wants_keeper()
    }

    /// Whether a worker that has just said how it can be roused must not wait until then: the last look of the
    /// desk's protocol.
    pub(crate) fn is_to_go_on(&self, seat: Seat, until_ns: u64) -> bool {
        let batching = self.batching();
        self.shards.any_stirs(seat)
            || batching.waitlist.is_due_before(until_ns)
            || batching.config.close_when_idle && self.busy() == 0
    }

    /// A worker has something better to do than to keep the time: wakes another for that.
    pub(crate) fn find_keeper(&self) {
        if self.wants_keeper() {
            self.roster.wake_one(LaneBits::MAX);
        }
    }
}
