//! The counts of the pool beside the model's.

use lanepool::{
    LaneStatistics, Outcome, SchedulingStatistics, WorkerMetrics, WorkerPoolStatistics,
};

use super::{Lane, Model};

impl Model {
    /// The counts of a lane that the pool should show, in the order of [`counts_of`].
    fn counts(&self, lane: usize) -> Counts {
        let is_paused = self.is_paused(lane);
        let unkeyed = self.places.unkeyed(lane);
        let lane = &self.lanes[lane];
        let timed = |count| if self.times_all { count } else { 0 };
        Counts {
            submitted: lane.accepted + lane.refused,
            refused: lane.refused,
            outcomes: lane.outcomes,
            queued: (unkeyed - lane.in_hand + lane.keyed_waiting) as u64,
            running: lane.running + lane.in_hand as u64,
            waits: timed(if self.is_batched {
                lane.ran
            } else {
                lane.started
            }),
            runs: timed(lane.ran),
            is_paused,
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

    /// As [`Model::compare`], for the scheduling; of workers of which it is known who takes what.
    pub(crate) fn check_scheduling(
        &self,
        statistics: &SchedulingStatistics,
        workers: &[WorkerMetrics],
    ) {
        assert_eq!(
            (statistics.strategy, statistics.epoch),
            (self.strategy, self.epoch)
        );
        let by_lane: Vec<u64> = self.lanes.iter().map(|lane| lane.accepted).collect();
        assert_eq!(statistics.scheduled, by_lane.iter().sum::<u64>());
        assert_eq!(statistics.by_lane, by_lane, "accepted tasks");
        let keyed: u64 = self.lanes.iter().map(|lane| lane.keyed).sum();
        assert_eq!(statistics.keyed, keyed, "tasks in the order of their keys");
        let stolen = self.stolen..=self.stolen + self.perhaps_stolen;
        let found = statistics.stolen;
        assert!(
            stolen.contains(&found),
            "{found} stolen tasks, and not {stolen:?}"
        );
        assert!(self.ages || statistics.aged == 0, "nothing ages");
        let efficiency = statistics.balance_efficiency;
        assert!((0.0..=1.0).contains(&efficiency), "{efficiency}");
        assert_eq!(workers.len(), self.places.workers.len());
        if !self.abandoned {
            assert_eq!(statistics.key_runs, self.key_runs, "announced keys");
            assert_eq!(statistics.live_keys, self.places.live_keys(), "live keys");
            for (worker, metrics) in workers.iter().enumerate() {
                let (depth, load) = (self.places.depth(worker), self.places.outstanding(worker));
                assert_eq!(metrics.worker, worker);
                assert_eq!(metrics.queue_depth, depth, "tasks of worker {worker}");
                assert_eq!(metrics.current_load, load, "load of worker {worker}");
            }
        }
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
    is_paused: bool,
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
        is_paused: lane.paused,
    }
}
