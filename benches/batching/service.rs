//! What is asked, and the service that is emulated: a batch of `n` requests costs `a + b * n` of CPU time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lanepool_bench::{Result, busy::Busy, random::scatter};

/// What a batch costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// However many requests it has.
    pub(crate) fixed: Duration,
    pub(crate) per_request: Duration,
}

/// From a service that is all overhead to one that gains next to nothing by batches.
pub(crate) const COSTS: [Cost; 5] = [
    Cost::us(100, 1),
    Cost::us(30, 3),
    Cost::us(10, 5),
    Cost::us(3, 8),
    Cost::us(1, 10),
];

impl Cost {
    const fn us(fixed: u64, per_request: u64) -> Self {
        Self {
            fixed: Duration::from_micros(fixed),
            per_request: Duration::from_micros(per_request),
        }
    }

    pub(crate) fn name(self) -> String {
        let (fixed, per_request) = (self.fixed.as_micros(), self.per_request.as_micros());
        format!("{fixed} + {per_request} n µs")
    }

    /// Of a batch of this size.
    pub(crate) fn of(self, requests: usize) -> Duration {
        self.fixed + self.per_request * requests as u32
    }

    /// How many requests a second one worker does in batches of this size.
    pub(crate) fn capacity(self, size: usize) -> f64 {
        size as f64 / self.of(size).as_secs_f64()
    }
}

/// Keeps a CPU busy for as long as a batch is to cost, and counts.
#[derive(Clone, Debug)]
pub(crate) struct Emulated {
    fixed: Busy,
    per_request: Busy,
    served: Arc<Served>,
}

/// What an emulated service did.
#[derive(Debug, Default)]
pub(crate) struct Served {
    // Both written by whoever runs a batch, and read while none runs. Counters, so Relaxed everywhere.
    batches: AtomicU64,
    requests: AtomicU64,
}

impl Emulated {
    pub(crate) fn new(cost: Cost, served: Arc<Served>) -> Self {
        Self {
            fixed: Busy::of(cost.fixed),
            per_request: Busy::of(cost.per_request),
            served,
        }
    }

    /// Runs a batch of this size.
    pub(crate) fn run(&self, requests: usize) {
        self.served.batches.fetch_add(1, Ordering::Relaxed);
        let count = requests as u64;
        self.served.requests.fetch_add(count, Ordering::Relaxed);
        self.fixed
            .and(self.per_request.times(requests as u32))
            .run();
    }
}

impl Served {
    pub(crate) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// The answer to a request, which no other request has.
pub(crate) fn answer_to(number: u64) -> u64 {
    scatter(number)
}

/// Checks that an answer belongs to its request.
pub(crate) fn check(number: u64, answer: u64) -> Result<()> {
    if answer == answer_to(number) {
        return Ok(());
    }
    Err(format!(
        "request {number} was answered with {answer}, not {}",
        answer_to(number)
    )
    .into())
}
