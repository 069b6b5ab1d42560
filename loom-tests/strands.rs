//! Tasks in the order of their keys: with the real strands and a ring of runs, and the steps of those who
//! hand tasks over and of those who run them.

use std::sync::Arc;

use loom::thread;

use super::{Flaw, check, join_all, must_fail};
use crate::lane::{Claim, LaneSet};
use crate::schedule::Key;
use crate::schedule::strands::{Admitted, Strands, Taken};
use crate::sync::{Mutex, thread as facade};

const KEY: Key = Key::Given(7);
const IN_ORDER: &str = "every task is run, in its order";

/// One lane of four tasks, and what the tasks of the key work on.
struct Shop {
    strands: Strands<u32>,
    runs: LaneSet<Key>,
    /// The tasks that were run, in order.
    done: Mutex<Vec<u32>>,
}

impl Shop {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            strands: Strands::new([4]),
            runs: LaneSet::new([4]),
            done: Mutex::new(Vec::new()),
        })
    }

    fn announce(&self) {
        let pushed = self.runs.push_with(0, |_: Claim<'_, ()>| KEY);
        assert!(pushed.is_ok(), "there are no more runs than tasks");
    }

    /// The steps of `Engine::submit`. Returns whether the task was accepted.
    fn submit(&self, task: u32) -> bool {
        match self.strands.admit(KEY, 0, task, |task, _| task) {
            Ok(Admitted::Behind) => true,
            Ok(Admitted::First) => {
                if Flaw::AnnounceUncounted.is_built_in() {
                    self.strands.announced();
                    self.announce();
                } else {
                    self.announce();
                    self.strands.announced();
                }
                true
            }
            Err(_) => false,
        }
    }

    /// A pull, the run of a task, and what comes after. Returns whether there was one.
    fn work(&self) -> bool {
        let Some((key, ())) = self.runs.pop(0).map(|(key, _)| (key, ())) else {
            return false;
        };
        let Taken::Task(_, task) = self.strands.take(key, |_| true) else {
            panic!("a run that was announced leads to a task");
        };
        if Flaw::GiveBackEarly.is_built_in() {
            self.give_back();
            self.note(task);
        } else {
            self.note(task);
            self.give_back();
        }
        true
    }

    fn note(&self, task: u32) {
        self.done.lock().push(task);
    }

    fn give_back(&self) {
        let next = self.strands.give_back(KEY);
        if next.is_some() && !Flaw::RunKept.is_built_in() {
            self.announce();
        }
    }

    /// Everything was run, in this order, and the key has gone.
    fn assert_done(&self, tasks: &[u32]) {
        assert_eq!(*self.done.lock(), tasks, "{IN_ORDER}");
        assert_eq!(self.strands.live(), 0, "the key has gone");
        assert_eq!(self.strands.lane(0).len(), 0, "nothing waits");
    }
}

/// Threads: a worker that has one task of a key to run; a submitter that hands over the next; the main
/// thread, which works when they have ended.
///
/// Property: whether the second task comes before the strand ends or after, it is run, and after the first.
///
/// Broken by: a worker that gives the key back and does not announce the next task.
#[test]
fn joining_against_ending() {
    check(|| {
        let shop = Shop::new();
        assert!(shop.submit(1), "there is room");
        let worker = {
            let shop = Arc::clone(&shop);
            thread::spawn(move || assert!(shop.work(), "a run waits"))
        };
        let submitter = {
            let shop = Arc::clone(&shop);
            thread::spawn(move || assert!(shop.submit(2), "there is room"))
        };
        join_all([worker, submitter]);
        while shop.work() {}
        shop.assert_done(&[1, 2]);
    });
}

#[test]
fn joining_against_ending_needs_the_next_run() {
    let test = "strands::joining_against_ending";
    must_fail(test, Flaw::RunKept, IN_ORDER);
}

/// Threads: two workers with two tasks of a key; the main thread works when they have ended.
///
/// Property: the second task begins when the first one is done, whoever runs them.
///
/// Broken by: a worker that gives the key back before its task is done.
#[test]
fn one_at_a_time() {
    check(|| {
        let shop = Shop::new();
        assert!(shop.submit(1) && shop.submit(2), "there is room");
        let workers = [(); 2].map(|()| {
            let shop = Arc::clone(&shop);
            thread::spawn(move || {
                shop.work();
            })
        });
        join_all(workers);
        while shop.work() {}
        shop.assert_done(&[1, 2]);
    });
}

#[test]
fn one_at_a_time_needs_to_be_done() {
    must_fail("strands::one_at_a_time", Flaw::GiveBackEarly, IN_ORDER);
}

/// Threads: a worker that ends when everything is closed and taken; a submitter; the main thread closes.
///
/// Property: a task that was accepted is run before the worker ends, though for a moment no ring shows it.
///
/// Broken by: a submitter that is not counted until its run is announced.
#[test]
fn admission_against_close() {
    check(|| {
        let shop = Shop::new();
        let worker = {
            let shop = Arc::clone(&shop);
            thread::spawn(move || {
                while !shop.is_over() {
                    if !shop.work() {
                        facade::yield_now();
                    }
                }
            })
        };
        let submitter = {
            let shop = Arc::clone(&shop);
            thread::spawn(move || shop.submit(1))
        };
        shop.strands.close();
        let accepted = join_all([submitter]) == [true];
        join_all([worker]);
        shop.assert_done(if accepted { &[1] } else { &[] });
    });
}

impl Shop {
    /// The steps of `Engine::is_exhausted`.
    fn is_over(&self) -> bool {
        use crate::admission::Room;

        self.strands.lane(0).is_closed()
            && !self.strands.is_announcing()
            && !self.runs.any_claims(self.runs.all())
    }
}

#[test]
fn admission_against_close_needs_the_count() {
    let test = "strands::admission_against_close";
    must_fail(
        test,
        Flaw::AnnounceUncounted,
        "every task is run, in its order",
    );
}
