//! Tables in Markdown.

use crate::{
    compare::{
        Condition, Kind, Metric, Outline, Results,
        measurement::{Better, Column},
        ratio::Summary,
        verdict::Line,
    },
    figure::amount,
};

/// A table whose columns are as wide as they need to be; the first is flush left, the others flush right.
#[must_use]
pub fn markdown(head: &[String], rows: &[Vec<String>]) -> String {
    let length = |text: &String| text.chars().count();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, title)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(length);
            cells.chain([length(title), 3]).max().unwrap_or(3)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = widths
            .iter()
            .zip(cells)
            .enumerate()
            .map(|(at, (&width, cell))| {
                if at == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        format!("| {} |\n", padded.join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(at, &width)| {
            if at == 0 {
                "-".repeat(width)
            } else {
                format!("{}:", "-".repeat(width - 1))
            }
        })
        .collect();
    let mut text = line(head) + &line(&rule);
    text.extend(rows.iter().map(|row| line(row)));
    text
}

/// One row a contender and one column a case, best contender of the first case first within its group.
///
/// A cell is the median of the rounds with their range. `None` if nothing was measured.
#[must_use]
pub fn cells(
    results: &Results,
    outline: &Outline,
    condition: Condition,
    metric: &Metric,
) -> Option<String> {
    let columns: Vec<_> = outline
        .cases
        .iter()
        .map(|case| {
            let column = results.column(Column {
                condition,
                workload: outline.name,
                case: &case.name,
                metric: metric.name,
            });
            (&case.title, column)
        })
        .filter(|(_, column)| !column.is_empty())
        .collect();
    let mut contenders: Vec<(&'static str, Kind, f64)> = Vec::new();
    for series in columns.iter().flat_map(|(_, column)| column) {
        if contenders.iter().all(|known| known.0 != series.contender) {
            let rank = Summary::of(series.values()).map_or(f64::NAN, |summary| summary.median);
            contenders.push((series.contender, series.kind, rank));
        }
    }
    contenders.sort_by(|a, b| {
        let by_value = match metric.better {
            Better::Higher => b.2.total_cmp(&a.2),
            Better::Lower => a.2.total_cmp(&b.2),
        };
        a.1.cmp(&b.1).then(by_value)
    });
    let rows: Vec<Vec<String>> = contenders
        .iter()
        .map(|&(contender, kind, _)| {
            let mut row = vec![named(contender, kind)];
            row.extend(columns.iter().map(|(_, column)| {
                let series = column.iter().find(|one| one.contender == contender);
                let summary = series.and_then(|series| Summary::of(series.values()));
                summary.map_or_else(String::new, range)
            }));
            row
        })
        .collect();
    let mut head = vec![String::new()];
    head.extend(columns.iter().map(|(title, _)| (*title).clone()));
    (!rows.is_empty()).then(|| markdown(&head, &rows))
}

/// This project in bold, and those with priorities marked.
fn named(contender: &str, kind: Kind) -> String {
    match kind {
        Kind::Ours => format!("**{contender}**"),
        Kind::Plain => contender.to_owned(),
        Kind::Priorities => format!("{contender} †"),
    }
}

fn range(summary: Summary) -> String {
    let Summary { median, min, max } = summary;
    if min == max {
        short(median)
    } else {
        format!("{} ({}–{})", short(median), short(min), short(max))
    }
}

/// About three significant digits: a range needs no more.
fn short(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.01 => 3,
        _ => 5,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// What was to be reached, and what was.
#[must_use]
pub fn targets(lines: &[Line]) -> String {
    let head = [
        "workload",
        "case",
        "condition",
        "metric",
        "reached",
        "against",
        "its value",
        "ratio",
        "target",
        "",
        "to the luckiest of each round",
    ]
    .map(str::to_owned);
    let rows: Vec<Vec<String>> = lines
        .iter()
        .filter_map(|line| {
            let limit = line.limit?;
            let against = match (line.against, line.best) {
                ("value", _) => "the value itself".to_owned(),
                (against, Some(best)) => format!("{against}: {best}"),
                (against, None) => against.to_owned(),
            };
            let judged_by_value = line.against == "value";
            let optional = |value: Option<f64>| match value {
                Some(value) if !judged_by_value => amount(value),
                _ => String::new(),
            };
            Some(vec![
                line.workload.to_owned(),
                line.case.clone(),
                line.condition.to_string(),
                line.metric.to_owned(),
                amount(line.value),
                against,
                optional(line.best_value),
                optional(line.ratio),
                format!("{} {}", limit.sign(), amount(limit.number())),
                match line.met {
                    Some(true) => "met",
                    Some(false) => "**NOT MET**",
                    None => "no rival",
                }
                .to_owned(),
                optional(line.to_luckiest),
            ])
        })
        .collect();
    markdown(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Case, Measurement};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = markdown(
            &["".to_owned(), "µs".to_owned()],
            &[vec!["a long name".to_owned(), "1234".to_owned()]],
        );
        assert_eq!(
            text,
            "|             |   µs |\n| ----------- | ---: |\n| a long name | 1234 |\n"
        );
    }

    #[test]
    fn contenders_stand_in_their_groups_the_best_first() {
        const METRIC: Metric = Metric {
            name: "p50_us",
            title: "p50",
            better: Better::Lower,
        };
        let mut results = Results::default();
        for (contender, kind, round, value) in [
            ("slow", Kind::Plain, 0, 9.0),
            ("ours", Kind::Ours, 0, 0.25),
            ("lanes", Kind::Priorities, 0, 1.0),
            ("fast", Kind::Plain, 0, 2.0),
            ("slow", Kind::Plain, 1, 8.0),
        ] {
            results.push(Measurement {
                workload: "W2",
                case: "hot".to_owned(),
                contender,
                kind,
                condition: Condition::Quiet,
                round,
                values: vec![(METRIC.name.to_owned(), value)],
            });
        }
        let case = |name: &str| Case {
            name: name.to_owned(),
            title: name.to_owned(),
        };
        let outline = Outline {
            name: "W2",
            title: "",
            about: "",
            metrics: &[METRIC],
            cases: vec![case("hot"), case("never-run")],
        };
        let text = cells(&results, &outline, Condition::Quiet, &METRIC).unwrap();
        let names: Vec<&str> = text
            .lines()
            .skip(2)
            .map(|line| line.split('|').nth(1).unwrap().trim())
            .collect();
        assert_eq!(names, ["**ours**", "fast", "slow", "lanes †"]);
        assert!(
            text.contains("9 (8–9)") && !text.contains("never-run"),
            "{text}"
        );
        assert_eq!(cells(&results, &outline, Condition::Loaded, &METRIC), None);
    }

    #[test]
    fn three_digits_are_enough_for_a_range() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_061, "0.00006"),
            (0.0461, "0.046"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (20_531.4, "20531"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
