//! Where a task is accepted.

use smallvec::SmallVec;

use super::{Engine, GOLDEN};
use crate::events::PoolEvent;
use crate::idle::{Attention, Look};
use crate::lane::pick::LaneBits;
use crate::lane::{Annex, Claim, LaneSet, Make, Refusal};
use crate::schedule::balance::Load;
use crate::schedule::balancer::Waits;
use crate::schedule::placement::Plan;
use crate::schedule::shards::{Apart, Seat, Shard};
use crate::schedule::strands::Admitted;
use crate::schedule::{Key, SchedulingStrategy};
use crate::sync::thread;
use crate::task::{Filed, Offer, Task, TaskContext};

/// An offer to the engine that stamps it.
struct Offered<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
    offer: Offer<Q, R, E>,
    /// Its stamp, if that is known already; else 0.
    stamp_ns: u64,
}

impl<Q, R, E> Make<Task<Q, R, E>, Filed> for Offered<'_, Q, R, E> {
    #[inline(always)]
    fn make(self, claim: Claim<'_, Filed>) -> Task<Q, R, E> {
        let stamp_ns = match self.stamp_ns {
            0 => self.engine.stamp_ns(claim.position()),
            known_ns => known_ns,
        };
        self.offer.accept(claim, stamp_ns)
    }
}

/// Who sees to a task that was accepted; or why it was not, and the offer.
type Submitted<Q, R, E> = Result<Attention, (Refusal, Offer<Q, R, E>)>;

impl<Q, R, E> Engine<Q, R, E> {
    /// Takes the offered task into its lane. Returns who sees to it.
    ///
    /// # Errors
    /// The lane is full or closed. The offer comes back, and is not counted as refused yet.
    #[inline(always)]
    pub(crate) fn submit(&self, offer: Offer<Q, R, E>) -> Submitted<Q, R, E> {
        let plan = self.placement.plan();
        if plan.is_usual() {
            self.submit_shared(offer)
        } else if plan.is_usual_of_batches() && !offer.context.has_deadline() {
            // What `place` would come to, at the end of a longer way that a request to an idle pool waits for.
            self.place_shared(offer)
        } else {
            self.place(plan, offer)
        }
    }

    /// Takes the task into the lane that all workers share.
    #[inline(always)]
    fn submit_shared(&self, offer: Offer<Q, R, E>) -> Submitted<Q, R, E> {
        let lane = offer.lane;
        self.push(&self.shards.shared, offer, 0)?;
        let attention = self.notify(lane, None);
        self.tell_enqueued(lane, 1);
        Ok(attention)
    }

    #[inline(always)]
    fn push(
        &self,
        set: &LaneSet<Task<Q, R, E>, Filed>,
        offer: Offer<Q, R, E>,
        stamp_ns: u64,
    ) -> Result<(), (Refusal, Offer<Q, R, E>)> {
        let lane = offer.lane;
        let offered = Offered {
            engine: self,
            offer,
            stamp_ns,
        };
        set.push_with(lane, offered)
            .map_err(|(refusal, offered)| (refusal, offered.offer))
    }

    /// Sees to it that somebody takes the task that was just put into a lane that several take from.
    #[inline(always)]
    pub(super) fn notify(&self, lane: usize, near: Option<usize>) -> Attention {
        match self.roster.look() {
            None => Attention::Busy,
            Some(look) => self.call_on(look, lane, near),
        }
    }

    /// The rest of `notify`. Nobody is woken for a lane that is paused: whoever resumes it wakes all, and
    /// either that comes after the push, or the lane is read as open here.
    #[inline(never)]
    fn call_on(&self, look: Look, lane: usize, near: Option<usize>) -> Attention {
        if look.finds_searcher() {
            Attention::Searching
        } else if self.shards.shared.last_hint().is_paused(lane) {
            Attention::Busy
        } else {
            self.roster.call_on(look, lane, near)
        }
    }

    #[inline(always)]
    pub(super) fn tell_enqueued(&self, lane: usize, tasks: usize) {
        if let Some(watch) = &self.watch {
            (0..tasks).for_each(|_| watch.tell(|monitor| monitor.on_enqueued(lane)));
        }
    }

    /// Takes the task to where the plan says.
    #[cold]
    #[inline(never)]
    fn place(&self, plan: Plan, offer: Offer<Q, R, E>) -> Submitted<Q, R, E> {
        let lane = offer.lane;
        if let Some(key) = key_of(plan, &offer.context) {
            return if plan.is_batched_by_key() {
                self.submit_to_batch(key, offer)
            } else {
                self.submit_keyed(key, offer)
            };
        }
        let hurries = plan.is_batched() && offer.context.has_deadline();
        let attention = self.place_apart(plan, offer)?;
        if hurries {
            // Whoever lingers must know of the deadline.
            self.rouse(lane, true);
        }
        Ok(attention)
    }

    fn place_apart(&self, plan: Plan, offer: Offer<Q, R, E>) -> Submitted<Q, R, E> {
        let lane = offer.lane;
        let Some(apart) = self.shards.apart() else {
            return self.place_shared(offer);
        };
        let worker = self.timed(|| self.choose(plan, apart, lane));
        let Some((worker, shard)) = worker.and_then(|worker| occupied(apart, worker)) else {
            return self.place_shared(offer);
        };
        let stamp_ns = self.early_stamp_ns(&shard.tasks, lane);
        match self.push(&shard.tasks, offer, stamp_ns) {
            Ok(()) => {
                let attention = self.call_for(worker, shard, lane);
                self.tell_enqueued(lane, 1);
                Ok(attention)
            }
            Err((refusal, offer)) => {
                let attention = self.place_shared(offer)?;
                if refusal == Refusal::Full {
                    self.placement.count_overflow(1);
                }
                Ok(attention)
            }
        }
    }

    fn place_shared(&self, offer: Offer<Q, R, E>) -> Submitted<Q, R, E> {
        let lane = offer.lane;
        let stamp_ns = self.early_stamp_ns(&self.shards.shared, lane);
        self.push(&self.shards.shared, offer, stamp_ns)?;
        let attention = self.attend(lane, None);
        self.tell_enqueued(lane, 1);
        Ok(attention)
    }

    /// As `notify`, but in a pool of batches whoever lingers with one goes before those who sleep.
    fn attend(&self, lane: usize, near: Option<usize>) -> Attention {
        if self.rouse(lane, false) {
            Attention::Busy
        } else {
            self.notify(lane, near)
        }
    }

    /// In a pool of batches: brings those on who linger. Returns whether what waits is for them.
    fn rouse(&self, lane: usize, hurries: bool) -> bool {
        self.batching_if_any().is_some_and(|batching| {
            let hurries = hurries || batching.is_urgent(lane);
            let desk = &batching.desk;
            desk.rouse(lane, hurries, || self.shards.waiting(LaneBits::MAX))
        })
    }

    /// A worker leaves tasks of these lanes that it was counted on for: sees to it that another takes them.
    pub(crate) fn leave_rest(&self, lanes: LaneBits) {
        let lowest = lanes.trailing_zeros() as usize;
        if !self.rouse(lowest, false) {
            self.roster.wake_one(lanes);
        }
    }

    fn choose(
        &self,
        plan: Plan,
        apart: &Apart<Task<Q, R, E>, Filed>,
        lane: usize,
    ) -> Option<usize> {
        let queued = |worker| self.outstanding(apart, worker);
        let takers = self.shards.crew.takers(lane);
        self.placement.choose(plan, takers, queued)
    }

    /// Makes a decision, and notes now and then how long that took.
    fn timed<T>(&self, decide: impl FnOnce() -> T) -> T {
        if !self.placement.is_timed() {
            return decide();
        }
        let start_ns = self.clock.now_ns();
        let decision = decide();
        let took_ns = self.clock.now_ns().saturating_sub(start_ns);
        self.placement.record_time(took_ns);
        decision
    }

    /// Sees to it that somebody takes the task that was put into a worker's lanes.
    fn call_for(
        &self,
        worker: usize,
        shard: &Shard<Task<Q, R, E>, Filed>,
        lane: usize,
    ) -> Attention {
        if self.shards.is_open_to_all(worker) {
            return self.attend(lane, Some(worker));
        }
        if let Some(batching) = self.batching_if_any() {
            batching.desk.rouse_one(worker);
        }
        let attention = self.roster.call(worker);
        if shard.is_left() {
            // The worker went meanwhile, so it is everybody's task.
            return self.attend(lane, None);
        }
        attention
    }

    /// Appends the task to those of its key.
    fn submit_keyed(&self, key: Key, offer: Offer<Q, R, E>) -> Submitted<Q, R, E> {
        let lane = offer.lane;
        let admitted = self.strands.admit(key, lane, offer, |offer, place| {
            offer.accept_apart(self.stamp_ns(place))
        })?;
        let attention = match admitted {
            Admitted::Behind => Attention::Busy,
            Admitted::First => {
                let attention = self.announce(key, lane);
                self.strands.announced();
                attention
            }
        };
        self.tell_enqueued(lane, 1);
        Ok(attention)
    }

    /// Lets the workers know of a key that has its first task.
    pub(super) fn announce(&self, key: Key, lane: usize) -> Attention {
        let apart = self.shards.make_apart();
        let worker = self
            .shards
            .may_steal()
            .then(|| self.timed(|| self.balance(apart, lane)));
        self.strands.count_run();
        match worker.and_then(|worker| occupied(apart, worker)) {
            Some((worker, shard)) => {
                push_run(&shard.runs, lane, key);
                self.attend(lane, Some(worker))
            }
            None => {
                push_run(&apart.runs, lane, key);
                self.attend(lane, None)
            }
        }
    }

    /// A worker that is done with a task of a key lets the workers know of the key's next one. Itself it
    /// looks at its sets before it sleeps; others are woken if it has more to do than that, or does not take the
    /// lane.
    pub(crate) fn announce_next(&self, key: Key, lane: usize, seat: Seat) {
        let apart = self.shards.make_apart();
        let shard = &apart.shards[seat.worker];
        let at_home = self.shards.may_steal() && !shard.is_left();
        self.strands.count_run();
        push_run(if at_home { &shard.runs } else { &apart.runs }, lane, key);
        let is_next =
            || at_home && seat.lanes & (1 << lane) != 0 && self.shards.waiting(seat.lanes) <= 1;
        if self.roster.any_asleep() && !is_next() {
            self.attend(lane, None);
        }
    }

    /// A worker has taken a run that it is not to follow now, and puts it into another lane.
    #[cold]
    pub(crate) fn announce_again(&self, key: Key, lane: usize, runs: &LaneSet<Key>) {
        push_run(runs, lane, key);
        self.attend(lane, None);
    }

    /// The worker that is to take a key's tasks or a part of a batch.
    fn balance(&self, apart: &Apart<Task<Q, R, E>, Filed>, lane: usize) -> usize {
        let load = |worker| self.load(apart, worker);
        let ticket = self.placement.ticket();
        let takers = self.shards.crew.takers(lane);
        let choice = self.balancer.choose(ticket, takers, load);
        if choice.is_judged {
            self.judge();
        }
        choice.worker
    }

    fn load(&self, apart: &Apart<Task<Q, R, E>, Filed>, worker: usize) -> Load {
        let outstanding = self.outstanding(apart, worker);
        let response_ns = self.blocks[worker]
            .response
            .read(|| self.clock.now_ns(), outstanding == 0);
        Load {
            outstanding,
            response_ns,
        }
    }

    /// Tasks in a worker's lanes and the one it runs.
    pub(crate) fn outstanding(&self, apart: &Apart<Task<Q, R, E>, Filed>, worker: usize) -> u64 {
        let runs = u64::from(self.blocks[worker].running().is_some());
        apart.shards.get(worker).map_or(0, queued_in) + runs
    }

    /// Judges the balancing by the waits that were timed.
    #[cold]
    fn judge(&self) {
        let mut waits = Waits::default();
        for (count, total_ns) in self.blocks_in_use().map(|block| block.waits()) {
            waits.count += count;
            waits.total_ns += total_ns;
        }
        let worst_ns = || {
            let of_workers = self.blocks_in_use().map(|block| block.take_worst_wait_ns());
            of_workers.max().unwrap_or(0)
        };
        if let Some(change) = self.balancer.judge(self.clock.now_ns(), waits, worst_ns) {
            self.events.emit(PoolEvent::BalancingChanged {
                from: change.from,
                to: change.to,
                why: change.why,
            });
        }
    }

    /// Takes as many of the offered tasks as there is room for, from the end, in few claims. Returns why
    /// the others were not taken.
    pub(crate) fn submit_n<A>(&self, lane: usize, offers: &mut SmallVec<A>) -> Option<Refusal>
    where
        A: smallvec::Array<Item = Offer<Q, R, E>>,
    {
        if offers.is_empty() {
            return None;
        }
        let plan = self.placement.plan();
        if offers
            .iter()
            .any(|offer| key_of(plan, &offer.context).is_some())
        {
            return self.submit_each(offers);
        }
        if places_with_workers(plan.strategy())
            && let Some(apart) = self.shards.apart()
        {
            let worker = self.timed(|| self.balance(apart, lane));
            let Some((worker, shard)) = occupied(apart, worker) else {
                self.push_n_shared(lane, offers);
                return self.why_not_all(offers);
            };
            let notify = || self.call_for(worker, shard, lane);
            self.push_n(&shard.tasks, lane, offers, notify);
            let overflowing = offers.len();
            self.push_n_shared(lane, offers);
            self.placement.count_overflow(overflowing - offers.len());
        } else {
            self.push_n_shared(lane, offers);
        }
        self.why_not_all(offers)
    }

    fn why_not_all<A>(&self, offers: &SmallVec<A>) -> Option<Refusal>
    where
        A: smallvec::Array<Item = Offer<Q, R, E>>,
    {
        if offers.is_empty() {
            None
        } else if self.shards.shared.is_closed() {
            Some(Refusal::Closed)
        } else {
            Some(Refusal::Full)
        }
    }

    fn push_n_shared<A>(&self, lane: usize, offers: &mut SmallVec<A>)
    where
        A: smallvec::Array<Item = Offer<Q, R, E>>,
    {
        let notify = || self.attend(lane, None);
        self.push_n(&self.shards.shared, lane, offers, notify);
    }

    fn submit_each<A>(&self, offers: &mut SmallVec<A>) -> Option<Refusal>
    where
        A: smallvec::Array<Item = Offer<Q, R, E>>,
    {
        while let Some(offer) = offers.pop() {
            if let Err((refusal, offer)) = self.submit(offer) {
                offers.push(offer);
                return Some(refusal);
            }
        }
        None
    }

    fn push_n<A>(
        &self,
        set: &LaneSet<Task<Q, R, E>, Filed>,
        lane: usize,
        offers: &mut SmallVec<A>,
        notify: impl Fn() -> Attention,
    ) where
        A: smallvec::Array<Item = Offer<Q, R, E>>,
    {
        let mut pushed = usize::MAX;
        while pushed > 0 && !offers.is_empty() {
            let count = offers.len();
            pushed = set.push_n(lane, count, |claim| {
                let offer = offers
                    .pop()
                    .expect("no more positions are claimed than offers");
                let stamp_ns = self.stamp_ns(claim.position());
                offer.accept(claim, stamp_ns)
            });
            if pushed > 0 {
                notify();
            }
            self.tell_enqueued(lane, pushed);
        }
    }

    /// The time, if every task is of the sample; else 0.
    ///
    /// A processor does not look beyond a reading of the clock, so it is better read before the claim than between that
    /// and what follows; what workers' CPUs have of what is needed for all that comes meanwhile.
    fn early_stamp_ns(&self, set: &LaneSet<Task<Q, R, E>, Filed>, lane: usize) -> u64 {
        if self.sample_mask != 0 {
            return 0;
        }
        set.prefetch_push(lane);
        self.roster.prefetch_look();
        self.clock.now_ns()
    }

    /// The time, if the position is of the sample; else 0.
    #[inline(always)]
    pub(super) fn stamp_ns(&self, position: u64) -> u64 {
        let sampled = position.wrapping_mul(GOLDEN) & self.sample_mask == 0;
        if sampled { self.clock.now_ns() } else { 0 }
    }
}

/// The key whose other tasks this one goes with, if it has one and that matters.
fn key_of(plan: Plan, context: &TaskContext) -> Option<Key> {
    if plan.is_batched_by_key() {
        Some(Key::of(context).unwrap_or(Key::Neither))
    } else if plan.is_keyed() {
        Key::of(context)
    } else {
        None
    }
}

/// Whether tasks without a key go to workers' own lanes.
fn places_with_workers(strategy: SchedulingStrategy) -> bool {
    !matches!(
        strategy,
        SchedulingStrategy::PriorityBased | SchedulingStrategy::HashBased
    )
}

/// The shard of this worker, if nothing says that the worker has gone.
fn occupied<T, X: Annex<T>>(apart: &Apart<T, X>, worker: usize) -> Option<(usize, &Shard<T, X>)> {
    let shard = apart.shards.get(worker)?;
    (!shard.is_left()).then_some((worker, shard))
}

/// Tasks and runs in a worker's lanes.
pub(super) fn queued_in<Q, R, E>(shard: &Shard<Task<Q, R, E>, Filed>) -> u64 {
    let all = shard.tasks.all();
    (shard.tasks.waiting(all) + shard.runs.waiting(all)) as u64
}

/// Appends a run. There is room, because no lane has more runs than tasks of keys may wait; only a worker
/// that has claimed one and was interrupted may still have its slot.
fn push_run(runs: &LaneSet<Key>, lane: usize, key: Key) {
    while runs.push_with(lane, |_: Claim<'_, ()>| key).is_err() {
        thread::yield_now();
    }
}
