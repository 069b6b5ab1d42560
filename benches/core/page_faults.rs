//! Pages that are first touched while a pool works.
//!
//! Memory that is taken but was never written costs whoever first writes a page of it a fault, and with it the
//! system's search for a page: thousands of instructions, and more in a guest. So a lane's memory is written when
//! the pool is built. A lap of a lane, each of whose tasks has a context, writes all there is beside the slots.

use std::time::{Duration, Instant};

use lanepool::{LaneConfig, ProcessingTask, WorkerPool, WorkerPoolConfig};
use lanepool_bench::{
    Bound, Report, Result, process,
    work::{Adder, Order, Pool, Request, sum_below},
};

const CAPACITY: usize = 1 << 15;
/// What the allocator and the worker's thread may still touch.
const TARGET: Bound = Bound::AtMost(0.002);

pub(crate) fn measure(report: &mut Report) {
    let name = "page faults per task, first lap of a lane, every task with a context";
    match first_lap() {
        Ok(faults) => report.record(name, faults, "faults", TARGET),
        Err(error) => report.fail(name, &error),
    }
}

fn first_lap() -> Result<f64> {
    let (adder, ledger) = Adder::new();
    let config = WorkerPoolConfig::builder()
        .workers(1)
        .lanes([LaneConfig::new().capacity(CAPACITY)])
        .build()?;
    let pool: Pool<Order> = WorkerPool::with_config(adder, config)?;
    let deadline = Instant::now() + Duration::from_secs(3600);
    let before = process::page_faults()?;
    for number in 0..CAPACITY as u64 {
        let task = ProcessingTask::new(Order::add(number)).deadline(deadline);
        pool.spawn_blocking(task)
            .map_err(|error| error.to_string())?;
    }
    let faults = process::page_faults()? - before;
    let count = CAPACITY as u64;
    ledger.close(pool, count, sum_below(count))?;
    Ok(faults as f64 / CAPACITY as f64)
}
