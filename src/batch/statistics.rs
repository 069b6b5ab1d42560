//! What workers count of their batches, and what a user reads.
//!
//! All accesses are Relaxed: a counter orders nothing.

use std::time::Duration;

use super::form::CloseReason;
use crate::stats::{Histogram, HistogramSnapshot};
use crate::sync::counter::{AtomicU64, Ordering, bump};

/// One worker's counters, which it alone writes.
#[derive(Debug)]
pub(crate) struct BatchBlock {
    closed: [AtomicU64; CloseReason::ALL.len()],
    requests: AtomicU64,
    wanted: AtomicU64,
    backlogged_requests: AtomicU64,
    backlogged_wanted: AtomicU64,
    gave_way: AtomicU64,
    put_off: AtomicU64,
    lingered: Histogram,
    service: Histogram,
}

/// A batch that was closed and goes to the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) reason: CloseReason,
    pub(crate) requests: usize,
    pub(crate) wanted: usize,
    /// Whether a batch's worth of requests was there when it closed, itself included.
    pub(crate) backlogged: bool,
    pub(crate) lingered_ns: u64,
}

impl BatchBlock {
    pub(crate) fn new() -> Self {
        Self {
            closed: Default::default(),
            requests: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            backlogged_requests: AtomicU64::new(0),
            backlogged_wanted: AtomicU64::new(0),
            gave_way: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            lingered: Histogram::new(),
            service: Histogram::new(),
        }
    }

    pub(crate) fn record(&self, closed: &Closed) {
        bump(&self.closed[closed.reason.index()], 1);
        bump(&self.requests, closed.requests as u64);
        bump(&self.wanted, closed.wanted as u64);
        if closed.backlogged {
            bump(&self.backlogged_requests, closed.requests as u64);
            bump(&self.backlogged_wanted, closed.wanted as u64);
        }
        self.lingered.record(closed.lingered_ns);
    }

    pub(crate) fn record_choice(&self, gave_way: usize, put_off: usize) {
        bump(&self.gave_way, gave_way as u64);
        bump(&self.put_off, put_off as u64);
    }

    pub(crate) fn record_service(&self, ns: u64) {
        self.service.record(ns);
    }

    pub(super) fn add_to(&self, statistics: &mut BatchStatistics) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (sum, counter) in statistics.closed.iter_mut().zip(&self.closed) {
            *sum += read(counter);
        }
        statistics.requests += read(&self.requests);
        statistics.wanted += read(&self.wanted);
        statistics.backlogged_requests += read(&self.backlogged_requests);
        statistics.backlogged_wanted += read(&self.backlogged_wanted);
        statistics.gave_way += read(&self.gave_way);
        statistics.put_off += read(&self.put_off);
        self.lingered.add_to(&mut statistics.added_wait);
        self.service.add_to(&mut statistics.service_time);
    }
}

/// What a batch costs as the pool has learnt it: a fixed time, and some more for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceCurve {
    /// What every batch costs.
    pub fixed: Duration,
    /// What each of its requests adds.
    pub per_request: Duration,
}

impl ServiceCurve {
    pub(crate) fn new(fixed_ns: f64, per_request_ns: f64) -> Self {
        Self {
            fixed: Duration::from_nanos(fixed_ns as u64),
            per_request: Duration::from_nanos(per_request_ns as u64),
        }
    }

    /// What a batch of so many requests costs.
    pub fn cost(&self, requests: u32) -> Duration {
        self.fixed + self.per_request * requests
    }
}

/// What came of a pool's batches.
///
/// Counts are of batches that went to the service, and of the requests in them: those that were cancelled or
/// had expired before are not among them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BatchStatistics {
    /// Requests that went to the service.
    pub requests: u64,
    /// The sizes that the batches were to have, added up.
    pub wanted: u64,
    /// Requests in batches that closed while at least as many as they were to hold were there.
    pub backlogged_requests: u64,
    /// The sizes that those were to have, added up.
    pub backlogged_wanted: u64,
    /// Requests that were late in any case and expired in favour of others, with
    /// [adaptive batching](crate::BatchProcessorConfig::enable_adaptive_batching).
    pub gave_way: u64,
    /// How often a request was left for its worker's next batch in favour of tighter deadlines.
    pub put_off: u64,
    /// From when a batch had taken what was there until it closed.
    pub added_wait: HistogramSnapshot,
    /// How long batches took, answers included.
    pub service_time: HistogramSnapshot,
    /// How many workers linger with a batch now.
    pub lingering: usize,
    /// The size that batches are to have now; with keys, that of the kind of keys that had most batches.
    pub target_size: usize,
    /// What that kind of batches costs; `None` until batches of several sizes have run.
    pub curve: Option<ServiceCurve>,
    closed: [u64; CloseReason::ALL.len()],
}

impl BatchStatistics {
    /// How many batches went to the service.
    pub fn batches(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// How many of them closed for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason.index()]
    }

    /// How full batches were while enough for a full one was there: their requests beside the sizes that
    /// they were to have, 0 to 1. A ratio of sums, so that a large batch counts for more. 1 if there was none.
    pub fn fill(&self) -> f64 {
        if self.backlogged_wanted == 0 {
            return 1.0;
        }
        self.backlogged_requests as f64 / self.backlogged_wanted as f64
    }

    /// Requests a batch; 0 if there was none.
    pub fn mean_size(&self) -> f64 {
        self.requests as f64 / self.batches().max(1) as f64
    }

    /// How many times longer the requests of a batch of mean size would take one by one: `n * t(1) / t(n)`
    /// by the learnt [curve](Self::curve). 1 while that is not known.
    pub fn amortisation(&self) -> f64 {
        let Some(curve) = self.curve else {
            return 1.0;
        };
        let (fixed, each) = (curve.fixed.as_secs_f64(), curve.per_request.as_secs_f64());
        let n = self.mean_size();
        let together = fixed + each * n;
        if together == 0.0 {
            1.0
        } else {
            n * (fixed + each) / together
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    fn closed(reason: CloseReason, requests: usize, wanted: usize, backlogged: bool) -> Closed {
        Closed {
            reason,
            requests,
            wanted,
            backlogged,
            lingered_ns: 10,
        }
    }

    #[test]
    fn fill_is_a_ratio_of_sums_over_backlogged_batches_alone() {
        let block = BatchBlock::new();
        block.record(&closed(CloseReason::Full, 32, 32, true));
        block.record(&closed(CloseReason::Priority, 4, 32, true));
        block.record(&closed(CloseReason::Idle, 1, 32, false));
        let mut statistics = BatchStatistics::default();
        assert_eq!(statistics.fill(), 1.0);
        block.add_to(&mut statistics);
        assert_eq!(statistics.batches(), 3);
        assert_eq!(statistics.closed(CloseReason::Idle), 1);
        assert_eq!(statistics.fill(), 36.0 / 64.0);
        assert_eq!(statistics.mean_size(), 37.0 / 3.0);
        assert_eq!(statistics.added_wait.count(), 3);
    }

    #[test]
    fn amortisation_compares_one_by_one_with_together() {
        let mut statistics = BatchStatistics::default();
        assert_eq!(statistics.amortisation(), 1.0);
        let block = BatchBlock::new();
        block.record(&closed(CloseReason::Full, 10, 10, true));
        block.add_to(&mut statistics);
        statistics.curve = Some(ServiceCurve::new(90_000.0, 1_000.0));
        assert_eq!(statistics.amortisation(), 910.0 / 100.0);
        assert_eq!(
            statistics.curve.map(|curve| curve.cost(10)),
            Some(Duration::from_micros(100))
        );
    }
}
