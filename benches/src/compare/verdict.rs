//! Measurements held against targets.

use serde::Serialize;

use crate::compare::{
    Condition, Kind, Outline, Results,
    measurement::{Column, Series},
    ratio::{self, Ratio, Rivals, Summary},
    targets::{self, Against, Limit, Target},
};

/// One value of one cell, its ratio, and its target if it has one: a line of `--json`.
///
/// A cell's value has a line for each of its targets, and one without if there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What else the machine did.
    pub condition: Condition,
    /// `W1` and so on.
    pub workload: &'static str,
    /// The case's name.
    pub case: String,
    /// Who was measured.
    pub contender: &'static str,
    /// The contender's group.
    pub kind: Kind,
    /// What was measured, the unit last.
    pub metric: &'static str,
    /// The median of the rounds.
    pub value: f64,
    /// The smallest of the rounds.
    pub min: f64,
    /// The largest of the rounds.
    pub max: f64,
    /// How many rounds there were.
    pub rounds: usize,
    /// What the ratio divides by, or `value` where a target is for the value itself.
    pub against: &'static str,
    /// The median of the ratios within the rounds; none if there is no rival, or the rival has zero.
    pub ratio: Option<f64>,
    /// The same to whichever rival was best in each round.
    pub to_luckiest: Option<f64>,
    /// The rival with the best median.
    pub best: Option<&'static str>,
    /// That median.
    pub best_value: Option<f64>,
    /// What has to be reached.
    pub target: Option<f64>,
    /// Whether it was.
    pub met: Option<bool>,
    /// The target with its direction.
    #[serde(skip)]
    pub limit: Option<Limit>,
}

/// All lines of a workload in a condition.
#[must_use]
pub fn lines(results: &Results, outline: &Outline, condition: Condition) -> Vec<Line> {
    let mut lines = Vec::new();
    for case in &outline.cases {
        for metric in outline.metrics {
            let place = Column {
                condition,
                workload: outline.name,
                case: &case.name,
                metric: metric.name,
            };
            let column = results.column(place);
            for series in &column {
                let Some(summary) = Summary::of(series.values()) else {
                    continue;
                };
                let compare = |rivals| ratio::within_rounds(series, &column, rivals, metric.better);
                let plain = plain_line(outline.name, place, metric.name, series, summary);
                let wanted = if series.contender == targets::CONTENDER {
                    targets::of(place)
                } else {
                    Vec::new()
                };
                for target in &wanted {
                    lines.push(plain.clone().judged(*target, compare));
                }
                if wanted.is_empty() {
                    lines.push(plain.with_ratio(Rivals::All.name(), compare(Rivals::All)));
                }
            }
        }
    }
    lines
}

fn plain_line(
    workload: &'static str,
    place: Column<'_>,
    metric: &'static str,
    series: &Series,
    summary: Summary,
) -> Line {
    Line {
        condition: place.condition,
        workload,
        case: place.case.to_owned(),
        contender: series.contender,
        kind: series.kind,
        metric,
        value: summary.median,
        min: summary.min,
        max: summary.max,
        rounds: series.rounds.len(),
        against: "",
        ratio: None,
        to_luckiest: None,
        best: None,
        best_value: None,
        target: None,
        met: None,
        limit: None,
    }
}

impl Line {
    fn with_ratio(self, against: &'static str, ratio: Option<Ratio>) -> Self {
        let finite = |of: fn(Ratio) -> f64| ratio.map(of).filter(|ratio| ratio.is_finite());
        Self {
            against,
            ratio: finite(|ratio| ratio.median),
            to_luckiest: finite(|ratio| ratio.to_luckiest),
            best: ratio.map(|ratio| ratio.best),
            best_value: ratio.map(|ratio| ratio.best_median),
            ..self
        }
    }

    /// Without a rival, a target that is a ratio to one is neither met nor missed.
    fn judged(self, target: Target, compare: impl Fn(Rivals) -> Option<Ratio>) -> Self {
        let (line, number) = match target.against {
            Against::Ratio(rivals) => {
                let ratio = compare(rivals);
                let line = self.with_ratio(rivals.name(), ratio);
                (line, ratio.map(|ratio| ratio.median))
            }
            Against::Analytic(limit) => {
                let ratio = self.value / limit;
                let line = Self {
                    against: "analytic rest",
                    ratio: Some(ratio),
                    best_value: Some(limit),
                    ..self
                };
                (line, Some(ratio))
            }
            Against::Value => {
                let value = self.value;
                (self.with_ratio("value", compare(Rivals::All)), Some(value))
            }
        };
        Self {
            target: Some(target.limit.number()),
            met: number.map(|number| target.limit.met_by(number)),
            limit: Some(target.limit),
            ..line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Better, Case, Measurement, Metric};

    fn outline(name: &'static str, case: &str, metrics: &'static [Metric]) -> Outline {
        Outline {
            name,
            title: "",
            about: "",
            metrics,
            cases: vec![Case {
                name: case.to_owned(),
                title: String::new(),
            }],
        }
    }

    fn results(outline: &Outline, cells: &[(&'static str, Kind, &[f64])]) -> Results {
        let mut results = Results::default();
        for &(contender, kind, values) in cells {
            for (round, &value) in values.iter().enumerate() {
                results.push(Measurement {
                    workload: outline.name,
                    case: outline.cases[0].name.clone(),
                    contender,
                    kind,
                    condition: Condition::Quiet,
                    round,
                    values: vec![(outline.metrics[0].name.to_owned(), value)],
                });
            }
        }
        results
    }

    const SPEED: &[Metric] = &[Metric {
        name: "tasks_m_per_s",
        title: "",
        better: Better::Higher,
    }];
    const ALLOCATIONS: &[Metric] = &[Metric {
        name: "allocations",
        title: "",
        better: Better::Lower,
    }];

    #[test]
    fn a_value_with_two_targets_has_two_lines_and_rivals_have_one_without() {
        let outline = outline("W1", "p1-w2", SPEED);
        let results = results(
            &outline,
            &[
                ("lanepool", Kind::Ours, &[28.0, 30.0, 26.0]),
                ("channel", Kind::Plain, &[20.0, 20.0, 20.0]),
                ("lanes", Kind::Priorities, &[4.0, 4.0, 4.0]),
            ],
        );
        let lines = lines(&results, &outline, Condition::Quiet);
        let of = |contender| lines.iter().filter(move |line| line.contender == contender);
        let ours: Vec<_> = of("lanepool")
            .map(|line| (line.against, line.ratio, line.target, line.met))
            .collect();
        assert_eq!(
            ours,
            [
                ("best without priorities", Some(1.4), Some(1.3), Some(true)),
                ("best with priorities", Some(7.0), Some(8.0), Some(false)),
            ]
        );
        let lanes = of("lanes").next().unwrap();
        assert_eq!(
            (lanes.ratio, lanes.target, lanes.met),
            (Some(0.2), None, None)
        );
        assert_eq!(lanes.best, Some("channel"));
    }

    #[test]
    fn a_target_for_the_value_needs_no_rival_and_a_ratio_does() {
        let bare = outline("W6", "task", ALLOCATIONS);
        let alone = results(&bare, &[("lanepool", Kind::Ours, &[0.0])]);
        let line = &lines(&alone, &bare, Condition::Quiet)[0];
        assert_eq!((line.against, line.met), ("value", Some(true)));
        let fan_out = outline("W1", "p1-w2", SPEED);
        let alone = results(&fan_out, &[("lanepool", Kind::Ours, &[9.0])]);
        for line in lines(&alone, &fan_out, Condition::Quiet) {
            assert_eq!((line.ratio, line.met), (None, None));
        }
    }

    #[test]
    fn a_line_of_json_names_its_cell_its_ratio_and_its_target() {
        let outline = outline("W6", "task", ALLOCATIONS);
        let results = results(
            &outline,
            &[
                ("lanepool", Kind::Ours, &[0.5]),
                ("boxes", Kind::Plain, &[1.0]),
            ],
        );
        let lines = lines(&results, &outline, Condition::Quiet);
        assert_eq!(
            serde_json::to_string(&lines[0]).unwrap(),
            concat!(
                r#"{"condition":"quiet","workload":"W6","case":"task","contender":"lanepool","#,
                r#""kind":"ours","metric":"allocations","value":0.5,"min":0.5,"max":0.5,"#,
                r#""rounds":1,"against":"value","ratio":0.5,"to_luckiest":0.5,"best":"boxes","best_value":1.0,"#,
                r#""target":0.0,"met":false}"#
            )
        );
    }
}
