//! What was measured, by cell and round.

use std::fmt;

use serde::Serialize;

/// What else the machine did during a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Nothing that the harness knows of.
    Quiet,
    /// A process for each CPU, and at least two, that never sleeps.
    Loaded,
}

impl Condition {
    /// Both, in the order in which they are reported.
    pub const ALL: [Self; 2] = [Self::Quiet, Self::Loaded];
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Quiet => "quiet",
            Self::Loaded => "loaded",
        })
    }
}

/// What contenders are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// This project.
    Ours,
    /// A rival without priorities.
    Plain,
    /// A rival that prefers some tasks to others.
    Priorities,
}

/// Which way a metric should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Better {
    /// The better of the two.
    #[must_use]
    pub fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Higher => a.max(b),
            Self::Lower => a.min(b),
        }
    }
}

/// One of the values that a cell yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// As in the JSON lines, the unit last.
    pub name: &'static str,
    /// As above a table.
    pub title: &'static str,
    /// Which way is better.
    pub better: Better,
}

/// One setting of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// As in a cell's name.
    pub name: String,
    /// As at the head of a column.
    pub title: String,
}

/// What the reports need to know of a workload.
#[derive(Clone, Debug)]
pub struct Outline {
    /// `W1` and so on.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What is done and measured, in sentences.
    pub about: &'static str,
    /// In the order of the tables; the first one is plotted, and ranks the contenders.
    pub metrics: &'static [Metric],
    /// In the order of the columns.
    pub cases: Vec<Case>,
}

/// What one run of one cell yielded.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// `W1` and so on.
    pub workload: &'static str,
    /// The case's name.
    pub case: String,
    /// The contender's name.
    pub contender: &'static str,
    /// The contender's group.
    pub kind: Kind,
    /// What else the machine did.
    pub condition: Condition,
    /// Ratios are taken between cells of the same round.
    pub round: usize,
    /// By metric.
    pub values: Vec<(String, f64)>,
}

impl Measurement {
    fn value(&self, metric: &str) -> Option<f64> {
        self.values
            .iter()
            .find_map(|(name, value)| (name == metric).then_some(*value))
    }
}

/// Which cells' values of which metric.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// What else the machine did.
    pub condition: Condition,
    /// `W1` and so on.
    pub workload: &'a str,
    /// The case's name.
    pub case: &'a str,
    /// The metric's name.
    pub metric: &'a str,
}

/// What one contender reached in a column, by round.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub contender: &'static str,
    /// Its group.
    pub kind: Kind,
    /// Round and value.
    pub rounds: Vec<(usize, f64)>,
}

impl Series {
    /// The values alone.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.rounds.iter().map(|(_, value)| *value).collect()
    }
}

/// Everything measured so far.
#[derive(Clone, Debug, Default)]
pub struct Results(Vec<Measurement>);

impl Results {
    /// Adds one.
    pub fn push(&mut self, measurement: Measurement) {
        self.0.push(measurement);
    }

    /// Whether nothing was measured of this workload in this condition.
    #[must_use]
    pub fn lacks(&self, workload: &str, condition: Condition) -> bool {
        !self
            .0
            .iter()
            .any(|one| one.workload == workload && one.condition == condition)
    }

    /// Every contender's series in a column, in the order in which they were first measured.
    #[must_use]
    pub fn column(&self, column: Column<'_>) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for one in &self.0 {
            let asked = one.condition == column.condition
                && one.workload == column.workload
                && one.case == column.case;
            let Some(value) = asked.then(|| one.value(column.metric)).flatten() else {
                continue;
            };
            let entry = (one.round, value);
            match all
                .iter_mut()
                .find(|series| series.contender == one.contender)
            {
                Some(series) => series.rounds.push(entry),
                None => all.push(Series {
                    contender: one.contender,
                    kind: one.kind,
                    rounds: vec![entry],
                }),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_its_own_cells_by_contender_and_round() {
        let mut results = Results::default();
        for (contender, condition, round, value) in [
            ("a", Condition::Quiet, 0, 1.0),
            ("b", Condition::Quiet, 0, 2.0),
            ("a", Condition::Loaded, 0, 9.0),
            ("a", Condition::Quiet, 1, 3.0),
        ] {
            results.push(Measurement {
                workload: "W1",
                case: "x".to_owned(),
                contender,
                kind: Kind::Plain,
                condition,
                round,
                values: vec![("speed".to_owned(), value)],
            });
        }
        let column = |metric| Column {
            condition: Condition::Quiet,
            workload: "W1",
            case: "x",
            metric,
        };
        let speed = results.column(column("speed"));
        assert_eq!(speed.len(), 2);
        assert_eq!(speed[0].rounds, [(0, 1.0), (1, 3.0)]);
        assert_eq!(speed[1].values(), [2.0]);
        assert!(results.column(column("weight")).is_empty());
        assert!(results.lacks("W2", Condition::Quiet) && !results.lacks("W1", Condition::Loaded));
    }
}
