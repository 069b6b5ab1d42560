//! W2: round trips of one client.
//!
//! *Hot*: the next call follows at once. *Idle*: the client sleeps 200 µs before each call, so that workers
//! sleep too. Async calls are made on a tokio runtime of one thread, which the sleep blocks: there is nobody
//! else on it. The client's own sleeps do not count as switches.

use std::{
    thread,
    time::{Duration, Instant},
};

use lanepool_bench::{
    Result,
    compare::{Better, Metric, Outline},
};

use super::{
    Amount, BOTH, QUIET, Setting, Values, cases, no_such_case,
    requests::{Hash, Stretch, check, microseconds, percentiles, warm_up, warm_up_async},
};
use crate::contender::{Calls, Contender, Priority, Shape};

const SHAPE: Shape = Shape {
    workers: 2,
    capacity: 1024,
};
const PAUSE: Duration = Duration::from_micros(200);
const WARM_UP: u64 = 1000;

const METRICS: &[Metric] = &[
    Metric {
        name: "p50_us",
        title: "p50, µs",
        better: Better::Lower,
    },
    Metric {
        name: "p99_us",
        title: "p99, µs",
        better: Better::Lower,
    },
    Metric {
        name: "switches_per_call",
        title: "voluntary switches a call",
        better: Better::Lower,
    },
    Metric {
        name: "cpu_ns_per_call",
        title: "CPU ns a call",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W2",
        title: "round trip",
        about: "One client, 2 workers; the next call follows at once, or after 200 µs of sleep. The client's \
            own sleeps do not count as switches.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Milliseconds {
        full: 400,
        quick: 60,
    };
    vec![
        Setting::new("blocking-hot", "blocking, hot", amount).quick(BOTH),
        Setting::new("blocking-idle", "blocking, after 200 µs", amount).quick(QUIET),
        Setting::new("async-hot", "async, hot", amount).quick(QUIET),
        Setting::new("async-idle", "async, after 200 µs", amount).quick(QUIET),
    ]
}

pub(crate) fn run<C: Contender>(case: &str, milliseconds: u64) -> Result<Values> {
    let pool = C::calls(SHAPE, Hash);
    let trips = match case {
        "blocking-hot" => blocking(&pool, milliseconds, false),
        "blocking-idle" => blocking(&pool, milliseconds, true),
        "async-hot" => asynchronous(&pool, milliseconds, false),
        "async-idle" => asynchronous(&pool, milliseconds, true),
        _ => Err(no_such_case(case)),
    }?;
    pool.finish();
    Ok(trips)
}

fn blocking(pool: &impl Calls, milliseconds: u64, idle: bool) -> Result<Values> {
    warm_up(pool, WARM_UP)?;
    let mut trips = Trips::begin(milliseconds, idle)?;
    while let Some(request) = trips.next() {
        let began = Instant::now();
        let reply = pool.call(request, Priority::Normal);
        trips.record(began);
        check(request, reply)?;
    }
    trips.values()
}

fn asynchronous(pool: &impl Calls, milliseconds: u64, idle: bool) -> Result<Values> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        warm_up_async(pool, WARM_UP).await?;
        let mut trips = Trips::begin(milliseconds, idle)?;
        while let Some(request) = trips.next() {
            let began = Instant::now();
            let reply = pool.call_async(request, Priority::Normal).await;
            trips.record(began);
            check(request, reply)?;
        }
        trips.values()
    })
}

/// The round trips of one cell.
struct Trips {
    stretch: Stretch,
    idle: bool,
    times_us: Vec<f64>,
    now: Instant,
}

impl Trips {
    fn begin(milliseconds: u64, idle: bool) -> Result<Self> {
        // Room for a trip of 0.1 µs each, so that the list hardly ever moves.
        let times_us = Vec::with_capacity(milliseconds as usize * 10_000);
        let stretch = Stretch::begin(milliseconds)?;
        Ok(Self {
            now: stretch.began,
            stretch,
            idle,
            times_us,
        })
    }

    /// The next request, or none if the time is up.
    fn next(&self) -> Option<u64> {
        if self.now >= self.stretch.end {
            return None;
        }
        if self.idle {
            // The pause is the workload: the pool is to fall asleep.
            thread::sleep(PAUSE);
        }
        Some(self.times_us.len() as u64)
    }

    fn record(&mut self, began: Instant) {
        self.now = Instant::now();
        self.times_us.push(microseconds(self.now - began));
    }

    fn values(mut self) -> Result<Values> {
        let used = self.stretch.used()?;
        let calls = self.times_us.len() as u64;
        let slept = if self.idle { calls } else { 0 };
        let switches = used.voluntary.saturating_sub(slept);
        let mut values = percentiles(&mut self.times_us, &[("p50_us", 0.5), ("p99_us", 0.99)]);
        values.push(("switches_per_call", switches as f64 / calls as f64));
        values.push(("cpu_ns_per_call", used.cpu_ns as f64 / calls as f64));
        Ok(values)
    }
}
