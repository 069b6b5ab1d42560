//! How workers come and go while a pool runs.
//!
//! Everything here is under the lock of the lifecycle, so that a pool that closes and workers that come or go
//! take turns. A worker that is to go is marked, and the hint word says that somebody is. It finishes what it holds,
//! claims nothing more, and signs off under the same lock: until then it may be told to stay. From then on it
//! touches nothing of its place, so the next worker may come there at once, whatever the old one still has to clear
//! away.

use super::Engine;
use super::ending::Lifecycle;
use crate::events::PoolEvent;
use crate::stats::WorkerBlock;
use crate::sync::atomic::Ordering;

/// What a pool lacks for a number of workers.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the missing workers are to be started"]
pub(crate) enum Missing {
    /// These places have no worker, lowest first.
    Places(Vec<usize>),
    /// The pool accepts nothing more.
    Closed,
}

impl<Q, R, E> Engine<Q, R, E> {
    /// Has the workers stay who are to go and belong to the first `general` places. Returns the places that still
    /// lack a worker.
    pub(crate) fn keep(&self, general: usize) -> Missing {
        let mut lifecycle = self.lifecycle.lock();
        if lifecycle.is_closed() {
            return Missing::Closed;
        }
        let crew = &self.shards.crew;
        let wanted = || (0..general).chain(crew.first_reserved()..crew.places());
        for worker in wanted() {
            self.unmark(&mut lifecycle, worker);
        }
        let missing = wanted().filter(|worker| lifecycle.has_ended(*worker));
        Missing::Places(missing.collect())
    }

    /// A worker that has its state comes to its place. Returns `false` if the pool is closed; then it is to do
    /// nothing.
    pub(crate) fn takes_on(&self, worker: usize) -> bool {
        let mut lifecycle = self.lifecycle.lock();
        if lifecycle.is_closed() {
            return false;
        }
        debug_assert!(lifecycle.has_ended(worker), "one worker at a time");
        lifecycle.set_ended(worker, false);
        // ORDERING(last-worker): AcqRel, as when one ends.
        self.alive.fetch_add(1, Ordering::AcqRel);
        self.shards.crew.note_used(worker);
        self.roster.enters(worker);
        self.shards.take_over(worker);
        self.events.emit(PoolEvent::WorkerStarted { worker });
        true
    }

    /// Has so many general workers take tasks from now on, or as many of them as there are if `failed`, but not
    /// fewer than before. Those who are too many are to go. Returns how many workers there are.
    pub(crate) fn settle_on(&self, general: usize, failed: bool) -> usize {
        let mut lifecycle = self.lifecycle.lock();
        let crew = &self.shards.crew;
        let general = if failed {
            let is_there = |worker: &usize| !lifecycle.has_ended(*worker);
            (0..general)
                .take_while(is_there)
                .count()
                .max(crew.general())
        } else {
            general
        };
        if general > crew.general() && self.shards.apart().is_some() {
            // Whoever sleeps has not seen the new shards, in which nobody has put anything yet.
            self.roster.wake_all();
        }
        crew.set_general(general);
        let mut told = Vec::new();
        for worker in general..crew.first_reserved() {
            if !lifecycle.has_ended(worker) && crew.mark(worker, true) {
                lifecycle.leaving += 1;
                told.push(worker);
            }
        }
        if !told.is_empty() {
            self.shards.shared.set_leaving(true);
        }
        drop(lifecycle);
        for worker in told {
            self.roster.call(worker);
            if let Some(batching) = self.batching_if_any() {
                batching.desk.rouse_one(worker);
            }
        }
        crew.workers()
    }

    /// A worker that holds nothing goes, if it is to. Then it touches nothing of its place after this.
    #[cold]
    pub(crate) fn goes(&self, worker: usize) -> bool {
        let lifecycle = self.lifecycle.lock();
        let goes = self.shards.crew.is_to_go(worker);
        if goes {
            self.sign_off(lifecycle, worker, None);
        }
        goes
    }

    /// A worker stays, or has ended: it is not to go any more.
    pub(super) fn unmark(&self, lifecycle: &mut Lifecycle, worker: usize) {
        if lifecycle.leaving > 0 && self.shards.crew.mark(worker, false) {
            lifecycle.leaving -= 1;
            if lifecycle.leaving == 0 {
                self.shards.shared.set_leaving(false);
            }
        }
    }

    /// What was counted in the places that ever had a worker.
    pub(crate) fn blocks_in_use(&self) -> impl Iterator<Item = &WorkerBlock> {
        let used = self.shards.crew.used();
        used.map(|place| &*self.blocks[place])
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::WorkerPoolConfig;
    use crate::idle::Sleeper;
    use crate::idle::parker::Parker;

    /// One worker of three.
    fn engine() -> Engine<u32, u32, ()> {
        let config = WorkerPoolConfig {
            worker_count: 1,
            max_workers: 3,
            ..Default::default()
        };
        let beds = (0..3).map(|_| Sleeper::Thread(Parker::new()));
        Engine::new(config, Clock::manual().0, None, beds)
    }

    fn is_leaving(engine: &Engine<u32, u32, ()>) -> bool {
        engine.shards.shared.hint().is_leaving()
    }

    #[test]
    fn the_hint_says_that_somebody_is_to_go_until_nobody_is() {
        let engine = engine();
        assert_eq!(engine.keep(3), Missing::Places(vec![1, 2]));
        assert!(engine.takes_on(1) && engine.takes_on(2));
        assert_eq!((engine.alive(), engine.settle_on(3, false)), (3, 3));
        assert!(!is_leaving(&engine) && !engine.goes(2));
        assert_eq!(engine.settle_on(1, false), 1);
        assert!(is_leaving(&engine) && !engine.goes(0));
        // One is called back, one goes.
        assert_eq!(engine.keep(2), Missing::Places(Vec::new()));
        assert!(is_leaving(&engine) && !engine.goes(1) && engine.goes(2));
        assert!(!is_leaving(&engine) && engine.alive() == 2);
        assert_eq!(engine.keep(3), Missing::Places(vec![2]));
    }

    #[test]
    fn one_that_ends_by_itself_need_not_go_any_more() {
        let engine = engine();
        assert!(engine.takes_on(1));
        engine.settle_on(2, false);
        engine.settle_on(1, false);
        engine.worker_ends(1, Some("for another reason".to_owned()));
        assert!(!is_leaving(&engine) && engine.alive() == 1);
        assert!(!engine.shards.shared.is_closed(), "one is left");
    }

    #[test]
    fn a_failure_removes_nobody() {
        let engine = engine();
        assert!(engine.takes_on(2));
        assert_eq!(engine.settle_on(3, true), 1, "the second one is missing");
        assert!(engine.goes(2));
        assert!(engine.takes_on(1));
        assert_eq!(engine.settle_on(3, true), 2);
        assert_eq!(engine.settle_on(1, true), 2);
        assert!(!is_leaving(&engine));
    }

    #[test]
    fn a_closed_pool_takes_nobody_on() {
        let engine = engine();
        engine.close();
        assert_eq!(engine.keep(3), Missing::Closed);
        assert!(!engine.takes_on(1));
        assert_eq!(engine.alive(), 1);
    }
}
