//! The counts of the pool beside the model's.

use lanepool::{LaneStatistics, Outcome, WorkerPoolStatistics};

use super::{Lane, Model};

impl Model {
    /// The counts of a lane that the pool should show, in the order of [`counts_of`].
    fn counts(&self, lane: usize) -> Counts {
        let lane = &self.lanes[lane];
        let timed = |count| if self.times_all { count } else { 0 };
        Counts {
            submitted: lane.accepted + lane.refused,
            refused: lane.refused,
            outcomes: lane.outcomes,
            queued: (lane.queue.len() - lane.in_hand) as u64,
            running: lane.running + lane.in_hand as u64,
            waits: timed(lane.started),
            runs: timed(lane.ran),
        }
    }

    /// The first difference between the pool's statistics and the model.
    ///
    /// # Errors
    /// Both sides, as text.
    pub(crate) fn compare(&self, statistics: &WorkerPoolStatistics) -> Result<(), String> {
        if let Err(imbalance) = statistics.conserved() {
            return Err(imbalance.to_string());
        }
        for (lane, found) in statistics.lanes.iter().enumerate() {
            let expected = self.counts(lane);
            let found = counts_of(found, self.times_all);
            if found != expected {
                return Err(format!("lane {lane}: {found:?}, expected {expected:?}"));
            }
        }
        let panics: u64 = statistics.workers.iter().map(|worker| worker.panics).sum();
        if panics != self.panics {
            return Err(format!("{panics} panics, expected {}", self.panics));
        }
        Ok(())
    }

    /// Accepted, started, and ended tasks of all lanes.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        let sum = |count: fn(&Lane) -> u64| self.lanes.iter().map(count).sum();
        (
            sum(|lane| lane.accepted),
            sum(|lane| lane.started),
            sum(|lane| lane.outcomes.iter().sum()),
        )
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    submitted: u64,
    refused: u64,
    outcomes: [u64; Outcome::ALL.len()],
    queued: u64,
    running: u64,
    waits: u64,
    runs: u64,
}

fn counts_of(lane: &LaneStatistics, times_all: bool) -> Counts {
    let timed = |count| if times_all { count } else { 0 };
    Counts {
        submitted: lane.submitted,
        refused: lane.refused,
        outcomes: Outcome::ALL.map(|outcome| lane.outcome(outcome)),
        queued: lane.queued,
        running: lane.running,
        waits: timed(lane.wait.count()),
        runs: timed(lane.run.count()),
    }
}
