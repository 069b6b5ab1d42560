//! What the engine's counters say.

use std::time::Duration;

use super::Engine;
use super::submit::queued_in;
use crate::clock;
use crate::lane::Ring;
use crate::schedule::{SchedulingStatistics, WorkerMetrics, evenness};
use crate::stats::{
    LaneStatistics, Life, WorkerBlock, WorkerHealthStatus, WorkerPoolStatistics, WorkerStatistics,
};
use crate::task::{Filed, Outcome, Task};

impl<Q, R, E> Engine<Q, R, E> {
    /// Workers that run a task now.
    pub(crate) fn busy(&self) -> usize {
        self.blocks_in_use()
            .filter(|block| block.running().is_some())
            .count()
    }

    /// The share of the workers that run a task now.
    pub(crate) fn usage_ratio(&self) -> f64 {
        match self.alive() {
            0 => 0.0,
            // The two are read one after the other.
            alive => (self.busy() as f64 / alive as f64).min(1.0),
        }
    }

    pub(crate) fn statistics(&self) -> WorkerPoolStatistics {
        let now_ns = self.clock.now_ns();
        let mut statistics = WorkerPoolStatistics {
            uptime: Duration::from_nanos(now_ns - self.clock.began_ns()),
            sample_every: (self.sample_mask >> 32) as u32 + 1,
            ..Default::default()
        };
        for block in &self.blocks {
            block.dispatch.add_to(&mut statistics.dispatch_overhead);
            statistics
                .workers
                .push(self.worker_statistics(block, now_ns));
        }
        statistics.lanes = (0..self.shards.shared.len())
            .map(|lane| self.lane_statistics(lane))
            .collect();
        statistics
    }

    fn lane_statistics(&self, lane: usize) -> LaneStatistics {
        let mut counts = LaneStatistics {
            refused: self.front.refused(lane),
            paused: self.shards.shared.hint().is_paused(lane),
            ..Default::default()
        };
        for outcome in Outcome::ALL {
            let by_workers = self.blocks_in_use();
            let by_workers: u64 = by_workers.map(|block| block.outcome(lane, outcome)).sum();
            *counts.outcome_mut(outcome) = by_workers + self.front.outcome(lane, outcome);
        }
        for block in self.blocks_in_use() {
            counts.running += block.held(lane);
            block.wait(lane).add_to(&mut counts.wait);
            block.run(lane).add_to(&mut counts.run);
        }
        for ring in self.rings(lane) {
            counts.queued += ring.len() as u64;
        }
        counts.queued += self.strands.lane(lane).len();
        counts.submitted = self.accepted(lane) + counts.refused;
        counts
    }

    /// The rings of one lane: the shared one and each worker's.
    fn rings(&self, lane: usize) -> impl Iterator<Item = &Ring<Task<Q, R, E>, Filed>> {
        let shards = self.shards.apart().map(|apart| apart.shards.iter());
        let sets = shards.into_iter().flatten().map(|shard| &shard.tasks);
        let sets = std::iter::once(&self.shards.shared).chain(sets);
        sets.map(move |set| &set.lane(lane).ring)
    }

    /// How many tasks a lane has ever accepted.
    fn accepted(&self, lane: usize) -> u64 {
        let in_rings: u64 = self.rings(lane).map(Ring::accepted).sum();
        in_rings + self.strands.lane(lane).accepted()
    }

    pub(crate) fn scheduling_statistics(&self) -> SchedulingStatistics {
        let now_ns = self.clock.now_ns();
        let lanes = 0..self.shards.shared.len();
        let by_lane: Vec<u64> = lanes.clone().map(|lane| self.accepted(lane)).collect();
        let service = |block: &WorkerBlock| {
            let service = self.worker_statistics(block, now_ns).service;
            service.as_secs_f64()
        };
        SchedulingStatistics {
            strategy: self.placement.plan().strategy(),
            epoch: self.placement.epoch(),
            scheduled: by_lane.iter().sum(),
            by_lane,
            stolen: self.blocks_in_use().map(WorkerBlock::stolen).sum(),
            overflowed: self.placement.overflowed(),
            keyed: lanes.map(|lane| self.strands.lane(lane).accepted()).sum(),
            live_keys: self.strands.live(),
            key_runs: self.strands.runs(),
            aged: self.blocks_in_use().map(WorkerBlock::aged).sum(),
            scheduling_time: self.placement.mean_time(),
            balance_efficiency: evenness::jain(self.blocks_in_use().map(service)),
        }
    }

    pub(crate) fn worker_metrics(&self) -> Vec<WorkerMetrics> {
        let now_ns = self.clock.now_ns();
        let metrics = |worker: usize| {
            let block = &self.blocks[worker];
            let shard = self.shards.apart();
            let shard = shard.and_then(|apart| apart.shards.get(worker));
            let queue_depth = shard.map_or(0, queued_in);
            let lanes = 0..self.shards.shared.len();
            let held: u64 = lanes.clone().map(|lane| block.held(lane)).sum();
            let ended = |outcomes: &[Outcome]| {
                let of_lane = |lane| outcomes.iter().map(move |end| block.outcome(lane, *end));
                lanes.clone().flat_map(of_lane).sum::<u64>() as f64
            };
            let finished = ended(&Outcome::ALL);
            let failed = ended(&[Outcome::Failed, Outcome::Panicked]);
            let (alive_ns, _) = block.lifetime_ns(now_ns);
            WorkerMetrics {
                worker,
                current_load: queue_depth + held,
                queue_depth,
                average_response_time: Duration::from_nanos(block.response.mean_ns()),
                throughput: finished / Duration::from_nanos(alive_ns.max(1)).as_secs_f64(),
                error_rate: if finished == 0.0 {
                    0.0
                } else {
                    failed / finished
                },
                last_update: block.response.last_update_ns().map(clock::from_ns),
            }
        };
        self.shards.crew.present().map(metrics).collect()
    }

    fn worker_statistics(&self, block: &WorkerBlock, now_ns: u64) -> WorkerStatistics {
        let (alive_ns, life) = block.lifetime_ns(now_ns);
        let status = match (life, block.running()) {
            (Life::None, _) => WorkerHealthStatus::Absent,
            (Life::Over, _) => WorkerHealthStatus::Stopped,
            (Life::Now, Some(_)) => WorkerHealthStatus::Busy,
            (Life::Now, None) => WorkerHealthStatus::Idle,
        };
        let mut finished = 0;
        let mut service = Duration::ZERO;
        for lane in 0..self.shards.shared.len() {
            let started: u64 = [Outcome::Completed, Outcome::Failed, Outcome::Panicked]
                .map(|outcome| block.outcome(lane, outcome))
                .iter()
                .sum();
            let all = Outcome::ALL.map(|outcome| block.outcome(lane, outcome));
            finished += all.iter().sum::<u64>();
            let mut run = crate::HistogramSnapshot::default();
            block.run(lane).add_to(&mut run);
            service += Duration::from_secs_f64(run.mean().as_secs_f64() * started as f64);
        }
        let sample_every = (self.sample_mask >> 32) + 1;
        WorkerStatistics {
            status,
            finished,
            panics: block.panics(),
            stolen: block.stolen(),
            alive: Duration::from_nanos(alive_ns),
            idle: Duration::from_nanos(block.idle_ns()),
            idle_while_backlogged: Duration::from_nanos(
                block.idle_backlogged_ns().saturating_mul(sample_every),
            ),
            service,
        }
    }
}
