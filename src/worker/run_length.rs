//! How many tasks a worker takes in one claim. Pure.
//!
//! A claim for many costs a fifth of as many claims for one, which matters when a task costs as
//! little as a claim, and then alone: whatever a worker has claimed, no other can run. So the length
//! follows the measured cost of a task, its reply included: it doubles while tasks are cheap and
//! drops at once when they are not.
//!
//! A worker that is as quick as its producers walks on their heels: it finds two or three tasks at a
//! time, and every one costs both sides the transfer of a cache line. When runs come out short several
//! times in a row, the worker lets the lane fill for a moment first.

use super::hand::LONGEST_RUN;

/// Up to this cost, in nanoseconds, a run may be as long as it gets.
const CHEAP_NS: u64 = 40;
/// Up to this cost a run may have [`SHORT_RUN`] tasks.
const MODEST_NS: u64 = 60;
const SHORT_RUN: usize = 4;
/// Every so many claims one is timed: of those that bring one task, and of longer ones.
const SINGLES_TIMED_EVERY: u32 = 16;
const RUNS_TIMED_EVERY: u32 = 8;
/// So many short runs in a row, nothing idle between them, say that the worker is on the heels of its
/// producers.
const HEELS: u32 = 4;

/// One worker's run length, and the timing of a claim in progress.
#[derive(Debug)]
pub(super) struct RunLength {
    length: usize,
    most: usize,
    claims: u32,
    /// Claims in a row that brought less than the longest run.
    short_runs: u32,
    /// What a reading of the clock adds to what is timed.
    reading_ns: u64,
    timing: Option<Timing>,
}

#[derive(Clone, Copy, Debug)]
struct Timing {
    start_ns: u64,
    tasks: u64,
}

impl RunLength {
    /// Starts at one task and never goes beyond `most`, by a clock whose reading takes so long.
    pub(super) fn new(most: usize, reading_ns: u64) -> Self {
        Self {
            length: 1,
            most: most.min(LONGEST_RUN),
            claims: 0,
            short_runs: 0,
            reading_ns,
            timing: None,
        }
    }

    /// How many tasks the next claim takes.
    #[inline]
    pub(super) fn get(&self) -> usize {
        self.length
    }

    /// Whether runs are as long as they may be: a sign of a flood of cheap tasks.
    pub(super) fn is_longest(&self) -> bool {
        self.length > SHORT_RUN && self.length == self.most
    }

    /// A claim took tasks. Reads the clock for the claims that are timed.
    #[inline]
    pub(super) fn claimed(&mut self, tasks: usize, now_ns: impl FnOnce() -> u64) {
        if let Some(timing) = &mut self.timing {
            timing.tasks += tasks as u64;
            return;
        }
        self.claims = self.claims.wrapping_add(1);
        let every = if self.length == 1 {
            SINGLES_TIMED_EVERY
        } else {
            RUNS_TIMED_EVERY
        };
        if self.claims.is_multiple_of(every) && self.most > 1 {
            self.timing = Some(Timing {
                start_ns: now_ns(),
                tasks: tasks as u64,
            });
        }
    }

    /// A claim for as many as a run may have took so many.
    #[inline]
    pub(super) fn ran(&mut self, tasks: usize) {
        if self.length > 1 && tasks < self.length {
            self.short_runs += 1;
        } else {
            self.short_runs = 0;
        }
    }

    /// The lanes are empty, so the next tasks may be those of somebody who waits for each.
    pub(super) fn ran_dry(&mut self) {
        self.short_runs = 0;
    }

    /// Whether to let the lanes fill before the next claim, this once.
    #[inline]
    pub(super) fn lets_them_fill(&mut self) -> bool {
        let on_heels = self.short_runs >= HEELS;
        if on_heels {
            self.short_runs = 0;
        }
        on_heels
    }

    /// Everything that was claimed is done. Reads the clock if that was timed.
    #[inline]
    pub(super) fn done(&mut self, now_ns: impl FnOnce() -> u64) {
        if let Some(timing) = self.timing.take() {
            let elapsed = now_ns().saturating_sub(timing.start_ns);
            self.observe(elapsed.saturating_sub(self.reading_ns) / timing.tasks);
        }
    }

    fn observe(&mut self, cost_ns: u64) {
        let target = match cost_ns {
            cost if cost <= CHEAP_NS => self.most,
            cost if cost <= MODEST_NS => SHORT_RUN.min(self.most),
            _ => 1,
        };
        self.length = if target > self.length {
            (self.length * 2).min(target)
        } else {
            target
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(length: &mut RunLength, costs: &[u64]) -> usize {
        costs.iter().for_each(|cost| length.observe(*cost));
        length.get()
    }

    #[test]
    fn it_doubles_while_tasks_are_cheap_and_drops_at_once() {
        let mut length = RunLength::new(16, 0);
        assert_eq!(after(&mut length, &[10]), 2);
        assert_eq!(after(&mut length, &[10, 10, 10, 10]), 16);
        assert!(length.is_longest());
        assert_eq!(after(&mut length, &[50]), 4);
        assert_eq!(after(&mut length, &[10, 1_000]), 1);
        assert_eq!(after(&mut RunLength::new(1, 0), &[0, 0, 0]), 1);
    }

    #[test]
    fn short_runs_in_a_row_make_it_let_the_lanes_fill_once() {
        let mut length = RunLength::new(16, 0);
        let four_short = |length: &mut RunLength| (0..HEELS).for_each(|_| length.ran(3));
        four_short(&mut length);
        assert!(!length.lets_them_fill(), "tasks are not known to be cheap");
        after(&mut length, &[10; 4]);
        four_short(&mut length);
        assert!(length.lets_them_fill() && !length.lets_them_fill());
        length.ran(3);
        length.ran(16);
        four_short(&mut length);
        length.ran_dry();
        assert!(!length.lets_them_fill());
    }

    #[test]
    fn one_claim_in_sixteen_is_timed_over_all_its_tasks() {
        let mut length = RunLength::new(16, 50);
        for _ in 0..SINGLES_TIMED_EVERY - 1 {
            length.claimed(1, || unreachable!("not timed"));
            length.done(|| unreachable!("not timed"));
        }
        length.claimed(1, || 1_000);
        length.claimed(9, || unreachable!("being timed already"));
        length.done(|| 1_640);
        assert_eq!(length.get(), 2, "590 ns and a reading for 10 tasks");
    }
}
