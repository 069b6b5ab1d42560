//! What happened, checked; and how tasks end.

use lanepool::Outcome;

use super::super::input::End;
use super::super::world::{Event, Id};
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
        assert_ne!(task.caller, Caller::Gone, "cancelled task {id} is started");
        assert!(
            !task.laid_down,
            "task {id} is started after the pool gave up"
        );
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
            Stage::Queued if self.tasks[id].laid_down => {
                let lane = &mut self.lanes[self.tasks[id].lane];
                assert_eq!(
                    lane.queue.pop_front(),
                    Some(id),
                    "a hand is laid down in order"
                );
                lane.in_hand -= 1;
                self.end(id, Outcome::Abandoned);
            }
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
        self.alive = 0;
        self.close();
        let running: Vec<Id> = self.running().collect();
        for id in running {
            self.end(id, Outcome::Abandoned);
        }
        self.abandon_queued();
    }
}
