//! Which places of a pool have a worker, and who is to go.
//!
//! A pool has a place for each worker that it may ever have. *General* workers, who take tasks of all lanes,
//! have the first places, as many as there are; *reserved* ones have the last, those of lower lanes first.
//! Between them lie the places that are free. So those who take a lane are the first general places and the
//! first reserved ones ([`Takers`]), and to add or to remove a worker moves one number.
//!
//! A submitter may read that number late, so it looks at the place that it has chosen (`shards.rs`).
//!
//! # Orderings
//!
//! - `worker-goes`: a worker is marked before the hint word says that somebody is to go; the worker that is
//!   about to sleep reads the word first, then its mark.

use crate::lane::pick::{LaneBits, MOST_LANES};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::counter;

/// The places of a pool. Written under the engine's lock, read by anybody.
#[derive(Debug)]
pub(crate) struct Crew {
    /// How many workers there are.
    workers: counter::AtomicUsize,
    /// How many general places ever had a worker.
    used: counter::AtomicUsize,
    first_reserved: usize,
    places: usize,
    /// Of each lane, how many reserved workers take its tasks.
    reserved: [usize; MOST_LANES],
    /// For each place 1 while its worker is to go.
    marks: Box<[AtomicU32]>,
}

impl Crew {
    /// For places whose workers take these lanes, of which the last `reserved` are kept for some, with as many
    /// workers at first.
    pub(crate) fn new(lanes: &[LaneBits], reserved: usize, workers: usize) -> Self {
        let first_reserved = lanes.len() - reserved;
        let takes = |lane: usize| {
            let of_reserved = lanes[first_reserved..].iter();
            of_reserved.filter(|set| **set & (1 << lane) != 0).count()
        };
        Self {
            workers: counter::AtomicUsize::new(workers),
            used: counter::AtomicUsize::new(workers - reserved),
            first_reserved,
            places: lanes.len(),
            reserved: std::array::from_fn(takes),
            marks: lanes.iter().map(|_| AtomicU32::new(0)).collect(),
        }
    }

    pub(crate) fn places(&self) -> usize {
        self.places
    }

    pub(crate) fn first_reserved(&self) -> usize {
        self.first_reserved
    }

    /// How many workers are kept for some lanes.
    pub(crate) fn reserved(&self) -> usize {
        self.places - self.first_reserved
    }

    /// How many workers there are; those who have ended by themselves count.
    #[inline(always)]
    pub(crate) fn workers(&self) -> usize {
        // Relaxed: whoever reads an old number looks at the place that he has chosen.
        self.workers.load(Ordering::Relaxed)
    }

    /// How many of them take tasks of all lanes.
    pub(crate) fn general(&self) -> usize {
        self.workers() - self.reserved()
    }

    /// Has so many workers take tasks of all lanes. One caller at a time.
    pub(crate) fn set_general(&self, general: usize) {
        // Relaxed: as in `workers`.
        self.workers
            .store(general + self.reserved(), Ordering::Relaxed);
    }

    /// A place has a worker for the first time, or again. One caller at a time.
    pub(crate) fn note_used(&self, place: usize) {
        if place < self.first_reserved {
            // Relaxed: for readers of statistics, which count what they see.
            self.used.fetch_max(place + 1, Ordering::Relaxed);
        }
    }

    /// The places that ever had a worker, lowest first.
    pub(crate) fn used(&self) -> impl Iterator<Item = usize> + use<> {
        // Relaxed: as in `note_used`.
        let used = self.used.load(Ordering::Relaxed);
        (0..used).chain(self.first_reserved..self.places)
    }

    /// The places of the workers that there are, lowest first.
    pub(crate) fn present(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.general()).chain(self.first_reserved..self.places)
    }

    /// The workers that take tasks of a lane.
    pub(crate) fn takers(&self, lane: usize) -> Takers {
        Takers {
            general: self.general(),
            first_reserved: self.first_reserved,
            reserved: self.reserved[lane],
        }
    }

    /// Whether this worker is to go.
    pub(crate) fn is_to_go(&self, worker: usize) -> bool {
        // ORDERING(worker-goes): Acquire; SeqCst, because it follows the last look of `idle-dekker`.
        self.marks[worker].load(Ordering::SeqCst) != 0
    }

    /// Marks a worker as one that is to go, or as one that stays. Returns whether that changes anything. One
    /// caller at a time.
    pub(crate) fn mark(&self, worker: usize, goes: bool) -> bool {
        // ORDERING(worker-goes): Release, before the hint word says so; SeqCst, because the last look of
        // `idle-dekker` depends on it.
        let before = self.marks[worker].swap(u32::from(goes), Ordering::SeqCst);
        before != u32::from(goes)
    }
}

/// The workers that take the tasks of one lane, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Takers {
    general: usize,
    first_reserved: usize,
    reserved: usize,
}

impl Takers {
    /// So many workers, in the first places.
    #[cfg(test)]
    pub(crate) fn first(workers: usize) -> Self {
        Self {
            general: workers,
            first_reserved: workers,
            reserved: 0,
        }
    }

    /// How many there are: at least 1.
    pub(crate) fn count(self) -> usize {
        self.general + self.reserved
    }

    /// The place of one of them.
    pub(crate) fn place(self, number: usize) -> usize {
        if number < self.general {
            number
        } else {
            self.first_reserved + number - self.general
        }
    }

    /// Whether the worker in this place is one of them.
    pub(crate) fn has(self, place: usize) -> bool {
        place < self.general
            || (self.first_reserved..self.first_reserved + self.reserved).contains(&place)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    /// Five places: three general ones of which one is free, and one reserved for lane 1, one for lane 3.
    fn crew() -> Crew {
        let all = LaneBits::MAX;
        Crew::new(&[all, all, all, all << 1, all << 3], 2, 4)
    }

    #[test]
    fn takers_are_the_first_general_places_and_the_first_reserved_ones() {
        let crew = crew();
        assert_eq!((crew.workers(), crew.general(), crew.places()), (4, 2, 5));
        let takers = |lane| {
            let takers = crew.takers(lane);
            let places: Vec<_> = (0..takers.count()).map(|n| takers.place(n)).collect();
            assert!((0..5).all(|place| takers.has(place) == places.contains(&place)));
            places
        };
        assert_eq!(takers(0), [0, 1]);
        assert_eq!(takers(1), [0, 1, 3]);
        assert_eq!(takers(3), [0, 1, 3, 4]);
        crew.set_general(3);
        assert_eq!(takers(1), [0, 1, 2, 3]);
        crew.set_general(1);
        assert_eq!(takers(3), [0, 3, 4]);
        assert_eq!(crew.workers(), 3);
    }

    #[test]
    fn a_place_that_was_used_stays_so() {
        let crew = crew();
        assert!(crew.used().eq([0, 1, 3, 4]) && crew.present().eq([0, 1, 3, 4]));
        crew.note_used(2);
        crew.set_general(1);
        assert!(crew.used().eq(0..5) && crew.present().eq([0, 3, 4]));
        crew.note_used(4);
        assert!(crew.used().eq(0..5));
    }

    #[test]
    fn a_mark_changes_once() {
        let crew = crew();
        assert!(!crew.is_to_go(1) && !crew.mark(1, false));
        assert!(crew.mark(1, true) && !crew.mark(1, true));
        assert!(crew.is_to_go(1) && !crew.is_to_go(0));
        assert!(crew.mark(1, false) && !crew.is_to_go(1));
    }
}
