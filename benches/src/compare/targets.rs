//! What has to be reached, and which cells it concerns.
//!
//! Targets are ratios to the best rival within a round, or bounds on the value itself. They concern this
//! project's pool with thread workers.

use crate::compare::{Condition, measurement::Column, ratio::Rivals};

/// The contender that targets are for.
pub const CONTENDER: &str = "lanepool";

/// What a target's number is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// The ratio to the best of these.
    Ratio(Rivals),
    /// The value divided by what arithmetic says is possible at best.
    Analytic(f64),
    /// The value itself.
    Value,
}

/// Where a number may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Not above.
    AtMost(f64),
    /// Below.
    Below(f64),
    /// Not below.
    AtLeast(f64),
}

impl Limit {
    /// The number itself.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::AtMost(limit) | Self::Below(limit) | Self::AtLeast(limit) => limit,
        }
    }

    /// Whether `value` keeps to it. No number never does.
    #[must_use]
    pub fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    /// As in a table.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtMost(_) => "≤",
            Self::Below(_) => "<",
            Self::AtLeast(_) => "≥",
        }
    }
}

/// One thing that has to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// What the number is held against.
    pub against: Against,
    /// Where it may lie.
    pub limit: Limit,
}

impl Target {
    fn ratio(rivals: Rivals, limit: Limit) -> Self {
        Self {
            against: Against::Ratio(rivals),
            limit,
        }
    }

    fn value(limit: Limit) -> Self {
        Self {
            against: Against::Value,
            limit,
        }
    }
}

/// How long a low task of the priority probe runs, in microseconds.
pub const PROBED_TASK_US: f64 = 20.0;

/// The 99th percentile of the time until the first of `workers` running tasks is done, if each has a rest
/// that is uniform between nothing and [`PROBED_TASK_US`]: `P(min > x) = (1 − x/T)^n`, set to 0.01.
#[must_use]
pub fn analytic_rest_p99_us(workers: usize) -> f64 {
    PROBED_TASK_US * (1.0 - 0.01_f64.powf(1.0 / workers as f64))
}

/// The mean of that time: `T / (n + 1)`.
#[must_use]
pub fn analytic_rest_mean_us(workers: usize) -> f64 {
    PROBED_TASK_US / (workers + 1) as f64
}

/// The targets for what [`CONTENDER`] reaches in a column; most columns have none.
#[must_use]
pub fn of(column: Column<'_>) -> Vec<Target> {
    use Limit::{AtLeast, AtMost, Below};
    let by_condition = |quiet: Limit, loaded: Limit| match column.condition {
        Condition::Quiet => quiet,
        Condition::Loaded => loaded,
    };
    let best = |limit| vec![Target::ratio(Rivals::All, limit)];
    let quiet = column.condition == Condition::Quiet;
    match (column.workload, column.case, column.metric) {
        ("W1", "p1-w2" | "p2-w2" | "p4-w2", "tasks_m_per_s") => vec![
            Target::ratio(Rivals::Plain, by_condition(AtLeast(1.3), AtLeast(0.9))),
            Target::ratio(Rivals::Priorities, by_condition(AtLeast(8.0), AtLeast(3.0))),
        ],
        ("W1", _, "lowest_after_best") => vec![Target::value(AtLeast(0.5))],
        ("W2", "blocking-hot", "p50_us") => best(by_condition(AtMost(0.5), AtMost(1.0))),
        ("W2", "async-hot", "p50_us") => best(by_condition(AtMost(0.2), AtMost(1.0))),
        ("W2", "blocking-idle" | "async-idle", "p50_us") => best(AtMost(1.0)),
        ("W3", "clients-64", "requests_m_per_s") => best(by_condition(AtLeast(1.2), AtLeast(1.5))),
        ("W3", "clients-1024", "requests_m_per_s") => best(AtLeast(1.5)),
        ("W3", "clients-64" | "clients-1024", "p99_us") => best(AtMost(1.2)),
        ("W3", "clients-64" | "clients-1024", "switches_per_request") if quiet => {
            vec![Target::value(AtMost(0.05))]
        }
        ("W4", case @ ("workers-1" | "workers-2"), "p99_us") => {
            let workers = if case == "workers-1" { 1 } else { 2 };
            vec![
                Target::ratio(Rivals::All, AtMost(1.0)),
                Target {
                    against: Against::Analytic(analytic_rest_p99_us(workers)),
                    limit: AtMost(1.2),
                },
            ]
        }
        ("W5", "single", "instructions") => best(Below(1.0)),
        ("W6", _, "allocations") => vec![Target::value(AtMost(0.0))],
        ("W7", _, "cpu_us_per_s") => best(AtMost(1.0)),
        ("W9", case, "p99_us") if case.ends_with("-80") || case.ends_with("-95") => {
            best(AtMost(1.0))
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(
        condition: Condition,
        workload: &str,
        case: &str,
        metric: &str,
    ) -> Vec<(Against, Limit)> {
        of(Column {
            condition,
            workload,
            case,
            metric,
        })
        .into_iter()
        .map(|target| (target.against, target.limit))
        .collect()
    }

    #[test]
    fn a_loaded_machine_has_targets_of_its_own() {
        let fan_out = |condition| targets(condition, "W1", "p2-w2", "tasks_m_per_s");
        assert_eq!(
            fan_out(Condition::Quiet),
            [
                (Against::Ratio(Rivals::Plain), Limit::AtLeast(1.3)),
                (Against::Ratio(Rivals::Priorities), Limit::AtLeast(8.0)),
            ]
        );
        assert_eq!(
            fan_out(Condition::Loaded),
            [
                (Against::Ratio(Rivals::Plain), Limit::AtLeast(0.9)),
                (Against::Ratio(Rivals::Priorities), Limit::AtLeast(3.0)),
            ]
        );
        let switches = |condition| targets(condition, "W3", "clients-64", "switches_per_request");
        assert_eq!(switches(Condition::Quiet).len(), 1);
        assert!(switches(Condition::Loaded).is_empty());
    }

    #[test]
    fn only_the_cases_that_were_named_have_targets() {
        let quiet = |workload, case, metric| targets(Condition::Quiet, workload, case, metric);
        assert!(quiet("W1", "p8-w2", "tasks_m_per_s").is_empty());
        assert!(quiet("W1", "p2-w2", "cpu_ns_per_task").is_empty());
        assert!(quiet("W3", "clients-1", "requests_m_per_s").is_empty());
        assert!(quiet("W9", "50us-50", "p99_us").is_empty());
        assert_eq!(quiet("W9", "50us-95", "p99_us").len(), 1);
        assert!(quiet("W5", "runs-16", "instructions").is_empty());
    }

    #[test]
    fn the_analytic_rest_is_that_of_the_first_task_to_end() {
        assert!((analytic_rest_p99_us(1) - 19.8).abs() < 1e-9);
        assert!((analytic_rest_p99_us(2) - 18.0).abs() < 1e-9);
        assert!((analytic_rest_mean_us(1) - 10.0).abs() < 1e-9);
        assert!((analytic_rest_mean_us(2) - 20.0 / 3.0).abs() < 1e-9);
        let both = targets(Condition::Loaded, "W4", "workers-2", "p99_us");
        assert_eq!(both[1].0, Against::Analytic(analytic_rest_p99_us(2)));
    }

    #[test]
    fn a_limit_knows_its_own_side() {
        assert!(Limit::AtMost(1.0).met_by(1.0) && !Limit::AtMost(1.0).met_by(1.1));
        assert!(Limit::AtLeast(1.0).met_by(1.0) && !Limit::AtLeast(1.0).met_by(0.9));
        assert!(Limit::Below(1.0).met_by(0.9) && !Limit::Below(1.0).met_by(1.0));
        for limit in [Limit::AtMost(1.0), Limit::AtLeast(1.0), Limit::Below(1.0)] {
            assert!(!limit.met_by(f64::NAN), "{limit:?}");
        }
    }
}
