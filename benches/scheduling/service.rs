//! What the tasks do, and how it is checked that each was done once and in its turn.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use lanepool::{Service, TaskContext, WorkerPool};
use lanepool_bench::{Result, busy::Busy};

/// Longer than any of the work here takes; only a pool that hangs needs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Pool = WorkerPool<Order, (), Infallible>;

/// What a task is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Keep the CPU busy.
    Busy(Busy),
    /// Sleep: a handler that waits for a disk or a peer. It takes a worker and no CPU.
    Sleep(Duration),
}

impl Work {
    /// Keeps a CPU of this machine busy for about this long.
    pub(crate) fn busy(time: Duration) -> Self {
        Self::Busy(Busy::of(time))
    }

    fn run(self, times: u32) {
        match self {
            Self::Busy(busy) => busy.times(times).run(),
            // The sleep is the workload.
            Self::Sleep(time) => thread::sleep(time * times),
        }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Order {
    /// Added to the sum.
    pub(crate) number: u64,
    pub(crate) work: Work,
    /// The key, and the task's place among those of its key.
    pub(crate) turn: Option<(usize, u64)>,
}

/// What driver and service share.
#[derive(Debug)]
pub(crate) struct Desk {
    // For each key the place of the task that is to start next. Written by the worker that ran the one
    // before, read by the one that starts the next.
    due: Box<[AtomicU64]>,
    // Tasks that started before the one of their key that came before them had ended. Written by workers.
    overtaking: AtomicU64,
    // The numbers of all tasks that were run, added up by the workers.
    sum: AtomicU64,
    // Tasks that were handed in and have not been run. Raised by the driver, lowered by workers.
    in_flight: AtomicU64,
    /// Workers call the driver when so many are left, and when none is.
    low_water: u64,
    driver: Thread,
}

impl Desk {
    /// For a driver on this thread.
    pub(crate) fn new(keys: usize, low_water: u64) -> Arc<Self> {
        Arc::new(Self {
            due: (0..keys).map(|_| AtomicU64::new(0)).collect(),
            overtaking: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            low_water,
            driver: thread::current(),
        })
    }

    /// The driver hands one in.
    pub(crate) fn hand_in(&self) {
        // Relaxed: the count alone matters.
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        // Acquire: with the last task that was counted off, its number in the sum.
        self.in_flight.load(Ordering::Acquire)
    }

    /// Sleeps until no more than `level` tasks, the low-water mark or 0, are in flight.
    ///
    /// # Errors
    ///
    /// That took too long: tasks were lost.
    pub(crate) fn await_level(&self, level: u64) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        while self.in_flight() > level {
            if Instant::now() >= limit {
                let left = self.in_flight();
                return Err(format!("{left} tasks were not run within {PATIENCE:?}").into());
            }
            // A worker that reaches the level leaves a token even if it comes first.
            thread::park_timeout(Duration::from_secs(1));
        }
        Ok(())
    }

    fn count_off(&self) {
        // Release: the sum is seen by whoever sees this. A worker at the mark is the only one there.
        let left = self.in_flight.fetch_sub(1, Ordering::Release) - 1;
        if left == self.low_water || left == 0 {
            self.driver.unpark();
        }
    }

    /// Shuts the pool down and checks that it ran `tasks` tasks whose numbers add up to `sum`, once each, and
    /// that its books balance.
    ///
    /// # Errors
    ///
    /// It did not.
    pub(crate) fn close(&self, pool: &Pool, tasks: u64, sum: u64, ordered: bool) -> Result<()> {
        let report = pool.shutdown_blocking(PATIENCE);
        if !report.drained {
            return Err(format!("the pool was not drained within {PATIENCE:?}").into());
        }
        let statistics = report.statistics;
        statistics
            .conserved()
            .map_err(|imbalance| format!("the conservation law is broken: {imbalance}"))?;
        let completed = statistics.total().completed;
        if completed != tasks {
            return Err(format!("{completed} tasks were completed, not {tasks}").into());
        }
        // Acquire: the sums of tasks that were counted off.
        let left = self.in_flight();
        let summed = self.sum.load(Ordering::Acquire);
        if left != 0 || summed != sum {
            return Err(format!(
                "the numbers of the tasks add up to {summed}, not {sum}; {left} left"
            )
            .into());
        }
        let overtaking = self.overtaking.load(Ordering::Acquire);
        if ordered && overtaking != 0 {
            return Err(format!("{overtaking} tasks started before their turn by key").into());
        }
        Ok(())
    }
}

/// The service: works, and accounts for it at the desk.
#[derive(Debug)]
pub(crate) struct Clerk {
    pub(crate) desk: Arc<Desk>,
    /// Of this worker, and so many times as long as those of the others.
    pub(crate) slow: Option<(usize, u32)>,
}

impl Service<Order> for Clerk {
    type Response = ();
    type Error = Infallible;
    /// How many times as long as usual this worker's tasks take.
    type State = u32;

    fn state(&self, worker: usize) -> u32 {
        match self.slow {
            Some((slow, times)) if slow == worker => times,
            _ => 1,
        }
    }

    fn call(
        &self,
        times: &mut u32,
        order: Order,
        _context: &TaskContext,
    ) -> std::result::Result<(), Infallible> {
        let Desk {
            due,
            overtaking,
            sum,
            ..
        } = &*self.desk;
        // Relaxed: where the pool keeps the order, it also orders these accesses; where it does not, they
        // mean nothing. The rest are counters.
        if let Some((key, place)) = order.turn
            && due[key].load(Ordering::Relaxed) != place
        {
            overtaking.fetch_add(1, Ordering::Relaxed);
        }
        order.work.run(*times);
        if let Some((key, place)) = order.turn {
            due[key].store(place + 1, Ordering::Relaxed);
        }
        sum.fetch_add(order.number, Ordering::Relaxed);
        self.desk.count_off();
        Ok(())
    }
}
