//! Medians, ranges, and ratios within a round.
//!
//! Machines drift: what one round finds slow, the next finds fast. Contenders of one round ran within
//! seconds of each other, so a ratio is taken between values of the same round, and the median of the
//! rounds' ratios to the best rival, by its median, is what a target is held against.

use crate::{
    compare::measurement::{Better, Kind, Series},
    samples,
};

/// The rounds of one cell in three numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// For an even number of rounds the higher of the middle two.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of these values; `None` if there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        let median = samples::median(&mut values);
        Some(Self {
            median,
            min: *values.first()?,
            max: *values.last()?,
        })
    }
}

/// Which rivals a contender is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rivals {
    /// Whichever is best.
    All,
    /// The best without priorities.
    Plain,
    /// The best with priorities.
    Priorities,
}

impl Rivals {
    fn include(self, kind: Kind) -> bool {
        match self {
            Self::All => kind != Kind::Ours,
            Self::Plain => kind == Kind::Plain,
            Self::Priorities => kind == Kind::Priorities,
        }
    }

    /// As in tables and JSON lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "best rival",
            Self::Plain => "best without priorities",
            Self::Priorities => "best with priorities",
        }
    }
}

/// How one contender compares with the best rival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the rounds' ratios to the rival with the best median.
    pub median: f64,
    /// That rival.
    pub best: &'static str,
    /// Its median.
    pub best_median: f64,
    /// The median of the ratios to whichever rival was best in each round. Of many equals whose values scatter the best of
    /// a round is the luckiest, so this is worse than `median` even for an equal.
    pub to_luckiest: f64,
}

/// The ratios of `contender` within its rounds to the best of `rivals`, by its median and by its luck.
///
/// `None` if no round has both. Two zeros have the ratio 1, for neither is ahead.
#[must_use]
pub fn within_rounds(
    contender: &Series,
    column: &[Series],
    rivals: Rivals,
    better: Better,
) -> Option<Ratio> {
    let field = column.iter().filter(|series| rivals.include(series.kind));
    let field: Vec<(&Series, f64)> = field
        .filter_map(|series| Some((series, Summary::of(series.values())?.median)))
        .collect();
    let &(best, best_median) = field
        .iter()
        .reduce(|a, b| if better.of(a.1, b.1) == a.1 { a } else { b })?;
    let to_best = contender.rounds.iter().filter_map(|&(round, value)| {
        let other = best.rounds.iter().find(|entry| entry.0 == round)?;
        Some(quotient(value, other.1))
    });
    let to_luckiest = contender.rounds.iter().filter_map(|&(round, value)| {
        let others = field.iter().flat_map(|(series, _)| &series.rounds);
        let others = others.filter(|entry| entry.0 == round).map(|entry| entry.1);
        Some(quotient(value, others.reduce(|a, b| better.of(a, b))?))
    });
    let (mut to_best, mut to_luckiest): (Vec<f64>, Vec<f64>) =
        (to_best.collect(), to_luckiest.collect());
    (!to_best.is_empty()).then(|| Ratio {
        median: samples::median(&mut to_best),
        best: best.contender,
        best_median,
        to_luckiest: samples::median(&mut to_luckiest),
    })
}

/// Of each contender the ratio of its value to the best of its round, more being better: the median of the
/// rounds. One list of values a contender, one value a round; NaN for a contender without values.
///
/// Of equals whose values scatter, the best of a round is the luckiest, so all of them are below 1; what
/// compares two of them is [`beside`].
#[must_use]
pub fn to_best_of_round(contenders: &[Vec<f64>]) -> Vec<f64> {
    let best = |round: usize| {
        let values = contenders.iter().filter_map(|values| values.get(round));
        values.copied().fold(f64::NAN, f64::max)
    };
    let ratios = |values: &Vec<f64>| {
        let ratios = values.iter().enumerate();
        let mut ratios: Vec<f64> = ratios
            .map(|(round, &value)| quotient(value, best(round)))
            .collect();
        samples::median(&mut ratios)
    };
    contenders.iter().map(ratios).collect()
}

/// The ratios of one contender's values to another's of the same rounds. Two zeros have the ratio 1.
#[must_use]
pub fn ratios(contender: &[f64], other: &[f64]) -> Vec<f64> {
    let pairs = contender.iter().zip(other);
    pairs.map(|(&a, &b)| quotient(a, b)).collect()
}

/// The median over the rounds of the [`ratios`].
#[must_use]
pub fn beside(contender: &[f64], other: &[f64]) -> f64 {
    samples::median(&mut ratios(contender, other))
}

fn quotient(value: f64, best: f64) -> f64 {
    if value == best { 1.0 } else { value / best }
}

/// The least share of what an earlier value of the series reached that a later one still reaches.
///
/// 1 for a series that never falls; NaN for an empty one.
#[must_use]
pub fn lowest_after_best(values: &[f64]) -> f64 {
    let mut best = f64::NAN;
    let mut lowest = f64::NAN;
    for &value in values {
        best = best.max(value);
        lowest = lowest.min(value / best);
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(contender: &'static str, kind: Kind, values: &[f64]) -> Series {
        Series {
            contender,
            kind,
            rounds: values.iter().copied().enumerate().collect(),
        }
    }

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        // Each round is twice as slow as the one before; whoever compared medians of all would be misled.
        let ours = series("ours", Kind::Ours, &[40.0, 20.0, 10.0]);
        let column = [
            ours.clone(),
            series("plain", Kind::Plain, &[20.0, 12.0, 5.0]),
            series("lanes", Kind::Priorities, &[4.0, 1.0, 1.0]),
        ];
        let against = |rivals| within_rounds(&ours, &column, rivals, Better::Higher).unwrap();
        let all = against(Rivals::All);
        assert_eq!(
            (all.median, all.best, all.best_median),
            (2.0, "plain", 12.0)
        );
        assert_eq!(against(Rivals::Priorities).median, 10.0);
        // A rival is measured by the same yardstick, so the best one has 1.
        let best = within_rounds(&column[1], &column, Rivals::All, Better::Higher).unwrap();
        assert_eq!(best.median, 1.0);
    }

    #[test]
    fn the_luckiest_of_a_round_is_not_the_best_of_all() {
        let ours = series("ours", Kind::Ours, &[3.0, 3.0, 3.0]);
        let column = [
            series("a", Kind::Plain, &[2.0, 6.0, 6.0]),
            series("b", Kind::Plain, &[6.0, 1.0, 6.0]),
            series("c", Kind::Plain, &[4.0, 4.0, 2.0]),
        ];
        let ratio = within_rounds(&ours, &column, Rivals::All, Better::Lower).unwrap();
        assert_eq!((ratio.best, ratio.best_median), ("c", 4.0));
        assert_eq!((ratio.median, ratio.to_luckiest), (0.75, 1.5));
    }

    #[test]
    fn nobody_is_ahead_of_an_equal_and_nothing_compares_with_nobody() {
        let ours = series("ours", Kind::Ours, &[0.0]);
        let none = series("a", Kind::Plain, &[0.0]);
        let ratio = |column: &[Series]| within_rounds(&ours, column, Rivals::All, Better::Lower);
        assert_eq!(ratio(&[none]).unwrap().median, 1.0);
        assert_eq!(ratio(std::slice::from_ref(&ours)), None);
        let other_round = Series {
            rounds: vec![(7, 1.0)],
            ..series("a", Kind::Plain, &[])
        };
        assert_eq!(ratio(&[other_round]), None);
    }

    #[test]
    fn equals_that_scatter_are_equal_beside_each_other_and_below_the_best() {
        let (a, b) = (vec![100.0, 10.0, 3.0], vec![50.0, 20.0, 3.0]);
        assert_eq!(beside(&a, &b), 1.0);
        assert_eq!(beside(&b, &a), 1.0);
        let c = vec![25.0, 40.0, 1.0];
        assert_eq!(to_best_of_round(&[a, b, c]), [1.0, 0.5, 1.0 / 3.0]);
        assert!(to_best_of_round(&[Vec::new()])[0].is_nan());
    }

    #[test]
    fn a_summary_is_of_values_that_were_measured() {
        let summary = Summary::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 2.0, 3.0));
        assert_eq!(Summary::of(Vec::new()), None);
    }

    #[test]
    fn only_a_fall_counts_against_a_series() {
        assert_eq!(lowest_after_best(&[1.0, 2.0, 8.0]), 1.0);
        assert_eq!(lowest_after_best(&[4.0, 8.0, 2.0, 6.0]), 0.25);
        assert!(lowest_after_best(&[]).is_nan());
    }
}
