//! Round trips of one client, and the time from submit to service while a worker is idle.
//!
//! *Hot*: the next call follows at once. *After 200 µs*: the pool has gone to sleep before each call, which is
//! where the dispatch overhead is taken from, by the pool's own clock and for every task.

use std::{
    thread,
    time::{Duration, Instant},
};

use lanepool::{TaskContext, TaskPriority, WorkerPool, WorkerPoolConfig};
use lanepool_bench::{Bound, Report, Result, samples, threads};

use lanepool_bench::work::{Adder, Ledger, Order, Pool, Request, sum_below};

const PAUSE: Duration = Duration::from_micros(200);

pub(crate) fn measure(report: &mut Report) {
    let hot = report.choose(200_000, 40_000);
    let cold = report.choose(5000, 1000);
    for (name, measured) in [
        ("blocking round trip, hot", blocking(hot, None)),
        (
            "blocking round trip, after 200 µs",
            blocking(cold, Some(PAUSE)),
        ),
        ("async round trip, hot", asynchronous(hot)),
    ] {
        match measured {
            Ok(trips) => trips.record(report, name),
            Err(error) => report.fail(name, &error),
        }
    }
    if let Err(error) = dispatch(report, cold) {
        report.fail("dispatch overhead", &error);
    }
}

/// What the round trips of a loop took.
struct Trips {
    times_us: Vec<f64>,
    voluntary: u64,
}

impl Trips {
    fn record(mut self, report: &mut Report, name: &str) {
        let trips = self.times_us.len() as f64;
        for (rank, q) in [("p50", 0.5), ("p99", 0.99)] {
            report.record(
                format!("{name}, {rank}"),
                samples::percentile(&mut self.times_us, q),
                "µs",
                Bound::None,
            );
        }
        report.record(
            format!("{name}, voluntary switches"),
            self.voluntary as f64 / trips,
            "switches",
            Bound::None,
        );
    }
}

fn blocking(count: u64, pause: Option<Duration>) -> Result<Trips> {
    let (adder, ledger) = Adder::new();
    let pool = WorkerPool::new(adder)?;
    let (client, workers) = (threads::current()?, threads::others()?);
    let mut times_us = Vec::with_capacity(count as usize);
    for number in 0..count {
        if let Some(pause) = pause {
            // The pause is the workload: the pool is to fall asleep.
            thread::sleep(pause);
        }
        let began = Instant::now();
        let reply = pool.execute_blocking(
            Order::add(number),
            TaskPriority::Normal,
            TaskContext::default(),
        );
        times_us.push(microseconds(began.elapsed()));
        expect(number, reply)?;
    }
    let slept = if pause.is_some() { count } else { 0 };
    let voluntary = (threads::current()? - client)
        .voluntary
        .saturating_sub(slept)
        + threads::others()?.since(&workers).voluntary;
    close(pool, ledger, count)?;
    Ok(Trips {
        times_us,
        voluntary,
    })
}

fn asynchronous(count: u64) -> Result<Trips> {
    let (adder, ledger) = Adder::new();
    let pool = WorkerPool::new(adder)?;
    let (client, workers) = (threads::current()?, threads::others()?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let times_us = runtime.block_on(async {
        let mut times_us = Vec::with_capacity(count as usize);
        for number in 0..count {
            let began = Instant::now();
            let reply = pool
                .execute(
                    Order::add(number),
                    TaskPriority::Normal,
                    TaskContext::default(),
                )
                .await;
            times_us.push(microseconds(began.elapsed()));
            expect(number, reply)?;
        }
        Result::Ok(times_us)
    })?;
    let voluntary =
        (threads::current()? - client).voluntary + threads::others()?.since(&workers).voluntary;
    close(pool, ledger, count)?;
    Ok(Trips {
        times_us,
        voluntary,
    })
}

fn dispatch(report: &mut Report, count: u64) -> Result<()> {
    let (adder, ledger) = Adder::new();
    let config = WorkerPoolConfig {
        sample_every: 1,
        ..WorkerPoolConfig::default()
    };
    let pool = WorkerPool::with_config(adder, config)?;
    for number in 0..count {
        // The pause is the workload: the pool is to fall asleep.
        thread::sleep(PAUSE);
        expect(
            number,
            pool.execute_blocking(
                Order::add(number),
                TaskPriority::Normal,
                TaskContext::default(),
            ),
        )?;
    }
    let overhead = pool.statistics().dispatch_overhead;
    if overhead.count() == 0 {
        return Err("no task was stamped, though every one should be".into());
    }
    close(pool, ledger, count)?;
    for (rank, value) in [("p50", overhead.p50()), ("p99", overhead.p99())] {
        report.record(
            format!("dispatch overhead, submit to service, {rank}"),
            microseconds(value),
            "µs",
            Bound::None,
        );
    }
    Ok(())
}

fn close(pool: Pool<Order>, ledger: Ledger, count: u64) -> Result<()> {
    ledger.close(pool, count, sum_below(count)).map(drop)
}

fn expect<E: std::fmt::Display>(number: u64, reply: std::result::Result<u64, E>) -> Result<()> {
    match reply {
        Ok(reply) if reply == number => Ok(()),
        Ok(reply) => Err(format!("request {number} was answered with {reply}").into()),
        Err(error) => Err(format!("request {number} failed: {error}").into()),
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}
