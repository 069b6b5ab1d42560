//! Where the model's tasks wait, and who may take them from there.
//!
//! There is a set of lanes that all workers share and one for each worker. A lane of a set is a queue of tasks
//! and one of *runs*: keys whose next task may start. The tasks of a key wait in a queue of their own.

use std::collections::{BTreeMap, VecDeque};

use lanepool::WorkerPoolConfig;

use super::super::input::Key;
use super::super::world::Id;

/// A set of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Shared,
    Worker(usize),
}

/// A queue whose first one a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) place: Place,
    /// Of keys, or else of tasks.
    pub(super) is_of_runs: bool,
    pub(super) lane: usize,
}

/// One lane of one set.
#[derive(Debug, Default)]
pub(super) struct Ring {
    pub(super) tasks: VecDeque<Id>,
    /// Each with the second in which it was announced.
    pub(super) runs: VecDeque<(Key, u64)>,
}

/// The tasks of a key. It is there while one of them waits or runs.
#[derive(Debug, Default)]
pub(super) struct Strand {
    pub(super) waiting: VecDeque<Id>,
    pub(super) running: Option<Id>,
    /// Where its run waits.
    pub(super) run: Option<Run>,
}

/// Where the run of a key waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) place: Place,
    /// The lane in which it was announced: that of the most urgent of its next tasks.
    pub(super) lane: usize,
    /// The lane of its first task. A worker that meets the run and may not take that lane's tasks now puts it
    /// there, and nobody tells the model.
    pub(super) first: usize,
}

impl Run {
    /// Whether it is in one of two lanes.
    pub(super) fn is_unsure(self) -> bool {
        self.lane != self.first
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    /// The lowest lane whose tasks it takes.
    pub(super) lowest: usize,
    /// Not ruined or taken away.
    pub(super) alive: bool,
    /// The pool was closed while it had nothing to do.
    pub(super) may_have_ended: bool,
    pub(super) running: Option<Id>,
}

#[derive(Debug)]
pub(super) struct Places {
    pub(super) workers: Vec<Worker>,
    pub(super) strands: BTreeMap<Key, Strand>,
    /// How often those who wait for room in the queue of a key were let try.
    pub(super) crowds_woken: BTreeMap<Key, u64>,
    shared: Vec<Ring>,
    own: Vec<Vec<Ring>>,
    /// How many tasks each lane of a worker holds.
    own_capacities: Vec<usize>,
    pub(super) paused: Vec<bool>,
    pub(super) closed: bool,
    pub(super) stealing: bool,
    /// Workers' sets that are everybody's home.
    common: usize,
    /// Whether there is more than the shared tasks.
    pub(super) elsewhere: bool,
}

impl Places {
    pub(super) fn new(config: &WorkerPoolConfig, capacities: &[usize]) -> Self {
        let workers = config.worker_count;
        let lanes = capacities.len();
        let set = || (0..lanes).map(|_| Ring::default()).collect::<Vec<_>>();
        let mut reserved: Vec<usize> = config
            .reserved
            .iter()
            .flat_map(|kept| vec![kept.priority.lane(lanes); kept.workers])
            .collect();
        reserved.sort_unstable();
        let general = workers - reserved.len();
        let worker = |number: usize| Worker {
            lowest: number.checked_sub(general).map_or(0, |kept| reserved[kept]),
            alive: true,
            may_have_ended: false,
            running: None,
        };
        let own = |capacity: &usize| capacity.div_ceil(workers).max(2).next_power_of_two();
        Self {
            workers: (0..workers).map(worker).collect(),
            strands: BTreeMap::new(),
            crowds_woken: BTreeMap::new(),
            shared: set(),
            own: (0..workers).map(|_| set()).collect(),
            own_capacities: capacities.iter().map(own).collect(),
            paused: vec![false; lanes],
            closed: false,
            stealing: config.enable_task_stealing,
            common: if config.sub_rings > 1 {
                config.sub_rings.min(workers)
            } else {
                0
            },
            elsewhere: false,
        }
    }

    pub(super) fn lanes(&self) -> usize {
        self.shared.len()
    }

    pub(super) fn ring(&self, place: Place, lane: usize) -> &Ring {
        match place {
            Place::Shared => &self.shared[lane],
            Place::Worker(worker) => &self.own[worker][lane],
        }
    }

    pub(super) fn ring_mut(&mut self, place: Place, lane: usize) -> &mut Ring {
        match place {
            Place::Shared => &mut self.shared[lane],
            Place::Worker(worker) => &mut self.own[worker][lane],
        }
    }

    /// All sets, the shared one first.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let own = (0..self.own.len()).map(Place::Worker);
        std::iter::once(Place::Shared).chain(own)
    }

    /// Whether a run may or may not be in this queue.
    pub(super) fn is_unsure(&self, spot: Spot) -> bool {
        let may_be_there = |run: Run| {
            run.is_unsure()
                && run.place == spot.place
                && (run.lane == spot.lane || run.first == spot.lane)
        };
        let mut runs = self.strands.values().filter_map(|strand| strand.run);
        spot.is_of_runs && runs.any(may_be_there)
    }

    /// All queues from which something can be taken, unless a run may have left them.
    pub(super) fn spots(&self) -> impl Iterator<Item = Spot> + '_ {
        let lanes = self.lanes();
        self.places()
            .flat_map(move |place| (0..lanes).map(move |lane| (place, lane)))
            .flat_map(|(place, lane)| {
                [false, true].map(|is_of_runs| Spot {
                    place,
                    is_of_runs,
                    lane,
                })
            })
            .filter(|spot| self.holds(*spot) && !self.is_unsure(*spot))
    }

    pub(super) fn holds(&self, spot: Spot) -> bool {
        let ring = self.ring(spot.place, spot.lane);
        if spot.is_of_runs {
            !ring.runs.is_empty()
        } else {
            !ring.tasks.is_empty()
        }
    }

    /// Whether a worker's set has been left to all others.
    pub(super) fn is_left(&self, worker: usize) -> bool {
        !self.workers[worker].alive
    }

    /// Whether a worker takes from this set by turns.
    pub(super) fn is_home(&self, worker: usize, place: Place) -> bool {
        match place {
            Place::Shared => true,
            Place::Worker(owner) => owner == worker || owner < self.common || self.is_left(owner),
        }
    }

    /// Whether a worker's set may have become everybody's home, because the pool was closed and it has ended.
    pub(super) fn may_be_left(&self, place: Place) -> bool {
        matches!(place, Place::Worker(owner) if self.workers[owner].may_have_ended)
    }

    /// How many queues of a lane a worker goes around; if it is so, with those that may be left to it.
    pub(super) fn homes(&self, worker: usize, at_most: bool) -> u64 {
        if !self.elsewhere {
            return 1;
        }
        let is_home =
            |place: &Place| self.is_home(worker, *place) || at_most && self.may_be_left(*place);
        let places = self.places().filter(is_home);
        2 * places.count() as u64
    }

    /// The most queues of a lane that any worker goes around: the shared ones, its own, and all others'
    /// that may be everybody's.
    pub(super) fn most_homes(&self) -> u64 {
        let over = |worker: &&Worker| !worker.alive || worker.may_have_ended;
        let left = self.workers.iter().filter(over).count();
        2 * (2 + self.common + left) as u64
    }

    /// Whether a worker may take what waits in this queue now.
    pub(super) fn may_take(&self, worker: usize, spot: Spot) -> bool {
        (self.stealing || self.is_home(worker, spot.place)) && self.takes_now(worker, spot.lane)
    }

    /// Whether a worker is one for this lane, and the lane is not paused.
    pub(super) fn takes_now(&self, worker: usize, lane: usize) -> bool {
        self.workers[worker].lowest <= lane && (self.closed || !self.paused[lane])
    }

    /// The workers, by number, that take this lane's tasks when it is not paused.
    pub(super) fn eligible(&self, lane: usize) -> usize {
        let takes = |worker: &&Worker| worker.lowest <= lane;
        self.workers.iter().filter(takes).count()
    }

    /// Whether something waits that a worker may take.
    pub(super) fn has_work_for(&self, worker: usize) -> bool {
        let unsure = self.strands.values().filter_map(|strand| strand.run);
        let mut both = unsure.filter(|run| run.is_unsure()).map(|run| {
            [run.lane, run.first].map(|lane| Spot {
                place: run.place,
                is_of_runs: true,
                lane,
            })
        });
        let may_take = |spot| self.may_take(worker, spot);
        self.spots().any(may_take) || both.any(|lanes| lanes.into_iter().all(may_take))
    }

    /// Workers that have no task and are there to take one.
    pub(super) fn idle(&self) -> impl Iterator<Item = usize> + '_ {
        let idle = |number: &usize| {
            let worker = &self.workers[*number];
            worker.alive && worker.running.is_none() && !worker.may_have_ended
        };
        (0..self.workers.len()).filter(idle)
    }

    pub(super) fn alive(&self) -> usize {
        self.workers.iter().filter(|worker| worker.alive).count()
    }

    /// Workers without work may end once the pool is closed.
    pub(super) fn note_ended(&mut self) {
        let over = |worker: &usize| self.closed && !self.has_work_for(*worker);
        let ended: Vec<usize> = self.idle().filter(over).collect();
        for worker in ended {
            self.workers[worker].may_have_ended = true;
        }
    }

    /// More tasks that fit into a worker's lane.
    pub(super) fn own_room(&self, worker: usize, lane: usize) -> usize {
        if self.is_left(worker) {
            0
        } else {
            self.own_capacities[lane] - self.own[worker][lane].tasks.len()
        }
    }

    /// Tasks and runs in a worker's lanes.
    pub(super) fn depth(&self, worker: usize) -> u64 {
        let rings = self.own[worker].iter();
        rings
            .map(|ring| (ring.tasks.len() + ring.runs.len()) as u64)
            .sum()
    }

    /// Tasks and runs in a worker's lanes, and the one it runs.
    pub(super) fn outstanding(&self, worker: usize) -> u64 {
        self.depth(worker) + u64::from(self.workers[worker].running.is_some())
    }

    /// The tasks of a lane that wait in a set, wherever.
    pub(super) fn unkeyed(&self, lane: usize) -> usize {
        let rings = self
            .places()
            .map(|place| self.ring(place, lane).tasks.len());
        rings.sum()
    }

    /// Keys that have a task which waits or runs.
    pub(super) fn live_keys(&self) -> usize {
        self.strands.len()
    }
}
