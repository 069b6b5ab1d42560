//! How evenly work is shared out, as one number. Pure.

/// Jain's fairness index of some shares: `(sum x)^2 / (n * sum x^2)`.
///
/// 1 if all shares are equal, `1 / n` if one of `n` has everything, and `k / n` if `k` of them share
/// equally and the rest has nothing. It depends on no unit and on no scale (Jain, Chiu and Hawe, *A
/// Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared Computer
/// Systems*, 1984).
///
/// Shares are not negative. Without shares, or where nobody has anything, nothing is uneven: 1.
pub(crate) fn jain(shares: impl Iterator<Item = f64>) -> f64 {
    let (count, sum, squares) = shares.fold((0.0, 0.0, 0.0), |(count, sum, squares), share| {
        (count + 1.0, sum + share, squares + share * share)
    });
    if squares > 0.0 {
        // The division may round to just above 1.
        f64::min(sum * sum / (count * squares), 1.0)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(shares: &[f64]) -> f64 {
        jain(shares.iter().copied())
    }

    #[test]
    fn k_of_n_share_equally() {
        assert_eq!(index(&[5.0; 8]), 1.0);
        assert_eq!(index(&[786.3; 6]), 1.0, "which rounds to a little more");
        assert_eq!(index(&[0.0, 0.0, 7.0, 0.0]), 0.25);
        assert_eq!(index(&[3.0, 0.0, 3.0, 0.0]), 0.5);
    }

    #[test]
    fn nothing_is_shared_evenly() {
        assert_eq!(index(&[]), 1.0);
        assert_eq!(index(&[0.0; 3]), 1.0);
    }

    #[test]
    fn the_example_of_two_and_one() {
        assert!((index(&[2.0, 1.0]) - 0.9).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn it_lies_between_one_nth_and_one(shares in prop::collection::vec(0.0..1e15, 1..40)) {
            let index = index(&shares);
            let least = 1.0 / shares.len() as f64;
            prop_assert!((least * (1.0 - 1e-9)..=1.0).contains(&index), "{index}");
        }

        #[test]
        fn the_unit_does_not_matter(
            shares in prop::collection::vec(1.0..1e6, 1..40),
            unit in 1e-6..1e9,
        ) {
            let scaled: Vec<_> = shares.iter().map(|share| share * unit).collect();
            prop_assert!((index(&shares) - index(&scaled)).abs() < 1e-9);
        }

        /// Taking from one who has more and giving to one who has less makes it more even.
        #[test]
        fn a_transfer_to_the_poorer_helps(
            mut shares in prop::collection::vec(1.0..1_000.0, 2..20),
            part in 0.1..0.9,
        ) {
            shares.sort_by(f64::total_cmp);
            let before = index(&shares);
            let last = shares.len() - 1;
            let moved = (shares[last] - shares[0]) / 2.0 * part;
            shares[0] += moved;
            shares[last] -= moved;
            prop_assert!(index(&shares) >= before - 1e-12);
        }
    }
}
