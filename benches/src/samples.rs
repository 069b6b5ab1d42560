//! Medians and percentiles of measured values.

/// The median; for an even number of values the higher of the middle two. NaN if there is none.
pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

/// The smallest value that at least the share `q` of all values does not exceed (the nearest rank), or NaN if
/// there is no value; for 0.5 and an even number the higher of the middle two. Sorts the values.
pub fn percentile(values: &mut [f64], q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() as f64 * q).floor() as usize;
    values
        .get(rank.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Where the median stands among `values`.
///
/// # Panics
///
/// If there is no value.
#[must_use]
pub fn median_index(values: &[f64]) -> usize {
    assert!(!values.is_empty(), "no values have no median");
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    order[order.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(median(&mut values), 50.0);
        assert_eq!(percentile(&mut values, 0.99), 99.0);
        assert_eq!(percentile(&mut values, 0.0), 0.0);
        assert_eq!(percentile(&mut values, 1.0), 99.0);
        assert_eq!(median(&mut [7.0]), 7.0);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn the_median_is_found_where_it_stands() {
        assert_eq!(median_index(&[9.0, 1.0, 5.0]), 2);
        assert_eq!(median_index(&[3.0]), 0);
    }
}
