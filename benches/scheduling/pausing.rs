//! A pool that can pause its lanes pays for it only while one is paused.
//!
//! Instructions of a fire-and-forget task, counted as in the group `instructions` of `--bench core` and on the
//! same loop: on a pool that was left alone, on one whose lanes were paused and resumed a hundred times, and on
//! one that has another lane paused all the while. The threads take turns in an order that differs from run to
//! run, and the counts scatter by some two instructions for it.

use lanepool::TaskPriority;
use lanepool_bench::{
    Bound, Report, Result, callgrind,
    gated::{BURST, Bed, stopped_clock},
    work::{Order, one_worker},
};

/// What `--bench core` holds a fire-and-forget task to.
const TASK: f64 = 200.0;
/// By how much two counts of the same may differ.
const SCATTER: f64 = 4.0;
/// Of which the median is taken.
const RUNS: usize = 3;

pub(crate) fn measure(report: &mut Report) {
    let items = report.choose(256 * BURST, 48 * BURST);
    eprintln!("pausing: counting instructions");
    let count = |cell| callgrind::instructions(cell, 4 * BURST, items, RUNS);
    let alone = match count("never-paused") {
        Ok(alone) => alone,
        Err(error) => return report.fail("instructions per fire-and-forget task", &error),
    };
    report.record(
        "instructions per fire-and-forget task, no lane ever paused",
        alone,
        "instructions",
        Bound::AtMost(TASK),
    );
    for (name, cell, bound) in [
        (
            "all lanes paused and resumed before",
            "resumed",
            Bound::AtMost(SCATTER),
        ),
        ("another lane paused meanwhile", "other-paused", Bound::None),
    ] {
        let name = format!("the same, {name}: more than that");
        report.take(name, "instructions", bound, || Ok(count(cell)? - alone));
    }
}

fn run(count: u64, pause: impl Fn(&Bed<Order>)) -> Result<()> {
    let bed = Bed::<Order>::new(stopped_clock(one_worker()))?;
    pause(&bed);
    bed.fire_and_forget(count, |_| TaskPriority::Normal)
}

/// No lane is ever paused.
pub(crate) fn never(count: u64) -> Result<()> {
    run(count, |_| ())
}

/// Every lane was paused and resumed before.
pub(crate) fn resumed(count: u64) -> Result<()> {
    run(count, |bed| {
        let scheduler = bed.pool.scheduler();
        for priority in TaskPriority::ALL {
            for _ in 0..100 {
                scheduler.pause(priority);
                scheduler.resume(priority);
            }
        }
    })
}

/// The lane above is paused.
pub(crate) fn other(count: u64) -> Result<()> {
    run(count, |bed| bed.pool.scheduler().pause(TaskPriority::High))
}
