//! System calls of a fire-and-forget task while the pool has more to do than it can.
//!
//! Two producers that wait when the lane is full, all defaults: one worker for each CPU. Once with tasks that
//! cost next to nothing, so that the lane runs full and empty all the time, and once with tasks of about a
//! microsecond, so that it stays full and every producer waits.

use std::thread;

use lanepool::{ProcessingTask, WorkerPool};
use lanepool_bench::{Bound, Report, Result, syscalls};

use lanepool_bench::work::{Adder, Order, Pool, Request, sum_below};

const PRODUCERS: u64 = 2;
const TARGET: Bound = Bound::AtMost(0.01);

pub(crate) fn measure(report: &mut Report) {
    let items = report.choose(1 << 21, 1 << 19);
    let runs = report.choose(3, 1);
    for (name, cell) in [
        (
            "system calls per task, saturated fire-and-forget",
            "saturated-tiny",
        ),
        (
            "system calls per task, saturated fire-and-forget, tasks of 1 µs",
            "saturated-1us",
        ),
    ] {
        match syscalls::system_calls(cell, 1 << 14, items, runs) {
            Ok(calls) => {
                report.record(name, calls.all, "calls", TARGET);
                for kind in ["futex", "sched_yield"] {
                    let share = calls.by_name.get(kind).copied().unwrap_or(0.0);
                    report.record(format!("- of these, {kind}"), share, "calls", Bound::None);
                }
            }
            Err(error) => report.fail(name, &error),
        }
    }
}

/// Tasks that cost next to nothing.
pub(crate) fn tiny(count: u64) -> Result<()> {
    saturate(count, 0)
}

/// Tasks of about a microsecond.
pub(crate) fn microsecond(count: u64) -> Result<()> {
    saturate(count, 600)
}

fn saturate(count: u64, rounds: u32) -> Result<()> {
    let (adder, ledger) = Adder::new();
    let pool: Pool<Order> = WorkerPool::new(adder.with_rounds(rounds))?;
    thread::scope(|scope| {
        let producers = [0; PRODUCERS as usize].map(|_| {
            scope.spawn(|| -> Result<()> {
                for number in 0..count / PRODUCERS {
                    let task = ProcessingTask::new(Order::add(number));
                    pool.spawn_blocking(task)
                        .map_err(|error| error.to_string())?;
                }
                Ok(())
            })
        });
        producers
            .into_iter()
            .try_for_each(|producer| producer.join().expect("a producer does not panic"))
    })?;
    ledger.close(pool, count, PRODUCERS * sum_below(count / PRODUCERS))?;
    Ok(())
}
