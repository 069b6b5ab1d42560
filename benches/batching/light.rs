//! What batching costs where there is nothing to batch: random arrivals at a tenth of what the service can do one
//! by one.
//!
//! With the idle rule, a request that comes to an idle pool goes at once, so its latency is to be that of a pool
//! without batches. The two pools get the same arrivals, in slices by turns, and their medians are compared
//! within a round.
//!
//! Without the idle rule batches linger, and the question is for how long. A worker that lingers sleeps, and wakes up
//! somewhat late, as every thread does that sleeps for a time. By how much is measured beside it, with threads that
//! do nothing but that, and is the allowance.

use std::{
    hint::spin_loop,
    thread,
    time::{Duration, Instant},
};

use lanepool::BatchProcessorConfig;
use lanepool_bench::{
    Bound, Report, Result,
    compare::ratio::{Summary, ratios},
    random::arrivals,
    samples,
};

use crate::{
    open_loop::{self, Deadlines, Fates},
    service::{COSTS, Cost},
    shop::{Hold, Shop, config},
};

const SEED: u64 = 0x119_4710_AD00;
/// Of what the service can do one by one.
const LOAD: f64 = 0.1;
/// The median with batches beside that without.
const MOST_BESIDE: f64 = 1.05;
const WARM_UP: Duration = Duration::from_millis(30);

/// How long batches linger, and how old a request may become in them.
struct Limits {
    linger: Duration,
    age: Duration,
}

/// The defaults, and a pair of which the age is the sooner for a request that had to wait for a worker.
const LIMITS: [Limits; 2] = [
    Limits {
        linger: Duration::from_millis(1),
        age: Duration::from_millis(10),
    },
    Limits {
        linger: Duration::from_millis(2),
        age: Duration::from_millis(2),
    },
];

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(61, 9);
    let slice = Duration::from_millis(report.choose(80, 40));
    for cost in COSTS {
        let figure = format!("light, {}", cost.name());
        eprintln!("{figure}: {rounds} rounds of {slice:?} with batches and without");
        if let Err(error) = beside_plain(report, &figure, cost, rounds, slice) {
            report.fail(&figure, &error);
        }
    }
    for cost in [COSTS[0], COSTS[2]] {
        for limits in &LIMITS {
            let figure = format!(
                "lingering, {}, batch_timeout {:?}, max_batch_wait {:?}",
                cost.name(),
                limits.linger,
                limits.age
            );
            eprintln!("{figure}: {rounds} rounds of {slice:?}");
            if let Err(error) = lingering(report, &figure, cost, limits, rounds, slice) {
                report.fail(&figure, &error);
            }
        }
    }
}

/// A pool and what it was asked.
struct Asked {
    shop: Shop,
    count: u64,
}

impl Asked {
    fn of(shop: Shop, cost: Cost) -> Result<Self> {
        let mut asked = Self { shop, count: 0 };
        asked.slice(cost, u64::MAX, WARM_UP)?;
        Ok(asked)
    }

    fn slice(&mut self, cost: Cost, round: u64, time: Duration) -> Result<Fates> {
        let due = arrivals(SEED ^ round, 1.0 / (cost.capacity(1) * LOAD), time);
        let none = Deadlines {
            lifetime: |_| None,
            told: false,
        };
        let fates = open_loop::run(&self.shop, &due, self.count, &none)?;
        self.count += fates.accepted;
        Ok(fates)
    }

    fn close(self) -> Result<()> {
        self.shop.close(self.count, 0, 0)
    }
}

fn beside_plain(
    report: &mut Report,
    figure: &str,
    cost: Cost,
    rounds: u64,
    slice: Duration,
) -> Result<()> {
    let config = config(1, BatchProcessorConfig::new());
    let mut batched = Asked::of(Shop::open(cost, config.clone())?, cost)?;
    let mut plain = Asked::of(Shop::open_plain(cost, config)?, cost)?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let median = |fates: Fates| samples::median(&mut { fates.latencies_us });
    for round in 0..rounds {
        if round.is_multiple_of(2) {
            with.push(median(batched.slice(cost, round, slice)?));
            without.push(median(plain.slice(cost, round, slice)?));
        } else {
            without.push(median(plain.slice(cost, round, slice)?));
            with.push(median(batched.slice(cost, round, slice)?));
        }
    }
    let beside = Summary::of(ratios(&with, &without)).ok_or("there was no round")?;
    for (name, p50s) in [("with batches", &mut with), ("without", &mut without)] {
        let p50 = samples::median(p50s);
        report.record(format!("{figure}: p50 {name}"), p50, "µs", Bound::None);
    }
    let name = format!("{figure}: p50 with batches beside without");
    report.record(&name, beside.median, "x", Bound::AtMost(MOST_BESIDE));
    report.record(format!("{name}, least round"), beside.min, "x", Bound::None);
    report.record(
        format!("{name}, largest round"),
        beside.max,
        "x",
        Bound::None,
    );
    batched.close()?;
    plain.close()
}

fn lingering(
    report: &mut Report,
    figure: &str,
    cost: Cost,
    limits: &Limits,
    rounds: u64,
    slice: Duration,
) -> Result<()> {
    let batching = BatchProcessorConfig::new()
        .batch_timeout(limits.linger)
        .max_batch_wait(limits.age)
        .close_when_idle(false);
    let mut asked = Asked::of(Shop::open(cost, config(1, batching))?, cost)?;
    asked.shop.watch_holds();
    let (mut overshoots_us, mut holds) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        overshoots_us.extend(overshoots(limits.linger, slice)?);
        asked.slice(cost, round, slice)?;
        holds.extend(asked.shop.take_holds());
    }
    let allowance = Allowance {
        p99_us: samples::percentile(&mut overshoots_us, 0.99),
        longest_us: samples::percentile(&mut overshoots_us, 1.0),
    };
    let added = asked.shop.batches().added_wait;
    let p99_us = microseconds(added.p99());
    report.record(
        format!("{figure}: added wait, p50"),
        microseconds(added.p50()),
        "µs",
        Bound::None,
    );
    // The histogram rounds up by a sixteenth.
    let at_most = (microseconds(limits.linger) + allowance.p99_us) * 17.0 / 16.0;
    report.record(
        format!("{figure}: added wait, p99"),
        p99_us,
        "µs",
        Bound::AtMost(at_most),
    );
    let beyond = |hold: &Hold| microseconds(hold.beyond(limits.age));
    let too_late = holds
        .iter()
        .filter(|&hold| beyond(hold) > 2.0 * allowance.longest_us);
    let late = holds.iter().map(beyond).fold(0.0, f64::max);
    report.record(
        format!("{figure}: batches that closed too late"),
        too_late.count() as f64,
        "batches",
        Bound::AtMost(0.0),
    );
    report.record(
        format!("{figure}: the latest, beyond max_batch_wait"),
        late,
        "µs",
        Bound::None,
    );
    report.record(
        format!("{figure}: batches"),
        holds.len() as f64,
        "batches",
        Bound::None,
    );
    report.record(
        format!("{figure}: a plain sleep of batch_timeout overshoots, p99"),
        allowance.p99_us,
        "µs",
        Bound::None,
    );
    report.record(
        format!("{figure}: the same, longest; twice that is what is allowed"),
        allowance.longest_us,
        "µs",
        Bound::None,
    );
    asked.close()
}

/// By how much a thread that sleeps for a time wakes up late.
struct Allowance {
    p99_us: f64,
    longest_us: f64,
}

/// By how many microseconds threads wake up late that sleep for so long, again and again for `time`, while this one
/// keeps a CPU busy as the sender of arrivals does.
fn overshoots(sleep: Duration, time: Duration) -> Result<Vec<f64>> {
    let end = Instant::now() + time;
    let sleeper = thread::spawn(move || {
        let mut overshoots_us = Vec::new();
        while Instant::now() < end {
            let due = Instant::now() + sleep;
            // Parking may end early, for a worker too; then it goes on.
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
            overshoots_us.push(microseconds(due.elapsed()));
        }
        overshoots_us
    });
    while !sleeper.is_finished() {
        spin_loop();
    }
    sleeper
        .join()
        .map_err(|_| "the sleeping thread panicked".into())
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}
