//! What the owner of the pool changes and is told of its scheduling.

use lanepool::{SchedulingStrategy, TaskPriority};

use super::Model;

impl Model {
    /// The pool is told where tasks wait. Returns the epoch.
    pub(crate) fn set_strategy(&mut self, strategy: SchedulingStrategy) -> u64 {
        if !self.closed {
            self.strategy = strategy;
            self.epoch += 1;
            self.keyed |= strategy == SchedulingStrategy::HashBased;
            self.last_turn = None;
            if strategy != SchedulingStrategy::PriorityBased && !self.places.elsewhere {
                self.places.elsewhere = true;
                self.turns.begin_anew();
            }
        }
        self.epoch
    }

    /// A lane is paused or resumed. Returns whether that changes anything.
    pub(crate) fn set_paused(&mut self, lane: usize, paused: bool) -> bool {
        let changes = !self.closed && self.places.paused[lane] != paused;
        if changes {
            self.places.paused[lane] = paused;
            self.turns.begin_anew();
        }
        changes
    }

    /// The lane of a priority.
    pub(crate) fn lane_of(&self, priority: TaskPriority) -> usize {
        priority.lane(self.lanes.len())
    }

    pub(crate) fn is_paused(&self, lane: usize) -> bool {
        !self.closed && self.places.paused[lane]
    }

    /// Compares the pulls within which the head of a lane is taken, as the pool publishes them. Where workers go
    /// around several queues it may say more than the model, which knows which these are.
    pub(crate) fn check_bound(&self, lane: usize, published: u64) {
        let homes = |worker| self.places.homes(worker, false);
        let pulls = self.pulls[lane];
        let bound = (0..self.places.workers.len()).map(homes).max();
        let bound = pulls * bound.unwrap_or(1);
        let bounds = if self.places.elsewhere {
            bound..=pulls * self.places.most_homes()
        } else {
            bound..=bound
        };
        assert!(
            bounds.contains(&published),
            "lane {lane}: {published}, and not {bounds:?}"
        );
    }
}
