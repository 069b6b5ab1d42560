//! The turns of keys: where the next task of a key waits to be taken, and when it may be.

use super::super::input::Key;
use super::super::world::Id;
use super::Model;
use super::places::{Place, Run, Spot, Strand};

/// Tasks of a key that decide in which lane its turn waits.
const LOOK_AHEAD: usize = 16;

impl Model {
    /// The key in whose queue a task waits, if it waits in one.
    pub(super) fn key_in_queue(&self, id: Id) -> Option<Key> {
        let key = self.tasks[id].spec.key()?;
        let strand = self.places.strands.get(&key)?;
        strand.waiting.contains(&id).then_some(key)
    }

    pub(super) fn find_run(&self, id: Id, key: Key) -> Spot {
        let strand = &self.places.strands[&key];
        let first = strand.waiting.front();
        assert_eq!(first, Some(&id), "tasks of {key:?} are taken in order");
        assert_eq!(
            strand.running, None,
            "tasks of {key:?} are taken one at a time"
        );
        let run = strand
            .run
            .expect("a key that may be taken has its run in a queue");
        let runs = self.places.ring(run.place, run.lane).runs.iter();
        let before = runs
            .map(|(key, _)| *key)
            .take_while(|before| *before != key);
        let may_have_left = |key: &Key| {
            let run = self.places.strands[key].run;
            run.is_some_and(Run::is_unsure)
        };
        assert!(
            run.is_unsure() || before.into_iter().all(|key| may_have_left(&key)),
            "keys are taken in the order of their turns"
        );
        Spot {
            place: run.place,
            is_of_runs: true,
            lane: run.lane,
        }
    }

    /// The next task of a key may be started by whoever takes the run.
    pub(super) fn announce(&mut self, key: Key, place: Place, lane: usize) {
        self.key_runs += 1;
        let strand = self.places.strands.get_mut(&key);
        let strand = strand.expect("a key with a task is there");
        let first = self.tasks[strand.waiting[0]].lane;
        strand.run = Some(Run { place, lane, first });
        let now = self.now;
        let ring = self.places.ring_mut(place, lane);
        ring.runs.push_back((key, now));
        if ring.runs.len() == 1 {
            self.turns.new_head(Spot {
                place,
                is_of_runs: true,
                lane,
            });
        }
    }

    /// Takes the run of a key out of its queue.
    pub(super) fn remove_run(&mut self, key: Key) {
        let strand = self.places.strands.get_mut(&key);
        let Some(run) = strand.and_then(|strand| strand.run.take()) else {
            return;
        };
        let ring = self.places.ring_mut(run.place, run.lane);
        ring.runs.retain(|(waiting, _)| *waiting != key);
        for lane in [run.lane, run.first] {
            self.turns.new_head(Spot {
                place: run.place,
                is_of_runs: true,
                lane,
            });
        }
    }

    /// A worker is done with a task. If it was one of a key, the next one may be taken, and waits with that
    /// worker if others can steal it.
    pub(super) fn give_back(&mut self, id: Id, worker: Option<usize>) {
        let runs = |(_, strand): &(&Key, &mut Strand)| strand.running == Some(id);
        let Some((key, strand)) = self.places.strands.iter_mut().find(runs) else {
            return;
        };
        let key = *key;
        strand.running = None;
        let next = strand.waiting.iter().take(LOOK_AHEAD);
        let Some(lane) = next.map(|id| self.tasks[*id].lane).max() else {
            self.places.strands.remove(&key);
            return;
        };
        let place = match worker.filter(|_| self.places.stealing) {
            Some(worker) => Place::Worker(worker),
            None => Place::Shared,
        };
        self.announce(key, place, lane);
    }
}
