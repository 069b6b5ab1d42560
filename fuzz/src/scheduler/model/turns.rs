//! Whose turn it may be on each worker: the rule that the pool publishes, as checks on the order of the
//! takes, for workers of which it is known who takes what.
//!
//! A *take* is a task leaving its queue for a worker, to be run or to be dropped unstarted; its lane is that
//! of the queue, which for a task of a key is the run's. The pulls of a worker that serve nothing are not
//! seen here, and need not be:
//!
//! - **Bound.** While a queue of lane `L` has a head, of the workers that are at home there each takes at most
//!   `s * B(L)` tasks, the head included; `s` is how many queues of a lane the worker goes around. With ageing
//!   it is twice that. Pauses, and changes of what is whose home, begin the count anew.
//! - **Rank.** A task that is taken although a higher lane holds something is one of a lane that was
//!   passed over for its gap: with one worker, since its lane was last served, or since the worker was
//!   last idle, at least `ceil(S / w)` takes have passed. After an idle spell the worker's memory is
//!   not known, and the first take of each lane is free.
//! - **Age.** Or it is one of a lane in which something has waited for so long that it counts as much as the
//!   highest.

use lanepool::WorkerPoolConfig;

use super::super::fairness::{gaps, worker_bound};
use super::places::{Place, Places, Spot};

#[derive(Debug)]
pub(super) struct Turns {
    gaps: Vec<u64>,
    bounds: Vec<u64>,
    /// In seconds.
    age: Option<u64>,
    workers: Vec<Memory>,
}

#[derive(Debug)]
struct Memory {
    takes: u64,
    /// For each lane the take at which it was served, if that is known.
    served: Vec<Option<u64>>,
    /// For each queue the take after which its present head became its head.
    head_since: Vec<u64>,
}

impl Turns {
    pub(super) fn new(config: &WorkerPoolConfig) -> Self {
        let gaps = gaps(config);
        let lanes = gaps.len();
        let memory = |_| Memory {
            takes: 0,
            served: vec![Some(0); lanes],
            head_since: vec![0; (config.worker_count + 1) * 2 * lanes],
        };
        Self {
            bounds: (0..lanes).map(|lane| worker_bound(&gaps, lane)).collect(),
            age: config.ageing.map(|after| after.as_secs()),
            workers: (0..config.worker_count).map(memory).collect(),
            gaps,
        }
    }

    /// The number of a queue.
    fn index(&self, spot: Spot) -> usize {
        let set = match spot.place {
            Place::Shared => 0,
            Place::Worker(worker) => worker + 1,
        };
        (2 * set + usize::from(spot.is_of_runs)) * self.gaps.len() + spot.lane
    }

    /// A queue has another head.
    pub(super) fn new_head(&mut self, spot: Spot) {
        let index = self.index(spot);
        for memory in &mut self.workers {
            memory.head_since[index] = memory.takes;
        }
    }

    /// Something else is whose turn.
    pub(super) fn begin_anew(&mut self) {
        for memory in &mut self.workers {
            let takes = memory.takes;
            memory.head_since.fill(takes);
        }
    }

    /// A worker has run out of tasks.
    pub(super) fn idle(&mut self, worker: usize) {
        self.workers[worker].served.fill(None);
    }

    /// How many takes a worker may make while the same head is in a queue of this lane.
    fn limit(&self, worker: usize, lane: usize, places: &Places) -> u64 {
        let ageing = if self.age.is_some() { 2 } else { 1 };
        places.homes(worker, true) * self.bounds[lane] * ageing
    }

    /// A worker takes the head of a queue, which is still there. The oldest head of that lane has waited for so
    /// many seconds.
    pub(super) fn take(&mut self, worker: usize, spot: Spot, places: &Places, waited: u64) {
        self.workers[worker].takes += 1;
        let takes = self.workers[worker].takes;
        let at_home = |other: &Spot| {
            places.is_home(worker, other.place) && places.takes_now(worker, other.lane)
        };
        for other in places.spots().filter(at_home) {
            let late = takes - self.workers[worker].head_since[self.index(other)];
            let limit = self.limit(worker, other.lane, places);
            assert!(
                late <= limit - u64::from(other != spot),
                "the head of {other:?} has seen {late} takes of worker {worker}, its bound is {limit}"
            );
        }
        if places.is_unsure(spot) {
            self.workers[worker].served.fill(None);
            return;
        }
        let highest = places.spots().filter(at_home).map(|other| other.lane).max();
        if let Some(highest) = highest.filter(|highest| *highest > spot.lane)
            && let [memory] = &self.workers[..]
            && let Some(last) = memory.served[spot.lane]
            && takes - last < self.gaps[spot.lane]
        {
            let top = self.gaps.len() as u64 - 1;
            let steps = self.age.map_or(0, |age| waited / age);
            assert!(
                (spot.lane as u64 + steps).min(top) >= highest as u64,
                "lane {} went before lane {highest} {} takes after its last, its gap is {}",
                spot.lane,
                takes - last,
                self.gaps[spot.lane]
            );
        }
        self.workers[worker].served[spot.lane] = Some(takes);
        self.new_head(spot);
    }
}
