//! Which lane set a task goes to.

use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::SchedulingStrategy;
use super::balance;
use super::crew::Takers;
use crate::sync::counter::{AtomicU32, AtomicU64, Ordering};
use crate::sync::thread;

/// One decision in so many is timed.
const TIMED_EVERY: u64 = 64;

/// What a submitter must know of the strategy, in one number: 0 while every task goes to the one ring
/// of its lane that all share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan(u32);

impl Plan {
    /// Tasks with a key keep its order.
    const KEYED: u32 = 1 << 8;
    /// Shared lanes have several rings.
    const SUB_RINGS: u32 = 1 << 9;
    /// Tasks are run in batches.
    const BATCHED: u32 = 1 << 10;
    /// Only tasks of the same key go together.
    const BATCHED_BY_KEY: u32 = 1 << 11;
    /// What a change of the strategy leaves as it is.
    const KEPT: u32 = Self::KEYED | Self::SUB_RINGS | Self::BATCHED | Self::BATCHED_BY_KEY;
    /// Beside the strategy's number, so that the usual plan is 0.
    const USUAL: u32 = SchedulingStrategy::PriorityBased as u32;

    fn new(strategy: SchedulingStrategy, kept: u32) -> Self {
        let keyed = if strategy == SchedulingStrategy::HashBased {
            Self::KEYED
        } else {
            0
        };
        Self((strategy as u32 ^ Self::USUAL) | keyed | kept & Self::KEPT)
    }

    /// Whether there is nothing to decide.
    #[inline(always)]
    pub(crate) fn is_usual(self) -> bool {
        self.0 == 0
    }

    /// As [`Plan::is_usual`], but tasks are run in batches.
    #[inline(always)]
    pub(crate) fn is_usual_of_batches(self) -> bool {
        self.0 == Self::BATCHED
    }

    pub(crate) fn is_keyed(self) -> bool {
        self.0 & Self::KEYED != 0
    }

    /// Whether whoever lingers with a batch is to be looked for.
    pub(crate) fn is_batched(self) -> bool {
        self.0 & Self::BATCHED != 0
    }

    pub(crate) fn is_batched_by_key(self) -> bool {
        self.0 & Self::BATCHED_BY_KEY != 0
    }

    fn has_sub_rings(self) -> bool {
        self.0 & Self::SUB_RINGS != 0
    }

    pub(crate) fn strategy(self) -> SchedulingStrategy {
        SchedulingStrategy::ALL[((self.0 & 0xff) ^ Self::USUAL) as usize]
    }
}

/// The strategy in force, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Placement {
    plan: AtomicU32,
    /// Decisions so far.
    tickets: CachePadded<AtomicU64>,
    /// Changes of the strategy so far.
    epoch: AtomicU64,
    /// Tasks that found the lane of their worker full, and wait in the shared one.
    overflowed: AtomicU64,
    /// Decisions that were timed, and the nanoseconds they took.
    timed: AtomicU64,
    timed_ns: AtomicU64,
    sub_rings: usize,
}

impl Placement {
    pub(crate) fn new(strategy: SchedulingStrategy, sub_rings: usize) -> Self {
        let kept = if sub_rings > 1 { Plan::SUB_RINGS } else { 0 };
        Self {
            plan: AtomicU32::new(Plan::new(strategy, kept).0),
            tickets: CachePadded::new(AtomicU64::new(0)),
            epoch: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            timed: AtomicU64::new(0),
            timed_ns: AtomicU64::new(0),
            sub_rings,
        }
    }

    /// Has the plan say that tasks are run in batches. Before anybody places anything.
    pub(crate) fn set_batched(&mut self, by_key: bool) {
        let by_key = if by_key { Plan::BATCHED_BY_KEY } else { 0 };
        // Relaxed: nobody else is there.
        self.plan
            .fetch_or(Plan::BATCHED | by_key, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn plan(&self) -> Plan {
        // Relaxed: a submitter that reads an old plan follows it, and workers look wherever any plan puts
        // tasks.
        Plan(self.plan.load(Ordering::Relaxed))
    }

    /// Changes the strategy; from the first change to `HashBased` on tasks with a key keep its order. One
    /// caller at a time. Returns the strategy before and the new epoch.
    pub(crate) fn change(&self, to: SchedulingStrategy) -> (SchedulingStrategy, u64) {
        let before = self.plan();
        let plan = Plan::new(to, before.0);
        // Relaxed: as in `plan`.
        self.plan.store(plan.0, Ordering::Relaxed);
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        (before.strategy(), epoch)
    }

    pub(crate) fn epoch(&self) -> u64 {
        // Relaxed: a gauge.
        self.epoch.load(Ordering::Relaxed)
    }

    /// The worker, of those who may take it, in whose shard a task goes; `None` for the shared set.
    pub(crate) fn choose(
        &self,
        plan: Plan,
        takers: Takers,
        queued: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let workers = takers.count();
        let chosen = match plan.strategy() {
            SchedulingStrategy::RoundRobin => Some((self.ticket() % workers as u64) as usize),
            SchedulingStrategy::Random => {
                Some((balance::scatter(self.ticket()) % workers as u64) as usize)
            }
            SchedulingStrategy::LeastLoaded => {
                let random = balance::scatter(self.ticket());
                let queued = |number| queued(takers.place(number));
                Some(balance::less_loaded_of_two(workers, random, queued))
            }
            SchedulingStrategy::HashBased | SchedulingStrategy::PriorityBased => plan
                .has_sub_rings()
                .then(|| thread::stripe() % self.sub_rings.min(workers)),
        };
        chosen.map(|number| takers.place(number))
    }

    /// Whether the next decision is one of those that are timed.
    pub(crate) fn is_timed(&self) -> bool {
        // Relaxed: a sample. Decisions that draw no ticket are timed until one that does.
        self.tickets
            .load(Ordering::Relaxed)
            .is_multiple_of(TIMED_EVERY)
    }

    /// A decision took this long.
    pub(crate) fn record_time(&self, took_ns: u64) {
        // Relaxed: counters.
        self.timed.fetch_add(1, Ordering::Relaxed);
        self.timed_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    /// The mean time of a decision; zero if none was timed.
    pub(crate) fn mean_time(&self) -> Duration {
        // Relaxed: counters.
        let timed = self.timed.load(Ordering::Relaxed);
        let timed_ns = self.timed_ns.load(Ordering::Relaxed);
        Duration::from_nanos(timed_ns.checked_div(timed).unwrap_or(0))
    }

    /// A number that differs from decision to decision.
    pub(crate) fn ticket(&self) -> u64 {
        // Relaxed: only the numbers' difference matters.
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// So many tasks found the lane of their worker full, and wait in the shared one.
    pub(crate) fn count_overflow(&self, tasks: usize) {
        if tasks > 0 {
            // Relaxed: a counter.
            self.overflowed.fetch_add(tasks as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn overflowed(&self) -> u64 {
        // Relaxed: a counter.
        self.overflowed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_plan_is_nothing_to_decide() {
        for strategy in SchedulingStrategy::ALL {
            for kept in [0, Plan::KEYED, Plan::SUB_RINGS, Plan::BATCHED, Plan::KEPT] {
                let plan = Plan::new(strategy, kept);
                assert_eq!(plan.strategy(), strategy);
                let keyed = kept & Plan::KEYED != 0 || strategy == SchedulingStrategy::HashBased;
                assert_eq!(plan.is_keyed(), keyed);
                assert_eq!(plan.has_sub_rings(), kept & Plan::SUB_RINGS != 0);
                assert_eq!(plan.is_batched(), kept & Plan::BATCHED != 0);
                let usual = strategy == SchedulingStrategy::PriorityBased && kept == 0;
                assert_eq!(plan.is_usual(), usual);
            }
        }
    }

    #[test]
    fn round_robin_goes_around_and_keys_stay_in_order_for_ever() {
        let placement = Placement::new(SchedulingStrategy::RoundRobin, 1);
        let chosen: Vec<_> = (0..4)
            .map(|_| placement.choose(placement.plan(), Takers::first(3), |_| 0))
            .collect();
        assert_eq!(chosen, [Some(0), Some(1), Some(2), Some(0)]);
        assert!(!placement.plan().is_keyed());
        let hashed = placement.change(SchedulingStrategy::HashBased);
        assert_eq!(hashed, (SchedulingStrategy::RoundRobin, 1));
        assert_eq!(
            placement.choose(placement.plan(), Takers::first(3), |_| 0),
            None
        );
        let usual = placement.change(SchedulingStrategy::PriorityBased);
        assert_eq!(usual, (SchedulingStrategy::HashBased, 2));
        assert!(placement.plan().is_keyed() && !placement.plan().is_usual());
    }
}
