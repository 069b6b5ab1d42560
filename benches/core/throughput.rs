//! Time, CPU time and switches of a tiny fire-and-forget task, by the number of producers.
//!
//! Producers wait when the lane is full. The time runs from the producers' common start until the pool has
//! been drained and its workers have ended; the CPU time and the switches are those of producers and
//! workers. The median of several rounds, each on a pool of its own.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use lanepool::{ProcessingTask, WorkerPool};
use lanepool_bench::{Bound, Report, Result, samples, threads, threads::Usage};

use lanepool_bench::work::{Adder, Order, Pool, Request, sum_below};

pub(crate) fn measure(report: &mut Report) {
    let tasks = report.choose(4_000_000, 1_000_000);
    let rounds = report.choose(7, 3);
    for producers in [1, 2, 4] {
        match (0..rounds)
            .map(|_| round(producers, tasks))
            .collect::<Result<Vec<_>>>()
        {
            Ok(rounds) => record(report, producers, tasks, &rounds),
            Err(error) => report.fail(
                &format!("fire-and-forget with {}", named(producers)),
                &error,
            ),
        }
    }
}

fn record(report: &mut Report, producers: u64, tasks: u64, rounds: &[(Duration, Usage)]) {
    let by = named(producers);
    let mut per_task = |figure: &str, unit, value: fn(&(Duration, Usage)) -> f64| {
        let mut values: Vec<f64> = rounds
            .iter()
            .map(|round| value(round) / tasks as f64)
            .collect();
        report.record(
            format!("{figure}, {by}"),
            samples::median(&mut values),
            unit,
            Bound::None,
        );
    };
    per_task("time per fire-and-forget task", "ns", |(time, _)| {
        time.as_nanos() as f64
    });
    per_task("CPU per fire-and-forget task", "ns", |(_, usage)| {
        usage.cpu_ns as f64
    });
    per_task(
        "voluntary switches per fire-and-forget task",
        "switches",
        |(_, usage)| usage.voluntary as f64,
    );
}

fn named(producers: u64) -> String {
    if producers == 1 {
        "1 producer".to_owned()
    } else {
        format!("{producers} producers")
    }
}

fn round(producers: u64, tasks: u64) -> Result<(Duration, Usage)> {
    let (adder, ledger) = Adder::new();
    let pool: Pool<Order> = WorkerPool::new(adder)?;
    let each = tasks / producers;
    let start = Barrier::new(producers as usize + 1);
    let produce = || -> Result<Usage> {
        start.wait();
        let before = threads::current()?;
        for number in 0..each {
            let task = ProcessingTask::new(Order::add(number));
            pool.spawn_blocking(task)
                .map_err(|error| error.to_string())?;
        }
        Ok(threads::current()? - before)
    };
    let (began, produced) = thread::scope(|scope| {
        let handles: Vec<_> = (0..producers).map(|_| scope.spawn(produce)).collect();
        start.wait();
        let began = Instant::now();
        let produced: Result<Usage> = handles
            .into_iter()
            .map(|producer| producer.join().expect("a producer does not panic"))
            .sum();
        (began, produced)
    });
    let produced = produced?;
    let worked = ledger.close(pool, producers * each, producers * sum_below(each))?;
    Ok((began.elapsed(), produced + worked))
}
