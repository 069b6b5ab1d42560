//! W10: what an idle pool keeps of the heap, and what a queued task adds to it.
//!
//! The pool has one worker, which stands at a gate inside a task while 1,000 tasks are queued behind it. A
//! bounded pool may have taken the room for them when it was built, so the two are also given together. The
//! workers' stacks are not on the heap.

use std::sync::Barrier;

use lanepool_bench::{
    Result,
    alloc::Phase,
    compare::{Better, Metric, Outline},
    threads,
};

use super::{
    Amount, QUIET, Setting, Values, cases, no_such_case,
    tally::{self, Totals, sum_below},
};
use crate::contender::{Contender, Priority, Shape, Task, Tasks};

const QUEUED: u64 = 1000;
const CAPACITY: usize = 1024;

const METRICS: &[Metric] = &[
    Metric {
        name: "full_bytes_per_task",
        title: "heap bytes of a pool with 1,000 queued tasks, by task",
        better: Better::Lower,
    },
    Metric {
        name: "queued_bytes_per_task",
        title: "heap bytes that a queued task adds",
        better: Better::Lower,
    },
    Metric {
        name: "idle_kib",
        title: "heap KiB of an idle pool",
        better: Better::Lower,
    },
    Metric {
        name: "threads",
        title: "threads of an idle pool",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W10",
        title: "memory",
        about: "One worker, tasks of 16 bytes, bound 1,024 for each lane where a pool has one. What a bounded \
            pool keeps while idle is its queues; workers' stacks are not on the heap.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    // The number of tasks is part of the metrics' names, so there is nothing to choose.
    let amount = Amount::Items {
        full: QUEUED,
        quick: QUEUED,
    };
    let setting = Setting::new("queued-1000", "1 worker", amount);
    vec![setting.full(QUIET).quick(QUIET)]
}

enum Work {
    /// Stands at the gate until it opens.
    Gate(&'static Barrier),
    Count(u64),
}

impl Task for Work {
    fn run(self) {
        match self {
            Self::Gate(gate) => {
                gate.wait();
                gate.wait();
                tally::add(0, 1);
            }
            Self::Count(number) => tally::add(number, 1),
        }
    }
}

pub(crate) fn run<C: Contender>(case: &str) -> Result<Values> {
    if case != "queued-1000" {
        return Err(no_such_case(case));
    }
    // The process ends with the cell, so the gate may live as long.
    let gate: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
    let phase = Phase::start()?;
    let pool = C::tasks::<Work>(Shape {
        workers: 1,
        capacity: CAPACITY,
    });
    pool.submit(Work::Gate(gate), Priority::Normal);
    gate.wait();
    // The worker stands inside a task now, and nothing is queued.
    let idle = phase.so_far().growth_bytes();
    for number in 0..QUEUED {
        pool.submit(Work::Count(number), Priority::Normal);
    }
    let full = phase.stop().growth_bytes();
    let threads = threads::others()?.threads();
    gate.wait();
    pool.finish();
    tally::await_tasks(QUEUED + 1)?;
    tally::check(Totals {
        tasks: QUEUED + 1,
        first: sum_below(QUEUED),
        second: QUEUED + 1,
    })?;
    Ok(vec![
        ("full_bytes_per_task", full as f64 / QUEUED as f64),
        (
            "queued_bytes_per_task",
            (full - idle) as f64 / QUEUED as f64,
        ),
        ("idle_kib", idle as f64 / 1024.0),
        ("threads", threads as f64),
    ])
}
