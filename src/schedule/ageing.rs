//! How long the task at the head of a ring has waited at least, and which lane that makes the highest.
//! Pure.
//!
//! A stamp in every task would cost a clock reading for each submission. Instead a worker *marks* a ring
//! now and then: where its tail was, and when. The tail moves when a task is accepted, so every position
//! below a mark was taken by then, and none at it or beyond. Therefore, while the head is below a mark,
//! the task at the head has waited at least since that mark; of all such marks the oldest says most.
//! A mark that the head has reached says nothing any more and is forgotten.
//!
//! # What it is worth
//!
//! Let `T` be the age that counts as one lane, `d` the longest time between two observations, and `e` the
//! moment at which the task at the head was accepted.
//!
//! - **Never too much.** A mark above the head was made at `e` or later.
//! - **Late by at most `T/8 + d`**, up to 7 `T`. Let `l <= e` be the time of the last mark that was made
//!   without the task. The first observation after `e` and not before `l + T/8` comes at
//!   `e + T/8 + d` at the latest. The ring is not empty then, for it holds the task, so there is a mark
//!   above the task from then on, at the latest. It is forgotten when the head has passed the task, and
//!   dropped only where that makes no difference:
//! - **The places never run out.** There are 58. When all are taken, the new mark is made at least 58
//!   eighths of `T` after the oldest one, 57 after the second and 56 after the third, and the second is
//!   dropped. A task that it covered is covered by the third, and so has waited for 7 `T`; more than
//!   that is worth nothing, because a pool has 8 lanes at most. The oldest is never dropped, so a head
//!   that does not move has its full age.
//!
//! That is why there are so many marks: 8 of them an eighth apart reach back for one `T` alone, and as
//! many spread over several `T` tell no age closely. They take 1 KiB for each ring in which a
//! worker has met a task that waited, in pools that age tasks, and an observation touches two of them.

use std::collections::VecDeque;

use crate::lane::pick::{LaneBits, MOST_LANES, highest};

/// Marks are at least this part of the age apart.
const PARTS: u64 = 8;
/// As many as reach back for as many ages as there can be lanes to climb, with two more.
const MARKS: usize = PARTS as usize * (MOST_LANES - 1) + 2;

/// One worker's marks of one ring.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    age_ns: u64,
    apart_ns: u64,
    /// No mark before this time.
    next_ns: u64,
    /// Oldest first; positions and times grow.
    marks: VecDeque<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    tail: u64,
    made_ns: u64,
}

impl Marks {
    /// For tasks that count as one lane higher for every `age_ns` that they have waited.
    pub(crate) fn new(age_ns: u64) -> Self {
        let age_ns = age_ns.max(1);
        Self {
            age_ns,
            apart_ns: age_ns.div_ceil(PARTS),
            next_ns: 0,
            marks: VecDeque::new(),
        }
    }

    /// How many whole ages the task at the head has waited at least; 0 if the ring is empty.
    ///
    /// `head` and `tail` are positions of the ring, read in this order, and `now_ns` is read after both:
    /// a tail older than the head would leave out a mark, and one younger than the mark's time would
    /// make a task look older than it is. All three only grow from call to call.
    pub(crate) fn observe(&mut self, head: u64, tail: u64, now_ns: u64) -> u32 {
        while self.marks.front().is_some_and(|mark| mark.tail <= head) {
            self.marks.pop_front();
        }
        if now_ns >= self.next_ns && tail > head {
            self.mark(tail, now_ns);
        }
        let Some(oldest) = self.marks.front() else {
            return 0;
        };
        let ages = now_ns.saturating_sub(oldest.made_ns) / self.age_ns;
        u32::try_from(ages).unwrap_or(u32::MAX)
    }

    fn mark(&mut self, tail: u64, made_ns: u64) {
        if self.marks.back().is_some_and(|last| last.tail == tail) {
            // Nothing has come since the last mark, which covers as much and says more.
            return;
        }
        if self.marks.len() == MARKS {
            self.marks.remove(1);
        }
        // All places at once, at a ring's first mark: rings that are never used take none.
        self.marks.reserve_exact(MARKS - self.marks.len());
        self.marks.push_back(Mark { tail, made_ns });
        self.next_ns = made_ns.saturating_add(self.apart_ns);
    }
}

/// Among the `lanes` that hold something, the one that counts as the highest, where a lane counts as
/// many higher as `steps` says of it, though not above `top`; and whether that is another one than the
/// highest by number.
///
/// Of lanes that count the same, the one with the most steps goes first: its head has waited longest,
/// by whole ages. Below the top that is the lowest of them, because a lower lane needs more steps to
/// count as much. At the top it is whichever has the most, because steps beyond the top lift no lane
/// any more but still tell who has waited longer; of equal ones it is the lowest, whose next task has the
/// longest way up.
pub(crate) fn aged_highest(
    lanes: LaneBits,
    steps: impl Fn(usize) -> u32,
    top: usize,
) -> Option<(usize, bool)> {
    let plain = highest(lanes)?;
    let mut rest = lanes;
    let mut best: Option<(usize, u32, usize)> = None;
    // From the lowest up, so that of equals the lowest stays.
    while rest != 0 {
        let lane = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        let steps = steps(lane);
        let counts_as = lane.saturating_add(steps as usize).min(top);
        if best.is_none_or(|(as_much, by, _)| (counts_as, steps) > (as_much, by)) {
            best = Some((counts_as, steps, lane));
        }
    }
    best.map(|(_, _, lane)| (lane, lane != plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ages that are worth telling apart.
    const AGES: u64 = MOST_LANES as u64 - 1;

    /// A ring that stamps every task.
    #[derive(Default)]
    struct Stamped {
        head: u64,
        stamps: VecDeque<u64>,
    }

    impl Stamped {
        fn push(&mut self, tasks: u64, now_ns: u64) {
            self.stamps.extend((0..tasks).map(|_| now_ns));
        }

        fn pop(&mut self, tasks: u64) {
            let popped = self.stamps.drain(..self.stamps.len().min(tasks as usize));
            self.head += popped.count() as u64;
        }

        fn observed_by(&self, marks: &mut Marks, now_ns: u64) -> u32 {
            marks.observe(self.head, self.head + self.stamps.len() as u64, now_ns)
        }
    }

    #[test]
    fn a_head_that_does_not_move_ages() {
        let mut marks = Marks::new(800);
        assert_eq!(marks.observe(0, 0, 50), 0, "an empty ring");
        assert_eq!(marks.observe(0, 3, 100), 0);
        assert_eq!(marks.observe(0, 4, 899), 0);
        assert_eq!(marks.observe(0, 4, 900), 1);
        // Much comes behind it.
        assert_eq!(
            (10..200).map(|n| marks.observe(0, n, n * 100)).max(),
            Some(24)
        );
        assert!(marks.marks.len() <= MARKS);
        assert_eq!(marks.observe(2, 200, 90_000), 112, "the third came with it");
        assert_eq!(marks.observe(200, 200, 90_000), 0, "everything was taken");
    }

    #[test]
    fn the_next_task_has_its_own_age() {
        let mut marks = Marks::new(800);
        marks.observe(0, 1, 1_000);
        marks.observe(0, 2, 1_099);
        marks.observe(0, 2, 1_100);
        assert_eq!(marks.observe(1, 2, 1_899), 0);
        assert_eq!(
            marks.observe(1, 2, 1_900),
            1,
            "seen at 1,099, marked at 1,100"
        );
    }

    #[test]
    fn marks_are_an_eighth_apart_and_made_only_for_what_has_come() {
        let mut marks = Marks::new(800);
        (0..100).for_each(|now_ns| _ = marks.observe(0, now_ns + 1, now_ns));
        assert_eq!(marks.marks.len(), 1);
        (100..5_000).for_each(|now_ns| _ = marks.observe(0, 101, now_ns));
        assert_eq!(marks.marks.len(), 2);
    }

    /// However long a ring was left alone while it grew: a mark that was dropped is not missed, wherever the
    /// head moves to.
    #[test]
    fn every_task_of_a_starved_ring_has_its_age() {
        const AGE: u64 = 24;
        let mut marks = Marks::new(AGE);
        for now in 0..10 * AGE {
            // A task for each tick: position and time are the same number.
            marks.observe(0, now + 1, now);
            let mut walked = marks.clone();
            for head in 0..now {
                let told = u64::from(walked.observe(head, now + 1, now));
                let waited = now - head;
                let least = waited.saturating_sub(AGE / PARTS + 1) / AGE;
                assert!(
                    (least.min(AGES)..=waited / AGE).contains(&told),
                    "{told} for {waited}"
                );
            }
        }
    }

    #[test]
    fn a_lane_climbs_by_its_steps() {
        let steps = [0, 2, 0, 0];
        let of = |lanes| aged_highest(lanes, |lane| steps[lane], 3);
        assert_eq!(of(0), None);
        assert_eq!(of(0b0001), Some((0, false)));
        assert_eq!(of(0b0011), Some((1, false)));
        assert_eq!(of(0b0111), Some((1, true)), "counts as 3");
        assert_eq!(
            of(0b1111),
            Some((1, true)),
            "as high as the top, and it has waited longer"
        );
        assert_eq!(aged_highest(0b1111, |_| 0, 3), Some((3, false)));
    }

    #[test]
    fn at_the_top_the_longest_wait_goes_first() {
        let of = |steps: [u32; 4]| aged_highest(0b1111, move |lane| steps[lane], 3);
        assert_eq!(of([3, 9, 0, 0]), Some((1, true)));
        assert_eq!(of([3, 3, 3, 0]), Some((0, true)));
        assert_eq!(of([3, 0, 0, 4]), Some((3, false)));
        assert_eq!(of([u32::MAX, 0, 0, 0]), Some((0, true)));
    }

    /// One tick: what comes, what goes, and whether the worker looks.
    fn tick() -> impl Strategy<Value = (u64, u64, bool)> {
        let some = prop_oneof![6 => Just(0), 2 => Just(1_u64), 1 => 2_u64..6];
        (some.clone(), some, prop::bool::weighted(0.7))
    }

    proptest! {
        /// Against stamps: never more than the true age, and late by no more than was proved.
        #[test]
        fn it_tells_the_age_from_below(
            ticks in prop::collection::vec(tick(), 1..800),
            age in 1_u64..100,
            drained in 0_usize..3,
        ) {
            let mut ring = Stamped::default();
            let mut marks = Marks::new(age);
            let apart = age.div_ceil(PARTS);
            let (mut last_look, mut longest) = (0, 0);
            for (now, (come, go, look)) in ticks.into_iter().enumerate() {
                let now = now as u64;
                ring.push(come, now);
                // Rings that stay short, that hold a little for long, and that only ever grow.
                ring.pop([go * 2, go, go / 4][drained]);
                if !look {
                    continue;
                }
                longest = longest.max(now - last_look);
                last_look = now;
                let told = u64::from(ring.observed_by(&mut marks, now));
                let waited = ring.stamps.front().map_or(0, |stamp| now - stamp);
                prop_assert!(told <= waited / age, "{told} for {waited} at {now}");
                let least = waited.saturating_sub(apart + longest) / age;
                prop_assert!(told >= least.min(AGES), "{told} for {waited} at {now}");
                prop_assert!(marks.marks.len() <= MARKS);
            }
        }

        #[test]
        fn the_chosen_lane_counts_most_and_has_waited_longest(
            lanes in 0_u32..1 << MOST_LANES,
            steps in prop::array::uniform8(0_u32..10),
        ) {
            let top = MOST_LANES - 1;
            let counts_as = |lane: usize| (lane + steps[lane] as usize).min(top);
            let occupied: Vec<usize> = (0..MOST_LANES).filter(|lane| lanes >> lane & 1 == 1).collect();
            match aged_highest(lanes, |lane| steps[lane], top) {
                None => prop_assert!(occupied.is_empty()),
                Some((chosen, differs)) => {
                    prop_assert!(occupied.contains(&chosen));
                    prop_assert_eq!(Some(chosen) != highest(lanes), differs);
                    for lane in occupied {
                        prop_assert!(counts_as(lane) <= counts_as(chosen));
                        if lane != chosen && counts_as(lane) == counts_as(chosen) {
                            let (its, chosens) = (steps[lane], steps[chosen]);
                            prop_assert!(its < chosens || (its == chosens && chosen < lane));
                        }
                    }
                }
            }
        }
    }
}
