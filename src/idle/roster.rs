//! The protocol of `README.md`: who searches, who sleeps, whom to wake.
//!
//! # Orderings
//!
//! - `idle-dekker`: a submitter claims a tail, then loads the words; a worker changes its word, then
//!   loads the tails. All four are `SeqCst`, so either the submitter sees the worker's change or the
//!   worker sees the claim.
//!
//! # Progress
//!
//! Lock-free. A wake-up is one compare-exchange and at most one system call.

#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

use crossbeam_utils::CachePadded;

use super::pace;
use super::parker::Parker;
use super::waker_cell::WakerCell;
use super::word::{GROUP, IdleWord};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{dekker_fence, hint};

/// Where one worker sleeps.
#[derive(Debug)]
pub(crate) enum Sleeper {
    /// A thread, on its futex. Woken, it counts as a searcher at once: it will run.
    Thread(Parker),
    /// An async task, on its waker. Woken, it counts as a searcher only once it is polled: its
    /// runtime may be busy or gone, and nobody may wait for it.
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "needs a runtime"))]
    Task(WakerCell),
}

/// All workers of a pool by what they do when they have nothing to do.
#[derive(Debug)]
pub(crate) struct Roster {
    /// The word of the first group of workers, which for most pools is all there is. Workers write
    /// their own part; a waker clears a sleeper's bit.
    first: CachePadded<AtomicU64>,
    /// The words of the other groups.
    others: Box<[CachePadded<AtomicU64>]>,
    sleepers: Box<[Sleeper]>,
}

/// A worker's evidence that it counts as a searcher.
#[derive(Debug)]
#[must_use = "a searcher finds work, or lies down"]
pub(crate) struct Search {
    worker: usize,
}

/// A worker's evidence that it has announced its sleep and not slept yet: it must look at every tail
/// once more.
#[derive(Debug)]
#[must_use = "an announced worker looks once more, then sleeps or withdraws"]
pub(crate) struct Announced {
    worker: usize,
}

/// Who sees to a task that was just handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// A worker that is at work, when it is done with that.
    Busy,
    /// A worker that looks for work right now.
    Searching,
    /// A worker that was woken for it.
    Woken,
}

impl Roster {
    /// For these workers, all awake and none of them searching.
    pub(crate) fn new(sleepers: impl IntoIterator<Item = Sleeper>) -> Self {
        let sleepers: Box<[Sleeper]> = sleepers.into_iter().collect();
        let groups = sleepers.len().div_ceil(GROUP);
        let first = if groups > 1 { IdleWord::MORE_GROUPS } else { 0 };
        let word = |value| CachePadded::new(AtomicU64::new(value));
        Self {
            first: word(first),
            others: (1..groups).map(|_| word(0)).collect(),
            sleepers,
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.sleepers.len()
    }

    fn words(&self) -> impl Iterator<Item = &CachePadded<AtomicU64>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    #[inline]
    fn word(&self, worker: usize) -> &AtomicU64 {
        match worker / GROUP {
            0 => &self.first,
            group => &self.others[group - 1],
        }
    }

    /// After a push: wakes a worker if one sleeps and none searches.
    #[inline(always)]
    pub(crate) fn notify(&self) -> Attention {
        dekker_fence();
        // ORDERING(idle-dekker): SeqCst, after the claim of the tail.
        let first = IdleWord(self.first.load(Ordering::SeqCst));
        // All are at work on a pool that is busy.
        if first.is_nobody() {
            Attention::Busy
        } else {
            self.call_on(first)
        }
    }

    /// Waits a moment before it wakes anybody: a worker with a short task is about to search again, and
    /// its last look sees the push.
    #[inline(never)]
    fn call_on(&self, first: IdleWord) -> Attention {
        let mut searching = first.searchers() > 0;
        let mut pauses = pace::wake_pauses();
        while !searching && pauses > 0 {
            hint::spin_loop();
            // ORDERING(idle-dekker): SeqCst, as in `notify`.
            searching = IdleWord(self.first.load(Ordering::SeqCst)).searchers() > 0;
            pauses -= 1;
        }
        if searching {
            Attention::Searching
        } else if self.wake_one() {
            Attention::Woken
        } else {
            Attention::Busy
        }
    }

    /// Wakes the first sleeper if nobody searches. Returns whether it woke one.
    #[cold]
    pub(crate) fn wake_one(&self) -> bool {
        // ORDERING(idle-dekker): SeqCst, as in `notify`, for each group.
        let searching =
            |word: &CachePadded<AtomicU64>| IdleWord(word.load(Ordering::SeqCst)).searchers() > 0;
        if self.words().any(searching) {
            return false;
        }
        self.words()
            .enumerate()
            .any(|(group, word)| self.wake_in(group, word))
    }

    fn wake_in(&self, group: usize, word: &AtomicU64) -> bool {
        // Relaxed: the compare-exchange checks it.
        let mut current = IdleWord(word.load(Ordering::Relaxed));
        while let Some(member) = current.first_sleeper() {
            if current.searchers() > 0 {
                return false;
            }
            let sleeper = &self.sleepers[group * GROUP + member];
            let searches = matches!(sleeper, Sleeper::Thread(_));
            // ORDERING(idle-dekker): SeqCst: all changes of a word are in one order with the looks.
            let claim = word.compare_exchange_weak(
                current.0,
                current.woken(member, searches).0,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            match claim {
                Ok(_) => {
                    sleeper.unpark();
                    return true;
                }
                Err(now) => current = IdleWord(now),
            }
        }
        false
    }

    /// Wakes everybody. For a pool that closes.
    pub(crate) fn wake_all(&self) {
        dekker_fence();
        for (group, word) in self.words().enumerate() {
            // ORDERING(idle-dekker): SeqCst, after the close of the tails, as in `notify`.
            let mut current = IdleWord(word.load(Ordering::SeqCst));
            while let Some(member) = current.first_sleeper() {
                let sleeper = &self.sleepers[group * GROUP + member];
                let searches = matches!(sleeper, Sleeper::Thread(_));
                // ORDERING(idle-dekker): SeqCst, as in `wake_in`.
                let claim = word.compare_exchange(
                    current.0,
                    current.woken(member, searches).0,
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                );
                match claim {
                    Ok(_) => {
                        sleeper.unpark();
                        // Relaxed: the compare-exchange checks it.
                        current = IdleWord(word.load(Ordering::Relaxed));
                    }
                    Err(now) => current = IdleWord(now),
                }
            }
        }
    }

    /// The worker begins to look for work.
    pub(crate) fn begin_search(&self, worker: usize) -> Search {
        // ORDERING(idle-dekker): SeqCst: all changes of a word are in one order with the looks.
        self.word(worker)
            .fetch_add(IdleWord::ONE_SEARCHER, Ordering::SeqCst);
        Search { worker }
    }

    /// The searcher found work. If it was the last and more work waits, it passes the search on:
    /// submitters that saw it search have woken nobody.
    pub(crate) fn found(&self, search: Search, more_waits: impl FnOnce() -> bool) {
        // ORDERING(idle-dekker): SeqCst, before the caller's look at the tails in `more_waits`.
        let before = self
            .word(search.worker)
            .fetch_sub(IdleWord::ONE_SEARCHER, Ordering::SeqCst);
        if IdleWord(before).searchers() == 1 {
            dekker_fence();
            if self.any_asleep() && more_waits() {
                self.wake_one();
            }
        }
    }

    fn any_asleep(&self) -> bool {
        // ORDERING(idle-dekker): SeqCst, after the change of our word: whoever lies down later looks
        // at the tails itself.
        self.words()
            .any(|word| IdleWord(word.load(Ordering::SeqCst)).sleepers() != 0)
    }

    /// Whether this searcher is the only one of its group.
    pub(crate) fn searches_alone(&self, worker: usize) -> bool {
        // Relaxed: a hint.
        IdleWord(self.word(worker).load(Ordering::Relaxed)).searchers() <= 1
    }

    /// Whether this worker alone searches, of its group, and no more than `most` are awake.
    pub(crate) fn may_spin(&self, worker: usize, most: usize) -> bool {
        // Relaxed: a hint.
        let word = IdleWord(self.word(worker).load(Ordering::Relaxed));
        let asleep: u32 = self
            .words()
            .map(|word| {
                IdleWord(word.load(Ordering::Relaxed))
                    .sleepers()
                    .count_ones()
            })
            .sum();
        word.searchers() <= 1 && self.workers() - asleep as usize <= most
    }

    /// The searcher announces that it will sleep.
    pub(crate) fn announce(&self, search: Search) -> Announced {
        let worker = search.worker;
        // ORDERING(idle-dekker): SeqCst, before the last look at every tail.
        self.word(worker)
            .fetch_add(IdleWord::lie_down(worker % GROUP), Ordering::SeqCst);
        dekker_fence();
        Announced { worker }
    }

    /// The last look found something: the worker searches on, or has been woken meanwhile, which is
    /// the same once it has the token.
    pub(crate) fn withdraw(&self, announced: Announced) -> Search {
        let Announced { worker } = announced;
        let (word, member) = (self.word(worker), worker % GROUP);
        // Relaxed: the compare-exchange checks it.
        let mut current = IdleWord(word.load(Ordering::Relaxed));
        while current.sleeps(member) {
            // ORDERING(idle-dekker): SeqCst: all changes of a word are in one order with the looks.
            match word.compare_exchange_weak(
                current.0,
                current.woken(member, true).0,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Search { worker },
                Err(now) => current = IdleWord(now),
            }
        }
        match &self.sleepers[worker] {
            Sleeper::Thread(parker) => {
                parker.park();
                Search { worker }
            }
            Sleeper::Task(cell) => {
                // The token may still be on its way; then the next sleep ends at once.
                cell.take_token();
                self.begin_search(worker)
            }
        }
    }

    /// The thread sleeps until it is woken, and then searches.
    ///
    /// # Blocking
    /// Until woken.
    pub(crate) fn sleep(&self, announced: Announced) -> Search {
        let Announced { worker } = announced;
        match &self.sleepers[worker] {
            Sleeper::Thread(parker) => {
                parker.park();
                Search { worker }
            }
            Sleeper::Task(_) => unreachable!("an async worker is polled, not parked"),
        }
    }

    /// The async worker sleeps until it is woken. Ready once it was; it does not search yet.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_sleep(&self, worker: usize, context: &mut Context<'_>) -> Poll<()> {
        match &self.sleepers[worker] {
            Sleeper::Task(cell) => cell.poll_park(context.waker()),
            Sleeper::Thread(_) => unreachable!("a thread parks, it is not polled"),
        }
    }

    /// The async worker was woken and polled, and searches from here on. The token may be one that came
    /// late for an earlier sleep, so the worker may still stand among the sleepers.
    #[cfg(feature = "tokio")]
    pub(crate) fn awoken(&self, announced: Announced) -> Search {
        self.withdraw(announced)
    }

    /// A worker that has announced its sleep ends instead. Whoever woke it meanwhile meant somebody
    /// who works, so it wakes another.
    #[cfg(feature = "tokio")]
    pub(crate) fn resign(&self, announced: Announced, more_waits: impl FnOnce() -> bool) {
        let search = self.withdraw(announced);
        self.found(search, more_waits);
    }
}

impl Sleeper {
    fn unpark(&self) {
        match self {
            Sleeper::Thread(parker) => parker.unpark(),
            Sleeper::Task(cell) => cell.unpark(),
        }
    }
}
