//! Long low tasks hold every worker that takes them; what do Critical tasks wait beside them?
//!
//! All tasks sleep: the low ones for 20 ms, the Critical ones for 5 ms. One Critical task at a time is
//! submitted, up to 3 ms after the one before was answered. The pools time every task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lanepool::{ProcessingTask, TaskPriority, WorkerPoolConfig};
use lanepool_bench::{Bound, Report, Result, random::scatter};

use crate::{
    loads::WORKERS,
    service::{Clerk, Desk, Order, Pool, Work},
};

const LONG: Duration = Duration::from_millis(20);
const SHORT: Duration = Duration::from_millis(5);
/// The longest pause between two probes.
const PAUSE_US: u64 = 3_000;
/// Low tasks in flight: always some in the lane.
const BACKLOG: u64 = 64;

pub(crate) fn measure(report: &mut Report) {
    let probes = report.choose(1_000, 200);
    for reserved in [1, 0] {
        eprintln!("reserved: {probes} probes, workers reserved for them: {reserved}");
        let of = format!("{reserved} of {WORKERS} workers reserved for Critical");
        match run(reserved, probes) {
            Ok(found) => {
                let runs = found.wait_p99_us / found.run_p50_us;
                let bound = if reserved > 0 {
                    Bound::AtMost(1.0)
                } else {
                    Bound::None
                };
                report.record(
                    format!("wait p99 of Critical, {of}"),
                    runs,
                    "runs of one",
                    bound,
                );
                report.record(
                    format!("the same, {of}"),
                    found.wait_p99_us,
                    "µs",
                    Bound::None,
                );
                report.record(
                    format!("run p50 of Critical, {of}"),
                    found.run_p50_us,
                    "µs",
                    Bound::None,
                );
                report.record(
                    format!("low tasks beside, {of}"),
                    found.low_per_s,
                    "tasks/s",
                    Bound::None,
                );
            }
            Err(error) => report.fail(&of, &error),
        }
    }
}

struct Found {
    wait_p99_us: f64,
    run_p50_us: f64,
    low_per_s: f64,
}

fn run(reserved: usize, probes: u64) -> Result<Found> {
    let mut config = WorkerPoolConfig::builder().workers(WORKERS).sample_every(1);
    if reserved > 0 {
        config = config.reserve(TaskPriority::Critical, reserved);
    }
    let desk = Desk::new(0, BACKLOG / 2);
    let clerk = Clerk {
        desk: Arc::clone(&desk),
        slow: None,
    };
    let pool = Pool::with_config(clerk, config.build()?)?;
    let submit = |number, priority, time| {
        let order = Order {
            number,
            work: Work::Sleep(time),
            turn: None,
        };
        desk.hand_in();
        pool.submit_blocking(ProcessingTask::new(order).priority(priority))
            .map_err(|error| error.to_string())
    };
    // Relaxed, here and below: the flag ends a loop, and says nothing of anything else.
    let probed = AtomicBool::new(false);
    let began = Instant::now();
    let low = thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let outcome = (0..probes).try_for_each(|number| {
                // The pause is the workload: probes are to arrive at any moment of a long task.
                thread::sleep(Duration::from_micros(scatter(number) % PAUSE_US));
                submit(number, TaskPriority::Critical, SHORT)?
                    .wait()
                    .map_err(|error| error.to_string())
            });
            probed.store(true, Ordering::Relaxed);
            outcome
        });
        let mut low = 0;
        while !probed.load(Ordering::Relaxed) {
            if desk.in_flight() >= BACKLOG {
                desk.await_level(BACKLOG / 2)?;
            }
            submit(low, TaskPriority::Low, LONG)?.detach();
            low += 1;
        }
        prober.join().expect("the prober does not panic")?;
        Result::Ok(low)
    })?;
    let took = began.elapsed();
    let lanes = pool.statistics().lanes;
    let (lowest, critical) = (&lanes[0], &lanes[3]);
    let found = Found {
        wait_p99_us: critical.wait.p99().as_nanos() as f64 / 1000.0,
        run_p50_us: critical.run.p50().as_nanos() as f64 / 1000.0,
        low_per_s: lowest.finished() as f64 / took.as_secs_f64(),
    };
    if critical.wait.count() != probes {
        return Err(format!("{} of {probes} probes were timed", critical.wait.count()).into());
    }
    desk.await_level(0)?;
    let sum = |count: u64| count * count.saturating_sub(1) / 2;
    desk.close(&pool, probes + low, sum(probes) + sum(low), true)?;
    Ok(found)
}
