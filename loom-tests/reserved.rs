//! Workers that do not take every task, and those who do.

use std::sync::Arc;

use loom::thread;

use super::{DEADLOCK, Flaw, check, join_all, must_fail, pop, push};
use crate::idle::parker::Parker;
use crate::idle::{Roster, Sleeper};
use crate::lane::LaneSet;
use crate::lane::pick::LaneBits;
use crate::sync::{Mutation, thread as facade};

const LOW: usize = 0;
const HIGH: LaneBits = LaneBits::MAX << 1;

/// Two lanes, a worker that takes both and one that takes the upper one.
struct Crew {
    lanes: LaneSet<u32>,
    roster: Roster,
}

impl Crew {
    fn new() -> Arc<Self> {
        let bed = || Sleeper::Thread(Parker::new());
        Arc::new(Self {
            lanes: LaneSet::new([2, 2]),
            roster: Roster::with_lanes([(bed(), LaneBits::MAX), (bed(), HIGH)]),
        })
    }

    /// The steps of `Engine::submit`.
    fn submit(&self, lane: usize, task: u32) {
        assert!(push(&self.lanes, lane, task), "there is room");
        if let Some(look) = self.roster.look() {
            // A submitter with the flaw takes every searcher for one that takes its task.
            let any = Flaw::WakeAnybody.is_built_in();
            self.roster.call_on(look, if any { 1 } else { lane }, None);
        }
    }

    fn pull(&self, lanes: LaneBits) -> Option<u32> {
        let lanes = [1, 0].into_iter().filter(|lane| lanes & (1 << lane) != 0);
        lanes.filter_map(|lane| pop(&self.lanes, lane)).next()
    }

    /// The steps of a thread's `Searcher::find`.
    fn find(&self, worker: usize, lanes: LaneBits) -> u32 {
        let mut search = self.roster.begin_search(worker);
        loop {
            if let Some(task) = self.pull(lanes) {
                self.roster.found(search, |lanes| self.lanes.waiting(lanes));
                return task;
            }
            let announced = self.roster.announce(search);
            search = if self.lanes.any_stirs(lanes & self.lanes.all()) {
                facade::yield_now();
                self.roster.withdraw(announced)
            } else {
                self.roster.sleep(announced)
            };
        }
    }
}

/// Threads: the worker that takes both lanes; the one that takes the upper lane, who searches or sleeps; the main
/// thread hands over a task of the lower lane, waits until it is taken, and then hands over one of the upper lane
/// for the other.
///
/// Property: the first task is taken, though somebody searches who leaves it where it is.
///
/// Broken by: a submitter that is content with any searcher; no single order; a wake-up that the futex loses.
#[test]
fn a_low_task_beside_a_reserved_searcher() {
    check(|| {
        let crew = Crew::new();
        let reserved = crew.roster.begin_search(1);
        let general = {
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.find(0, LaneBits::MAX))
        };
        crew.submit(LOW, 1);
        assert_eq!(join_all([general]), [1]);
        crew.roster.found(reserved, |_| 0);
    });
}

#[test]
fn a_low_task_beside_a_reserved_searcher_needs_one_who_takes_it() {
    let test = "reserved::a_low_task_beside_a_reserved_searcher";
    must_fail(test, Flaw::WakeAnybody, DEADLOCK);
}

#[test]
fn a_low_task_beside_a_reserved_searcher_needs_the_single_order() {
    let test = "reserved::a_low_task_beside_a_reserved_searcher";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: both workers, asleep or about to sleep; the main thread hands over two tasks of the upper lane.
///
/// Property: both tasks are taken, one by each: the search is passed on to a worker of the other group.
///
/// Broken by: no single order; a wake-up that the futex loses.
#[test]
fn the_baton_goes_to_another_group() {
    check(|| {
        let crew = Crew::new();
        let workers = [(0, LaneBits::MAX), (1, HIGH)].map(|(worker, lanes)| {
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.find(worker, lanes))
        });
        crew.submit(1, 1);
        crew.submit(1, 2);
        let mut taken = join_all(workers);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn the_baton_goes_to_another_group_and_needs_the_wake_up() {
    let test = "reserved::the_baton_goes_to_another_group";
    must_fail(test, Flaw::Layer(Mutation::LostWake), DEADLOCK);
}
