//! W1: tiny tasks from a few producers.
//!
//! A producer hands over tasks of 16 bytes until its time is up, and waits where a bounded pool is full. The
//! time that counts runs from the producers' common start until the pool has run the last task and ended
//! its workers; so does the CPU time, which is that of the whole process. A task adds its two numbers to a
//! tally.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use lanepool_bench::{
    Result,
    compare::{
        Better, Case, Condition, Measurement, Metric, Outline, Results,
        measurement::{Column, Series},
        plots::Curves,
        ratio,
    },
    process,
};

use super::{
    Amount, BOTH, Field, QUIET, Setting, Values, cases, no_such_case,
    tally::{self, Totals, sum_below},
};
use crate::contender::{Contender, Priority, Shape, Task, Tasks};

const CAPACITY: usize = 1024;

/// How many rivals are followed up to 64 producers and workers.
const LEADERS: usize = 3;

const SPEED: &str = "tasks_m_per_s";
const LOWEST: &str = "lowest_after_best";
const METRICS: &[Metric] = &[
    Metric {
        name: SPEED,
        title: "M tasks/s",
        better: Better::Higher,
    },
    Metric {
        name: "cpu_ns_per_task",
        title: "CPU ns a task",
        better: Better::Lower,
    },
    Metric {
        name: "switches_per_task",
        title: "voluntary switches a task",
        better: Better::Lower,
    },
    Metric {
        name: LOWEST,
        title: "lowest throughput of a series, as a share of the best before it",
        better: Better::Higher,
    },
];

/// From 1 to 64, of producers with two workers, and of workers with one producer.
const STEPS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

pub(crate) fn outline() -> Outline {
    let mut cases = cases(settings());
    for (name, curves) in series() {
        cases.push(Case {
            name: name.to_owned(),
            title: curves.title.to_owned(),
        });
    }
    Outline {
        name: "W1",
        title: "fan-out",
        about: "Tiny tasks of 16 bytes, bound 1,024 where a pool has one. From the producers' common start \
            until the last task has run and the workers have ended.",
        metrics: METRICS,
        cases,
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Milliseconds {
        full: 400,
        quick: 60,
    };
    let setting = |producers: usize, workers: usize| {
        let title = format!("{} → {}", producers, count(workers, "worker"));
        Setting::new(name(producers, workers), title, amount)
    };
    let mut settings = vec![
        setting(1, 2).quick(BOTH),
        setting(2, 2).quick(QUIET),
        setting(4, 2).quick(QUIET),
    ];
    let more = STEPS[3..].iter().map(|&producers| setting(producers, 2));
    let workers = STEPS.iter().filter(|&&workers| workers != 2);
    let scaling = more.chain(workers.map(|&workers| setting(1, workers)));
    settings.extend(scaling.map(|setting| setting.field(Field::Leaders(LEADERS))));
    settings
}

fn name(producers: usize, workers: usize) -> String {
    format!("p{producers}-w{workers}")
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn parse(case: &str) -> Option<(usize, usize)> {
    let (producers, workers) = case.strip_prefix('p')?.split_once("-w")?;
    Some((producers.parse().ok()?, workers.parse().ok()?))
}

struct Tiny {
    number: u64,
    producer: u64,
}

impl Task for Tiny {
    #[inline]
    fn run(self) {
        tally::add(self.number, self.producer);
    }
}

pub(crate) fn run<C: Contender>(case: &str, milliseconds: u64) -> Result<Values> {
    let (producers, workers) = parse(case).ok_or_else(|| no_such_case(case))?;
    let limit = Duration::from_millis(milliseconds);
    let pool = C::tasks::<Tiny>(Shape {
        workers,
        capacity: CAPACITY,
    });
    let start = Barrier::new(producers + 1);
    let (began, before, counts) = thread::scope(|scope| {
        let handles: Vec<_> = (0..producers as u64)
            .map(|producer| {
                let (start, pool) = (&start, &pool);
                scope.spawn(move || {
                    start.wait();
                    produce(pool, producer, limit)
                })
            })
            .collect();
        let before = process::usage();
        start.wait();
        let began = Instant::now();
        let counts: Vec<u64> = handles
            .into_iter()
            .map(|handle| handle.join().expect("a producer does not panic"))
            .collect();
        (began, before, counts)
    });
    pool.finish();
    let tasks: u64 = counts.iter().sum();
    tally::await_tasks(tasks)?;
    let (elapsed, used) = (began.elapsed(), process::usage()? - before?);
    tally::check(expected(&counts))?;
    Ok(vec![
        (SPEED, tasks as f64 / elapsed.as_secs_f64() / 1e6),
        ("cpu_ns_per_task", used.cpu_ns as f64 / tasks as f64),
        ("switches_per_task", used.voluntary as f64 / tasks as f64),
    ])
}

/// Hands tasks over until the time is up, and returns how many.
fn produce(pool: &impl Tasks<Tiny>, producer: u64, limit: Duration) -> u64 {
    /// How many tasks there are between two looks at the clock.
    const STRIDE: u64 = 256;
    let end = Instant::now() + limit;
    let mut next = 0;
    while Instant::now() < end {
        for number in next..next + STRIDE {
            pool.submit(Tiny { number, producer }, Priority::Normal);
        }
        next += STRIDE;
    }
    next
}

fn expected(counts: &[u64]) -> Totals {
    let mut totals = Totals::default();
    for (producer, &tasks) in counts.iter().enumerate() {
        totals.tasks += tasks;
        totals.first = totals.first.wrapping_add(sum_below(tasks));
        totals.second = totals.second.wrapping_add(producer as u64 * tasks);
    }
    totals
}

/// The two series: the case that sums one up, and its curve.
fn series() -> [(&'static str, Curves<'static>); 2] {
    let steps = |case: fn(usize) -> String| {
        STEPS
            .iter()
            .map(|&step| (step as f64, case(step)))
            .collect()
    };
    let producers = Curves {
        title: "1 → 64 producers",
        axis: "producers, with 2 workers",
        steps: steps(|producers| name(producers, 2)),
    };
    let workers = Curves {
        title: "1 → 64 workers",
        axis: "workers, with 1 producer",
        steps: steps(|workers| name(1, workers)),
    };
    [("producers-1-64", producers), ("workers-1-64", workers)]
}

pub(crate) fn curves() -> Vec<Curves<'static>> {
    series().map(|(_, curves)| curves).into()
}

/// How far throughput falls along a series, for each contender that was measured in all of it.
pub(crate) fn derive(results: &mut Results, condition: Condition) {
    for (case, curves) in series() {
        let columns: Vec<Vec<Series>> = curves
            .steps
            .iter()
            .map(|(_, step)| {
                results.column(Column {
                    condition,
                    workload: "W1",
                    case: step,
                    metric: SPEED,
                })
            })
            .collect();
        for first in &columns[0] {
            for &(round, _) in &first.rounds {
                let Some(speeds) = along(&columns, first.contender, round) else {
                    continue;
                };
                results.push(Measurement {
                    workload: "W1",
                    case: case.to_owned(),
                    contender: first.contender,
                    kind: first.kind,
                    condition,
                    round,
                    values: vec![(LOWEST.to_owned(), ratio::lowest_after_best(&speeds))],
                });
            }
        }
    }
}

/// What a contender reached in each column in this round; `None` if it is missing in one.
fn along(columns: &[Vec<Series>], contender: &str, round: usize) -> Option<Vec<f64>> {
    columns
        .iter()
        .map(|column| {
            let series = column.iter().find(|one| one.contender == contender)?;
            let entry = series.rounds.iter().find(|entry| entry.0 == round)?;
            Some(entry.1)
        })
        .collect()
}
