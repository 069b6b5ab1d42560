//! When one row of waits is clearly shorter than another. Pure.
//!
//! Waits of a window scatter, and not by a bell curve: a pause of the host or a burst makes one of them
//! many times the rest. So rows are compared by medians and by ranks, which one odd window cannot move.

/// Windows that a trial measures.
pub(super) const TRIAL: usize = 4;
/// Windows of the strategy in force that are remembered.
pub(super) const KEPT: usize = 16;

/// Differences that nobody notices, in nanoseconds.
const SMALL_NS: u64 = 1_000;
/// A clearly shorter wait is below so many percent of the other.
const CLEARLY_PERCENT: u64 = 85;
/// Of so many pairs, one of each row, so many may contradict a claim that one row is the shorter.
const PAIRS: usize = TRIAL * KEPT;
const CONTRADICTING: usize = 5;

/// The median; of an even number the mean of the two in the middle. Not of nothing.
pub(super) fn median(waits: impl IntoIterator<Item = u64>) -> u64 {
    let mut waits: Vec<u64> = waits.into_iter().collect();
    waits.sort_unstable();
    let middle = waits.len() / 2;
    if waits.len() % 2 == 1 {
        waits[middle]
    } else {
        waits[middle - 1].midpoint(waits[middle])
    }
}

/// Whether a wait is so much shorter than another that a change is worth it.
pub(super) fn clearly_below(wait_ns: u64, other_ns: u64) -> bool {
    let limit = u128::from(other_ns) * u128::from(CLEARLY_PERCENT) / 100;
    u128::from(wait_ns.saturating_add(SMALL_NS)) < limit
}

/// Whether a wait is so many times another.
pub(super) fn far_above(wait_ns: u64, other_ns: u64, times: u64) -> bool {
    wait_ns > other_ns.saturating_mul(times).saturating_add(SMALL_NS)
}

/// Whether the waits of a trial show that they are shorter than those under the strategy in force.
///
/// Their medians must be clearly apart, and at most 5 of the 64 pairs of a trial's wait and another
/// one may say the contrary (the rank sum test of Mann and Whitney, 1947). Were both rows of the same
/// kind, whatever kind that is, the ranks alone would come out so in 18 of 4,845 arrangements.
pub(super) fn shows_improvement(trial: &[u64], kept: &[u64]) -> bool {
    let contradicting = trial
        .iter()
        .map(|tried| kept.iter().filter(|kept| **kept <= *tried).count())
        .sum::<usize>();
    contradicting * PAIRS <= CONTRADICTING * trial.len() * kept.len()
        && clearly_below(median(trial.iter().copied()), median(kept.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([7]), 7);
        assert_eq!(median([9, 1, 5]), 5);
        assert_eq!(median([100, 1, 3, 2]), 2);
        assert_eq!(median([u64::MAX; 4]), u64::MAX);
    }

    #[test]
    fn a_small_difference_is_not_clear() {
        assert!(clearly_below(83_000, 100_000));
        assert!(!clearly_below(84_000, 100_000), "15 % and a microsecond");
        assert!(!clearly_below(0, 1_000), "a microsecond");
        assert!(!clearly_below(u64::MAX, u64::MAX));
    }

    #[test]
    fn one_odd_window_decides_nothing() {
        let kept = [100_000; KEPT];
        assert!(shows_improvement(&[60_000; TRIAL], &kept));
        assert!(!shows_improvement(
            &[60_000, 60_000, 60_000, 900_000],
            &kept
        ));
        let mut with_odd = kept;
        with_odd[3] = 10;
        assert!(shows_improvement(&[60_000; TRIAL], &with_odd));
        with_odd[4] = 10;
        assert!(!shows_improvement(&[60_000; TRIAL], &with_odd), "8 pairs");
        let mut equal = kept;
        equal[..6].fill(60_000);
        assert!(
            !shows_improvement(&[60_000; TRIAL], &equal),
            "equal is not less"
        );
    }

    /// Counts every way in which the ranks of two rows of one kind can fall.
    #[test]
    fn equal_rows_seldom_look_different() {
        let (mut arrangements, mut convinced) = (0, 0);
        for ranks in 0_u32..1 << (TRIAL + KEPT) {
            if ranks.count_ones() as usize != TRIAL {
                continue;
            }
            // Far enough apart that the medians differ clearly wherever they differ.
            let wait = |rank: usize| 2_u64.pow(rank as u32) * 10_000;
            let (trial, kept): (Vec<usize>, Vec<usize>) =
                (0..TRIAL + KEPT).partition(|rank| ranks & (1 << rank) != 0);
            let trial: Vec<u64> = trial.into_iter().map(wait).collect();
            let kept: Vec<u64> = kept.into_iter().map(wait).collect();
            arrangements += 1;
            convinced += u32::from(shows_improvement(&trial, &kept));
        }
        assert_eq!((arrangements, convinced), (4_845, 18));
    }
}
