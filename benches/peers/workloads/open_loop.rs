//! W9: random arrivals at a given share of what the workers can do.
//!
//! Arrivals are independent of the pool: their times are drawn beforehand, with exponential gaps, from the
//! same seed for everybody. One thread hands each task over when it is due; if it is late, at once, and it
//! never leaves one out. A task's latency runs from when it was due until its handler is done, so that waiting
//! to be handed over counts as well. One CPU is left to that thread: the pool has a worker for each other one.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use lanepool_bench::{
    Result,
    compare::{Better, Metric, Outline},
    random::arrivals,
};

use super::{
    Amount, BOTH, NEVER, QUIET, Setting, Values, cases, no_such_case,
    requests::percentiles,
    tally::{self, Totals, sum_below},
};
use crate::contender::{Contender, Priority, Shape, Task, Tasks};

const CAPACITY: usize = 1024;
const SEED: u64 = 0x5EED_0F1A_7E9C_0DE5;

/// Sleeping ends late by about as much; the rest of a gap is spun.
const SPIN: Duration = Duration::from_micros(150);

const METRICS: &[Metric] = &[
    Metric {
        name: "p99_us",
        title: "p99, µs",
        better: Better::Lower,
    },
    Metric {
        name: "p50_us",
        title: "p50, µs",
        better: Better::Lower,
    },
    Metric {
        name: "p999_us",
        title: "p99.9, µs",
        better: Better::Lower,
    },
    Metric {
        name: "kept_pace",
        title: "time in which the tasks were due, as a share of that in which they were done",
        better: Better::Higher,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W9",
        title: "open loop",
        about: "Handlers of 5 µs, 50 µs and 1 ms at 50 %, 80 % and 95 % of what the workers can do; random \
            arrivals, the same for everybody; from the intended send time to the handler's end. One worker \
            for each CPU but one, which the sender has. On the loaded machine the workers have about half of \
            their CPUs, so 80 % and 95 % are more than they can do.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    for (handler, title) in [("5us", "5 µs"), ("50us", "50 µs"), ("1000us", "1 ms")] {
        for load in [50, 80, 95] {
            let amount = Amount::Milliseconds {
                full: if handler == "1000us" { 2000 } else { 1000 },
                quick: 100,
            };
            let setting = Setting::new(
                format!("{handler}-{load}"),
                format!("{title}, {load} %"),
                amount,
            );
            // One handler is enough to see what a loaded host makes of open arrivals.
            let full = if handler == "50us" { BOTH } else { QUIET };
            let quick = match (handler, load) {
                ("5us" | "50us", 80) => QUIET,
                _ => NEVER,
            };
            settings.push(setting.full(full).quick(quick));
        }
    }
    settings
}

fn parse(case: &str) -> Option<(Duration, f64)> {
    let (handler, load) = case.split_once("us-")?;
    let load: f64 = load.parse().ok()?;
    let handler = Duration::from_micros(handler.parse().ok()?);
    (!handler.is_zero() && load > 0.0).then_some((handler, load / 100.0))
}

/// When each task is due, and how long it took; each task writes its own place once.
struct Board {
    began: Instant,
    due: Vec<Duration>,
    handler: Duration,
    latencies_ns: Vec<AtomicU64>,
}

const NOT_YET: u64 = u64::MAX;

struct Arrival {
    board: &'static Board,
    number: usize,
}

impl Task for Arrival {
    fn run(self) {
        let end = Instant::now() + self.board.handler;
        while Instant::now() < end {
            spin_loop();
        }
        let due = self.board.began + self.board.due[self.number];
        let latency = due.elapsed().as_nanos() as u64;
        let before = self.board.latencies_ns[self.number].swap(latency, Ordering::Relaxed);
        // The second sum counts tasks that ran for the first time.
        tally::add(self.number as u64, u64::from(before == NOT_YET));
    }
}

pub(crate) fn run<C: Contender>(case: &str, milliseconds: u64) -> Result<Values> {
    let (handler, load) = parse(case).ok_or_else(|| no_such_case(case))?;
    let cpus = thread::available_parallelism()?.get();
    let workers = (cpus - 1).max(1);
    let gap = handler.as_secs_f64() / (workers as f64 * load);
    let due = arrivals(SEED, gap, Duration::from_millis(milliseconds));
    let count = due.len();
    let pool = C::tasks::<Arrival>(Shape {
        workers,
        capacity: CAPACITY,
    });
    // The process ends with the cell, and a board that lives as long spares every task a reference count.
    let board: &'static Board = Box::leak(Box::new(Board {
        latencies_ns: (0..count).map(|_| AtomicU64::new(NOT_YET)).collect(),
        due,
        handler,
        // A little later, so that the first ones are not late before anything has begun.
        began: Instant::now() + Duration::from_millis(1),
    }));
    send(board, &pool, cpus);
    pool.finish();
    tally::await_tasks(count as u64)?;
    let elapsed = board.began.elapsed();
    tally::check(Totals {
        tasks: count as u64,
        first: sum_below(count as u64),
        second: count as u64,
    })?;
    let mut latencies_us: Vec<f64> = board
        .latencies_ns
        .iter()
        .map(|latency| latency.load(Ordering::Relaxed) as f64 / 1000.0)
        .collect();
    let mut values = percentiles(
        &mut latencies_us,
        &[("p99_us", 0.99), ("p50_us", 0.5), ("p999_us", 0.999)],
    );
    let last_due = board.due.last().map_or(0.0, Duration::as_secs_f64);
    values.push(("kept_pace", last_due / elapsed.as_secs_f64()));
    Ok(values)
}

/// Hands over every task when it is due, or at once if that has passed.
fn send(board: &'static Board, pool: &impl Tasks<Arrival>, cpus: usize) {
    // With a single CPU, whoever spins here keeps the worker from it.
    let spin = if cpus == 1 { Duration::ZERO } else { SPIN };
    for (number, &due) in board.due.iter().enumerate() {
        let due = board.began + due;
        let rest = due.saturating_duration_since(Instant::now());
        if rest > spin {
            // The workload is when tasks arrive; the last stretch is spun, to be on time.
            thread::sleep(rest - spin);
        }
        while Instant::now() < due {
            spin_loop();
        }
        pool.submit(Arrival { board, number }, Priority::Normal);
    }
}
