//! W6: heap allocations of a task, and of a round trip, once a pool is warm.
//!
//! The same loop runs once before the count begins, so that queues, slabs and caches have grown to what it
//! needs.

use std::hint::spin_loop;

use lanepool_bench::{
    Result,
    alloc::{Allocated, Phase},
    compare::{Better, Metric, Outline},
    threads,
};

use super::{
    Amount, QUIET, Setting, Values, cases, no_such_case,
    requests::{Hash, warm_up, warm_up_async},
    tally::{self, Totals, sum_below},
};
use crate::contender::{Calls, Contender, Priority, Shape, Task, Tasks};

const SHAPE: Shape = Shape {
    workers: 2,
    capacity: 1024,
};

/// Pauses of a task of the warm-up: some microseconds.
const SLOW: u64 = 200;

const METRICS: &[Metric] = &[
    Metric {
        name: "allocations",
        title: "allocations each",
        better: Better::Lower,
    },
    Metric {
        name: "bytes",
        title: "bytes allocated each",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W6",
        title: "heap allocations",
        about: "On all threads, for each fire-and-forget task of 16 bytes and for each round trip, once the \
            pool is warm.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Items {
        full: 20_000,
        quick: 5_000,
    };
    [
        ("task", "a task"),
        ("call", "a blocking round trip"),
        ("call-async", "an async round trip"),
    ]
    .map(|(name, title)| {
        // Counts repeat, so one round tells.
        let setting = Setting::new(name, title, amount).rounds_at_most(1);
        setting.full(QUIET).quick(QUIET)
    })
    .into()
}

struct Counted {
    number: u64,
    pauses: u64,
}

impl Task for Counted {
    fn run(self) {
        (0..self.pauses).for_each(|_| spin_loop());
        tally::add(self.number, 1);
    }
}

pub(crate) fn run<C: Contender>(case: &str, count: u64) -> Result<Values> {
    let allocated = match case {
        "task" => tasks::<C>(count)?,
        "call" => calls::<C>(count)?,
        "call-async" => async_calls::<C>(count)?,
        _ => return Err(no_such_case(case)),
    };
    let each = |total: u64| total as f64 / count as f64;
    Ok(vec![
        ("allocations", each(allocated.allocations)),
        ("bytes", each(allocated.bytes)),
    ])
}

fn tasks<C: Contender>(count: u64) -> Result<Allocated> {
    let pool = C::tasks::<Counted>(SHAPE);
    let submit = |pauses| {
        for number in 0..count {
            pool.submit(Counted { number, pauses }, Priority::Normal);
        }
    };
    // Slow ones, so that who submits has waited for room once.
    submit(SLOW);
    tally::await_tasks(count)?;
    threads::settle()?;
    let phase = Phase::start()?;
    submit(0);
    tally::await_tasks(2 * count)?;
    let allocated = phase.stop();
    pool.finish();
    tally::check(Totals {
        tasks: 2 * count,
        first: 2 * sum_below(count),
        second: 2 * count,
    })?;
    Ok(allocated)
}

fn calls<C: Contender>(count: u64) -> Result<Allocated> {
    let pool = C::calls(SHAPE, Hash);
    warm_up(&pool, count)?;
    threads::settle()?;
    let phase = Phase::start()?;
    warm_up(&pool, count)?;
    let allocated = phase.stop();
    pool.finish();
    Ok(allocated)
}

fn async_calls<C: Contender>(count: u64) -> Result<Allocated> {
    let pool = C::calls(SHAPE, Hash);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let allocated = runtime.block_on(async {
        warm_up_async(&pool, count).await?;
        threads::settle()?;
        let phase = Phase::start()?;
        warm_up_async(&pool, count).await?;
        Result::Ok(phase.stop())
    })?;
    pool.finish();
    Ok(allocated)
}
