//! Heap allocations of a task, for each way in, on thread workers and on async workers.
//!
//! Every thread's allocations count, the workers' included. A way runs for a while first, so that whatever
//! grows to the size of the load has grown; what is counted then, as the median of several laps, is the
//! steady state. Requests are 8 bytes, replies too. What belongs to the caller by the interface does not
//! count: a batch call returns its results in one `Vec`, and that one allocation for a call is taken off.
//!
//! [`ways`] lists the ways in and runs those for one task, [`many`] those for many; this file has the pool
//! that they run on and the check of its books.

mod many;
mod ways;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use lanepool::{
    LaneConfig, TaskContext, WorkerPool, WorkerPoolConfig, async_service_fn, service_fn,
};
use lanepool_bench::{Bound, Report, Result, alloc::Phase};
use tokio::runtime::Runtime;

use lanepool_bench::work::{PATIENCE, check_report};

/// Counted laps. Their median is the figure: an allocation for every task, or for every so many, is in all of
/// them; what a worker allocates once, when it first meets a lane, is in one.
const LAPS: usize = 9;

fn median(mut laps: [u64; LAPS]) -> u64 {
    laps.sort_unstable();
    laps[LAPS / 2]
}

/// The capacity of every lane where a way is to find its lane full.
const SHORT_LANE: usize = 16;

pub(crate) fn measure(report: &mut Report) {
    // A multiple of every number of clients.
    let tasks = report.choose(102_400, 10_240);
    for workers in [Workers::Threads, Workers::Tasks] {
        for way in ways::WAYS {
            let name = format!(
                "heap allocations per task, {}, {}",
                way.name,
                workers.name()
            );
            report.take(name, "allocations", Bound::AtMost(0.0), || {
                one(workers, way, tasks)
            });
        }
    }
}

/// What runs the service.
#[derive(Clone, Copy)]
enum Workers {
    Threads,
    Tasks,
}

impl Workers {
    fn name(self) -> &'static str {
        match self {
            Self::Threads => "thread workers",
            Self::Tasks => "async workers",
        }
    }
}

/// Measures one way in on a pool of its own, and checks the pool's books.
fn one(workers: Workers, way: &ways::Way, tasks: u64) -> Result<f64> {
    let bed = Bed::new(workers, way.short_lanes)?;
    let allocations = (way.run)(&bed, tasks)?;
    bed.close()?;
    Ok(allocations as f64 / tasks as f64)
}

/// A pool whose service doubles numbers, and a runtime for async callers and async workers.
struct Bed {
    pool: WorkerPool<u64, u64, Infallible>,
    runtime: Runtime,
    /// How many tasks the service has finished.
    handled: Arc<AtomicU64>,
}

impl Bed {
    fn new(workers: Workers, short_lanes: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()?;
        let mut config = WorkerPoolConfig::default();
        if short_lanes {
            for lane in &mut config.lanes {
                *lane = LaneConfig {
                    capacity: SHORT_LANE,
                    ..lane.clone()
                };
            }
        }
        let handled = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&handled);
        // Relaxed: the counter only counts; what else the callers rely on, the pool orders.
        let double = move |number: u64| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(2 * number)
        };
        let pool = match workers {
            Workers::Threads => WorkerPool::with_config(
                service_fn(move |number, _: &TaskContext| double(number)),
                config,
            )?,
            Workers::Tasks => {
                let _inside = runtime.enter();
                let service = async_service_fn(move |number, _: TaskContext| {
                    std::future::ready(double(number))
                });
                WorkerPool::with_config_async(service, config)?
            }
        };
        Ok(Self {
            pool,
            runtime,
            handled,
        })
    }

    /// Runs `body` once to warm up and then lap by lap, `tasks` tasks long each, and returns the median of the
    /// laps' allocations.
    fn steady(&self, tasks: u64, mut body: impl FnMut(u64) -> Result<()>) -> Result<u64> {
        body(tasks)?;
        let mut laps = [0; LAPS];
        for lap in &mut laps {
            let phase = Phase::start()?;
            body(tasks)?;
            *lap = phase.stop().allocations;
        }
        Ok(median(laps))
    }

    /// As [`Bed::steady`], on the runtime. The runtime is entered once, outside what is counted.
    fn steady_async(
        &self,
        tasks: u64,
        mut body: impl AsyncFnMut(u64) -> Result<()>,
    ) -> Result<u64> {
        self.runtime.block_on(async {
            body(tasks).await?;
            let mut laps = [0; LAPS];
            for lap in &mut laps {
                let phase = Phase::start()?;
                body(tasks).await?;
                *lap = phase.stop().allocations;
            }
            Ok(median(laps))
        })
    }

    /// How many tasks the service has finished so far.
    fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    /// Waits until the service has finished `goal` tasks.
    fn await_handled(&self, goal: u64) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        while self.handled() < goal {
            if Instant::now() >= limit {
                return Err(format!(
                    "{} of {goal} tasks were run within {PATIENCE:?}",
                    self.handled()
                )
                .into());
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Shuts down and checks that the pool's books balance and agree with what the service saw.
    fn close(self) -> Result<()> {
        let report = self.pool.shutdown_blocking(PATIENCE);
        check_report(&report, self.handled())
    }
}

/// Checks the reply to a number.
fn expect_double<E: std::fmt::Display>(
    number: u64,
    reply: std::result::Result<u64, E>,
) -> Result<()> {
    match reply {
        Ok(reply) if reply == 2 * number => Ok(()),
        Ok(reply) => Err(format!(
            "the request {number} was answered with {reply}, not {}",
            2 * number
        )
        .into()),
        Err(error) => Err(format!("the request {number} failed: {error}").into()),
    }
}
