//! Which worker takes the tasks of a key, or a part of a batch.

use std::time::Duration;

use arc_swap::ArcSwap;

use super::LoadBalancingStrategy;
use super::adaptive::{AdaptiveLoadController, BalanceChange, BalanceWindow};
use super::balance::{self, Load, WeightTable};
use super::crew::Takers;
use crate::sync::Mutex;
use crate::sync::counter::{AtomicU32, AtomicU64, Ordering};

/// Every so many choices somebody looks whether enough was measured to judge the choice.
const JUDGED_EVERY: u64 = 32;
/// So many timed waits are enough,
const WAITS_ENOUGH: u64 = 8;
/// in a window of at least this length.
const WINDOW_NS: u64 = 10_000_000;

/// Waits that were timed, all together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    pub(crate) count: u64,
    pub(crate) total_ns: u64,
}

/// The balancing in force.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// What the owner of the pool asked for.
    asked: AtomicU32,
    /// What is done: never the adaptive one.
    in_force: AtomicU32,
    /// Changes of the strategy and of the weights so far.
    epoch: AtomicU64,
    weights: ArcSwap<WeightTable>,
    judge: Mutex<Judge>,
}

/// The controller, and what was measured when it last judged.
#[derive(Debug)]
struct Judge {
    controller: AdaptiveLoadController,
    seen: Waits,
    seen_ns: u64,
}

/// A worker, and whether it is time to [`judge`](Balancer::judge).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) worker: usize,
    pub(crate) is_judged: bool,
}

fn is_uneven(weights: &[u32]) -> bool {
    weights.windows(2).any(|pair| pair[0] != pair[1])
}

fn table(weights: &[u32], workers: usize) -> WeightTable {
    if weights.is_empty() {
        WeightTable::new(&vec![1; workers])
    } else {
        WeightTable::new(weights)
    }
}

impl Balancer {
    pub(crate) fn new(asked: LoadBalancingStrategy, weights: &[u32], workers: usize) -> Self {
        let controller = AdaptiveLoadController::new(is_uneven(weights));
        let in_force = Self::effective(asked, &controller);
        Self {
            asked: AtomicU32::new(asked as u32),
            in_force: AtomicU32::new(in_force as u32),
            epoch: AtomicU64::new(0),
            weights: ArcSwap::from_pointee(table(weights, workers)),
            judge: Mutex::new(Judge {
                controller,
                seen: Waits::default(),
                seen_ns: 0,
            }),
        }
    }

    fn effective(
        asked: LoadBalancingStrategy,
        controller: &AdaptiveLoadController,
    ) -> LoadBalancingStrategy {
        match asked {
            LoadBalancingStrategy::AdaptiveHybrid => controller.in_force(),
            plain => plain,
        }
    }

    /// What the owner of the pool asked for.
    pub(crate) fn strategy(&self) -> LoadBalancingStrategy {
        // Relaxed: whoever reads an old strategy follows it.
        LoadBalancingStrategy::ALL[self.asked.load(Ordering::Relaxed) as usize]
    }

    /// What is done.
    pub(crate) fn in_force(&self) -> LoadBalancingStrategy {
        // Relaxed: as in `strategy`.
        LoadBalancingStrategy::ALL[self.in_force.load(Ordering::Relaxed) as usize]
    }

    pub(crate) fn epoch(&self) -> u64 {
        // Relaxed: a gauge.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Changes the strategy. Returns what was done before and the new epoch.
    pub(crate) fn change(&self, asked: LoadBalancingStrategy) -> (LoadBalancingStrategy, u64) {
        let judge = self.judge.lock();
        let before = self.in_force();
        // Relaxed: as in `strategy`.
        self.asked.store(asked as u32, Ordering::Relaxed);
        let in_force = Self::effective(asked, &judge.controller);
        self.in_force.store(in_force as u32, Ordering::Relaxed);
        (before, self.next_epoch())
    }

    /// Changes the weights, which are valid for the pool. Returns the new epoch.
    pub(crate) fn change_weights(&self, weights: &[u32], workers: usize) -> u64 {
        let mut judge = self.judge.lock();
        self.weights
            .store(std::sync::Arc::new(table(weights, workers)));
        judge.controller = AdaptiveLoadController::new(is_uneven(weights));
        let in_force = Self::effective(self.strategy(), &judge.controller);
        // Relaxed: as in `strategy`.
        self.in_force.store(in_force as u32, Ordering::Relaxed);
        self.next_epoch()
    }

    fn next_epoch(&self) -> u64 {
        // Relaxed: a gauge.
        self.epoch.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Chooses one of these workers. `ticket` counts the choices.
    pub(crate) fn choose(
        &self,
        ticket: u64,
        takers: Takers,
        load: impl Fn(usize) -> Load,
    ) -> Choice {
        let workers = takers.count();
        let load = |number| load(takers.place(number));
        let in_turn = (ticket % workers as u64) as usize;
        let worker = match self.in_force() {
            LoadBalancingStrategy::LeastConnections => {
                takers.place(balance::least_connections(workers, ticket, load))
            }
            LoadBalancingStrategy::ResponseTimeWeighted => {
                let random = balance::scatter(ticket);
                takers.place(balance::response_weighted(workers, random, load))
            }
            LoadBalancingStrategy::WeightedRoundRobin => {
                let worker = self.weights.load().at(ticket);
                // Some are kept for other lanes, or are not there: their turns go around.
                if takers.has(worker) {
                    worker
                } else {
                    takers.place(in_turn)
                }
            }
            LoadBalancingStrategy::RoundRobin | LoadBalancingStrategy::AdaptiveHybrid => {
                takers.place(in_turn)
            }
        };
        Choice {
            worker,
            is_judged: ticket % JUDGED_EVERY == JUDGED_EVERY - 1
                && self.strategy() == LoadBalancingStrategy::AdaptiveHybrid,
        }
    }

    /// Judges the strategy in force by the waits that were timed since the last time, once there are
    /// enough. Returns the change, if there is one.
    pub(crate) fn judge(
        &self,
        now_ns: u64,
        waits: Waits,
        worst_ns: impl FnOnce() -> u64,
    ) -> Option<BalanceChange> {
        let mut judge = self.judge.lock();
        let count = waits.count.saturating_sub(judge.seen.count);
        let is_early = now_ns.saturating_sub(judge.seen_ns) < WINDOW_NS || count < WAITS_ENOUGH;
        if is_early || self.strategy() != LoadBalancingStrategy::AdaptiveHybrid {
            return None;
        }
        let total_ns = waits.total_ns.saturating_sub(judge.seen.total_ns);
        judge.seen = waits;
        judge.seen_ns = now_ns;
        let mean_wait = Duration::from_nanos(total_ns / count);
        let window = BalanceWindow {
            tasks: count,
            mean_wait,
            worst_wait: Duration::from_nanos(worst_ns()).max(mean_wait),
        };
        let change = judge.controller.observe(window)?;
        // Relaxed: as in `strategy`.
        self.in_force.store(change.to as u32, Ordering::Relaxed);
        Some(change)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::super::crew::Crew;
    use super::*;
    use crate::lane::pick::LaneBits;

    #[test]
    fn nothing_is_for_a_worker_that_is_not_there() {
        // Four general places, of which the first two are filled, and a reserved one.
        let crew = Crew::new(&[LaneBits::MAX; 5], 1, 3);
        let idle = |worker| {
            assert!([0, 1, 4].contains(&worker), "{worker} is not there");
            Load {
                outstanding: 1,
                response_ns: 1,
            }
        };
        for asked in LoadBalancingStrategy::ALL {
            let balancer = Balancer::new(asked, &[1, 2, 9, 9, 3], 5);
            let mut turns = [0_u32; 5];
            (0..240).for_each(|ticket| {
                let choice = balancer.choose(ticket, crew.takers(0), idle);
                turns[choice.worker] += 1;
            });
            assert_eq!(turns[2] + turns[3], 0, "{asked:?}");
            assert!([0, 1, 4].iter().all(|worker| turns[*worker] > 0));
        }
    }
}
