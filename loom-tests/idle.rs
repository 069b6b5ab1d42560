//! Sleep and wake, with the real roster, beds and lanes and the steps of the worker's search.
//!
//! Here a worker takes one task and is done, and nobody closes anything: a worker that is never
//! woken is a deadlock. `pool.rs` has the whole worker loop.

use std::sync::Arc;

use loom::thread;

use super::{DEADLOCK, Flaw, check, join_all, must_fail, pop, push, rest_in_one_order};
use crate::idle::parker::Parker;
use crate::idle::roster::Announced;
use crate::idle::{Attention, Roster, Search, Sleeper};
use crate::lane::{Claim, LaneSet};
use crate::sync::{Mutation, thread as facade};

/// What submitters and workers share.
struct Crew {
    lanes: LaneSet<u32>,
    roster: Roster,
}

impl Crew {
    fn new(sleepers: impl IntoIterator<Item = Sleeper>) -> Arc<Self> {
        Arc::new(Self {
            lanes: LaneSet::new([4]),
            roster: Roster::new(sleepers),
        })
    }

    fn of_threads(workers: usize) -> Arc<Self> {
        Self::new((0..workers).map(|_| Sleeper::Thread(Parker::new())))
    }

    /// The steps of `Engine::submit`.
    fn submit(&self, task: u32) {
        assert!(push(&self.lanes, 0, task), "there is room");
        if let Some(look) = self.roster.look() {
            self.roster.call_on(look, 0, None);
        }
    }

    /// A pull: nothing, where the hint says so.
    fn pull(&self) -> Option<u32> {
        (self.lanes.hint().lanes() != 0)
            .then(|| pop(&self.lanes, 0))
            .flatten()
    }

    fn found(&self, search: Search) {
        let waiting = |lanes| match Flaw::built_in() {
            Some(Flaw::NoBaton) => 0,
            Some(Flaw::CountsItself) => self.lanes.waiting(lanes).saturating_sub(1),
            _ => self.lanes.waiting(lanes),
        };
        self.roster.found(search, waiting);
    }

    /// The steps of a thread's `Searcher::find`.
    fn find(&self, worker: usize) -> u32 {
        self.search(self.roster.begin_search(worker))
    }

    /// The part of it that begins when a worker has announced its sleep.
    fn sleep(&self, announced: Announced) -> u32 {
        self.search(self.roster.sleep(announced))
    }

    fn search(&self, mut search: Search) -> u32 {
        let mut found = self.pull();
        loop {
            if let Some(task) = found {
                self.found(search);
                return task;
            }
            self.lanes.refresh_hint();
            let announced = self.roster.announce(search);
            if Flaw::NoLastLook.is_built_in() || !self.lanes.any_stirs(self.lanes.all()) {
                search = self.roster.sleep(announced);
                found = self.pull();
                continue;
            }
            search = self.roster.withdraw(announced);
            found = self.pull();
            if found.is_none() {
                facade::yield_now();
            }
        }
    }
}

/// Threads: one worker thread; the main thread submits a task.
///
/// Property: the worker gets the task, however early or late it falls asleep.
///
/// Broken by: no last look at the tails; no single order of announcement, claim and the looks at
/// both; a wake-up that the futex loses.
#[test]
fn one_worker() {
    check(|| {
        let crew = Crew::of_threads(1);
        let worker = {
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.find(0))
        };
        crew.submit(1);
        assert_eq!(join_all([worker]), [1]);
    });
}

#[test]
fn one_worker_needs_the_last_look() {
    must_fail("idle::one_worker", Flaw::NoLastLook, DEADLOCK);
}

#[test]
fn one_worker_needs_the_single_order() {
    let flaw = Flaw::Layer(Mutation::NoSeqCst);
    must_fail("idle::one_worker", flaw, DEADLOCK);
}

#[test]
fn one_worker_needs_the_wake_up() {
    let flaw = Flaw::Layer(Mutation::LostWake);
    must_fail("idle::one_worker", flaw, DEADLOCK);
}

/// Threads: one worker thread that takes two tasks, one after the other; two submitters, the main
/// thread being the second.
///
/// Property: the worker gets both, though the second submitter may have seen it searching and woken
/// nobody, and though the first may have claimed its position and published it late.
///
/// Broken by: no last look; no single order.
#[test]
fn one_worker_and_two_submitters() {
    check(|| {
        let crew = Crew::of_threads(1);
        let [worker, submitter] = [(); 2].map(|()| Arc::clone(&crew));
        let worker = thread::spawn(move || worker.find(0) + worker.find(0));
        let submitter = thread::spawn(move || submitter.submit(1));
        crew.submit(2);
        submitter.join().expect("no thread panics");
        assert_eq!(join_all([worker]), [3]);
    });
}

#[test]
fn one_worker_and_two_submitters_need_the_last_look() {
    let test = "idle::one_worker_and_two_submitters";
    must_fail(test, Flaw::NoLastLook, DEADLOCK);
}

#[test]
fn one_worker_and_two_submitters_need_the_single_order() {
    let test = "idle::one_worker_and_two_submitters";
    must_fail(test, Flaw::Layer(Mutation::NoSeqCst), DEADLOCK);
}

/// Threads: two worker threads of one task each; the main thread submits both.
///
/// Property: both workers get a task, awake or asleep.
///
/// Broken by: no last look.
#[test]
fn two_workers() {
    check(|| {
        let crew = Crew::of_threads(2);
        let workers = [0, 1].map(|worker| {
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.find(worker))
        });
        crew.submit(1);
        crew.submit(2);
        assert_eq!(join_all(workers).iter().sum::<u32>(), 3);
    });
}

#[test]
fn two_workers_need_the_last_look() {
    must_fail("idle::two_workers", Flaw::NoLastLook, DEADLOCK);
}

/// Threads: two worker threads of one task each, about to sleep when it starts; two submitters, the
/// main thread being the second.
///
/// Property: both workers get a task. A submitter that sees a searcher wakes nobody: so a searcher that
/// finds work, and was the last, passes the search on while more waits.
///
/// Broken by: the baton kept; no single order.
#[test]
fn two_sleepers_and_the_baton() {
    check(|| {
        let crew = Crew::of_threads(2);
        let workers = [0, 1].map(|worker| {
            let announced = crew.roster.announce(crew.roster.begin_search(worker));
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.sleep(announced))
        });
        let submitter = {
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.submit(1))
        };
        crew.submit(2);
        submitter.join().expect("no thread panics");
        assert_eq!(join_all(workers).iter().sum::<u32>(), 3);
    });
}

#[test]
fn two_sleepers_need_the_baton() {
    must_fail("idle::two_sleepers_and_the_baton", Flaw::NoBaton, DEADLOCK);
}

/// Threads: three worker threads of one task each, about to sleep when it starts; the main thread submits three tasks
/// in one claim and wakes one worker for them.
///
/// Property: every worker gets a task: who is woken wakes up to two more, while more tasks wait than workers search.
///
/// Broken by: the baton kept; a searcher that found its task and counts itself among those who see to the others.
#[test]
fn burst_of_three() {
    check(|| {
        let crew = Crew::of_threads(3);
        let workers = [0, 1, 2].map(|worker| {
            let announced = crew.roster.announce(crew.roster.begin_search(worker));
            let crew = Arc::clone(&crew);
            thread::spawn(move || crew.sleep(announced))
        });
        // The steps of `Engine::submit_n`.
        let task = |claim: Claim<'_, ()>| claim.position() as u32;
        assert_eq!(crew.lanes.push_n(0, 3, task), 3, "there is room");
        let look = crew.roster.look().expect("all sleep");
        assert_eq!(crew.roster.call_on(look, 0, None), Attention::Woken);
        let mut taken = join_all(workers);
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2]);
    });
}

#[test]
fn burst_of_three_needs_the_baton() {
    must_fail("idle::burst_of_three", Flaw::NoBaton, DEADLOCK);
}

#[test]
fn burst_of_three_needs_each_to_leave_the_searchers() {
    must_fail("idle::burst_of_three", Flaw::CountsItself, DEADLOCK);
}

/// Threads: three worker threads of one task each, about to sleep when it starts; the main thread submits two tasks,
/// one after the other, waits until both are begun, and submits a third.
///
/// Property: the first two are begun though nothing else comes, by whichever workers: nobody sleeps beside a task
/// that no searcher will look for.
///
/// Broken by: the baton kept; a wake-up that the futex loses.
#[test]
fn two_tasks_for_three() {
    check(|| {
        let crew = Crew::of_threads(3);
        let begun = Arc::new([(); 3].map(|()| Parker::new()));
        let workers = [0, 1, 2].map(|worker| {
            let announced = crew.roster.announce(crew.roster.begin_search(worker));
            let (crew, begun) = (Arc::clone(&crew), Arc::clone(&begun));
            thread::spawn(move || begun[crew.sleep(announced) as usize].unpark())
        });
        crew.submit(0);
        crew.submit(1);
        begun[..2].iter().for_each(Parker::park);
        rest_in_one_order();
        crew.submit(2);
        join_all(workers);
    });
}

#[test]
fn two_tasks_for_three_need_the_baton() {
    must_fail("idle::two_tasks_for_three", Flaw::NoBaton, DEADLOCK);
}

#[test]
fn two_tasks_for_three_need_the_wake_up() {
    let flaw = Flaw::Layer(Mutation::LostWake);
    must_fail("idle::two_tasks_for_three", flaw, DEADLOCK);
}

#[cfg(feature = "tokio")]
mod of_tasks {
    use super::*;
    use crate::idle::caller;
    use crate::idle::waker_cell::WakerCell;

    impl Crew {
        fn of_tasks(workers: usize) -> Arc<Self> {
            Self::new((0..workers).map(|_| Sleeper::Task(WakerCell::new())))
        }

        /// The steps of an async worker's `has_next`.
        fn find_as_task(&self, worker: usize) -> u32 {
            loop {
                if let Some(task) = self.pull() {
                    return task;
                }
                let search = self.roster.begin_search(worker);
                self.lanes.refresh_hint();
                let announced = self.roster.announce(search);
                let stirs =
                    !Flaw::NoLastLook.is_built_in() && self.lanes.any_stirs(self.lanes.all());
                let search = if stirs {
                    self.roster.withdraw(announced)
                } else {
                    caller::wait(None, |context| self.roster.poll_sleep(worker, context));
                    self.roster.awoken(announced)
                };
                let found = self.pull();
                self.found(search);
                match found {
                    Some(task) => return task,
                    None if stirs => facade::yield_now(),
                    None => {}
                }
            }
        }
    }

    /// Threads: one async worker; the main thread submits a task.
    ///
    /// Property: the worker gets the task.
    ///
    /// Broken by: no last look; no single order.
    #[test]
    fn one_worker() {
        check(|| {
            let crew = Crew::of_tasks(1);
            let worker = {
                let crew = Arc::clone(&crew);
                thread::spawn(move || crew.find_as_task(0))
            };
            crew.submit(1);
            assert_eq!(join_all([worker]), [1]);
        });
    }

    #[test]
    fn one_worker_needs_the_last_look() {
        must_fail("idle::of_tasks::one_worker", Flaw::NoLastLook, DEADLOCK);
    }

    #[test]
    fn one_worker_needs_the_single_order() {
        let flaw = Flaw::Layer(Mutation::NoSeqCst);
        must_fail("idle::of_tasks::one_worker", flaw, DEADLOCK);
    }

    /// Threads: two async workers of one task each; the main thread submits both.
    ///
    /// Property: each gets its tasks.
    ///
    /// Broken by: no last look.
    #[test]
    fn two_workers() {
        check(|| {
            let crew = Crew::of_tasks(2);
            let [one, other] = [(); 2].map(|()| Arc::clone(&crew));
            let one = thread::spawn(move || one.find_as_task(0));
            let other = thread::spawn(move || other.find_as_task(1));
            crew.submit(1);
            crew.submit(2);
            assert_eq!(join_all([one, other]).iter().sum::<u32>(), 3);
        });
    }

    #[test]
    fn two_workers_need_the_last_look() {
        must_fail("idle::of_tasks::two_workers", Flaw::NoLastLook, DEADLOCK);
    }
}
