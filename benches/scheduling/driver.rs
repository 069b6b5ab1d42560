//! Who hands the tasks in: one thread that keeps a load up.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use lanepool::ProcessingTask;
use lanepool_bench::{Result, random::scatter};

use crate::{
    loads::{Draft, KEYS, Load, Pace},
    service::{Desk, Order, Pool},
};

/// After so many tasks the clock is looked at.
const CLOCK_EVERY: u64 = 16;

/// Hands a load's tasks to a pool.
pub(crate) struct Driver {
    load: &'static Load,
    pool: Pool,
    desk: Arc<Desk>,
    /// Of each key, the place of its next task.
    places: Vec<u64>,
    tasks: u64,
    sum: u64,
}

/// The desk of a load whose driver is this thread.
pub(crate) fn desk_of(load: &Load) -> Arc<Desk> {
    let low_water = match load.pace {
        Pace::Steady(in_flight) => in_flight / 2,
        Pace::Bursts(..) => 0,
    };
    Desk::new(KEYS, low_water)
}

impl Driver {
    pub(crate) fn new(load: &'static Load, pool: Pool, desk: Arc<Desk>) -> Self {
        Self {
            load,
            pool,
            desk,
            places: vec![0; KEYS],
            tasks: 0,
            sum: 0,
        }
    }

    /// Keeps the load up for about this long. Returns how long tasks were in flight: pauses between bursts do
    /// not count. The last tasks of a steady load may still be in flight.
    pub(crate) fn run(&mut self, time: Duration) -> Result<Duration> {
        match self.load.pace {
            Pace::Steady(in_flight) => self.steady(in_flight, time),
            Pace::Bursts(size, pause) => self.bursts(size, pause, time),
        }
    }

    fn steady(&mut self, in_flight: u64, time: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            if self.desk.in_flight() >= in_flight {
                self.desk.await_level(in_flight / 2)?;
            }
            self.hand_in()?;
            if self.tasks.is_multiple_of(CLOCK_EVERY) && began.elapsed() >= time {
                return Ok(began.elapsed());
            }
        }
    }

    fn bursts(&mut self, size: u64, pause: Duration, time: Duration) -> Result<Duration> {
        let began = Instant::now();
        let mut busy = Duration::ZERO;
        while began.elapsed() < time {
            // The pause is the workload: the pool is to be at rest before a burst.
            thread::sleep(pause);
            let burst = Instant::now();
            for _ in 0..size {
                self.hand_in()?;
            }
            self.desk.await_level(0)?;
            busy += burst.elapsed();
        }
        Ok(busy)
    }

    fn hand_in(&mut self) -> Result<()> {
        let Draft {
            work,
            key,
            priority,
        } = (self.load.draft)(scatter(self.tasks));
        let place = self.places[key];
        let order = Order {
            number: self.tasks,
            work,
            turn: Some((key, place)),
        };
        let task = ProcessingTask::new(order)
            .key(key as u64)
            .priority(priority);
        self.desk.hand_in();
        self.pool
            .spawn_blocking(task)
            .map_err(|error| error.to_string())?;
        self.places[key] += 1;
        self.sum += self.tasks;
        self.tasks += 1;
        Ok(())
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Waits for the tasks in flight.
    pub(crate) fn rest(&self) -> Result<()> {
        self.desk.await_level(0)
    }

    /// Shuts the pool down and checks what it did.
    pub(crate) fn close(&self, ordered: bool) -> Result<()> {
        self.rest()?;
        self.desk.close(&self.pool, self.tasks, self.sum, ordered)
    }
}
