//! All lane sets of a pool, and which of them a worker takes from.
//!
//! There is one set that all workers share. Placement gives each worker a set of its own as well, its
//! *shard*, and keyed tasks give each shard, and all workers together, a set of *runs* (`strands.rs`).
//! These sets come into being when the pool is first told to place tasks; until then the shared set's
//! word does not point elsewhere, and a worker that reads it so has seen all there is.
//!
//! A worker is **at home** in the shared sets, in its own shard, in the first shards if lanes have
//! sub-rings, and in those whose workers have ended. From these it takes by turns. From the shards of
//! others it *steals* when it has nothing else, if the pool allows that. Whatever it may take from, at home
//! or by stealing, it looks at before it sleeps, so that the idle protocol holds for all sets alike. Where
//! nobody steals a shard is its worker's alone, and submitters wake that worker.
//!
//! A worker that ends closes its shard first. What is left there nobody adds to, and all others are at home
//! in it.
//!
//! # Orderings
//!
//! - `lane-hint`, `idle-dekker`: the word of the shared set points elsewhere before any other set is there.
//! - `shard-left`: a shard is left after it was closed, so who sees it left sees what is in it.

use std::sync::OnceLock;

use super::Key;
use crate::lane::pick::LaneBits;
use crate::lane::{Annex, LaneSet};
use crate::sync::atomic::{AtomicUsize, Ordering};

/// The lanes of one worker.
#[derive(Debug)]
pub(crate) struct Shard<T, X: Annex<T>> {
    pub(crate) tasks: LaneSet<T, X>,
    pub(crate) runs: LaneSet<Key>,
    /// 1 once its worker has ended.
    left: AtomicUsize,
}

impl<T, X: Annex<T>> Shard<T, X> {
    pub(crate) fn is_left(&self) -> bool {
        // ORDERING(shard-left): Acquire: what was put there before the close is seen; SeqCst for the last
        // look of `idle-dekker`.
        self.left.load(Ordering::SeqCst) != 0
    }
}

/// The sets beside the shared one.
#[derive(Debug)]
pub(crate) struct Apart<T, X: Annex<T>> {
    /// Runs that any worker may take.
    pub(crate) runs: LaneSet<Key>,
    /// A shard for each worker.
    pub(crate) shards: Box<[Shard<T, X>]>,
    /// How many workers have ended.
    leavers: AtomicUsize,
}

impl<T, X: Annex<T>> Apart<T, X> {
    /// How many workers have ended: when it changes, more shards are everybody's home.
    pub(crate) fn leavers(&self) -> usize {
        // ORDERING(shard-left): Acquire, as in `is_left`.
        self.leavers.load(Ordering::Acquire)
    }
}

/// Which worker looks, and the lanes whose tasks it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) worker: usize,
    pub(crate) lanes: LaneBits,
}

impl Seat {
    /// The same worker, as far as these lanes go.
    pub(crate) fn only(self, lanes: LaneBits) -> Self {
        Self {
            lanes: self.lanes & lanes,
            ..self
        }
    }
}

/// Lanes of which set to look at, in a test of all sets.
struct Looks<T, X: Annex<T>> {
    shared: fn(&LaneSet<T, X>, LaneBits) -> bool,
    tasks: fn(&LaneSet<T, X>, LaneBits) -> bool,
    runs: fn(&LaneSet<Key>, LaneBits) -> bool,
}

/// All lane sets of a pool.
#[derive(Debug)]
pub(crate) struct Shards<T, X: Annex<T>> {
    /// The lanes that all workers share.
    pub(crate) shared: LaneSet<T, X>,
    apart: OnceLock<Apart<T, X>>,
    workers: usize,
    stealing: bool,
    /// Shards that all workers are at home in.
    common: usize,
}

impl<T, X: Annex<T>> Shards<T, X> {
    /// For so many workers and lanes of these capacities. With `sub_rings` above 1 so many shards are
    /// everybody's home.
    pub(crate) fn new(
        capacities: impl IntoIterator<Item = usize>,
        workers: usize,
        stealing: bool,
        sub_rings: usize,
    ) -> Self {
        Self {
            shared: LaneSet::new(capacities),
            apart: OnceLock::new(),
            workers,
            stealing,
            common: if sub_rings > 1 {
                sub_rings.min(workers)
            } else {
                0
            },
        }
    }

    /// The sets beside the shared one, if any were ever needed.
    #[inline]
    pub(crate) fn apart(&self) -> Option<&Apart<T, X>> {
        self.apart.get()
    }

    pub(crate) fn may_steal(&self) -> bool {
        self.stealing
    }

    /// Makes the sets beside the shared one. A lane of each shard holds the worker's part of what the shared
    /// one holds, rounded up.
    pub(crate) fn make_apart(&self) -> &Apart<T, X> {
        // Before the sets are there, so that whoever uses them has pointed to them.
        self.shared.point_elsewhere();
        self.apart.get_or_init(|| {
            let capacities =
                || (0..self.shared.len()).map(|lane| self.shared.lane(lane).ring.capacity());
            let shard = |_| Shard {
                tasks: LaneSet::new(capacities().map(|all| all.div_ceil(self.workers))),
                runs: LaneSet::new(capacities()),
                left: AtomicUsize::new(0),
            };
            Apart {
                runs: LaneSet::new(capacities()),
                shards: (0..self.workers).map(shard).collect(),
                leavers: AtomicUsize::new(0),
            }
        })
    }

    /// From how many sets a worker takes tasks by turns, at most.
    pub(crate) fn sets_at_home(&self) -> usize {
        let Some(apart) = self.apart() else {
            return 1;
        };
        // Of each: tasks and runs. The shared ones, its own, those of sub-rings and of workers that ended.
        2 * (2 + self.common + apart.leavers())
    }

    /// Whether a worker takes tasks of a shard by turns.
    pub(crate) fn is_home(&self, worker: usize, shard: usize, apart: &Apart<T, X>) -> bool {
        shard == worker || shard < self.common || apart.shards[shard].is_left()
    }

    /// Whether a task in a shard waits for whoever comes, and not for one worker.
    pub(crate) fn is_open_to_all(&self, shard: usize) -> bool {
        self.stealing || shard < self.common
    }

    /// The shards that a worker may take tasks from.
    fn visible<'a>(
        &'a self,
        worker: usize,
        apart: &'a Apart<T, X>,
    ) -> impl Iterator<Item = &'a Shard<T, X>> {
        let visible =
            move |(shard, _): &(usize, _)| self.stealing || self.is_home(worker, *shard, apart);
        apart
            .shards
            .iter()
            .enumerate()
            .filter(visible)
            .map(|(_, shard)| shard)
    }

    fn any(&self, seat: Seat, lanes: LaneBits, elsewhere: bool, looks: &Looks<T, X>) -> bool {
        if (looks.shared)(&self.shared, lanes) {
            return true;
        }
        if !elsewhere {
            return false;
        }
        let Some(apart) = self.apart() else {
            return false;
        };
        (looks.runs)(&apart.runs, lanes)
            || self
                .visible(seat.worker, apart)
                .any(|shard| (looks.tasks)(&shard.tasks, lanes) || (looks.runs)(&shard.runs, lanes))
    }

    /// Whether there is a task for this worker: what one polls that spins.
    #[inline]
    pub(crate) fn any_ready(&self, seat: Seat) -> bool {
        let hint = self.shared.hint();
        let lanes = seat.lanes & hint.open();
        if !hint.is_elsewhere() {
            return self.shared.any_ready(lanes);
        }
        let looks = Looks {
            shared: LaneSet::any_ready,
            tasks: |set, lanes| set.any_ready(lanes & set.hint().lanes()),
            runs: |set, lanes| set.any_ready(lanes & set.hint().lanes()),
        };
        self.any(seat, lanes, true, &looks)
    }

    /// Whether this worker must not sleep: the last look of the idle protocol.
    pub(crate) fn any_stirs(&self, seat: Seat) -> bool {
        let hint = self.shared.last_hint();
        let looks = Looks {
            shared: LaneSet::any_stirs,
            tasks: LaneSet::any_holds,
            runs: LaneSet::any_holds,
        };
        self.any(seat, seat.lanes & hint.open(), hint.is_elsewhere(), &looks)
    }

    /// Whether everything of this worker's lanes that was ever accepted is taken and nothing more can come,
    /// but for runs that are not announced yet. Shards count that it does not take from: if their worker is
    /// ruined it will.
    pub(crate) fn is_exhausted(&self, lanes: LaneBits) -> bool {
        if !self.shared.is_closed() || self.shared.any_claims(lanes) {
            return false;
        }
        self.apart().is_none_or(|apart| {
            let holds =
                |shard: &Shard<T, X>| shard.tasks.any_claims(lanes) || shard.runs.any_claims(lanes);
            !apart.runs.any_claims(lanes) && !apart.shards.iter().any(holds)
        })
    }

    /// How many tasks and runs of these lanes wait for whoever comes.
    pub(crate) fn waiting(&self, lanes: LaneBits) -> usize {
        let hint = self.shared.last_hint();
        let lanes = lanes & hint.open();
        let shared = self.shared.waiting(lanes);
        let Some(apart) = self.apart().filter(|_| hint.is_elsewhere()) else {
            return shared;
        };
        let open = apart
            .shards
            .iter()
            .enumerate()
            .filter(|(number, shard)| self.is_open_to_all(*number) || shard.is_left())
            .map(|(_, shard)| shard.tasks.waiting(lanes) + shard.runs.waiting(lanes));
        shared + apart.runs.waiting(lanes) + open.sum::<usize>()
    }

    /// Clears the hints of empty lanes. For a worker on its way to sleep.
    pub(crate) fn refresh_hints(&self, seat: Seat) {
        self.shared.refresh_hint();
        if !self.shared.hint().is_elsewhere() {
            return;
        }
        let Some(apart) = self.apart() else {
            return;
        };
        apart.runs.refresh_hint();
        for shard in self.visible(seat.worker, apart) {
            shard.tasks.refresh_hint();
            shard.runs.refresh_hint();
        }
    }

    /// Refuses every later task. Runs may still come, of tasks that were accepted before.
    pub(crate) fn close(&self) {
        if let Some(apart) = self.apart() {
            apart.shards.iter().for_each(|shard| shard.tasks.close());
        }
        // Last: who finds this one closed takes the others to be so.
        self.shared.close();
    }

    /// A worker has ended: its shard is everybody's.
    pub(crate) fn leave(&self, worker: usize) {
        let Some(apart) = self.apart() else {
            return;
        };
        let shard = &apart.shards[worker];
        shard.tasks.close();
        // ORDERING(shard-left): Release, after the close; SeqCst for `idle-dekker`: whoever is about to
        // sleep sees it, or is woken by the call that follows.
        if shard.left.swap(1, Ordering::SeqCst) == 0 {
            apart.leavers.fetch_add(1, Ordering::SeqCst);
        }
    }
}
