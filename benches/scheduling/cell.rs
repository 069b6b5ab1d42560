//! One contender on one load: a pool that is warmed up, then measured for a slice of time in each round, and
//! checked at the end.

use std::time::{Duration, Instant};

use lanepool::{
    EventStream, LoadBalancingStrategy, PoolEvent, SchedulingStatistics, WorkerPoolStatistics,
};
use lanepool_bench::{Result, process, waits::Waits};

use crate::{
    contenders::Contender,
    driver::{Driver, desk_of},
    loads::{Load, WORKERS},
    service::{Clerk, PATIENCE, Pool},
};

/// For everybody.
const WARM_UP: Duration = Duration::from_millis(30);
/// Before each slice, for the load to be what it is to be.
const LEAD: Duration = Duration::from_millis(5);
/// Slices in which the adaptive balancing is warmed up until it has tried everything,
const STEP: Duration = Duration::from_millis(20);
/// and the most that its last trial takes: 8 windows of 10 ms and what it waits for between them.
const LAST_TRIAL: Duration = Duration::from_millis(120);

/// A pool under a load, which is kept up only while it is measured.
pub(crate) struct Cell {
    contender: Contender,
    driver: Driver,
    waits: Waits,
    /// Of all rounds so far.
    total: Total,
}

/// What the rounds add up to.
#[derive(Clone, Debug, Default)]
struct Total {
    tasks: u64,
    stolen: u64,
    took_s: f64,
    cpu_ns: u64,
    idle_s: f64,
    /// By worker.
    service_s: [f64; WORKERS],
}

/// What a cell yielded beside its throughput.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// By lane, lowest first; `None` where the load has no tasks.
    pub(crate) wait_p99_us: [Option<f64>; 4],
    /// Jain's index of the workers' service times; see [`SchedulingStatistics::balance_efficiency`].
    pub(crate) balance: f64,
    pub(crate) stolen_per_1000: f64,
    /// Of workers and driver together, in microseconds a task: what does not depend on how much of the
    /// machine others leave.
    pub(crate) cpu_us: f64,
    /// Of the workers' time, the percentage for which they were idle though the task they took next waited.
    pub(crate) idle_backlogged_percent: f64,
    /// The balancing in force at the end.
    pub(crate) in_force: LoadBalancingStrategy,
}

impl Cell {
    /// Builds the pool and warms it up.
    pub(crate) fn open(contender: Contender, load: &'static Load) -> Result<Self> {
        let desk = desk_of(load);
        let waits = Waits::default();
        let clerk = Clerk {
            desk: desk.clone(),
            slow: load.slow,
        };
        let pool = Pool::builder()
            .config(contender.config(load))
            .monitor(waits.clone())
            .build(clerk)?;
        let events = pool.events();
        let mut driver = Driver::new(load, pool, desk);
        driver.run(WARM_UP)?;
        if contender.is_adaptive() {
            settle(&mut driver, &events, !load.weights.is_empty())?;
        }
        driver.rest()?;
        Ok(Self {
            contender,
            driver,
            waits,
            total: Total::default(),
        })
    }

    /// Keeps the load up for this long. Returns how many tasks were finished in a second.
    pub(crate) fn round(&mut self, time: Duration) -> Result<f64> {
        self.driver.run(LEAD)?;
        self.waits.count(true);
        let before = Reading::take(self.driver.pool())?;
        let took = self.driver.run(time)?;
        let after = Reading::take(self.driver.pool())?;
        self.waits.count(false);
        self.driver.rest()?;
        Ok(self.total.add(&before, &after, took))
    }

    /// Checks all that the pool did.
    pub(crate) fn close(self) -> Result<Measured> {
        let in_force = self.driver.pool().load_balancer().in_force();
        self.driver.close(self.contender.is_keyed())?;
        let scheduling = self.driver.pool().scheduler().statistics();
        let balance = scheduling.balance_efficiency;
        if !(1.0 / WORKERS as f64 - 1e-9..=1.0 + 1e-9).contains(&balance) {
            return Err(format!("{balance} is no balance efficiency of {WORKERS} workers").into());
        }
        let total = self.total;
        let p99_us = |lane| {
            let wait = self.waits.p99(lane)?;
            Some(wait.as_nanos() as f64 / 1000.0)
        };
        Ok(Measured {
            wait_p99_us: std::array::from_fn(p99_us),
            balance: jain(&total.service_s),
            stolen_per_1000: total.stolen as f64 * 1000.0 / total.tasks.max(1) as f64,
            cpu_us: total.cpu_ns as f64 / 1000.0 / total.tasks.max(1) as f64,
            idle_backlogged_percent: total.idle_s * 100.0 / (total.took_s * WORKERS as f64),
            in_force,
        })
    }
}

/// Keeps the load up until every balancing was tried.
fn settle(driver: &mut Driver, events: &EventStream, weighted: bool) -> Result<()> {
    // Each trial but the first begins with an event, and the choice is one more unless the last is chosen.
    let trials = if weighted { 3 } else { 2 };
    let limit = Instant::now() + PATIENCE;
    let (mut changes, mut last_trial) = (0, Duration::ZERO);
    while changes <= trials && last_trial < LAST_TRIAL {
        if Instant::now() >= limit {
            return Err(format!(
                "the adaptive balancing tried {changes} of {trials} others within {PATIENCE:?}"
            )
            .into());
        }
        driver.run(STEP)?;
        if changes == trials {
            last_trial += STEP;
        }
        while let Some(event) = events.try_recv() {
            changes += usize::from(matches!(event, PoolEvent::BalancingChanged { .. }));
        }
    }
    Ok(())
}

/// The pool's figures at one moment.
struct Reading {
    statistics: WorkerPoolStatistics,
    scheduling: SchedulingStatistics,
    cpu_ns: u64,
}

impl Reading {
    fn take(pool: &Pool) -> Result<Self> {
        Ok(Self {
            statistics: pool.statistics(),
            scheduling: pool.scheduler().statistics(),
            cpu_ns: process::usage()?.cpu_ns,
        })
    }
}

impl Total {
    /// Adds what happened between the two, in the time for which tasks were in flight. Returns the throughput.
    fn add(&mut self, before: &Reading, after: &Reading, took: Duration) -> f64 {
        let finished = |reading: &Reading| reading.statistics.total().finished();
        let tasks = finished(after) - finished(before);
        let workers = after.statistics.workers.iter();
        let workers = workers.zip(&before.statistics.workers);
        for ((now, then), service_s) in workers.zip(&mut self.service_s) {
            *service_s += now.service.saturating_sub(then.service).as_secs_f64();
            let idle = now.idle_while_backlogged;
            self.idle_s += idle
                .saturating_sub(then.idle_while_backlogged)
                .as_secs_f64();
        }
        self.tasks += tasks;
        self.stolen += after.scheduling.stolen - before.scheduling.stolen;
        self.cpu_ns += after.cpu_ns - before.cpu_ns;
        self.took_s += took.as_secs_f64();
        tasks as f64 / took.as_secs_f64()
    }
}

/// How even a distribution is: 1 if all have the same, `1 / n` if one has everything (Jain, Chiu, Hawe 1984).
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}
