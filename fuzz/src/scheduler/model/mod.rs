//! What the pool should be like: its lanes as plain queues, its tasks with their stages and callers.
//!
//! The model is told what the driver does ([`Model::submit`], [`Model::leave`], …), which it answers
//! with what the pool must do, and what the world's journal says ([`Model::happened`]), which it
//! checks: in lane order, never a task that was cancelled or has expired, never more than there are
//! workers, and every outcome once.
//!
//! 1. This file is what the driver does and asks.
//! 2. [`places`] is where tasks wait, and [`entry`] how they come there.
//! 3. [`journal`] is what happened, and the ends of tasks; [`keys`] is how keys have their turns, and [`turns`] whose
//!    turn it may be.
//! 4. [`owner`] is what the owner of the pool changes under way.
//! 5. [`tally`] compares the counts.

mod entry;
mod journal;
mod keys;
mod owner;
mod places;
mod tally;
mod turns;

use lanepool::{Outcome, OverflowPolicy, SchedulingStrategy, WorkerPoolConfig};

pub(crate) use entry::{Arrivals, Gate};
use places::{Place, Places};
use turns::Turns;

use super::fairness::Fairness;
use super::input::TaskSpec;
use super::world::Id;

/// What becomes of a task that is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Enters,
    Waits,
    /// It enters if there is room in the lane of the worker that is chosen.
    AsPlaced,
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
    accepted_at: u64,
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
    /// How many of the first in the shared lane a worker has in its hand already.
    in_hand: usize,
    refused: u64,
    /// Tasks that were accepted in the order of their keys, and those that wait.
    keyed: u64,
    keyed_waiting: usize,
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
    places: Places,
    /// Of workers of which it is not known who takes what.
    fairness: Fairness,
    /// Of the others.
    turns: Turns,
    strategy: SchedulingStrategy,
    /// Changes of the strategy so far.
    epoch: u64,
    /// Whether tasks of a key keep their order.
    keyed: bool,
    /// Whether lanes have several rings, and the workers to whom these belong.
    sub_rings: bool,
    sub_ring_count: usize,
    /// For a strategy that takes workers by turns: among how many, and whose turn was last. Known if nothing
    /// else was tried since.
    last_turn: Option<(usize, usize)>,
    /// The same before the task that is tried now.
    turn_before: Option<(usize, usize)>,
    /// Runs that were announced, and takes out of others' sets.
    key_runs: u64,
    stolen: u64,
    /// Takes out of the sets of workers that may have ended.
    perhaps_stolen: u64,
    /// Whether tasks were taken out of the lanes by a shutdown or an end.
    abandoned: bool,
    ages: bool,
    /// Pulls of all workers within which the head of a lane is taken if they have one queue of it each.
    pulls: Vec<u64>,
    default_timeout: Option<u64>,
    now: u64,
    closed: bool,
    gates_open: bool,
    panics: u64,
    /// How many places before its turn a task may be told to have been taken: workers that are
    /// threads tell of their takes a moment after.
    disorder: usize,
    /// Whether workers move only when they are let, and it is known who takes what.
    is_stepped: bool,
    times_all: bool,
    /// Whether requests run in batches, whose waits are noted with the answers.
    is_batched: bool,
}

impl Model {
    pub(crate) fn new(
        config: &WorkerPoolConfig,
        longest_run: usize,
        concurrent: bool,
        times_all: bool,
        is_batched: bool,
    ) -> Self {
        let lane = |lane: &lanepool::LaneConfig| Lane {
            capacity: lane.capacity.max(2).next_power_of_two(),
            waits: lane.overflow == OverflowPolicy::Wait,
            in_hand: 0,
            refused: 0,
            keyed: 0,
            keyed_waiting: 0,
            accepted: 0,
            started: 0,
            ran: 0,
            running: 0,
            outcomes: [0; Outcome::ALL.len()],
        };
        let workers = config.worker_count;
        let disorder = if concurrent { workers - 1 } else { 0 };
        let lanes: Vec<Lane> = config.lanes.iter().map(lane).collect();
        let capacities: Vec<usize> = lanes.iter().map(|lane| lane.capacity).collect();
        let mut places = Places::new(config, &capacities);
        let strategy = config.scheduling_strategy;
        let sub_rings = config.sub_rings > 1;
        places.elsewhere = sub_rings || strategy != SchedulingStrategy::PriorityBased;
        let fairness = Fairness::new(config, workers, longest_run, disorder as u64);
        let ages = config.ageing.is_some();
        let pulls = |lane| {
            let pulls = fairness.bound(lane) / workers as u64 * places.eligible(lane) as u64;
            if ages { 2 * pulls } else { pulls }
        };
        Self {
            pulls: (0..lanes.len()).map(pulls).collect(),
            lanes,
            tasks: Vec::new(),
            places,
            fairness,
            turns: Turns::new(config),
            strategy,
            epoch: 0,
            keyed: strategy == SchedulingStrategy::HashBased,
            sub_rings,
            sub_ring_count: config.sub_rings.min(workers),
            last_turn: None,
            turn_before: None,
            key_runs: 0,
            stolen: 0,
            perhaps_stolen: 0,
            abandoned: false,
            ages,
            default_timeout: config.default_timeout.map(|timeout| timeout.as_secs()),
            now: 0,
            closed: false,
            gates_open: false,
            panics: 0,
            disorder,
            is_stepped: !concurrent,
            times_all,
            is_batched,
        }
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
            accepted_at: 0,
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

    /// How many more tasks a shared lane takes.
    pub(crate) fn room(&self, lane: usize) -> usize {
        let held = self.places.ring(Place::Shared, lane).tasks.len();
        self.lanes[lane].capacity - (held - self.lanes[lane].in_hand)
    }

    /// How many more tasks of keys a lane takes.
    fn keyed_room(&self, lane: usize) -> usize {
        self.lanes[lane].capacity - self.lanes[lane].keyed_waiting
    }

    /// A task is handed in.
    pub(crate) fn submit(&mut self, id: Id, may_wait: bool) -> Verdict {
        match self.check(id) {
            Some(refusal) => refusal,
            None => self.enter(id, may_wait),
        }
    }

    /// Whether a task might have to wait for room.
    pub(crate) fn would_wait(&mut self, spec: &TaskSpec) -> bool {
        let lane = spec.address.lane(self.lanes.len());
        if self.closed || spec.deadline == Some(0) || !self.lanes.get(lane).is_some_and(|l| l.waits)
        {
            return false;
        }
        let probe = self.make(spec, Caller::Nobody);
        let verdict = self.enter(probe, true);
        self.tasks.pop();
        verdict != Verdict::Enters
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
        let of_lane = |lane| self.places.unkeyed(lane) + self.lanes[lane].keyed_waiting;
        (0..self.lanes.len()).map(of_lane).sum()
    }

    /// Whether there is more than the lanes that all workers share.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.places.elsewhere
    }

    /// Whether the workers have gone as far as they can: none may end its task, and none is free while
    /// a task waits that it may take.
    pub(crate) fn is_settled(&self) -> bool {
        !self.running().any(|id| self.is_free_to_end(id))
            && !self
                .places
                .idle()
                .any(|worker| self.places.has_work_for(worker))
    }

    /// Whether every worker has a task.
    pub(crate) fn all_busy(&self) -> bool {
        self.running().count() >= self.places.alive()
    }

    /// The workers have gone as far as they can.
    pub(crate) fn settled(&mut self) {
        if self.queued() == 0 && self.running().next().is_none() {
            self.fairness.idle();
        }
        self.places.note_ended();
        for worker in 0..self.places.workers.len() {
            if self.places.workers[worker].running.is_none() {
                self.turns.idle(worker);
            }
        }
    }

    /// Whether something waits that no worker takes before the pool is closed.
    pub(crate) fn is_stuck(&self) -> bool {
        let idle = self.running().next().is_none();
        idle && self.queued() > 0
    }

    /// A worker that is alone has so many tasks that the model takes for queued in its hand.
    pub(crate) fn note_hand(&mut self, number: usize, queued: u64) {
        let lane = &mut self.lanes[number];
        lane.in_hand = self.places.ring(Place::Shared, number).tasks.len() - queued as usize;
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
