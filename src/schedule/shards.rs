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
//! A worker that ends *leaves* its shard: all others are at home in it from then on, and nobody adds to it. A
//! submitter that did not know yet may still put a task there. So where a task in a shard is one worker's alone, its
//! submitter looks once more afterwards whether the shard is left, and if it is, calls whoever comes. A worker in the
//! same place takes the shard over again.
//!
//! A shard is made when the first worker comes to its place, with those of the places below that nobody has come to
//! yet, which count as left; so loops go over the general places until the first that has none.
//!
//! # Nothing is left behind
//!
//! A submitter claims a position in a shard, calls the shard's worker if that sleeps, and loads whether the shard is
//! left. Its worker marks it as left, then wakes every sleeper. Another worker announces its sleep, loads whether the
//! shard is left, and looks at its tails if so. All of these are `SeqCst`. For each other worker that is about to
//! sleep:
//!
//! - **It reads the shard as not left.** Then it has announced before the mark, so the wake-up after the mark finds
//!   it, and its next look reads the mark.
//! - **It reads the shard as left, and sees the claim.** Then it does not sleep.
//! - **It reads the shard as left, and the claim comes after.** Then the submitter reads the mark, calls whoever
//!   comes, and finds the announcement.
//!
//! If somebody comes to the place meanwhile, the submitter may read the shard as not left again. Then it has looked
//! for that worker before, and not found it asleep; so the worker announces after the claim, and sees it.
//!
//! # Orderings
//!
//! - `lane-hint`, `idle-dekker`: the word of the shared set points elsewhere before any other set is there.
//! - `shard-left`: a shard is left, or taken over, before the epoch says so.

use std::ops::Index;
use std::sync::OnceLock;

use super::Key;
use super::crew::Crew;
use crate::lane::pick::LaneBits;
use crate::lane::{Annex, LaneSet};
use crate::sync::atomic::{AtomicUsize, Ordering};

/// The lanes of one worker.
#[derive(Debug)]
pub(crate) struct Shard<T, X: Annex<T>> {
    pub(crate) tasks: LaneSet<T, X>,
    pub(crate) runs: LaneSet<Key>,
    /// 1 while its place has no worker. Written under the engine's lock.
    left: AtomicUsize,
}

impl<T, X: Annex<T>> Shard<T, X> {
    pub(crate) fn is_left(&self) -> bool {
        // ORDERING(idle-dekker): SeqCst: a submitter has claimed its position before, a worker that is about
        // to sleep has announced that.
        self.left.load(Ordering::SeqCst) != 0
    }
}

/// The sets beside the shared one.
#[derive(Debug)]
pub(crate) struct Apart<T, X: Annex<T>> {
    /// Runs that any worker may take.
    pub(crate) runs: LaneSet<Key>,
    /// A shard for each worker.
    pub(crate) shards: Row<T, X>,
    /// How often a shard was left or taken over.
    epoch: AtomicUsize,
}

/// A shard, once somebody has come to its place. Boxed, so that a free place takes two words.
type Place<T, X> = OnceLock<Box<Shard<T, X>>>;

/// The shards by the places of their workers, made when somebody first comes there.
#[derive(Debug)]
pub(crate) struct Row<T, X: Annex<T>> {
    places: Box<[Place<T, X>]>,
    /// Places below this are filled from the first one on; those from here on always.
    first_reserved: usize,
}

impl<T, X: Annex<T>> Row<T, X> {
    /// The shards that there are, with their numbers, lowest first.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Shard<T, X>)> {
        let (general, reserved) = self.places.split_at(self.first_reserved);
        let general = general.iter().map_while(OnceLock::get).enumerate();
        let reserved = reserved.iter().filter_map(OnceLock::get);
        let shards = general.chain((self.first_reserved..).zip(reserved));
        shards.map(|(place, shard)| (place, &**shard))
    }

    /// The shards that there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shard<T, X>> {
        self.numbered().map(|(_, shard)| shard)
    }

    /// The shard of a place, if anybody ever came there.
    pub(crate) fn get(&self, place: usize) -> Option<&Shard<T, X>> {
        self.places[place].get().map(|shard| &**shard)
    }
}

impl<T, X: Annex<T>> Index<usize> for Row<T, X> {
    type Output = Shard<T, X>;

    fn index(&self, place: usize) -> &Shard<T, X> {
        self.get(place).expect("a worker has come to this place")
    }
}

impl<T, X: Annex<T>> Apart<T, X> {
    /// When this changes, other shards are everybody's home.
    pub(crate) fn epoch(&self) -> usize {
        // ORDERING(shard-left): Acquire: what has changed before is seen.
        self.epoch.load(Ordering::Acquire)
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
    /// Who takes from them.
    pub(crate) crew: Crew,
    /// In so many parts a shared lane's capacity is divided.
    parts: usize,
    stealing: bool,
    /// Shards that all workers are at home in.
    common: usize,
}

impl<T, X: Annex<T>> Shards<T, X> {
    /// For these workers and lanes of these capacities. With `sub_rings` above 1 so many shards are
    /// everybody's home.
    pub(crate) fn new(
        capacities: impl IntoIterator<Item = usize>,
        crew: Crew,
        stealing: bool,
        sub_rings: usize,
    ) -> Self {
        Self {
            shared: LaneSet::new(capacities),
            apart: OnceLock::new(),
            parts: crew.workers(),
            stealing,
            common: if sub_rings > 1 {
                sub_rings.min(crew.workers())
            } else {
                0
            },
            crew,
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

    /// Makes the sets beside the shared one, with a shard for each place that ever had a worker. Who makes them while
    /// workers come and go holds the engine's lock, and leaves the shards of those who have ended.
    pub(crate) fn make_apart(&self) -> &Apart<T, X> {
        // Before the sets are there, so that whoever uses them has pointed to them.
        self.shared.point_elsewhere();
        self.apart.get_or_init(|| {
            let mut shards = Row {
                places: (0..self.crew.places()).map(|_| OnceLock::new()).collect(),
                first_reserved: self.crew.first_reserved(),
            };
            for place in self.crew.used() {
                shards.places[place] = OnceLock::from(self.make_shard(0));
            }
            Apart {
                runs: LaneSet::new(self.capacities()),
                shards,
                epoch: AtomicUsize::new(0),
            }
        })
    }

    fn capacities(&self) -> impl Iterator<Item = usize> {
        (0..self.shared.len()).map(|lane| self.shared.lane(lane).ring.capacity())
    }

    /// A lane of each shard holds the worker's part of what the shared one holds, rounded up.
    fn make_shard(&self, left: usize) -> Box<Shard<T, X>> {
        Box::new(Shard {
            tasks: LaneSet::new(self.capacities().map(|all| all.div_ceil(self.parts))),
            runs: LaneSet::new(self.capacities()),
            left: AtomicUsize::new(left),
        })
    }

    /// From how many sets a worker takes tasks by turns, at most.
    pub(crate) fn sets_at_home(&self) -> usize {
        let Some(apart) = self.apart() else {
            return 1;
        };
        // Of each: tasks and runs. The shared ones, its own, those of sub-rings and of workers that ended.
        let left = apart.shards.iter().filter(|shard| shard.is_left());
        2 * (2 + self.common + left.count())
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
        let shards = apart.shards.numbered().filter(visible);
        shards.map(|(_, shard)| shard)
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
        if hint.is_leaving() && self.crew.is_to_go(seat.worker) {
            return true;
        }
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
        let is_open = |(number, shard): &(usize, &Shard<T, X>)| {
            self.is_open_to_all(*number) || shard.is_left()
        };
        let open = apart.shards.numbered().filter(is_open);
        let open = open.map(|(_, shard)| shard.tasks.waiting(lanes) + shard.runs.waiting(lanes));
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

    /// A worker has ended: its shard is everybody's. One caller at a time, who then wakes every sleeper.
    pub(crate) fn leave(&self, worker: usize) {
        if let Some(apart) = self.apart()
            && let Some(shard) = apart.shards.get(worker)
        {
            self.hand_over(apart, shard, 1);
        }
    }

    /// A worker comes to a place: the shard is its own. One caller at a time; if the place is a new one he wakes
    /// every sleeper before anybody places a task there.
    pub(crate) fn take_over(&self, worker: usize) {
        let Some(apart) = self.apart() else {
            return;
        };
        if worker < apart.shards.first_reserved {
            // Whoever was to come to a place below may come later, or never.
            for place in &apart.shards.places[..worker] {
                place.get_or_init(|| self.make_shard(1));
            }
        }
        let place = &apart.shards.places[worker];
        let shard = place.get_or_init(|| self.make_shard(0));
        self.hand_over(apart, shard, 0);
        // Who reads the word in his last look after this sees the shard; who has read it before is woken.
        self.shared.point_elsewhere();
    }

    fn hand_over(&self, apart: &Apart<T, X>, shard: &Shard<T, X>, left: usize) {
        // ORDERING(idle-dekker): SeqCst: a submitter that does not see it is seen, and whoever is about to
        // sleep sees it or is woken by the call that follows.
        shard.left.swap(left, Ordering::SeqCst);
        // ORDERING(shard-left): Release, after the change.
        apart.epoch.fetch_add(1, Ordering::SeqCst);
    }
}
