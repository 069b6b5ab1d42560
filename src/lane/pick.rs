//! Which lane a worker looks at next. Pure: no atomics, no clock.
//!
//! Only pulls with a choice count: where one lane alone holds something, it is served and nothing is
//! passed over.
//!
//! The rule: the highest lane that holds something goes first, except that a lower lane which was
//! passed over for its *gap* of pulls goes before it, once; among several such lanes the one that
//! has been due for longest.
//!
//! Lane `L` with weight `w(L)` among a total weight of `S` has the gap `g(L) = ceil(S / w(L))`, so a
//! lane that is never empty gets at least the share `w(L) / S` of a worker's pulls however full the
//! lanes above it are, and they share the rest by priority alone.
//!
//! # The starvation bound
//!
//! With `n` lanes, one worker starts the task at the head of lane `L` within
//!
//! ```text
//! B(L)   = g(L) + n - 2                             for every lane but the top one
//! B(top) = the least k with k >= 1 + sum over L of ceil(k / g(L))
//! ```
//!
//! of its own pulls. Below the top: the lane falls due at most `g(L)` pulls after it was last
//! served; of the `n - 2` other lower lanes each can have been due for longer, and goes before it
//! once, because its next due time is then later than now. For the top lane: in `k` pulls lane `L`
//! can fall due at most `ceil(k / g(L))` times, the response-time equation of Joseph and Pandya
//! (1986); it has a solution because the shares of the lower lanes add up to less than 1.
//!
//! A pool of `W` workers whose runs hold at most `r` tasks starts that task within
//! `N(L) = W * r * B(L)` pulls of all workers together: were it not started, one of them would have
//! made `r * B(L)` pulls without serving the lane's head, and at most `r - 1` of its turns for the
//! lane can have gone to tasks that it already held in its hand. `r` is 1 unless tasks cost some
//! tens of nanoseconds, and for async workers always.

/// The most lanes a pool can have.
pub(crate) const MOST_LANES: usize = 8;

/// A set of lanes, a bit each.
pub(crate) type LaneBits = u32;

/// The highest lane of a set.
#[inline(always)]
pub(crate) fn highest(lanes: LaneBits) -> Option<usize> {
    lanes.checked_ilog2().map(|lane| lane as usize)
}

/// The gap of each lane: the pulls after which it goes first. The last lane is the top one.
fn gaps(weights: &[u32]) -> impl Iterator<Item = u64> + '_ {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    weights
        .iter()
        .map(move |weight| total.div_ceil(u64::from((*weight).max(1))))
}

/// `B(L)`: within how many of one worker's pulls the task at the head of `lane` starts.
pub(crate) fn worker_bound(weights: &[u32], lane: usize) -> u64 {
    let lanes = weights.len();
    if lanes == 1 {
        return 1;
    }
    let gaps: Vec<u64> = gaps(weights).collect();
    if lane + 1 < lanes {
        return gaps[lane] + lanes as u64 - 2;
    }
    let lower = &gaps[..lanes - 1];
    let mut bound = 1;
    loop {
        let next = 1 + lower
            .iter()
            .map(|gap| u64::div_ceil(bound, *gap))
            .sum::<u64>();
        if next == bound {
            return bound;
        }
        bound = next;
    }
}

/// One worker's memory of whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    /// Pulls so far.
    pulls: u64,
    /// No lower lane is due before this pull.
    next_due: u64,
    /// For each lane below the top one: its gap, and the pull at which it falls due.
    lower: [Turn; MOST_LANES - 1],
    lower_count: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    gap: u64,
    due: u64,
}

impl Turns {
    /// For lanes of these weights, lowest first.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let mut turns = Self {
            pulls: 0,
            next_due: u64::MAX,
            lower: [Turn::default(); MOST_LANES - 1],
            lower_count: weights.len() - 1,
        };
        for (turn, gap) in turns.lower[..turns.lower_count]
            .iter_mut()
            .zip(gaps(weights))
        {
            *turn = Turn { gap, due: gap };
        }
        turns.next_due = turns.earliest();
        turns
    }

    /// Counts a pull; says which of the `occupied` lanes is due to go before all others, if any.
    ///
    /// A due lane that holds nothing starts waiting anew.
    #[inline]
    pub(crate) fn pull(&mut self, occupied: LaneBits) -> Option<usize> {
        self.pulls += 1;
        if self.pulls < self.next_due {
            None
        } else {
            self.overdue(occupied)
        }
    }

    #[cold]
    fn overdue(&mut self, occupied: LaneBits) -> Option<usize> {
        let mut first: Option<usize> = None;
        for lane in 0..self.lower_count {
            let turn = self.lower[lane];
            if turn.due > self.pulls {
                continue;
            }
            if occupied & (1 << lane) == 0 {
                self.lower[lane].due = self.pulls + turn.gap;
            } else if first.is_none_or(|best| turn.due < self.lower[best].due) {
                first = Some(lane);
            }
        }
        self.next_due = self.earliest();
        first
    }

    /// Notes that a lane was served, or was looked at first and found empty.
    #[inline]
    pub(crate) fn served(&mut self, lane: usize) {
        if lane < self.lower_count {
            let turn = &mut self.lower[lane];
            turn.due = self.pulls + turn.gap;
            if self.pulls >= self.next_due {
                self.next_due = self.earliest();
            }
        }
    }

    fn earliest(&self) -> u64 {
        self.lower[..self.lower_count]
            .iter()
            .map(|turn| turn.due)
            .min()
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A pull of a worker that finds each lane as `occupied` says: the lane it serves.
    fn serve(turns: &mut Turns, occupied: LaneBits) -> Option<usize> {
        let lane = turns.pull(occupied).or_else(|| highest(occupied))?;
        turns.served(lane);
        Some(lane)
    }

    #[test]
    fn the_top_lane_goes_first_until_a_lower_one_is_due() {
        let mut turns = Turns::new(&[1, 4, 16, 64]);
        let served: Vec<_> = (0..5).filter_map(|_| serve(&mut turns, 0b1111)).collect();
        assert_eq!(served, [3, 3, 3, 3, 3]);
        assert_eq!(
            serve(&mut turns, 0b1111),
            Some(2),
            "the gap of lane 2 is ceil(85 / 16) = 6"
        );
    }

    #[test]
    fn an_empty_lane_does_not_save_up_turns() {
        let mut turns = Turns::new(&[1, 1]);
        for _ in 0..100 {
            assert_eq!(serve(&mut turns, 0b10), Some(1));
        }
        let low = (0..10)
            .filter(|_| serve(&mut turns, 0b11) == Some(0))
            .count();
        assert_eq!(low, 5, "half of the pulls, and no backlog of missed ones");
    }

    #[test]
    fn the_default_bounds() {
        let bounds: Vec<_> = (0..4)
            .map(|lane| worker_bound(&[1, 4, 16, 64], lane))
            .collect();
        assert_eq!(bounds, [87, 24, 8, 4]);
    }

    #[test]
    fn a_single_lane_is_always_next() {
        let mut turns = Turns::new(&[7]);
        assert_eq!(worker_bound(&[7], 0), 1);
        assert!((0..1000).all(|_| serve(&mut turns, 1) == Some(0)));
    }

    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(1_u32..200, 1..=MOST_LANES)
    }

    proptest! {
        /// From any point on, whatever the other lanes hold meanwhile, a lane that holds something is
        /// served within its bound.
        #[test]
        fn the_starvation_bound_holds(
            weights in weights(),
            seed in prop::collection::vec(any::<LaneBits>(), 1..64),
            lane in 0_usize..MOST_LANES,
            warm_up in 0_usize..500,
        ) {
            let lanes = weights.len();
            let lane = lane % lanes;
            let mut turns = Turns::new(&weights);
            let mut others = seed.iter().cycle();
            let all = (1 << lanes) - 1;
            for _ in 0..warm_up {
                serve(&mut turns, others.next().unwrap() & all);
            }
            let bound = worker_bound(&weights, lane);
            let waited = (1..=bound)
                .find(|_| serve(&mut turns, (others.next().unwrap() & all) | 1 << lane) == Some(lane));
            prop_assert!(waited.is_some(), "lane {lane} of {weights:?} not served in {bound} pulls");
        }

        /// With every lane full, each gets at least its share, less one.
        #[test]
        fn full_lanes_get_their_shares(weights in weights(), pulls in 1_u64..5_000) {
            let lanes = weights.len();
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            let mut turns = Turns::new(&weights);
            let mut served = [0_u64; MOST_LANES];
            for _ in 0..pulls {
                served[serve(&mut turns, (1 << lanes) - 1).unwrap()] += 1;
            }
            for lane in 0..lanes {
                let bound = worker_bound(&weights, lane);
                prop_assert!(served[lane] >= pulls / bound, "lane {lane}: {served:?}");
            }
            prop_assert!(served[lanes - 1] * total + total * lanes as u64 >=
                pulls * u64::from(weights[lanes - 1]), "top lane: {served:?}");
        }
    }
}
