//! Counts what tasks have done, at next to no cost to them.
//!
//! Each thread that runs tasks writes to a stripe of its own, on a cache line of its own, so that what is
//! measured is the pool and not a counter that its workers fight over. There is one tally, because a
//! process measures one cell.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use lanepool_bench::Result;

/// More threads than any contender starts for 64 workers.
const STRIPES: usize = 1024;

/// Longer than any drain takes; only a pool that loses tasks needs it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Each written by one thread alone, by plain loads and stores; read by the cell's main thread.
#[repr(align(128))]
struct Stripe {
    tasks: AtomicU64,
    first: AtomicU64,
    second: AtomicU64,
}

static TALLY: [Stripe; STRIPES] = [const {
    Stripe {
        tasks: AtomicU64::new(0),
        first: AtomicU64::new(0),
        second: AtomicU64::new(0),
    }
}; STRIPES];

// Counts the threads that have a stripe; every thread adds itself once.
static THREADS: AtomicUsize = AtomicUsize::new(0);

const NONE: usize = usize::MAX;

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(NONE) };
}

/// How many tasks have run, and the sums of their two numbers, which wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) tasks: u64,
    pub(crate) first: u64,
    pub(crate) second: u64,
}

/// Counts a task with its numbers.
#[inline]
pub(crate) fn add(first: u64, second: u64) {
    let stripe = mine();
    grow(&stripe.first, first);
    grow(&stripe.second, second);
    // Release, after the sums: whoever sees the count sees the sums that belong to it.
    let tasks = stripe.tasks.load(Ordering::Relaxed) + 1;
    stripe.tasks.store(tasks, Ordering::Release);
}

/// Adds to the second sum alone. Whoever sums up has to know otherwise that this thread has done so.
#[inline]
pub(crate) fn add_second(second: u64) {
    grow(&mine().second, second);
}

#[inline]
fn mine() -> &'static Stripe {
    &TALLY[MINE.with(|mine| match mine.get() {
        NONE => take_stripe(mine),
        stripe => stripe,
    })]
}

#[inline]
fn grow(sum: &AtomicU64, by: u64) {
    sum.store(
        sum.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

#[cold]
fn take_stripe(mine: &Cell<usize>) -> usize {
    let stripe = THREADS.fetch_add(1, Ordering::Relaxed);
    assert!(
        stripe < STRIPES,
        "more threads run tasks than the tally has stripes"
    );
    mine.set(stripe);
    stripe
}

/// What was counted so far.
pub(crate) fn totals() -> Totals {
    let threads = THREADS.load(Ordering::Relaxed).min(STRIPES);
    let mut totals = Totals::default();
    for stripe in &TALLY[..threads] {
        totals.tasks += stripe.tasks.load(Ordering::Acquire);
        totals.first = totals
            .first
            .wrapping_add(stripe.first.load(Ordering::Relaxed));
        totals.second = totals
            .second
            .wrapping_add(stripe.second.load(Ordering::Relaxed));
    }
    totals
}

/// Returns when `tasks` tasks have run. A pool that has been finished has run them already.
pub(crate) fn await_tasks(tasks: u64) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let ran = totals().tasks;
        if ran >= tasks {
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(format!(
                "{ran} of {tasks} tasks had run {PATIENCE:?} after the last one was handed over"
            )
            .into());
        }
        // Polls, for no rival tells; seldom, to take no CPU from the workers.
        thread::sleep(Duration::from_micros(100));
    }
}

/// Checks that exactly these tasks have run.
pub(crate) fn check(expected: Totals) -> Result<()> {
    let found = totals();
    if found == expected {
        Ok(())
    } else {
        Err(format!("the tasks left {found:?}, not {expected:?}").into())
    }
}

/// 0 + 1 + … + (count − 1).
pub(crate) fn sum_below(count: u64) -> u64 {
    (u128::from(count) * u128::from(count.saturating_sub(1)) / 2) as u64
}
