//! What a caller sees of a pool's statistics, and the conservation law.

use std::fmt;
use std::time::Duration;

use super::HistogramSnapshot;
use crate::task::Outcome;

/// A pool's statistics at one moment.
///
/// Counts are exact when nothing moves; on a running pool the parts are read one after the other.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerPoolStatistics {
    /// Each lane, lowest first.
    pub lanes: Vec<LaneStatistics>,
    /// Each worker by its number, those who have ended and places without a worker included.
    pub workers: Vec<WorkerStatistics>,
    /// From acceptance to start, of tasks that were submitted while the worker that took them was
    /// idle: what the pool adds when nothing is in the way. Of the timed sample.
    pub dispatch_overhead: HistogramSnapshot,
    /// Time since the pool was built.
    pub uptime: Duration,
    /// One task in this many was timed.
    pub sample_every: u32,
}

/// One lane's statistics, or several lanes' together.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LaneStatistics {
    /// Tasks handed in.
    pub submitted: u64,
    /// Handed back to the submitter.
    pub refused: u64,
    /// Answered with a response.
    pub completed: u64,
    /// Answered with the service's error.
    pub failed: u64,
    /// Ended by a panic of the service.
    pub panicked: u64,
    /// Not started because the deadline had passed.
    pub expired: u64,
    /// Not started because the caller had gone.
    pub cancelled: u64,
    /// Dropped to make room.
    pub shed: u64,
    /// Not finished because the pool ended.
    pub abandoned: u64,
    /// Waiting in the lane now.
    pub queued: u64,
    /// In workers' hands now.
    pub running: u64,
    /// Whether the workers claim nothing from it; see
    /// [`TaskScheduler::pause`](crate::TaskScheduler::pause).
    pub paused: bool,
    /// From acceptance to start; of the timed sample. That of a request in a batch is noted with its answer.
    pub wait: HistogramSnapshot,
    /// From start to outcome; of the timed sample.
    pub run: HistogramSnapshot,
}

/// How a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerHealthStatus {
    /// Looks for work or sleeps.
    #[default]
    Idle,
    /// Runs a task.
    Busy,
    /// Has ended, or was removed.
    Stopped,
    /// Nobody was ever in this place; see [`WorkerPool::set_workers`](crate::WorkerPool::set_workers).
    Absent,
}

/// One worker's statistics.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerStatistics {
    /// How it is now.
    pub status: WorkerHealthStatus,
    /// Tasks that have their outcome from it.
    pub finished: u64,
    /// Panics it has survived.
    pub panics: u64,
    /// Tasks that it took out of other workers' lanes.
    pub stolen: u64,
    /// How long it has lived, with those who had its number before.
    pub alive: Duration,
    /// How long of that it looked for work or slept; spells of a microsecond are not counted.
    pub idle: Duration,
    /// How long of that it was idle although the task it took next was waiting already; estimated
    /// from the timed sample.
    pub idle_while_backlogged: Duration,
    /// How long services ran on it; estimated from the timed sample.
    pub service: Duration,
}

/// A lane whose tasks do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imbalance {
    /// The lane.
    pub lane: usize,
    /// Tasks handed in.
    pub submitted: u64,
    /// Tasks refused, ended, queued and running.
    pub accounted: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "lane {}: {} tasks submitted, {} accounted for",
            self.lane, self.submitted, self.accounted
        )
    }
}

impl std::error::Error for Imbalance {}

impl LaneStatistics {
    /// How many tasks ended this way.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Completed => self.completed,
            Outcome::Failed => self.failed,
            Outcome::Panicked => self.panicked,
            Outcome::Expired => self.expired,
            Outcome::Cancelled => self.cancelled,
            Outcome::Shed => self.shed,
            Outcome::Abandoned => self.abandoned,
        }
    }

    pub(crate) fn outcome_mut(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Completed => &mut self.completed,
            Outcome::Failed => &mut self.failed,
            Outcome::Panicked => &mut self.panicked,
            Outcome::Expired => &mut self.expired,
            Outcome::Cancelled => &mut self.cancelled,
            Outcome::Shed => &mut self.shed,
            Outcome::Abandoned => &mut self.abandoned,
        }
    }

    /// Tasks that were accepted and have their outcome.
    pub fn finished(&self) -> u64 {
        Outcome::ALL
            .iter()
            .map(|outcome| self.outcome(*outcome))
            .sum()
    }

    /// What became of the submitted tasks: refused, ended, queued, running.
    pub fn accounted(&self) -> u64 {
        self.refused + self.finished() + self.queued + self.running
    }

    fn add(&mut self, other: &LaneStatistics) {
        self.submitted += other.submitted;
        self.refused += other.refused;
        for outcome in Outcome::ALL {
            *self.outcome_mut(outcome) += other.outcome(outcome);
        }
        self.queued += other.queued;
        self.running += other.running;
        self.paused |= other.paused;
        self.wait.merge(&other.wait);
        self.run.merge(&other.run);
    }
}

impl WorkerPoolStatistics {
    /// The conservation law: in each lane, submitted = refused + completed + failed + panicked +
    /// expired + cancelled + shed + abandoned + queued + running. The two sides are counted apart:
    /// by the ring, by the submitters and by the workers.
    ///
    /// # Errors
    /// The first lane in which it does not hold. On a pool that is running this may be because the
    /// parts were read while tasks moved; on one at rest it is a bug in this crate.
    pub fn conserved(&self) -> Result<(), Imbalance> {
        for (lane, counts) in self.lanes.iter().enumerate() {
            let (submitted, accounted) = (counts.submitted, counts.accounted());
            if submitted != accounted {
                return Err(Imbalance {
                    lane,
                    submitted,
                    accounted,
                });
            }
        }
        Ok(())
    }

    /// All lanes together.
    pub fn total(&self) -> LaneStatistics {
        let mut total = LaneStatistics::default();
        for lane in &self.lanes {
            total.add(lane);
        }
        total
    }

    /// The share of the workers' lifetimes that services took, 0 to 1; estimated from the timed
    /// sample.
    pub fn utilisation(&self) -> f64 {
        self.share(|worker| worker.service).min(1.0)
    }

    /// The share of the workers' lifetimes that they were idle although the task they took next was
    /// waiting already, 0 to 1; estimated from the timed sample. A pool that conserves work has next
    /// to none.
    pub fn idle_while_backlogged(&self) -> f64 {
        self.share(|worker| worker.idle_while_backlogged).min(1.0)
    }

    fn share(&self, part: impl Fn(&WorkerStatistics) -> Duration) -> f64 {
        let alive: f64 = self
            .workers
            .iter()
            .map(|worker| worker.alive.as_secs_f64())
            .sum();
        let part: f64 = self
            .workers
            .iter()
            .map(|worker| part(worker).as_secs_f64())
            .sum();
        if alive == 0.0 { 0.0 } else { part / alive }
    }
}
