//! Which of the requests that a worker holds are in the batch that it closes.

use smallvec::SmallVec;

use super::batch_shift::{BatchShift, Item};
use crate::batch::{Batching, Candidate, Choice, Fate, INLINE, Terms};
use crate::task::Outcome;

impl<Q, R, E> BatchShift<Q, R, E> {
    /// What becomes of the tasks on the tray; `None` if all of them run.
    pub(super) fn choose(&mut self, batching: &Batching, now_ns: u64) -> Option<Choice> {
        let terms = Terms {
            now_ns,
            costs: self.costs?,
            target: self.target,
            puts_off: self.key.is_none(),
        };
        let tightest_ns = self.forming.deadline_ns.unwrap_or(u64::MAX);
        if terms.keeps_all(tightest_ns, self.tray.len()) {
            return None;
        }
        self.sweep(now_ns);
        let candidate = |item: &Item<Q, R, E>| Candidate {
            lane: item.due.lane,
            deadline_ns: item.context.deadline_ns(),
            put_off: item.put_off,
        };
        let candidates: SmallVec<[_; INLINE]> = self.tray.iter().map(candidate).collect();
        let choice = terms.choose(&candidates);
        let count = |fate| choice.fates.iter().filter(|of| **of == fate).count();
        let block = &batching.blocks[self.shift.worker];
        block.record_choice(count(Fate::GivesWay), count(Fate::PutOff));
        Some(choice)
    }

    /// Settles the tasks that nobody waits for any more: nobody gives way to them.
    fn sweep(&mut self, now_ns: u64) {
        let mut at = 0;
        while let Some(item) = self.tray.get(at) {
            let outcome = if !item.due.promise.is_wanted() {
                Outcome::Cancelled
            } else if item.context.expired(|| now_ns) {
                Outcome::Expired
            } else {
                at += 1;
                continue;
            };
            let item = self.tray.remove(at);
            self.note_unstarted(outcome);
            self.shift.settle_item(item, outcome);
        }
    }

    /// Lays the tasks that were put off on the empty tray. Their batch forms since the one did that they were put
    /// off from.
    pub(super) fn keep(&mut self, batching: &Batching, mut put_off: Vec<Item<Q, R, E>>) {
        let since_ns = std::mem::take(&mut self.forming).since_ns;
        if put_off.is_empty() {
            return;
        }
        for item in &put_off {
            let urgent = batching.is_urgent(item.due.lane);
            let deadline_ns = item.context.deadline_ns();
            self.forming
                .join(since_ns, item.due.stamp_ns, deadline_ns, urgent);
        }
        self.tray.append(&mut put_off);
    }
}
