//! What the pool should be like: its lanes as plain queues, its tasks with their stages and callers.
//!
//! The model is told what the driver does ([`Model::submit`], [`Model::leave`], …), which it answers
//! with what the pool must do, and what the world's journal says ([`Model::happened`]), which it
//! checks: in lane order, never a task that was cancelled or has expired, never more than there are
//! workers, and every outcome once.
//!
//! 1. This file is what the driver does and asks.
//! 2. [`journal`] is what happened, and the ends of tasks.
//! 3. [`tally`] compares the counts.

mod journal;
mod tally;

use std::collections::VecDeque;

use lanepool::{Outcome, OverflowPolicy, WorkerPoolConfig};

use super::fairness::Fairness;
use super::input::TaskSpec;
use super::world::Id;

/// What becomes of a task that is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Enters,
    Waits,
    Full,
    Closed,
    Expired,
    NoSuchLane,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not accepted: refused, waiting for room, or given up.
    Outside,
    Queued,
    Running,
    Done(Outcome),
}

/// Who waits for a task's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Waits,
    Nobody,
    /// Went away: cancels what is not started.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) spec: TaskSpec,
    pub(crate) lane: usize,
    /// On the pool's clock, in seconds.
    deadline: Option<u64>,
    stage: Stage,
    caller: Caller,
    /// A shutdown has answered in the worker's place.
    given_up: bool,
    /// A shutdown has found it in a worker's hand: it is not started any more.
    laid_down: bool,
    released: bool,
    dropped: bool,
}

#[derive(Debug)]
struct Lane {
    capacity: usize,
    waits: bool,
    queue: VecDeque<Id>,
    /// How many of the first in `queue` a worker has in its hand already.
    in_hand: usize,
    refused: u64,
    accepted: u64,
    started: u64,
    /// Started and ended by the service or by the end of its worker.
    ran: u64,
    running: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

#[derive(Debug)]
pub(crate) struct Model {
    lanes: Vec<Lane>,
    tasks: Vec<Task>,
    fairness: Fairness,
    default_timeout: Option<u64>,
    now: u64,
    closed: bool,
    gates_open: bool,
    /// Workers that have not been ruined or taken away.
    alive: usize,
    panics: u64,
    /// How many places before its turn a task may be told to have been taken: workers that are
    /// threads tell of their takes a moment after.
    disorder: usize,
    times_all: bool,
}

impl Model {
    pub(crate) fn new(
        config: &WorkerPoolConfig,
        longest_run: usize,
        concurrent: bool,
        times_all: bool,
    ) -> Self {
        let lane = |lane: &lanepool::LaneConfig| Lane {
            capacity: lane.capacity.max(2).next_power_of_two(),
            waits: lane.overflow == OverflowPolicy::Wait,
            queue: VecDeque::new(),
            in_hand: 0,
            refused: 0,
            accepted: 0,
            started: 0,
            ran: 0,
            running: 0,
            outcomes: [0; Outcome::ALL.len()],
        };
        let workers = config.worker_count;
        let disorder = if concurrent { workers - 1 } else { 0 };
        Self {
            lanes: config.lanes.iter().map(lane).collect(),
            tasks: Vec::new(),
            fairness: Fairness::new(config, workers, longest_run, disorder as u64),
            default_timeout: config.default_timeout.map(|timeout| timeout.as_secs()),
            now: 0,
            closed: false,
            gates_open: false,
            alive: workers,
            panics: 0,
            disorder,
            times_all,
        }
    }

    pub(crate) fn bound(&self, lane: usize) -> u64 {
        self.fairness.bound(lane)
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn task(&self, id: Id) -> &Task {
        &self.tasks[id]
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A task's deadline on the pool's clock, in seconds.
    pub(crate) fn deadline(&self, id: Id) -> Option<u64> {
        self.tasks[id].deadline
    }

    /// A task to be. It is `Outside`.
    pub(crate) fn make(&mut self, spec: &TaskSpec, caller: Caller) -> Id {
        self.tasks.push(Task {
            spec: spec.clone(),
            lane: spec.address.lane(self.lanes.len()),
            deadline: spec.deadline.map(|seconds| self.now + seconds),
            stage: Stage::Outside,
            caller,
            given_up: false,
            laid_down: false,
            released: false,
            dropped: false,
        });
        self.tasks.len() - 1
    }

    fn expired(&self, id: Id) -> bool {
        self.tasks[id]
            .deadline
            .is_some_and(|deadline| self.now >= deadline)
    }

    /// The look at a task before it may enter. Returns a refusal.
    pub(crate) fn check(&mut self, id: Id) -> Option<Verdict> {
        let lane = self.tasks[id].lane;
        if lane >= self.lanes.len() {
            return Some(Verdict::NoSuchLane);
        }
        if self.tasks[id].deadline.is_none() {
            self.tasks[id].deadline = self.default_timeout.map(|timeout| self.now + timeout);
        } else if self.expired(id) {
            self.lanes[lane].refused += 1;
            return Some(Verdict::Expired);
        }
        None
    }

    /// How many more tasks a lane takes.
    pub(crate) fn room(&self, lane: usize) -> usize {
        let lane = &self.lanes[lane];
        lane.capacity - (lane.queue.len() - lane.in_hand)
    }

    /// Free slots at which the first who waits is let in: half.
    pub(crate) fn enough_room(&self, lane: usize) -> bool {
        self.room(lane) >= (self.lanes[lane].capacity / 2).max(1)
    }

    /// A task that was checked tries to enter its lane.
    pub(crate) fn enter(&mut self, id: Id, may_wait: bool) -> Verdict {
        let lane = self.tasks[id].lane;
        let verdict = if self.closed {
            Verdict::Closed
        } else if self.room(lane) > 0 {
            Verdict::Enters
        } else if may_wait && self.lanes[lane].waits {
            Verdict::Waits
        } else {
            Verdict::Full
        };
        match verdict {
            Verdict::Enters => {
                let lane_model = &mut self.lanes[lane];
                lane_model.accepted += 1;
                if lane_model.queue.is_empty() {
                    self.fairness.new_head(lane);
                }
                lane_model.queue.push_back(id);
                self.tasks[id].stage = Stage::Queued;
            }
            Verdict::Waits => {}
            _ => self.lanes[lane].refused += 1,
        }
        verdict
    }

    /// A task is handed in.
    pub(crate) fn submit(&mut self, id: Id, may_wait: bool) -> Verdict {
        match self.check(id) {
            Some(refusal) => refusal,
            None => self.enter(id, may_wait),
        }
    }

    /// Whether a task would have to wait for room.
    pub(crate) fn would_wait(&self, spec: &TaskSpec) -> bool {
        let lane = spec.address.lane(self.lanes.len());
        !self.closed
            && spec.deadline != Some(0)
            && self
                .lanes
                .get(lane)
                .is_some_and(|found| found.waits && self.room(lane) == 0)
    }

    /// The caller of a task goes away.
    pub(crate) fn leave(&mut self, id: Id) {
        self.tasks[id].caller = Caller::Gone;
    }

    /// The caller of a task lets it run for nobody.
    pub(crate) fn detach(&mut self, id: Id) {
        self.tasks[id].caller = Caller::Nobody;
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.now += seconds;
    }

    pub(crate) fn release(&mut self, id: Id) {
        self.tasks[id].released = true;
    }

    pub(crate) fn open_gates(&mut self) {
        self.gates_open = true;
    }

    fn is_free_to_end(&self, id: Id) -> bool {
        let task = &self.tasks[id];
        !task.spec.gated || task.released || self.gates_open
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = Id> + '_ {
        let runs = |id: &Id| self.tasks[*id].stage == Stage::Running;
        (0..self.tasks.len()).filter(runs)
    }

    /// Tasks that wait at their gates.
    pub(crate) fn at_gates(&self) -> Vec<Id> {
        self.running()
            .filter(|id| !self.is_free_to_end(*id))
            .collect()
    }

    pub(crate) fn queued(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len()).sum()
    }

    /// Whether the workers have gone as far as they can: none may end its task, and none is free while
    /// a task waits.
    pub(crate) fn is_settled(&self) -> bool {
        let running = self.running().count();
        !self.running().any(|id| self.is_free_to_end(id))
            && (self.queued() == 0 || running >= self.alive)
    }

    /// Whether every worker has a task.
    pub(crate) fn all_busy(&self) -> bool {
        self.running().count() >= self.alive
    }

    /// The workers have gone as far as they can.
    pub(crate) fn settled(&mut self) {
        if self.queued() == 0 && self.running().next().is_none() {
            self.fairness.idle();
        }
    }

    /// A worker that is alone has so many tasks that the model takes for queued in its hand.
    pub(crate) fn note_hand(&mut self, lane: usize, queued: u64) {
        let lane = &mut self.lanes[lane];
        lane.in_hand = lane.queue.len() - queued as usize;
        assert!(lane.in_hand < 16, "{} tasks in a hand", lane.in_hand);
    }

    /// Tasks that a worker has in its hand beside the one that runs.
    pub(crate) fn in_hand(&self) -> usize {
        self.lanes.iter().map(|lane| lane.in_hand).sum()
    }

    /// How a task was answered, if its caller would find an answer.
    pub(crate) fn answer(&self, id: Id) -> Option<Outcome> {
        let task = &self.tasks[id];
        match task.stage {
            _ if task.given_up => Some(Outcome::Abandoned),
            Stage::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether the pool has the request of this task.
    pub(crate) fn is_inside(&self, id: Id) -> bool {
        matches!(self.tasks[id].stage, Stage::Queued | Stage::Running)
    }

    /// Whether every request that was made has been dropped, and where not, the first.
    pub(crate) fn first_not_dropped(&self) -> Option<Id> {
        self.tasks.iter().position(|task| !task.dropped)
    }
}
