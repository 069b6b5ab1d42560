//! What a pool of batch services has beside the others.

use super::config::BatchProcessorConfig;
use super::desk::Desk;
use super::form::{self, Decision, Forming, Rules, Situation, TIMER_NS};
use super::giving_way::Costs;
use super::sizing::{Ran, Sizer};
use super::statistics::{BatchBlock, BatchStatistics, ServiceCurve};
use super::waitlist::Waitlist;
use crate::lane::pick::LaneBits;
use crate::schedule::Key;
use crate::sync::Mutex;
use crate::sync::counter::{AtomicU64, AtomicUsize, Ordering};
use crate::task::TaskPriority;

/// Kinds of keys whose costs are learnt apart.
const KINDS: usize = 64;

/// The batches of a pool.
#[derive(Debug)]
pub(crate) struct Batching {
    pub(crate) config: BatchProcessorConfig,
    pub(crate) desk: Desk,
    pub(crate) waitlist: Waitlist,
    pub(crate) blocks: Box<[BatchBlock]>,
    rules: Rules,
    /// The lanes whose tasks do not linger.
    urgent: LaneBits,
    kinds: Box<[Kind]>,
}

/// Batches of like cost.
#[derive(Debug)]
struct Kind {
    sizer: Mutex<Sizer>,
    /// What the sizer says, for those who only read.
    target: AtomicUsize,
    linger_ns: AtomicU64,
    batches: AtomicU64,
}

/// The lanes of this priority and of higher ones, but none that it shares with a lower one: in a pool of a single
/// lane everything would be urgent.
fn urgent_lanes(from: TaskPriority, lanes: usize) -> LaneBits {
    let lane = from.lane(lanes);
    let is_shared = TaskPriority::ALL
        .iter()
        .any(|lower| *lower < from && lower.lane(lanes) == lane);
    LaneBits::MAX << (lane + usize::from(is_shared))
}

impl Batching {
    /// For workers that take tasks of these lanes, of a pool of so many lanes.
    pub(crate) fn new(config: BatchProcessorConfig, lanes: usize, workers: &[LaneBits]) -> Self {
        let linger = config.batch_timeout;
        let urgent = config.urgent.map_or(0, |from| urgent_lanes(from, lanes));
        let target_ns = config.target_p99.map(|time| time.as_nanos() as u64);
        let kind = |_| Kind {
            sizer: Mutex::new(Sizer::new(
                config.batch_size,
                config.enable_adaptive_batching,
                target_ns,
                workers.len(),
            )),
            target: AtomicUsize::new(config.batch_size),
            linger_ns: AtomicU64::new(u64::MAX),
            batches: AtomicU64::new(0),
        };
        let kinds = if config.keyed { KINDS } else { 1 };
        Self {
            desk: Desk::new(workers.iter().copied()),
            waitlist: Waitlist::new(),
            blocks: workers.iter().map(|_| BatchBlock::new()).collect(),
            rules: Rules::new(linger, config.max_batch_wait, config.close_when_idle),
            urgent,
            kinds: (0..kinds).map(kind).collect(),
            config,
        }
    }

    fn kind(&self, key: Option<Key>) -> &Kind {
        let number = key.map_or(0, |key| key.spread() as usize);
        &self.kinds[number % self.kinds.len()]
    }

    /// Whether tasks of this lane do not linger.
    pub(crate) fn is_urgent(&self, lane: usize) -> bool {
        self.urgent & (1 << lane) != 0
    }

    /// The lanes whose tasks do not linger.
    pub(crate) fn urgent(&self) -> LaneBits {
        self.urgent
    }

    /// The size that a batch of this key is to have.
    pub(crate) fn target(&self, key: Option<Key>) -> usize {
        // Relaxed: any recent size will do.
        self.kind(key).target.load(Ordering::Relaxed)
    }

    /// How long before a deadline a batch of so many of this key has to begin: what it is expected to take, a
    /// quarter more, and the time that a timer may be late. For ever while that is not known, so that a batch with
    /// a deadline does not linger.
    pub(crate) fn lead_ns(&self, key: Option<Key>, requests: usize) -> u64 {
        let sizer = self.kind(key).sizer.lock();
        let cost_ns = sizer.curve().cost_ns(requests);
        cost_ns.map_or(u64::MAX, |ns| {
            ns.saturating_add(ns / 4).saturating_add(TIMER_NS)
        })
    }

    /// How many requests a batch of this key may hold for the sake of one that has so long left; see
    /// [`Sizer::most_within`].
    pub(crate) fn most_within(&self, key: Option<Key>, left_ns: u64, held: usize) -> usize {
        self.kind(key).sizer.lock().most_within(left_ns, held)
    }

    /// What batches of this key cost, where some may give way to others: with adaptive batching, once batches of
    /// different sizes have run.
    pub(crate) fn costs(&self, key: Option<Key>) -> Option<Costs> {
        if !self.config.enable_adaptive_batching {
            return None;
        }
        self.kind(key).sizer.lock().costs()
    }

    /// Whether this batch closes now.
    pub(crate) fn decide(&self, forming: &Forming, situation: &Situation) -> Decision {
        form::decide(&self.rules, forming, situation)
    }

    /// The longest that a worker may linger with a batch; see [`Sizer::linger_ns`]. Who wants full batches from an idle
    /// pool does not want them for the sake of its workers' time, and has the whole `batch_timeout`.
    pub(crate) fn patience_ns(&self) -> u64 {
        if !self.config.close_when_idle {
            return u64::MAX;
        }
        // Relaxed: any recent limit will do.
        self.kind(None).linger_ns.load(Ordering::Relaxed)
    }

    /// A batch of this key has run.
    pub(crate) fn ran(&self, worker: usize, key: Option<Key>, ran: &Ran) {
        self.blocks[worker].record_service(ran.took_ns);
        let kind = self.kind(key);
        let mut sizer = kind.sizer.lock();
        sizer.observe(ran);
        // Under the lock, so that no older hint is left behind. Relaxed: hints and a counter.
        kind.target.store(sizer.target(), Ordering::Relaxed);
        kind.linger_ns.store(sizer.linger_ns(), Ordering::Relaxed);
        drop(sizer);
        kind.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn statistics(&self) -> BatchStatistics {
        let mut statistics = BatchStatistics::default();
        statistics.lingering = self.desk.lingering();
        for block in &self.blocks {
            block.add_to(&mut statistics);
        }
        // Relaxed: a gauge.
        let batches = |kind: &&Kind| kind.batches.load(Ordering::Relaxed);
        let usual = self
            .kinds
            .iter()
            .max_by_key(batches)
            .expect("there is one kind at least");
        let sizer = usual.sizer.lock();
        statistics.target_size = sizer.size();
        let parts = sizer.curve().parts_ns();
        statistics.curve = parts.map(|(fixed, each)| ServiceCurve::new(fixed, each));
        statistics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_is_shared_with_a_lower_priority_is_not_urgent() {
        let of = |from, lanes| urgent_lanes(from, lanes) & ((1 << lanes) - 1);
        assert_eq!(of(TaskPriority::Critical, 4), 0b1000);
        assert_eq!(of(TaskPriority::High, 4), 0b1100);
        assert_eq!(of(TaskPriority::Low, 4), 0b1111);
        assert_eq!(of(TaskPriority::Critical, 1), 0);
        assert_eq!(of(TaskPriority::Low, 1), 0b1);
        // High and Critical have the upper one of two, Low and Normal the lower one.
        assert_eq!(of(TaskPriority::Critical, 2), 0);
        assert_eq!(of(TaskPriority::High, 2), 0b10);
    }
}
