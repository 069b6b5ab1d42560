//! The few tasks that one worker took from one lane in one claim.

/// How many tasks a claim takes at most.
pub(crate) const LONGEST_RUN: usize = 16;

/// Tasks of one lane, claimed by one worker and not yet started, oldest first.
#[derive(Debug)]
pub(crate) struct Run<T> {
    lane: usize,
    items: [Option<T>; LONGEST_RUN],
    next: usize,
    end: usize,
}

impl<T> Run<T> {
    pub(crate) fn new() -> Self {
        Self {
            lane: 0,
            items: [const { None }; LONGEST_RUN],
            next: 0,
            end: 0,
        }
    }

    /// The lane the tasks came from. Meaningful while the run is not empty.
    #[inline]
    pub(crate) fn lane(&self) -> usize {
        self.lane
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// Starts over with tasks of `lane`.
    #[inline]
    pub(crate) fn begin(&mut self, lane: usize) {
        debug_assert!(self.is_empty(), "a run is used up before the next begins");
        self.lane = lane;
        self.next = 0;
        self.end = 0;
    }

    /// Appends a task. At most [`LONGEST_RUN`] fit since [`Run::begin`].
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        self.items[self.end] = Some(item);
        self.end += 1;
    }

    /// Takes the oldest task.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let item = self.items[self.next].take();
        self.next += 1;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_first_in_first_out_and_can_be_begun_again() {
        let mut run = Run::new();
        for lap in 0..3 {
            run.begin(lap);
            for item in 0..LONGEST_RUN {
                run.push(item);
            }
            assert_eq!(run.lane(), lap);
            for item in 0..LONGEST_RUN {
                assert_eq!(run.pop(), Some(item));
            }
            assert_eq!(run.pop(), None);
            assert!(run.is_empty());
        }
    }
}
