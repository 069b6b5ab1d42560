//! What ageing costs, on a load where both of two lanes have tasks.
//!
//! Instructions are counted as in the group `instructions` of `--bench core`: the worker is held while 512
//! tasks are queued, half of them Low and half High, with a clock that stands still, so that runs are as long
//! as they are with cheap tasks; and once more with the machine's clock, a claim for each task. A clock that
//! stands still never lets a task grow old, so what the first counts is to look. The time is that of two
//! threads that submit tiny tasks, one to each lane, as fast as two workers take them; after 50 µs, which is
//! about what a task waits there, it counts as one lane higher.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use lanepool::{PoolBuilder, ProcessingTask, TaskPriority, WorkerPoolConfig};
use lanepool_bench::{
    Bound, Report, Result, callgrind,
    compare::ratio::beside,
    gated::{BURST, Bed, stopped_clock},
    samples,
    work::{Adder, Order, Pool, Request, one_worker, sum_below},
};

const AFTER: Duration = Duration::from_micros(50);
const LANES: [TaskPriority; 2] = [TaskPriority::Low, TaskPriority::High];

pub(crate) fn measure(report: &mut Report) {
    let items = report.choose(256 * BURST, 48 * BURST);
    eprintln!("ageing: counting instructions");
    for (name, off, on) in [
        ("in runs", "two-lanes", "two-lanes-ageing"),
        (
            "a claim for each",
            "two-lanes-claims",
            "two-lanes-ageing-claims",
        ),
    ] {
        let count = |cell| callgrind::instructions(cell, 4 * BURST, items, 1);
        let what = format!("instructions per task of two lanes, {name}");
        match (count(off), count(on)) {
            (Ok(off), Ok(on)) => {
                report.record(
                    format!("{what}, no ageing"),
                    off,
                    "instructions",
                    Bound::None,
                );
                report.record(
                    format!("{what}, what ageing adds"),
                    on - off,
                    "instructions",
                    Bound::None,
                );
            }
            (Err(error), _) | (_, Err(error)) => report.fail(&what, &error),
        }
    }
    if let Err(error) = floods(report) {
        report.fail("two lanes flooded", &error);
    }
}

/// The time with ageing beside that without.
fn floods(report: &mut Report) -> Result<()> {
    let rounds = report.choose(21, 7);
    let tasks = report.choose(400_000, 100_000);
    eprintln!("ageing: {rounds} rounds of {tasks} tasks a lane with it and without");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut aged = 0;
    for _ in 0..rounds {
        let (on, off) = (flood(Some(AFTER), tasks)?, flood(None, tasks)?);
        with.push(on.ns_per_task);
        without.push(off.ns_per_task);
        aged += on.aged;
        if off.aged > 0 {
            return Err(format!(
                "{} pulls went to a lane for its age without ageing",
                off.aged
            )
            .into());
        }
    }
    let ratio = beside(&with, &without);
    let flood = "time per task, two lanes flooded";
    for (name, times) in [
        ("no ageing", &mut without),
        ("ageing after 50 µs", &mut with),
    ] {
        let time = samples::median(times);
        report.record(format!("{flood}, {name}"), time, "ns", Bound::None);
    }
    let beside = format!("{flood}, with ageing beside without");
    report.record(beside, ratio, "x", Bound::None);
    let all = rounds as u64 * LANES.len() as u64 * tasks;
    report.record(
        "pulls that went to a lane for its age, two lanes flooded, per 1,000 tasks",
        aged as f64 * 1000.0 / all as f64,
        "pulls",
        Bound::None,
    );
    Ok(())
}

fn two_lanes(builder: PoolBuilder, count: u64) -> Result<()> {
    // The gate stands behind the lowest lane, so that next to nothing is left in the other when it is reached.
    let bed = Bed {
        gate_lane: TaskPriority::Low,
        ..Bed::<Order>::new(builder)?
    };
    bed.fire_and_forget(count, |number| LANES[number as usize % 2])
}

fn config(ageing: Option<Duration>) -> WorkerPoolConfig {
    WorkerPoolConfig {
        ageing,
        ..one_worker()
    }
}

/// Two lanes in turn, no ageing.
pub(crate) fn off(count: u64) -> Result<()> {
    two_lanes(stopped_clock(config(None)), count)
}

/// The same with ageing.
pub(crate) fn on(count: u64) -> Result<()> {
    two_lanes(stopped_clock(config(Some(AFTER))), count)
}

/// Two lanes in turn with the machine's clock, no ageing.
pub(crate) fn off_claims(count: u64) -> Result<()> {
    two_lanes(PoolBuilder::new().config(config(None)), count)
}

/// The same with ageing.
pub(crate) fn on_claims(count: u64) -> Result<()> {
    two_lanes(PoolBuilder::new().config(config(Some(AFTER))), count)
}

struct Flooded {
    ns_per_task: f64,
    aged: u64,
}

fn flood(ageing: Option<Duration>, tasks: u64) -> Result<Flooded> {
    let config = WorkerPoolConfig {
        worker_count: 2,
        ageing,
        ..WorkerPoolConfig::default()
    };
    let (adder, ledger) = Adder::new();
    let pool: Pool<Order> = Pool::with_config(adder, config)?;
    let start = Barrier::new(LANES.len() + 1);
    let produce = |priority| -> Result<()> {
        start.wait();
        for number in 0..tasks {
            let task = ProcessingTask::new(Order::add(number)).priority(priority);
            pool.spawn_blocking(task)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    let began = thread::scope(|scope| {
        let producers = LANES.map(|priority| scope.spawn(move || produce(priority)));
        start.wait();
        let began = Instant::now();
        producers
            .into_iter()
            .try_for_each(|producer| producer.join().expect("a producer does not panic"))?;
        Result::Ok(began)
    })?;
    let all = LANES.len() as u64 * tasks;
    let aged = |pool: &Pool<Order>| pool.scheduler().statistics().aged;
    let before_the_end = aged(&pool);
    ledger.close(pool, all, LANES.len() as u64 * sum_below(tasks))?;
    Ok(Flooded {
        ns_per_task: began.elapsed().as_nanos() as f64 / all as f64,
        aged: before_the_end,
    })
}
