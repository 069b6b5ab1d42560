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

use std::ops::Range;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

use crossbeam_utils::CachePadded;

use super::pace;
use super::parker::Parker;
use super::waker_cell::WakerCell;
use super::word::{GROUP, IdleWord};
use crate::lane::pick::LaneBits;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{counter, dekker_fence, hint, prefetch};

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
    groups: Box<[Group]>,
    /// Each worker's group and its number there.
    seats: Box<[(usize, usize)]>,
    sleepers: Box<[Sleeper]>,
    /// How many beds have a worker.
    present: counter::AtomicUsize,
}

/// Up to [`GROUP`] workers with successive numbers who take tasks of the same lanes.
#[derive(Debug)]
struct Group {
    first_worker: usize,
    lanes: LaneBits,
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

/// A submitter's evidence that somebody may sleep or search.
#[derive(Debug)]
pub(crate) struct Look(IdleWord);

impl Look {
    /// Whether somebody searches who takes every lane.
    #[inline(always)]
    pub(crate) fn finds_searcher(&self) -> bool {
        self.0.searchers() > 0
    }
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
    /// For workers of all lanes, all awake and none of them searching.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn new(sleepers: impl IntoIterator<Item = Sleeper>) -> Self {
        Self::with_lanes(sleepers.into_iter().map(|sleeper| (sleeper, LaneBits::MAX)))
    }

    /// For these workers, each with the lanes whose tasks it takes, all awake and none of them searching.
    pub(crate) fn with_lanes(workers: impl IntoIterator<Item = (Sleeper, LaneBits)>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let (mut seats, mut sleepers) = (Vec::new(), Vec::new());
        for (worker, (sleeper, lanes)) in workers.into_iter().enumerate() {
            let fits = |group: &&Group| group.lanes == lanes && worker - group.first_worker < GROUP;
            if groups.last().filter(fits).is_none() {
                groups.push(Group {
                    first_worker: worker,
                    lanes,
                });
            }
            let group = groups.len() - 1;
            seats.push((group, worker - groups[group].first_worker));
            sleepers.push(sleeper);
        }
        let first = if groups.len() > 1 {
            IdleWord::MORE_GROUPS
        } else {
            0
        };
        let word = |value| CachePadded::new(AtomicU64::new(value));
        Self {
            first: word(first),
            others: (1..groups.len()).map(|_| word(0)).collect(),
            groups: groups.into(),
            seats: seats.into(),
            present: counter::AtomicUsize::new(sleepers.len()),
            sleepers: sleepers.into(),
        }
    }

    /// These beds have no worker at first.
    pub(crate) fn vacate(&mut self, beds: Range<usize>) {
        let is_there = |bed: &usize| !beds.contains(bed);
        let present = (0..self.sleepers.len()).filter(is_there);
        let last_group = present.clone().map(|bed| self.seats[bed].0).max();
        self.present = counter::AtomicUsize::new(present.count());
        if last_group == Some(0) {
            self.first = CachePadded::new(AtomicU64::new(0));
        }
    }

    /// A worker comes to its bed, awake and not searching.
    pub(crate) fn enters(&self, worker: usize) {
        // Relaxed: a gauge.
        self.present.fetch_add(1, Ordering::Relaxed);
        if self.seats[worker].0 > 0 {
            // ORDERING(idle-dekker): SeqCst, before the worker first announces anything in a word that is
            // looked at only with this bit.
            self.first.fetch_or(IdleWord::MORE_GROUPS, Ordering::SeqCst);
        }
    }

    /// A worker has left its bed for good, awake.
    pub(crate) fn exits(&self) {
        // Relaxed: a gauge.
        self.present.fetch_sub(1, Ordering::Relaxed);
    }

    fn words(&self) -> impl Iterator<Item = &CachePadded<AtomicU64>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The word of each group that takes tasks of some of these lanes, with the group's number.
    fn words_for(&self, lanes: LaneBits) -> impl Iterator<Item = (usize, &CachePadded<AtomicU64>)> {
        let takes = move |(group, _): &(usize, _)| self.groups[*group].lanes & lanes != 0;
        self.words().enumerate().filter(takes)
    }

    /// The word of a worker's group, and the worker's number there.
    #[inline]
    fn seat(&self, worker: usize) -> (&AtomicU64, usize) {
        let (group, member) = self.seats[worker];
        let word = match group {
            0 => &self.first,
            other => &self.others[other - 1],
        };
        (word, member)
    }

    /// Before a push: asks for what [`Roster::look`] needs.
    pub(crate) fn prefetch_look(&self) {
        prefetch::for_reading(&*self.first);
    }

    /// After a push: looks whether anybody sleeps or searches; `None` when all are at work, as they are on a
    /// pool that is busy.
    #[inline(always)]
    pub(crate) fn look(&self) -> Option<Look> {
        dekker_fence();
        // ORDERING(idle-dekker): SeqCst, after the claim of the tail.
        let first = IdleWord(self.first.load(Ordering::SeqCst));
        (!first.is_nobody()).then_some(Look(first))
    }

    /// Wakes a worker that takes the tasks of a lane if one sleeps and none searches; of several sleepers the
    /// `near` one.
    ///
    /// It waits a moment before it wakes anybody, if somebody is awake: a worker with a short task is about to search
    /// again, and its last look sees the push.
    #[inline(never)]
    pub(crate) fn call_on(&self, look: Look, lane: usize, near: Option<usize>) -> Attention {
        let lanes = 1 << lane;
        let mut searching = look.finds_searcher();
        let mut pauses = match self.all_sleep(look.0) {
            true => 0,
            false => pace::wake_pauses(),
        };
        while !searching && pauses > 0 {
            hint::spin_loop();
            searching = self.searchers(lanes) > 0;
            pauses -= 1;
        }
        if searching {
            Attention::Searching
        } else if near.is_some_and(|worker| self.wake(worker)) || self.wake_one(lanes) {
            Attention::Woken
        } else {
            Attention::Busy
        }
    }

    /// Whether every worker sleeps who is there; of several groups it is not known.
    fn all_sleep(&self, word: IdleWord) -> bool {
        // Relaxed: a gauge.
        let present = self.present.load(Ordering::Relaxed);
        word.sleepers().count_ones() as usize >= present
    }

    /// After a push to the lanes of one worker, which nobody else takes from: wakes it if it sleeps.
    pub(crate) fn call(&self, worker: usize) -> Attention {
        dekker_fence();
        if self.wake(worker) {
            Attention::Woken
        } else {
            Attention::Busy
        }
    }

    /// How many search who take tasks of some of these lanes.
    fn searchers(&self, lanes: LaneBits) -> u64 {
        // ORDERING(idle-dekker): SeqCst, as in `look`, for each group.
        let of = |(_, word): (_, &CachePadded<AtomicU64>)| {
            IdleWord(word.load(Ordering::SeqCst)).searchers()
        };
        self.words_for(lanes).map(of).sum()
    }

    /// Wakes the first sleeper that takes tasks of some of these lanes, if nobody searches who does.
    /// Returns whether it woke one.
    #[cold]
    pub(crate) fn wake_one(&self, lanes: LaneBits) -> bool {
        self.searchers(lanes) == 0
            && self
                .words_for(lanes)
                .any(|(group, word)| self.wake_in(group, word, 1))
    }

    /// Wakes the first sleeper of a group, unless so many of the group search. Returns whether it woke
    /// one.
    fn wake_in(&self, group: usize, word: &AtomicU64, enough: u64) -> bool {
        // Relaxed: the compare-exchange checks it.
        let mut current = IdleWord(word.load(Ordering::Relaxed));
        while let Some(member) = current.first_sleeper() {
            if current.searchers() >= enough {
                return false;
            }
            match self.take_out(self.groups[group].first_worker + member, word, current) {
                Ok(()) => return true,
                Err(now) => current = now,
            }
        }
        false
    }

    /// Wakes this worker if it sleeps. Returns whether it did.
    fn wake(&self, worker: usize) -> bool {
        let (word, member) = self.seat(worker);
        // ORDERING(idle-dekker): SeqCst, after the claim of the tail.
        let mut current = IdleWord(word.load(Ordering::SeqCst));
        while current.sleeps(member) {
            match self.take_out(worker, word, current) {
                Ok(()) => return true,
                Err(now) => current = now,
            }
        }
        false
    }

    /// Takes a worker off the sleepers and leaves it its token.
    ///
    /// # Errors
    /// The word has changed, or the machine tries again: what it is now.
    fn take_out(&self, worker: usize, word: &AtomicU64, current: IdleWord) -> Result<(), IdleWord> {
        let (_, member) = self.seats[worker];
        let sleeper = &self.sleepers[worker];
        let searches = matches!(sleeper, Sleeper::Thread(_));
        let woken = current.woken(member, searches).0;
        // ORDERING(idle-dekker): SeqCst: all changes of a word are in one order with the looks.
        word.compare_exchange_weak(current.0, woken, Ordering::SeqCst, Ordering::Relaxed)
            .map_err(IdleWord)?;
        sleeper.unpark();
        Ok(())
    }

    /// Wakes everybody. For a pool that closes, and for a lane that is no longer paused.
    pub(crate) fn wake_all(&self) {
        dekker_fence();
        for (group, word) in self.words().enumerate() {
            // ORDERING(idle-dekker): SeqCst, after the close of the tails, as in `look`.
            let mut current = IdleWord(word.load(Ordering::SeqCst));
            while let Some(member) = current.first_sleeper() {
                let worker = self.groups[group].first_worker + member;
                current = match self.take_out(worker, word, current) {
                    // Relaxed: the compare-exchange checks it.
                    Ok(()) => IdleWord(word.load(Ordering::Relaxed)),
                    Err(now) => now,
                };
            }
        }
    }

    /// The worker begins to look for work.
    pub(crate) fn begin_search(&self, worker: usize) -> Search {
        // ORDERING(idle-dekker): SeqCst: all changes of a word are in one order with the looks.
        let (word, _) = self.seat(worker);
        word.fetch_add(IdleWord::ONE_SEARCHER, Ordering::SeqCst);
        Search { worker }
    }

    /// The searcher found work. It passes the search on if more waits than others search for: submitters
    /// that saw it search have woken nobody. `waiting` counts the tasks of some lanes that nobody has
    /// claimed.
    ///
    /// It wakes two, and each of them two more, so that a burst has all workers up after as many wakes in
    /// a row as their number has binary digits.
    pub(crate) fn found(&self, search: Search, waiting: impl Fn(LaneBits) -> usize) {
        const RAMP: u64 = 2;
        // ORDERING(idle-dekker): SeqCst, before the look at the tails in `waiting`.
        self.seat(search.worker)
            .0
            .fetch_sub(IdleWord::ONE_SEARCHER, Ordering::SeqCst);
        dekker_fence();
        for (group, word) in self.words().enumerate() {
            // ORDERING(idle-dekker): SeqCst, after the change of our word: whoever lies down later looks
            // at the tails itself.
            if IdleWord(word.load(Ordering::SeqCst)).sleepers() == 0 {
                continue;
            }
            for _ in 0..RAMP {
                if !self.is_needed(group, &waiting) || !self.wake_in(group, word, u64::MAX) {
                    break;
                }
            }
        }
    }

    /// Whether a sleeper of this group is needed: of the lanes that it takes and groups beyond some other do
    /// not, more tasks wait than workers search who take them. Groups come in the order of their lowest lane, so
    /// those lanes are taken by all groups up to that one, or in part.
    fn is_needed(&self, group: usize, waiting: &impl Fn(LaneBits) -> usize) -> bool {
        let beyond = |last: usize| self.groups.get(last + 1).map_or(0, |next| next.lanes);
        (group..self.groups.len()).any(|last| {
            let lanes = self.groups[group].lanes & !beyond(last);
            lanes != 0 && waiting(lanes) as u64 > self.searchers(lanes)
        })
    }

    /// After a push: whether anybody sleeps.
    pub(crate) fn any_asleep(&self) -> bool {
        dekker_fence();
        // ORDERING(idle-dekker): SeqCst, after the claim of the tail, as in `look`.
        self.words()
            .any(|word| IdleWord(word.load(Ordering::SeqCst)).sleepers() != 0)
    }

    /// Whether this searcher is the only one of its group.
    pub(crate) fn searches_alone(&self, worker: usize) -> bool {
        // Relaxed: a hint.
        IdleWord(self.seat(worker).0.load(Ordering::Relaxed)).searchers() <= 1
    }

    /// Whether this worker alone searches, of its group, and no more than `most` are awake.
    pub(crate) fn may_spin(&self, worker: usize, most: usize) -> bool {
        // Relaxed: a hint.
        let word = IdleWord(self.seat(worker).0.load(Ordering::Relaxed));
        let asleep: u32 = self
            .words()
            .map(|word| {
                IdleWord(word.load(Ordering::Relaxed))
                    .sleepers()
                    .count_ones()
            })
            .sum();
        let present = self.present.load(Ordering::Relaxed);
        word.searchers() <= 1 && present.saturating_sub(asleep as usize) <= most
    }

    /// The searcher announces that it will sleep.
    pub(crate) fn announce(&self, search: Search) -> Announced {
        let worker = search.worker;
        let (word, member) = self.seat(worker);
        // ORDERING(idle-dekker): SeqCst, before the last look at every tail.
        word.fetch_add(IdleWord::lie_down(member), Ordering::SeqCst);
        dekker_fence();
        Announced { worker }
    }

    /// The last look found something: the worker searches on, or has been woken meanwhile, which is
    /// the same once it has the token.
    pub(crate) fn withdraw(&self, announced: Announced) -> Search {
        let Announced { worker } = announced;
        let (word, member) = self.seat(worker);
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
    pub(crate) fn resign(&self, announced: Announced, waiting: impl Fn(LaneBits) -> usize) {
        let search = self.withdraw(announced);
        self.found(search, waiting);
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

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_workers_costs_nothing_and_one_with_a_worker_is_seen() {
        let beds = (0..2 * GROUP).map(|_| (Sleeper::Thread(Parker::new()), LaneBits::MAX));
        let mut roster = Roster::with_lanes(beds);
        assert!(roster.look().is_some(), "there are more groups");
        roster.vacate(2..2 * GROUP);
        assert!(roster.look().is_none(), "two workers, who are awake");
        assert!(roster.may_spin(0, 2) && !roster.may_spin(0, 1));
        roster.enters(GROUP);
        assert!(!roster.may_spin(0, 2) && roster.may_spin(0, 3));
        let asleep = roster.announce(roster.begin_search(GROUP));
        let look = roster.look().expect("it sleeps in another group");
        assert_eq!(roster.call_on(look, 0, None), Attention::Woken);
        let search = roster.withdraw(asleep);
        roster.found(search, |_| 0);
        roster.exits();
        assert!(roster.may_spin(0, 2));
    }
}
