//! The way of a batch through a worker: gathered task by task, and closed. How it ends is in `batch_end.rs`.

use std::sync::Arc;

use super::shift::Shift;
use crate::batch::{
    Batching, Choice, CloseReason, Closed, Costs, Decision, Fate, Forming, Situation,
};
use crate::engine::Engine;
use crate::reply::Promise;
use crate::schedule::Key;
use crate::service::Batch;
use crate::task::{Answer, Outcome, TaskContext};

/// A task that a worker has taken for a batch.
pub(super) struct Item<Q, R, E> {
    pub(super) request: Q,
    pub(super) context: TaskContext,
    pub(super) due: Due<R, E>,
    /// From how many batches it was put off.
    pub(super) put_off: u8,
}

/// What is left to do for a task when its request is with the service.
pub(super) struct Due<R, E> {
    pub(super) lane: usize,
    pub(super) promise: Promise<Answer<R, E>>,
    pub(super) stamp_ns: u64,
    /// Its key, if the next task of that key has to wait for this one alone.
    pub(super) key: Option<Key>,
}

/// One worker's working life in a pool of batches. Dropped, it settles what the worker still held and signs
/// it off.
pub(crate) struct BatchShift<Q, R, E> {
    pub(super) shift: Shift<Q, R, E>,
    /// The batch that forms.
    pub(super) tray: Vec<Item<Q, R, E>>,
    pub(super) forming: Forming,
    /// The size it is to have, 0 while that was not asked; and the most that it may hold for the sake of its deadlines.
    pub(super) target: usize,
    pub(super) most: usize,
    /// What it costs, if it has a deadline and may choose among what it holds.
    pub(super) costs: Option<Costs>,
    /// How many tasks it may hold to choose from; 0 while it holds fewer than its size.
    pub(super) room: usize,
    /// The key of all its tasks, where tasks of a key go together, and how many of that key were left
    /// waiting.
    pub(super) key: Option<Key>,
    pub(super) left: usize,
    /// Why that batch closed, if it formed before a worker took it.
    pub(super) reason: Option<CloseReason>,
    /// The same key, if its next tasks have to wait for this batch.
    pub(super) held: Option<Key>,
    /// The shortest time that one of its requests, or of the batch that runs, had until its deadline.
    pub(super) slack_ns: Option<u64>,
    /// Whether all tasks on the tray were taken in the last look at the lanes, and whether that look left nothing.
    is_fresh: bool,
    ran_dry: bool,
    /// Tasks that expired before a batch could have them, since one last ran.
    pub(super) missing: usize,
    /// When it had taken what was there; 0 before.
    pub(super) dry_ns: u64,
    /// When it last looked at the clock for the batch on the tray: readings cost as much as a claim.
    pub(super) now_ns: u64,
    /// The batch that runs, last one first, and since when.
    pub(super) running: Vec<Due<R, E>>,
    pub(super) start_ns: u64,
}

impl<Q, R, E> BatchShift<Q, R, E> {
    pub(crate) fn new(shift: Shift<Q, R, E>) -> Self {
        Self {
            shift,
            tray: Vec::new(),
            forming: Forming::default(),
            target: 0,
            most: usize::MAX,
            costs: None,
            room: 0,
            key: None,
            left: 0,
            reason: None,
            held: None,
            slack_ns: None,
            is_fresh: true,
            ran_dry: false,
            missing: 0,
            dry_ns: 0,
            now_ns: 0,
            running: Vec::new(),
            start_ns: 0,
        }
    }

    pub(super) fn engine(&self) -> Arc<Engine<Q, R, E>> {
        Arc::clone(&self.shift.engine)
    }

    /// Has the batches announced whose time has come, and takes what is there. Returns whether it holds
    /// anything.
    pub(super) fn ripen_and_gather(&mut self, engine: &Engine<Q, R, E>) -> bool {
        let batching = engine.batching();
        if batching.config.keyed {
            engine.ripen();
        }
        let holds = self.gather(engine);
        if !holds {
            // Whoever lingers while the pool has nothing else to do need not linger on.
            batching.desk.rouse_all();
        }
        holds
    }

    /// Until when this worker, which has nothing to do, waits for the sake of batches that linger; `None` if
    /// there are none or another does.
    pub(super) fn keeps_time(&self) -> Option<u64> {
        let waitlist = &self.shift.engine.batching().waitlist;
        if waitlist.next_ns().is_none() || self.shift.is_to_go() || !waitlist.keep() {
            return None;
        }
        let until_ns = waitlist.next_ns();
        if until_ns.is_none() {
            waitlist.cease();
        }
        until_ns
    }

    /// This worker has something to do: another may have to keep the time.
    pub(super) fn find_keeper(&self) {
        self.shift.engine.find_keeper();
    }

    /// Takes what is there, as much as the batch may hold. Returns whether it holds anything.
    fn gather(&mut self, engine: &Engine<Q, R, E>) -> bool {
        let batching = engine.batching();
        self.now_ns = 0;
        self.is_fresh = self.tray.is_empty();
        self.ran_dry = false;
        if self.target == 0 && !self.is_fresh {
            self.target = batching.target(self.key);
            self.costs = batching.costs(self.key);
        }
        while !self.is_full(engine) && !self.is_urgent_alone(batching) {
            if !self.shift.brings_next() {
                self.ran_dry = true;
                break;
            }
            let mut item = match self.shift.take() {
                Ok(item) => item,
                Err(outcome) => {
                    self.note_unstarted(outcome);
                    continue;
                }
            };
            if self.tray.is_empty() {
                if batching.config.keyed {
                    self.held = item.due.key.take();
                    self.key = self.held;
                }
                self.target = batching.target(self.key);
            }
            self.lay(engine, item);
            if let Some(key) = self.key {
                self.gather_alike(engine, key);
                break;
            }
        }
        if self.is_fresh
            && let Some(first) = self.tray.first()
        {
            // As late as that, because a processor does not look beyond a reading of the clock, and what was taken may
            // still be on its way from its submitter's CPU.
            let (stamp_ns, now_ns) = (first.due.stamp_ns, self.now(engine));
            self.forming.since_ns = now_ns;
            self.shift.end_idle(now_ns, stamp_ns);
        }
        !self.tray.is_empty()
    }

    /// When the lanes were last looked at, or if that was not timed, the time.
    fn now(&mut self, engine: &Engine<Q, R, E>) -> u64 {
        if self.now_ns == 0 {
            self.now_ns = engine.clock.now_ns();
        }
        self.now_ns
    }

    /// A task was settled before it could be in a batch.
    pub(super) fn note_unstarted(&mut self, outcome: Outcome) {
        self.missing += usize::from(outcome == Outcome::Expired);
    }

    fn is_full(&mut self, engine: &Engine<Q, R, E>) -> bool {
        let held = self.tray.len();
        if held == 0 || held < self.target.min(self.most) {
            return false;
        }
        if self.room == 0 {
            // What it holds nobody else can take, so it is no more than one batch's worth if others have nothing to do.
            let are_busy = || engine.busy() + 1 >= engine.alive();
            let chooses = self.costs.is_some() && self.key.is_none() && are_busy();
            self.room = if chooses { 2 * self.target } else { 1 };
        }
        held >= self.room
    }

    /// Whether it holds something urgent, and the rest of what waits is not.
    fn is_urgent_alone(&self, batching: &Batching) -> bool {
        self.forming.urgent
            && !self
                .shift
                .engine
                .shards
                .any_ready(self.shift.seat.only(batching.urgent()))
    }

    fn lay(&mut self, engine: &Engine<Q, R, E>, item: Item<Q, R, E>) {
        let batching = engine.batching();
        let deadline_ns = item.context.deadline_ns();
        let urgent = batching.is_urgent(item.due.lane);
        let accepted_ns = item.due.stamp_ns;
        self.forming
            .join(self.now_ns, accepted_ns, deadline_ns, urgent);
        self.tray.push(item);
        if let Some(deadline_ns) = deadline_ns {
            let slack_ns = deadline_ns.saturating_sub(accepted_ns);
            self.slack_ns = Some(
                self.slack_ns
                    .map_or(slack_ns, |least_ns| least_ns.min(slack_ns)),
            );
        }
        if let Some(tightest_ns) = self.forming.deadline_ns.filter(|_| deadline_ns.is_some()) {
            self.costs = self.costs.or_else(|| batching.costs(self.key));
            if self.costs.is_none() {
                let left_ns = tightest_ns.saturating_sub(self.now(engine));
                self.most = batching.most_within(self.key, left_ns, self.tray.len());
            }
        }
    }

    /// Takes more of the key whose first task is on the tray, and lets others have the rest.
    fn gather_alike(&mut self, engine: &Engine<Q, R, E>, key: Key) {
        loop {
            let room = self.target.min(self.most).saturating_sub(self.tray.len());
            let more = engine
                .strands
                .take_more(key, room, |lane| self.shift.takes(lane));
            self.left = more.left;
            self.reason = more.reason.or(self.reason);
            if more.tasks.is_empty() {
                break;
            }
            for (lane, (task, papers)) in more.tasks {
                self.shift.claimed(lane);
                match self.shift.examine(lane, task, papers, None) {
                    Ok(item) => self.lay(engine, item),
                    Err(outcome) => self.note_unstarted(outcome),
                }
            }
        }
        let is_ordered = engine.placement.plan().is_keyed() && key != Key::Neither;
        if !is_ordered {
            self.let_go();
        }
    }

    /// Lets the next tasks of the key have their turn, if they have to wait for this batch.
    pub(super) fn let_go(&mut self) {
        if let Some(key) = self.held.take() {
            self.shift.engine.form_rest(key);
        }
    }

    /// Whether the batch on the tray closes now.
    pub(super) fn decide(&mut self, engine: &Engine<Q, R, E>) -> Decision {
        let batching = engine.batching();
        let now_ns = self.now(engine);
        if self.dry_ns == 0 {
            self.dry_ns = now_ns;
        }
        let lead_ns = match self.forming.deadline_ns {
            Some(_) => batching.lead_ns(self.key, self.tray.len() + 1),
            None => 0,
        };
        let decision = batching.decide(
            &self.forming,
            &Situation {
                now_ns,
                target: self.target,
                lead_ns,
                patience_ns: batching.patience_ns(),
                idle: engine.busy() == 0,
                // One that is to go takes nothing more.
                closed: engine.shards.shared.is_closed() || self.shift.is_to_go(),
            },
        );
        match (decision, self.key) {
            // It has formed before a worker took it.
            (Decision::Close(CloseReason::Full), Some(_)) | (_, None) => decision,
            (_, Some(_)) => Decision::Close(self.reason.unwrap_or(CloseReason::Timeout)),
        }
    }

    /// How many requests more the batch is to have.
    pub(super) fn lacks(&self) -> usize {
        self.target.saturating_sub(self.tray.len())
    }

    /// Closes the batch on the tray: puts its requests into `batch`, without those that must not be started. Returns
    /// whether any is left.
    pub(super) fn begin(
        &mut self,
        engine: &Engine<Q, R, E>,
        reason: CloseReason,
        batch: &mut Batch<Q>,
    ) -> bool {
        let now_ns = self.now_ns;
        let batching = engine.batching();
        let given_up = engine.shards.shared.hint().is_given_up();
        let waiting = match self.key {
            Some(_) => self.left,
            // To count what waits takes the tails from the submitters. What this worker has not seen at its last look
            // was claimed and not published then, which concerns those who sleep.
            None if self.ran_dry && !engine.roster.any_asleep() => 0,
            None => engine.shards.waiting(self.shift.seat.lanes),
        };
        let backlogged = self.tray.len() + waiting >= self.target;
        let choice = if given_up {
            None
        } else {
            self.choose(batching, now_ns)
        };
        let is_cut = choice.as_ref().is_some_and(|choice| choice.is_cut);
        let reason = if is_cut {
            CloseReason::Deadline
        } else {
            reason
        };
        if self.key.is_none() && waiting > 0 {
            engine.leave_rest(self.shift.seat.lanes & engine.shards.shared.all());
        }
        self.deal(batching, choice.as_ref(), given_up, batch);
        let closed = Closed {
            reason,
            requests: batch.len(),
            wanted: if is_cut { batch.len() } else { self.target },
            backlogged,
            lingered_ns: now_ns.saturating_sub(self.dry_ns),
        };
        (self.target, self.room, self.costs) = (0, 0, None);
        (self.dry_ns, self.most, self.left) = (0, usize::MAX, 0);
        self.reason = None;
        let Some(first) = self.running.first() else {
            (self.key, self.slack_ns) = (None, None);
            self.let_go();
            return false;
        };
        self.shift.starts(first.lane, &batch.contexts()[0]);
        self.start_ns = now_ns;
        self.running.reverse();
        batching.blocks[self.shift.worker].record(&closed);
        batch.close(engine.next_batch_id(), reason);
        true
    }

    /// Gives each task on the tray what is its: a place in the batch, one on the tray again, or its outcome.
    fn deal(
        &mut self,
        batching: &Batching,
        choice: Option<&Choice>,
        given_up: bool,
        batch: &mut Batch<Q>,
    ) {
        let now_ns = self.now_ns;
        let mut fates = choice.into_iter().flat_map(|choice| &choice.fates);
        let mut put_off = Vec::new();
        // Taken one by one, because the tray as a whole is large to move.
        self.tray.reverse();
        while let Some(mut item) = self.tray.pop() {
            let fate = *fates.next().unwrap_or(&Fate::Runs);
            let outcome = if given_up {
                Outcome::Abandoned
            } else if !self.is_fresh && !item.due.promise.is_wanted() {
                Outcome::Cancelled
            } else if item.context.expired(|| now_ns) || fate == Fate::GivesWay {
                Outcome::Expired
            } else if fate == Fate::PutOff {
                item.put_off = item.put_off.saturating_add(1);
                put_off.push(item);
                continue;
            } else {
                let wait_ns = now_ns.saturating_sub(item.due.stamp_ns);
                self.shift.tell_dequeued(item.due.lane, wait_ns);
                batch.push(item.request, item.context);
                self.running.push(item.due);
                continue;
            };
            self.note_unstarted(outcome);
            self.shift.settle_item(item, outcome);
        }
        self.keep(batching, put_off);
    }
}
