//! The scheduling in the owner's hands: strategies, weights and pauses, and what the pool says of them.

use lanepool::{LoadBalancingStrategy, PoolEvent, SchedulingStrategy, TaskPriority};

use super::calls::Call;
use super::driver::Driver;
use super::machine::Machine;

/// What the owner has changed, as the pool's events should tell it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    strategies: usize,
    balancings: usize,
    pauses: usize,
    resumes: usize,
    /// Changes of the balancing and of the weights.
    balancer_epoch: u64,
}

/// What the pool gives as the reason of a change that its owner made.
const TOLD_TO: &str = "the pool was told to";

impl<M: Machine> Driver<M> {
    /// While a batch waits for room the strategy is left: it hands over what fits in several claims, and the
    /// model could not tell which went where.
    pub(crate) fn set_strategy(&mut self, strategy: SchedulingStrategy) {
        let is_batch = |call: &Call| matches!(call, Call::Batch(..));
        let mut waiting = self.calls.iter().filter(|held| held.at_gate.is_some());
        if waiting.any(|held| is_batch(&held.call)) {
            return;
        }
        self.changes.strategies += usize::from(!self.model.is_closed());
        let expected = self.model.set_strategy(strategy);
        let epoch = self.pool().scheduler().set_strategy(strategy);
        assert_eq!(epoch, expected, "the epoch of {strategy:?}");
    }

    pub(crate) fn set_balancing(&mut self, strategy: LoadBalancingStrategy) {
        self.changes.balancings += 1;
        self.changes.balancer_epoch += 1;
        let balancer = self.pool().load_balancer();
        assert_eq!(balancer.set_strategy(strategy), self.changes.balancer_epoch);
        assert_eq!(balancer.strategy(), strategy);
    }

    /// Weights by turns; a worker's cannot be 0.
    pub(crate) fn set_weights(&mut self, weights: [u8; 2]) {
        let weights: Vec<u32> = (0..self.workers)
            .map(|worker| u32::from(weights[worker % 2] % 5))
            .collect();
        let are_valid = !weights.contains(&0);
        self.changes.balancer_epoch += u64::from(are_valid);
        let changed = self.pool().load_balancer().set_weights(&weights);
        match changed {
            Ok(epoch) => assert_eq!((are_valid, epoch), (true, self.changes.balancer_epoch)),
            Err(error) => {
                let zeros = weights.iter().filter(|weight| **weight == 0).count();
                assert_eq!(error.problems().len(), zeros, "{error}");
            }
        }
    }

    pub(crate) fn set_paused(&mut self, priority: TaskPriority, paused: bool) {
        let lane = self.model.lane_of(priority);
        let changes = usize::from(self.model.set_paused(lane, paused));
        let scheduler = self.pool().scheduler();
        if paused {
            scheduler.pause(priority);
        } else {
            scheduler.resume(priority);
        }
        assert_eq!(scheduler.is_paused(priority), self.model.is_paused(lane));
        if paused {
            self.changes.pauses += changes;
        } else {
            self.changes.resumes += changes;
        }
    }

    /// Compares what the pool says of its scheduling with the model.
    pub(crate) fn check_scheduling(&self) {
        let Some(pool) = &self.pool else {
            return;
        };
        let (scheduler, balancer) = (pool.scheduler(), pool.load_balancer());
        let workers = balancer.metrics();
        self.model
            .check_scheduling(&scheduler.statistics(), &workers);
        assert_eq!(balancer.epoch(), self.changes.balancer_epoch);
        let (asked, done) = (balancer.strategy(), balancer.in_force());
        let adaptive = LoadBalancingStrategy::AdaptiveHybrid;
        assert!(done != adaptive && (asked == done || asked == adaptive));
    }

    /// Takes an event off what the owner's changes should have told. Returns whether it was one of those.
    pub(crate) fn was_told(&mut self, event: &PoolEvent) -> bool {
        let left = match event {
            PoolEvent::StrategyChanged { .. } => &mut self.changes.strategies,
            PoolEvent::BalancingChanged { why, .. } if why == TOLD_TO => {
                &mut self.changes.balancings
            }
            // The controller may have changed its mind.
            PoolEvent::BalancingChanged { .. } => return true,
            PoolEvent::LanePaused { .. } => &mut self.changes.pauses,
            PoolEvent::LaneResumed { .. } => &mut self.changes.resumes,
            _ => return false,
        };
        *left = left.checked_sub(1).expect("a change that nobody made");
        true
    }

    /// Every change was told.
    pub(crate) fn check_changes(&self) {
        let Changes {
            strategies,
            balancings,
            pauses,
            resumes,
            ..
        } = self.changes;
        let untold = [strategies, balancings, pauses, resumes];
        assert_eq!(untold, [0; 4], "changes that were not told");
    }
}
