//! What a pool costs that has nothing to do.
//!
//! After some work the pool is left alone until its threads have stopped switching; then the CPU time and the
//! voluntary switches of every thread but this one are counted for two seconds. A switch would mean that
//! something woke: a timer, or a poll.

use std::{thread, time::Duration};

use lanepool::{TaskContext, TaskPriority, WorkerPool};
use lanepool_bench::{Bound, Report, Result, threads, threads::Usage};

use lanepool_bench::work::{Adder, AsyncAdder, Ledger, Order, Pool, Request, sum_below};

const WATCH: Duration = Duration::from_secs(2);
const WARM_UP: u64 = 1000;

pub(crate) fn measure(report: &mut Report) {
    for (workers, measured) in [
        ("thread workers", on_threads()),
        ("async workers", on_tasks()),
    ] {
        match measured {
            Ok(usage) => {
                let cpu_us = usage.cpu_ns as f64 / 1000.0;
                report.record(
                    format!("CPU of an idle pool in 2 s, {workers}"),
                    cpu_us,
                    "µs",
                    Bound::AtMost(100.0),
                );
                let wakes = usage.voluntary as f64;
                report.record(
                    format!("wakes of an idle pool in 2 s, {workers}"),
                    wakes,
                    "switches",
                    Bound::AtMost(0.0),
                );
            }
            Err(error) => report.fail(workers, &error),
        }
    }
}

fn on_threads() -> Result<Usage> {
    let (adder, ledger) = Adder::new();
    watch(WorkerPool::new(adder)?, ledger)
}

fn on_tasks() -> Result<Usage> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let (adder, ledger) = Adder::new();
    let pool = {
        let _inside = runtime.enter();
        WorkerPool::new_async(AsyncAdder(adder))?
    };
    watch(pool, ledger)
}

fn watch(pool: Pool<Order>, ledger: Ledger) -> Result<Usage> {
    for number in 0..WARM_UP {
        pool.execute_blocking(
            Order::add(number),
            TaskPriority::Normal,
            TaskContext::default(),
        )
        .map_err(|error| error.to_string())?;
    }
    threads::settle()?;
    let before = threads::others()?;
    if before.threads() == 0 {
        return Err("the pool has no thread to watch".into());
    }
    // The stretch that is measured: what the pool uses while nobody does anything.
    thread::sleep(WATCH);
    let usage = threads::others()?.since(&before);
    ledger.close(pool, WARM_UP, sum_below(WARM_UP))?;
    Ok(usage)
}
