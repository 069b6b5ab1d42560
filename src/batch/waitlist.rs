//! The keys whose batches linger without a worker, by when they are due.
//!
//! Whoever starts a batch of a key that is to linger puts it here. An entry is not taken back when its batch
//! closes early: it is found to be stale when it comes up. Workers look here when they have nothing else to do.
//! One that finds nothing due *keeps the time*: it waits until the first entry is, and the others sleep.
//!
//! # Orderings
//!
//! - `keeper-dekker`: who puts an entry here stores the time of the first one, then looks for sleepers and for
//!   the keeper; a worker announces its sleep, or ceases to keep, then loads that time. All are `SeqCst`, so an
//!   entry has a keeper, or somebody awake who will look.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::schedule::Key;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::dekker_fence;

/// Up to so many stale entries are kept for a while, besides as many as there are others.
const STALE: usize = 1_024;

/// A batch that lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) due_ns: u64,
    /// When it began to form, which tells it from earlier ones of its key.
    pub(crate) since_ns: u64,
    pub(crate) key: Key,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let order = |entry: &Self| (entry.due_ns, entry.since_ns, entry.key.spread());
        order(self).cmp(&order(other))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// All batches that linger without a worker.
#[derive(Debug)]
pub(crate) struct Waitlist {
    heap: Mutex<BinaryHeap<Reverse<Entry>>>,
    /// When the first one is due; `u64::MAX` if there is none. Written under the lock.
    next_ns: AtomicU64,
    /// 1 while a worker keeps the time. That worker writes it.
    keeper: AtomicUsize,
}

impl Waitlist {
    pub(crate) fn new() -> Self {
        Self {
            heap: Mutex::new(BinaryHeap::new()),
            next_ns: AtomicU64::new(u64::MAX),
            keeper: AtomicUsize::new(0),
        }
    }

    fn note_next(&self, heap: &BinaryHeap<Reverse<Entry>>) {
        let next_ns = heap.peek().map_or(u64::MAX, |Reverse(entry)| entry.due_ns);
        // ORDERING(keeper-dekker): SeqCst, before the look for sleepers and for the keeper.
        self.next_ns.store(next_ns, Ordering::SeqCst);
    }

    /// Adds an entry. When there are many more than `live` keys, those that `is_stale` says are thrown out.
    /// Returns whether it is the first to be due.
    pub(crate) fn push(
        &self,
        entry: Entry,
        live: usize,
        is_stale: impl Fn(&Entry) -> bool,
    ) -> bool {
        let mut heap = self.heap.lock();
        if heap.len() > 2 * live + STALE {
            heap.retain(|Reverse(entry)| !is_stale(entry));
        }
        heap.push(Reverse(entry));
        self.note_next(&heap);
        heap.peek().is_some_and(|Reverse(first)| *first == entry)
    }

    /// Takes the first entry, if it is due by then.
    pub(crate) fn pop(&self, by_ns: u64) -> Option<Entry> {
        // Relaxed: a hint; the lock below tells for sure.
        if self.next_ns.load(Ordering::Relaxed) > by_ns {
            return None;
        }
        let mut heap = self.heap.lock();
        let Reverse(first) = *heap.peek()?;
        if first.due_ns > by_ns {
            return None;
        }
        heap.pop();
        self.note_next(&heap);
        Some(first)
    }

    /// When the first one is due; `None` if there is none.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        // ORDERING(keeper-dekker): SeqCst, after the announcement of a sleep or the end of the keeping.
        let next_ns = self.next_ns.load(Ordering::SeqCst);
        (next_ns != u64::MAX).then_some(next_ns)
    }

    /// Whether the first one is due before then. For a keeper that has said how it can be roused.
    pub(crate) fn is_due_before(&self, ns: u64) -> bool {
        self.next_ns().is_some_and(|next_ns| next_ns < ns)
    }

    /// Whether there is something to wait for, and nobody does.
    pub(crate) fn wants_keeper(&self) -> bool {
        self.next_ns().is_some() && !self.has_keeper()
    }

    pub(crate) fn has_keeper(&self) -> bool {
        // ORDERING(keeper-dekker): SeqCst, after the store of the first time.
        self.keeper.load(Ordering::SeqCst) != 0
    }

    /// The worker keeps the time, if nobody does.
    pub(crate) fn keep(&self) -> bool {
        // ORDERING(keeper-dekker): SeqCst, before the look at the first time.
        let exchanged = self
            .keeper
            .compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed);
        dekker_fence();
        exchanged.is_ok()
    }

    /// The worker that kept the time does so no more.
    pub(crate) fn cease(&self) {
        // ORDERING(keeper-dekker): SeqCst, before the look at the first time.
        self.keeper.store(0, Ordering::SeqCst);
        dekker_fence();
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    fn entry(due_ns: u64, key: u64) -> Entry {
        Entry {
            due_ns,
            since_ns: 1,
            key: Key::Given(key),
        }
    }

    #[test]
    fn entries_come_up_when_they_are_due() {
        let list = Waitlist::new();
        assert_eq!(list.next_ns(), None);
        assert!(list.push(entry(30, 1), 9, |_| false));
        assert!(list.push(entry(10, 2), 9, |_| false));
        assert!(!list.push(entry(20, 3), 9, |_| false));
        assert_eq!(list.next_ns(), Some(10));
        assert_eq!(list.pop(9), None);
        let keys = [list.pop(25), list.pop(25), list.pop(25), list.pop(u64::MAX)];
        let keys = keys.map(|entry| entry.map(|entry| entry.key));
        assert_eq!(
            keys,
            [
                Some(Key::Given(2)),
                Some(Key::Given(3)),
                None,
                Some(Key::Given(1))
            ]
        );
        assert_eq!(list.next_ns(), None);
    }

    #[test]
    fn stale_entries_are_thrown_out_when_they_are_many() {
        let list = Waitlist::new();
        for key in 0..=STALE as u64 {
            list.push(entry(100 + key, key), 0, |_| false);
        }
        list.push(entry(1, 9), 0, |entry| entry.key != Key::Given(7));
        let left: Vec<_> = std::iter::from_fn(|| list.pop(u64::MAX))
            .map(|entry| entry.due_ns)
            .collect();
        assert_eq!(left, [1, 107]);
    }

    #[test]
    fn one_keeps_the_time() {
        let list = Waitlist::new();
        assert!(!list.wants_keeper());
        list.push(entry(30, 1), 9, |_| false);
        assert!(list.wants_keeper() && list.keep() && !list.keep() && !list.wants_keeper());
        list.cease();
        assert!(list.wants_keeper());
    }
}
