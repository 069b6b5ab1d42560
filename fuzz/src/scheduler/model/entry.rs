//! How a task comes in: what becomes of it, and where it waits from then on.
//!
//! Where a strategy places tasks with workers, which worker it is is the pool's choice. The driver sees by the
//! length of the workers' queues what it was ([`Arrivals`]), and the model checks that it was a choice that
//! the strategy has.

use lanepool::SchedulingStrategy;

use super::super::input::{Key, TaskSpec};
use super::super::world::Id;
use super::places::{Place, Spot, Strand};
use super::{Model, Stage, Verdict};

/// Tasks that a batch hands over with one claim.
const CLAIM: usize = 16;

/// Where a caller waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// At the lane that all workers share.
    Lane(usize),
    /// For room among the tasks of keys.
    Keyed(usize),
    /// For room in the queue of a key, which has let callers try so many times.
    Crowd { key: Key, woken: u64 },
}

/// Workers by whose lanes something was seen to arrive: one, or none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrivals {
    worker: usize,
    count: u64,
    /// Whether the tasks came in one after the other, or with a single claim.
    together: bool,
}

impl Arrivals {
    /// The difference of the lengths of the workers' queues.
    pub(crate) fn seen(before: &[u64], after: &[u64], together: bool) -> Self {
        let mut arrivals = Self {
            together,
            ..Self::default()
        };
        for (worker, (before, after)) in before.iter().zip(after).enumerate() {
            let count = after.checked_sub(*before).expect("nobody takes meanwhile");
            assert!(
                count == 0 || arrivals.count == 0,
                "tasks of one call went to several workers"
            );
            if count > 0 {
                (arrivals.worker, arrivals.count) = (worker, count);
            }
        }
        arrivals
    }

    fn next(&mut self) -> Option<usize> {
        self.count = self.count.checked_sub(1)?;
        Some(self.worker)
    }

    /// Everything that arrived has been told to the model.
    pub(crate) fn finish(self) {
        assert_eq!(self.count, 0, "more was placed than was accepted");
    }
}

impl Model {
    /// What the order of a task depends on, as the pool is now.
    pub(crate) fn key_of(&self, spec: &TaskSpec) -> Option<Key> {
        spec.key().filter(|_| self.keyed)
    }

    /// Whether tasks without a key go to workers' own lanes.
    pub(crate) fn places_singles(&self) -> bool {
        self.places_batches() || self.sub_rings
    }

    /// Whether parts of a batch do.
    pub(crate) fn places_batches(&self) -> bool {
        !matches!(
            self.strategy,
            SchedulingStrategy::PriorityBased | SchedulingStrategy::HashBased
        )
    }

    /// The workers among which one is chosen for a task, by their number.
    fn candidates(&self, lane: usize) -> usize {
        if self.places_batches() {
            self.places.eligible(lane)
        } else {
            self.sub_ring_count
        }
    }

    /// Tasks of one key that may wait which are of this lane.
    fn share(&self, lane: usize) -> usize {
        (self.lanes[lane].capacity / 2).max(1)
    }

    /// Whether the queue of a key has as many tasks as it may.
    fn is_crowded(&self, key: Key, lane: usize) -> bool {
        let strand = self.places.strands.get(&key);
        strand.is_some_and(|strand| strand.waiting.len() >= self.share(lane))
    }

    /// A task that was checked tries to enter its lane.
    pub(crate) fn enter(&mut self, id: Id, may_wait: bool) -> Verdict {
        self.turn_before = self.last_turn.take();
        let task = &self.tasks[id];
        let lane = task.lane;
        let verdict = match self.key_of(&task.spec) {
            _ if self.closed => Verdict::Closed,
            Some(key) if self.is_crowded(key, lane) || self.keyed_room(lane) == 0 => {
                self.refusal(lane, may_wait)
            }
            Some(_) => Verdict::Enters,
            None if self.room(lane) > 0 => Verdict::Enters,
            None if self.places_singles() => {
                let mut candidates = 0..self.candidates(lane);
                let any = candidates.any(|worker| self.places.own_room(worker, lane) > 0);
                match any {
                    true => Verdict::AsPlaced,
                    false => self.refusal(lane, may_wait),
                }
            }
            None => self.refusal(lane, may_wait),
        };
        if matches!(verdict, Verdict::Full | Verdict::Closed) {
            self.lanes[lane].refused += 1;
        }
        verdict
    }

    fn refusal(&self, lane: usize, may_wait: bool) -> Verdict {
        if may_wait && self.lanes[lane].waits {
            Verdict::Waits
        } else {
            Verdict::Full
        }
    }

    /// The chosen worker's lane had room or not, which [`Verdict::AsPlaced`] leaves open.
    pub(crate) fn placed(&mut self, id: Id, may_wait: bool, has_entered: bool) -> Verdict {
        let lane = self.tasks[id].lane;
        if has_entered {
            return Verdict::Enters;
        }
        let verdict = self.refusal(lane, may_wait);
        self.lanes[lane].refused += u64::from(verdict == Verdict::Full);
        verdict
    }

    /// Where a task waits for room that was not let in just now.
    pub(crate) fn gate_of(&self, id: Id) -> Gate {
        let task = &self.tasks[id];
        match self.key_of(&task.spec) {
            Some(key) if self.is_crowded(key, task.lane) => Gate::Crowd {
                key,
                woken: self.crowd_woken(key),
            },
            Some(_) => Gate::Keyed(task.lane),
            None => Gate::Lane(task.lane),
        }
    }

    fn crowd_woken(&self, key: Key) -> u64 {
        self.places.crowds_woken.get(&key).copied().unwrap_or(0)
    }

    /// Whether somebody who waits at this gate must have been woken.
    pub(crate) fn gate_is_open(&self, gate: Gate) -> bool {
        let enough = |lane: usize| (self.lanes[lane].capacity / 2).max(1);
        self.closed
            || match gate {
                Gate::Lane(lane) => self.room(lane) >= enough(lane),
                Gate::Keyed(lane) => self.keyed_room(lane) >= enough(lane),
                Gate::Crowd { key, woken } => self.crowd_woken(key) > woken,
            }
    }

    /// A task is in.
    pub(crate) fn accept(&mut self, id: Id, arrivals: &mut Arrivals) {
        let lane = self.tasks[id].lane;
        self.lanes[lane].accepted += 1;
        self.tasks[id].stage = Stage::Queued;
        self.tasks[id].accepted_at = self.now;
        let last_turn = self.turn_before.take();
        match self.key_of(&self.tasks[id].spec) {
            Some(key) => self.accept_keyed(id, key, arrivals),
            None => {
                let place = self.place_of_single(lane, arrivals, last_turn);
                self.push_task(id, place);
            }
        }
    }

    /// Where a task without a key was placed.
    fn place_of_single(
        &mut self,
        lane: usize,
        arrivals: &mut Arrivals,
        last_turn: Option<(usize, usize)>,
    ) -> Place {
        let is_placed = if arrivals.together {
            self.places_batches()
        } else {
            self.places_singles()
        };
        let candidates = self.candidates(lane);
        let Some(worker) = is_placed.then(|| arrivals.next()).flatten() else {
            let full = |worker| self.places.own_room(worker, lane) == 0;
            assert!(
                !is_placed || (0..candidates).any(full),
                "a task goes to the shared lane {lane}, though every worker's has room"
            );
            assert!(self.room(lane) > 0, "lane {lane} holds too much");
            return Place::Shared;
        };
        assert!(
            worker < candidates,
            "worker {worker} does not take lane {lane}"
        );
        let room = self.places.own_room(worker, lane);
        assert!(room > 0, "lane {lane} of worker {worker} holds too much");
        if self.strategy == SchedulingStrategy::LeastLoaded && !arrivals.together {
            let load = self.places.outstanding(worker);
            let mut others = (0..candidates).filter(|other| *other != worker);
            assert!(
                candidates == 1 || others.any(|other| self.places.outstanding(other) >= load),
                "a task goes to worker {worker}, which has more to do than any other"
            );
        }
        if self.strategy == SchedulingStrategy::RoundRobin && !arrivals.together {
            if let Some((among, last)) = last_turn.filter(|(among, _)| *among == candidates) {
                assert_eq!(worker, (last + 1) % among, "it is the next worker's turn");
            }
            self.last_turn = Some((candidates, worker));
        }
        Place::Worker(worker)
    }

    fn push_task(&mut self, id: Id, place: Place) {
        let lane = self.tasks[id].lane;
        let ring = self.places.ring_mut(place, lane);
        ring.tasks.push_back(id);
        if ring.tasks.len() == 1 {
            self.fairness.new_head(lane);
            self.turns.new_head(Spot {
                place,
                is_of_runs: false,
                lane,
            });
        }
    }

    fn accept_keyed(&mut self, id: Id, key: Key, arrivals: &mut Arrivals) {
        let lane = self.tasks[id].lane;
        let is_first = !self.places.strands.contains_key(&key);
        self.lanes[lane].keyed += 1;
        self.lanes[lane].keyed_waiting += 1;
        let strand: &mut Strand = self.places.strands.entry(key).or_default();
        strand.waiting.push_back(id);
        if !is_first {
            return;
        }
        let place = match arrivals.next() {
            Some(worker) => {
                assert!(
                    self.places.stealing && worker < self.places.eligible(lane),
                    "the tasks of {key:?} are given to worker {worker}"
                );
                assert!(!self.places.is_left(worker), "a worker that has ended");
                Place::Worker(worker)
            }
            None => {
                let mut eligible = 0..self.places.eligible(lane);
                assert!(
                    !self.places.stealing || eligible.any(|worker| self.places.is_left(worker)),
                    "the tasks of {key:?} are given to nobody"
                );
                Place::Shared
            }
        };
        self.announce(key, place, lane);
    }

    /// Tasks of a batch that can be handed over so that the model can tell where each went: while workers
    /// have tasks of their own, as many of one lane as go in with one claim and surely fit; and of keys not more
    /// than one.
    pub(crate) fn fit_batch(&self, specs: &[TaskSpec]) -> Vec<TaskSpec> {
        let mut specs = specs.to_vec();
        let Some(first) = specs.first().filter(|_| self.places.elsewhere).cloned() else {
            return specs;
        };
        let placed = self.places_singles();
        if placed {
            let lane = first.address.lane(self.lanes.len());
            let room = if lane < self.lanes.len() {
                self.room(lane)
            } else {
                CLAIM
            };
            specs.truncate(room.min(CLAIM));
        }
        for spec in &mut specs {
            if placed {
                spec.address = first.address;
            }
            if placed || spec.key().is_some() {
                (spec.numbered, spec.connection) = (first.numbered, first.connection);
                spec.given = first.given;
            }
        }
        specs
    }
}
