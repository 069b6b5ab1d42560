//! What the pool should be like: its lanes as plain queues, its tasks with their stages and callers.
//!
//! The model is told what the driver does ([`Model::submit`], [`Model::leave`], …), which it answers
//! with what the pool must do, and what the world's journal says ([`Model::happened`]), which it
//! checks: in lane order, never a task that was cancelled or has expired, never more than there are
//! workers, and every outcome once.

use std::collections::VecDeque;

use lanepool::{LaneStatistics, Outcome, OverflowPolicy, WorkerPoolConfig, WorkerPoolStatistics};

use super::fairness::Fairness;
use super::input::{End, TaskSpec};
use super::world::{Event, Id};

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

    /// Free slots at which the first who waits is let in: an eighth.
    pub(crate) fn enough_room(&self, lane: usize) -> bool {
        self.room(lane) >= (self.lanes[lane].capacity / 8).max(1)
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

    fn end(&mut self, id: Id, outcome: Outcome) {
        let task = &mut self.tasks[id];
        let outcome = if task.given_up {
            Outcome::Abandoned
        } else {
            outcome
        };
        let lane = &mut self.lanes[task.lane];
        if task.stage == Stage::Running {
            lane.running -= 1;
            lane.ran += 1;
        }
        task.stage = Stage::Done(outcome);
        lane.outcomes[outcome as usize] += 1;
    }

    /// Checks what the journal says.
    pub(crate) fn happened(&mut self, event: Event) {
        match event {
            Event::Started { id } => self.started(id),
            Event::Ended { id, end } => self.ended(id, end),
            Event::RequestDropped { id } => self.request_dropped(id),
        }
    }

    /// A worker takes a task out of its lane.
    fn take(&mut self, id: Id) {
        let lane = self.tasks[id].lane;
        let waiting: Vec<bool> = self
            .lanes
            .iter()
            .map(|lane| !lane.queue.is_empty())
            .collect();
        let queue = &mut self.lanes[lane].queue;
        let place = queue.iter().position(|queued| *queued == id);
        let place = place.expect("a task is taken from its lane once");
        assert!(
            place <= self.disorder,
            "task {id} was taken from place {place} of its lane"
        );
        queue.remove(place);
        self.lanes[lane].in_hand = self.lanes[lane].in_hand.saturating_sub(1);
        self.fairness.take(lane, &waiting);
    }

    fn started(&mut self, id: Id) {
        assert_eq!(self.tasks[id].stage, Stage::Queued, "task {id} is started");
        let task = &self.tasks[id];
        let cancelled = task.caller == Caller::Gone && !task.given_up;
        assert!(!cancelled, "cancelled task {id} is started");
        assert!(!self.expired(id), "expired task {id} is started");
        self.take(id);
        self.tasks[id].stage = Stage::Running;
        let lane = &mut self.lanes[self.tasks[id].lane];
        lane.running += 1;
        lane.started += 1;
        assert!(
            self.running().count() <= self.alive,
            "more tasks run than there are workers"
        );
    }

    fn ended(&mut self, id: Id, end: End) {
        assert_eq!(self.tasks[id].stage, Stage::Running, "task {id} ends");
        self.end(
            id,
            match end {
                End::Complete => Outcome::Completed,
                End::Fail => Outcome::Failed,
                End::Panic | End::Ruin => Outcome::Panicked,
            },
        );
        self.panics += u64::from(matches!(end, End::Panic | End::Ruin));
        if end == End::Ruin {
            self.alive -= 1;
            if self.alive == 0 {
                self.close();
                self.abandon_queued();
            }
        }
    }

    fn request_dropped(&mut self, id: Id) {
        assert!(!self.tasks[id].dropped, "request {id} is dropped twice");
        self.tasks[id].dropped = true;
        match self.tasks[id].stage {
            Stage::Outside | Stage::Done(_) => {}
            Stage::Queued => {
                self.take(id);
                let outcome = match self.tasks[id].caller {
                    Caller::Gone => Outcome::Cancelled,
                    _ if self.expired(id) => Outcome::Expired,
                    _ => panic!("task {id} was dropped without being started"),
                };
                self.end(id, outcome);
            }
            Stage::Running => panic!("task {id} was dropped while it ran"),
        }
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Takes every task that is in its lane. Returns those that are abandoned, lane by lane.
    pub(crate) fn abandon_queued(&mut self) -> Vec<Id> {
        let mut abandoned = Vec::new();
        for lane in 0..self.lanes.len() {
            let in_hand = self.lanes[lane].in_hand;
            for id in self.lanes[lane].queue.split_off(in_hand) {
                if self.tasks[id].caller == Caller::Gone {
                    self.end(id, Outcome::Cancelled);
                } else {
                    self.end(id, Outcome::Abandoned);
                    abandoned.push(id);
                }
            }
        }
        abandoned
    }

    /// Everybody who waits for a task in a worker's hands is told that it is abandoned. Returns the
    /// tasks that run.
    pub(crate) fn abandon_running(&mut self) -> Vec<Id> {
        for task in &mut self.tasks {
            let held = matches!(task.stage, Stage::Queued | Stage::Running);
            task.given_up |= held && task.caller == Caller::Waits;
        }
        self.running().collect()
    }

    /// The workers are taken away.
    pub(crate) fn end_workers(&mut self) {
        self.alive = 0;
        self.close();
        let running: Vec<Id> = self.running().collect();
        for id in running {
            self.end(id, Outcome::Abandoned);
        }
        self.abandon_queued();
    }

    /// The counts of a lane that the pool should show, in the order of [`counts_of`].
    fn counts(&self, lane: usize) -> Counts {
        let lane = &self.lanes[lane];
        let timed = |count| if self.times_all { count } else { 0 };
        Counts {
            submitted: lane.accepted + lane.refused,
            refused: lane.refused,
            outcomes: lane.outcomes,
            queued: (lane.queue.len() - lane.in_hand) as u64,
            running: lane.running + lane.in_hand as u64,
            waits: timed(lane.started),
            runs: timed(lane.ran),
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
    }
}
