//! What happened, checked; and how tasks end.

use lanepool::Outcome;

use super::super::input::End;
use super::super::world::{Event, Id};
use super::places::{Place, Spot};
use super::{Caller, Model, Stage};

impl Model {
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
            Event::Started { id, worker } => self.started(id, worker),
            Event::Ended { id, end, worker } => self.ended(id, end, worker),
            Event::RequestDropped { id, worker } => self.request_dropped(id, worker),
        }
        self.places.note_ended();
    }

    /// A worker takes a task out of its queue. It is known which one where several queues are.
    fn take(&mut self, id: Id, worker: Option<usize>) {
        let spot = match self.key_in_queue(id) {
            Some(key) => self.find_run(id, key),
            None => self.find_task(id),
        };
        match worker.filter(|_| self.is_stepped) {
            Some(worker) => {
                let lane = self.tasks[id].lane;
                assert!(
                    self.places.takes_now(worker, lane),
                    "worker {worker} takes a task of lane {lane}, which is paused or not one of its lanes"
                );
                self.check_source(worker, spot);
                let heads = self.places.spots().filter(|head| head.lane == spot.lane);
                let waited = heads.map(|head| self.waited(head)).max().unwrap_or(0);
                self.turns.take(worker, spot, &self.places, waited);
            }
            None => {
                let holds = |lane| !self.places.ring(Place::Shared, lane).tasks.is_empty();
                let waiting: Vec<bool> = (0..self.lanes.len()).map(holds).collect();
                self.fairness.take(spot.lane, &waiting);
            }
        }
        self.remove(id, spot);
    }

    fn find_task(&self, id: Id) -> Spot {
        let (spot, position) = self.position(id);
        assert!(
            position <= self.disorder,
            "task {id} was taken from place {position} of its lane"
        );
        spot
    }

    /// Where a task without a key waits.
    fn position(&self, id: Id) -> (Spot, usize) {
        let lane = self.tasks[id].lane;
        let position = |place| {
            let tasks = &self.places.ring(place, lane).tasks;
            tasks.iter().position(|queued| *queued == id)
        };
        let mut places = self.places.places();
        let found = places.find_map(|place| Some((place, position(place)?)));
        let (place, position) = found.expect("a task is taken from its lane once");
        let spot = Spot {
            place,
            is_of_runs: false,
            lane,
        };
        (spot, position)
    }

    /// How many seconds the head of a queue has waited.
    fn waited(&self, spot: Spot) -> u64 {
        let ring = self.places.ring(spot.place, spot.lane);
        let since = if spot.is_of_runs {
            ring.runs.front().map(|(_, announced)| *announced)
        } else {
            let first = ring.tasks.front();
            first.map(|id| self.tasks[*id].accepted_at)
        };
        since.map_or(0, |since| self.now - since)
    }

    /// A worker takes from its own lanes and the shared ones; from others' it takes the highest, and
    /// only if there is nothing else.
    fn check_source(&mut self, worker: usize, spot: Spot) {
        let may_take = self.places.takes_now(worker, spot.lane) || self.places.is_unsure(spot);
        assert!(
            may_take,
            "worker {worker} takes from {spot:?}, which is not open to it"
        );
        if self.places.is_home(worker, spot.place) {
            return;
        }
        if self.places.may_be_left(spot.place) {
            self.perhaps_stolen += 1;
            return;
        }
        assert!(
            self.places.stealing,
            "worker {worker} takes from {spot:?} without leave"
        );
        self.stolen += 1;
        for other in self
            .places
            .spots()
            .filter(|other| self.places.may_take(worker, *other))
        {
            assert!(
                !self.places.is_home(worker, other.place)
                    && (other.lane <= spot.lane || self.places.is_unsure(spot)),
                "worker {worker} steals from {spot:?} and not from {other:?}"
            );
        }
    }

    /// Takes a task out of its queue.
    fn remove(&mut self, id: Id, spot: Spot) {
        if !spot.is_of_runs {
            let ring = self.places.ring_mut(spot.place, spot.lane);
            ring.tasks.retain(|queued| *queued != id);
            if spot.place == Place::Shared {
                let lane = &mut self.lanes[spot.lane];
                lane.in_hand = lane.in_hand.saturating_sub(1);
            }
            return;
        }
        let key = self.key_in_queue(id).expect("the run was found");
        self.remove_run(key);
        let lane = self.tasks[id].lane;
        self.lanes[lane].keyed_waiting -= 1;
        let share = (self.lanes[lane].capacity / 2).max(1);
        let strand = self
            .places
            .strands
            .get_mut(&key)
            .expect("the key has a task");
        strand.waiting.pop_front();
        strand.running = Some(id);
        if strand.waiting.len() < share.div_ceil(2) {
            *self.places.crowds_woken.entry(key).or_default() += 1;
        }
    }

    fn started(&mut self, id: Id, worker: usize) {
        assert_eq!(self.tasks[id].stage, Stage::Queued, "task {id} is started");
        let task = &self.tasks[id];
        assert_ne!(task.caller, Caller::Gone, "cancelled task {id} is started");
        assert!(
            !task.laid_down,
            "task {id} is started after the pool gave up"
        );
        assert!(!self.expired(id), "expired task {id} is started");
        let taker = &self.places.workers[worker];
        assert!(taker.alive, "worker {worker} has ended");
        assert_eq!(taker.running, None, "worker {worker} runs a task already");
        self.take(id, Some(worker));
        self.places.workers[worker].running = Some(id);
        self.tasks[id].stage = Stage::Running;
        let lane = &mut self.lanes[self.tasks[id].lane];
        lane.running += 1;
        lane.started += 1;
    }

    fn ended(&mut self, id: Id, end: End, worker: usize) {
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
        self.places.workers[worker].running = None;
        self.give_back(id, Some(worker));
        if end == End::Ruin {
            self.places.workers[worker].alive = false;
            self.turns.begin_anew();
            let mut general = self
                .places
                .workers
                .iter()
                .filter(|worker| worker.lowest == 0);
            let has_general = general.any(|worker| worker.alive);
            // Nobody is left for the lowest lanes.
            if !has_general {
                self.close();
                self.abandon_queued();
            }
        }
    }

    fn request_dropped(&mut self, id: Id, worker: Option<usize>) {
        assert!(!self.tasks[id].dropped, "request {id} is dropped twice");
        self.tasks[id].dropped = true;
        match self.tasks[id].stage {
            Stage::Outside | Stage::Done(_) => {}
            Stage::Queued if self.tasks[id].laid_down => {
                let ring = self.places.ring_mut(Place::Shared, self.tasks[id].lane);
                let first = ring.tasks.pop_front();
                assert_eq!(first, Some(id), "a hand is laid down in order");
                self.lanes[self.tasks[id].lane].in_hand -= 1;
                self.end(id, Outcome::Abandoned);
            }
            Stage::Queued if self.is_orphan(id) => {
                self.abandon(id);
            }
            Stage::Queued => {
                self.take(id, worker);
                let outcome = match self.tasks[id].caller {
                    Caller::Gone => Outcome::Cancelled,
                    _ if self.expired(id) => Outcome::Expired,
                    _ => panic!("task {id} was dropped without being started"),
                };
                self.end(id, outcome);
                self.give_back(id, worker);
            }
            Stage::Running => panic!("task {id} was dropped while it ran"),
        }
    }

    /// Whether a task waits in a closed pool and no worker is left that takes it: the last one to end
    /// abandons it.
    fn is_orphan(&self, id: Id) -> bool {
        let lane = match self.key_in_queue(id) {
            None => self.tasks[id].lane,
            Some(key) => match self.places.strands[&key].run {
                Some(run) => run.first,
                None => return false,
            },
        };
        let mut workers = self.places.workers.iter();
        self.closed && !workers.any(|worker| worker.alive && worker.lowest <= lane)
    }

    /// A task that waits is given up by the pool. Returns whether its caller is told so.
    fn abandon(&mut self, id: Id) -> bool {
        self.abandoned = true;
        if let Some(key) = self.key_in_queue(id) {
            let strand = self.places.strands.get_mut(&key).expect("it was found");
            strand.waiting.retain(|waiting| *waiting != id);
            if strand.waiting.is_empty() && strand.running.is_none() {
                self.remove_run(key);
                self.places.strands.remove(&key);
            }
            self.lanes[self.tasks[id].lane].keyed_waiting -= 1;
        } else {
            let (spot, _) = self.position(id);
            let ring = self.places.ring_mut(spot.place, spot.lane);
            ring.tasks.retain(|queued| *queued != id);
        }
        let is_told = self.tasks[id].caller != Caller::Gone;
        let outcome = if is_told {
            Outcome::Abandoned
        } else {
            Outcome::Cancelled
        };
        self.end(id, outcome);
        is_told
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.places.closed = true;
        self.turns.begin_anew();
    }

    /// Takes every task that waits. Returns those that are abandoned: for each queue in its order, the shared
    /// lanes first.
    pub(crate) fn abandon_queued(&mut self) -> Vec<Vec<Id>> {
        let mut queues: Vec<Vec<Id>> = Vec::new();
        for place in self.places.places() {
            for lane in 0..self.lanes.len() {
                let in_hand = match place {
                    Place::Shared => self.lanes[lane].in_hand,
                    Place::Worker(_) => 0,
                };
                let tasks = self.places.ring(place, lane).tasks.iter();
                queues.push(tasks.skip(in_hand).copied().collect());
            }
        }
        let strands = self.places.strands.values();
        queues.extend(strands.map(|strand| strand.waiting.iter().copied().collect()));
        for queue in &mut queues {
            queue.retain(|id| self.abandon(*id));
        }
        queues
    }

    /// Everybody who waits for a task in a worker's hands is told that it is abandoned, and what is not
    /// started yet never is. Returns the tasks that run.
    pub(crate) fn abandon_running(&mut self) -> Vec<Id> {
        for task in &mut self.tasks {
            let held = matches!(task.stage, Stage::Queued | Stage::Running);
            task.given_up |= held && task.caller == Caller::Waits;
            task.laid_down |= task.stage == Stage::Queued;
        }
        self.running().collect()
    }

    /// The workers are taken away.
    pub(crate) fn end_workers(&mut self) {
        for worker in &mut self.places.workers {
            (worker.alive, worker.running) = (false, None);
        }
        self.close();
        let running: Vec<Id> = self.running().collect();
        for id in running {
            self.end(id, Outcome::Abandoned);
            self.give_back(id, None);
        }
        self.abandon_queued();
    }
}
