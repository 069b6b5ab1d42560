//! Counts closures accepted and closures run, for pools that do not say when they are done.
//!
//! Each thread counts for itself, which costs next to nothing; only who waits for the end adds up. The counts
//! are of the process, so pools that use them must not live side by side.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crossbeam_utils::CachePadded;

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    run: AtomicU64,
}

static ALL: Mutex<Vec<Arc<CachePadded<Counts>>>> = Mutex::new(Vec::new());

thread_local! {
    static MINE: Arc<CachePadded<Counts>> = {
        let mine = Arc::default();
        all().push(Arc::clone(&mine));
        mine
    };
}

fn all() -> MutexGuard<'static, Vec<Arc<CachePadded<Counts>>>> {
    ALL.lock().expect("nobody panics under this lock")
}

/// Counts a closure that is handed to the pool, by the thread that does so.
pub(super) fn accepted() {
    MINE.with(|mine| increment(&mine.accepted));
}

/// Counts a closure that has been run, by the thread that ran it.
pub(super) fn run() {
    MINE.with(|mine| increment(&mine.run));
}

/// Only its own thread writes a count. What a closure did is visible to who has seen it counted.
fn increment(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// Waits until every accepted closure has been run. Nobody may hand over more meanwhile.
pub(super) fn settle() {
    let sum = |count: fn(&Counts) -> &AtomicU64| -> u64 {
        all()
            .iter()
            .map(|counts| count(counts).load(Ordering::Acquire))
            .sum()
    };
    let accepted = sum(|counts| &counts.accepted);
    while sum(|counts| &counts.run) < accepted {
        thread::yield_now();
    }
}
