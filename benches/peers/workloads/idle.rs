//! W7: what a pool costs that has nothing to do.
//!
//! After some calls the pool is left alone until its threads have stopped switching; then the CPU time and
//! the voluntary switches of every thread but this one are counted. A switch means that something woke: a timer,
//! or a poll.

use std::{thread, time::Duration};

use lanepool_bench::{
    Result,
    compare::{Better, Metric, Outline},
    threads,
};

use super::{
    Amount, QUIET, Setting, Values, cases,
    requests::{Hash, warm_up},
};
use crate::contender::{Calls, Contender, Shape};

const SHAPE: Shape = Shape {
    workers: 2,
    capacity: 1024,
};
const WARM_UP: u64 = 1000;

const METRICS: &[Metric] = &[
    Metric {
        name: "cpu_us_per_s",
        title: "CPU µs a second",
        better: Better::Lower,
    },
    Metric {
        name: "wakes_per_s",
        title: "voluntary wakes a second",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W7",
        title: "idle",
        about: "A pool of 2 workers that has answered 1,000 calls and then has nothing to do.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Milliseconds {
        full: 2000,
        quick: 500,
    };
    let setting = Setting::new("idle", "2 workers", amount);
    vec![setting.full(QUIET).quick(QUIET)]
}

pub(crate) fn run<C: Contender>(milliseconds: u64) -> Result<Values> {
    let pool = C::calls(SHAPE, Hash);
    warm_up(&pool, WARM_UP)?;
    threads::settle()?;
    let before = threads::others()?;
    if before.threads() == 0 {
        return Err("the pool has no thread to watch".into());
    }
    let watch = Duration::from_millis(milliseconds);
    // The stretch that is measured: what the pool uses while nobody does anything.
    thread::sleep(watch);
    let usage = threads::others()?.since(&before);
    warm_up(&pool, WARM_UP)?;
    pool.finish();
    let seconds = watch.as_secs_f64();
    Ok(vec![
        ("cpu_us_per_s", usage.cpu_ns as f64 / 1000.0 / seconds),
        ("wakes_per_s", usage.voluntary as f64 / seconds),
    ])
}
