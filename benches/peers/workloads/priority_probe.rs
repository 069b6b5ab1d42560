//! W4: an urgent task in each millisecond, into a pool that is kept full.
//!
//! The pool has a backlog of low tasks, each of which runs for 20 µs by the clock. One thread keeps it up: it
//! wakes once in each millisecond, hands over a probe of the highest priority, and then as many low tasks as have
//! begun since. A probe's time runs from before it is handed over until it starts. Every probe counts, those
//! that a pool without priorities starts only once the backlog is gone included.
//!
//! When in its millisecond a probe comes is drawn beforehand, the same for everybody. Were it always the same, it
//! would meet running tasks at a point that depends on how many of them, with what a worker adds to each, go into a
//! millisecond: a contender with 49 or 50 to the nanosecond would have each of its probes meet the same point.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use lanepool_bench::{
    Result,
    compare::{
        Better, Metric, Outline,
        targets::{PROBED_TASK_US, analytic_rest_mean_us, analytic_rest_p99_us},
    },
    random::scatter,
};

use super::{
    Amount, BOTH, QUIET, Setting, Values, cases, no_such_case,
    requests::percentiles,
    tally::{self, Totals},
};
use crate::contender::{Contender, Priority, Shape, Task, Tasks};

/// The lanes' bound; the backlog leaves room for probes that wait in the same queue.
const CAPACITY: usize = 1024;
const BACKLOG: u64 = 900;
const PERIOD: Duration = Duration::from_millis(1);

const METRICS: &[Metric] = &[
    Metric {
        name: "p99_us",
        title: "probe p99, µs",
        better: Better::Lower,
    },
    Metric {
        name: "p50_us",
        title: "probe p50, µs",
        better: Better::Lower,
    },
    Metric {
        name: "low_tasks_k_per_s",
        title: "thousand low tasks/s",
        better: Better::Higher,
    },
    Metric {
        name: "p99_by_analytic_rest",
        title: "probe p99 by the analytic rest's",
        better: Better::Lower,
    },
    Metric {
        name: "p50_by_analytic_mean",
        title: "probe p50 by the analytic rest's mean",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W4",
        title: "priority probe",
        about: "One urgent task in each millisecond, at a random time of it, into a pool that holds 900 low tasks \
            of 20 µs, from submit to start. Arithmetic's limit is the rest of the running task that ends first: with 1 worker 10 µs in \
            the mean and a p99 of 19.8 µs, with 2 workers 6.7 and 18 µs.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Milliseconds {
        full: 1000,
        quick: 100,
    };
    vec![
        Setting::new("workers-2", "2 workers", amount).quick(BOTH),
        Setting::new("workers-1", "1 worker", amount).quick(QUIET),
    ]
}

/// Where probes note how long they waited, in nanoseconds; each has its own place and writes it once.
struct Board {
    waits_ns: Vec<AtomicU64>,
    again: AtomicU64,
}

const NOT_YET: u64 = u64::MAX;

enum Work {
    /// Keeps its worker busy for a while.
    Low,
    /// Notes when it started.
    Probe {
        board: &'static Board,
        number: u32,
        submitted: Instant,
    },
}

impl Task for Work {
    fn run(self) {
        let now = Instant::now();
        match self {
            Self::Low => {
                let end = now + Duration::from_nanos((PROBED_TASK_US * 1000.0) as u64);
                tally::add(1, 0);
                while Instant::now() < end {
                    spin_loop();
                }
            }
            Self::Probe {
                board,
                number,
                submitted,
            } => {
                let wait = (now - submitted).as_nanos() as u64;
                let before = board.waits_ns[number as usize].swap(wait, Ordering::Relaxed);
                if before != NOT_YET {
                    board.again.fetch_add(1, Ordering::Relaxed);
                }
                tally::add(0, 1);
            }
        }
    }
}

pub(crate) fn run<C: Contender>(case: &str, milliseconds: u64) -> Result<Values> {
    let workers = case
        .strip_prefix("workers-")
        .and_then(|workers| workers.parse().ok())
        .ok_or_else(|| no_such_case(case))?;
    // The process ends with the cell, and a board that lives as long spares every task a reference count.
    let board: &'static Board = Box::leak(Box::new(Board {
        waits_ns: (0..milliseconds).map(|_| AtomicU64::new(NOT_YET)).collect(),
        again: AtomicU64::new(0),
    }));
    let pool = C::tasks::<Work>(Shape {
        workers,
        capacity: CAPACITY,
    });
    let mut low = 0;
    fill(&pool, &mut low);
    // Until every worker has come to its first task, a probe would find an idle one.
    while tally::totals().first < workers as u64 {
        thread::yield_now();
    }
    let (began, low_before) = (Instant::now(), tally::totals().first);
    for number in 0..milliseconds as u32 {
        let due = began + PERIOD * number + offset(number);
        // The workload is when probes arrive.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let probe = Work::Probe {
            board,
            number,
            submitted: Instant::now(),
        };
        pool.submit(probe, Priority::Critical);
        fill(&pool, &mut low);
    }
    let low_done = tally::totals().first - low_before;
    let elapsed = began.elapsed();
    pool.finish();
    tally::await_tasks(low + milliseconds)?;
    tally::check(Totals {
        tasks: low + milliseconds,
        first: low,
        second: milliseconds,
    })?;
    let waits_us = waits_us(board)?;
    let speed = low_done as f64 / elapsed.as_secs_f64() / 1000.0;
    Ok(values(waits_us, speed, workers))
}

/// How long after the beginning of its period a probe is due.
fn offset(number: u32) -> Duration {
    Duration::from_nanos(scatter(u64::from(number)) % PERIOD.as_nanos() as u64)
}

/// Hands low tasks over until [`BACKLOG`] of them have not begun.
fn fill(pool: &impl Tasks<Work>, handed_over: &mut u64) {
    while *handed_over - tally::totals().first < BACKLOG {
        pool.submit(Work::Low, Priority::Low);
        *handed_over += 1;
    }
}

fn waits_us(board: &Board) -> Result<Vec<f64>> {
    let again = board.again.load(Ordering::Relaxed);
    if again > 0 {
        return Err(format!("{again} probes were started twice").into());
    }
    let waits = board.waits_ns.iter().map(|wait| {
        let wait = wait.load(Ordering::Relaxed);
        (wait != NOT_YET).then_some(wait as f64 / 1000.0)
    });
    waits
        .collect::<Option<Vec<f64>>>()
        .ok_or_else(|| "a probe was never started".into())
}

fn values(mut waits_us: Vec<f64>, low_k_per_s: f64, workers: usize) -> Values {
    let mut values = percentiles(&mut waits_us, &[("p99_us", 0.99), ("p50_us", 0.5)]);
    let (p99, p50) = (values[0].1, values[1].1);
    values.push(("low_tasks_k_per_s", low_k_per_s));
    values.push(("p99_by_analytic_rest", p99 / analytic_rest_p99_us(workers)));
    values.push(("p50_by_analytic_mean", p50 / analytic_rest_mean_us(workers)));
    values
}
