//! Contenders side by side, a panel for each case.
//!
//! Values of contenders differ by orders of magnitude, so their axis is logarithmic and a contender is a dot
//! with its range, not a bar, whose length would mean nothing there.

use plotters::{coord::combinators::IntoLogRange, prelude::*};

use super::{Area, FONT, PANEL_WIDTH, short};
use crate::{
    Result,
    compare::{Condition, Kind, Metric, Outline, Results, measurement::Column, ratio::Summary},
};

const ROW_HEIGHT: u32 = 17;
/// Title and axis of a panel.
const PANEL_FRAME: u32 = 90;
const PANELS_ACROSS: usize = 2;

/// A row of a panel: a contender, quiet and loaded.
struct Row {
    contender: &'static str,
    kind: Kind,
    by_condition: [Option<Summary>; 2],
}

/// A panel for each case that all contenders took part in, of the workload's first metric.
///
/// `None` if there is nothing to plot, or a value that has no logarithm.
///
/// # Errors
///
/// The plot could not be drawn.
pub fn dots(results: &Results, outline: &Outline) -> Result<Option<String>> {
    let Some(metric) = outline.metrics.first() else {
        return Ok(None);
    };
    let all: Vec<(&str, Vec<Row>)> = outline
        .cases
        .iter()
        .map(|case| {
            let rows = rows(results, outline.name, &case.name, metric);
            (case.title.as_str(), rows)
        })
        .collect();
    let most = all.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
    let panels: Vec<_> = all
        .into_iter()
        .filter(|(_, rows)| rows.len() == most)
        .collect();
    let positive = |row: &Row| row.by_condition.iter().flatten().all(|one| one.min > 0.0);
    if most == 0 || !panels.iter().all(|(_, rows)| rows.iter().all(positive)) {
        return Ok(None);
    }
    let across = panels.len().min(PANELS_ACROSS);
    let down = panels.len().div_ceil(across);
    let height = PANEL_FRAME + ROW_HEIGHT * most as u32;
    let size = (PANEL_WIDTH * across as u32, height * down as u32);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, (title, rows)) in root.split_evenly((down, across)).iter().zip(&panels) {
            panel(area, &format!("{}: {title}", outline.title), metric, rows)?;
        }
        root.present()?;
    }
    Ok(Some(text))
}

/// The contenders of a case, the last of the plot first, since rows are drawn from below.
fn rows(results: &Results, workload: &str, case: &str, metric: &Metric) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (at, condition) in Condition::ALL.into_iter().enumerate() {
        let column = results.column(Column {
            condition,
            workload,
            case,
            metric: metric.name,
        });
        for series in column {
            let summary = Summary::of(series.values());
            match rows
                .iter_mut()
                .find(|row| row.contender == series.contender)
            {
                Some(row) => row.by_condition[at] = summary,
                None => {
                    let mut by_condition = [None, None];
                    by_condition[at] = summary;
                    rows.push(Row {
                        contender: series.contender,
                        kind: series.kind,
                        by_condition,
                    });
                }
            }
        }
    }
    let rank = |row: &Row| {
        let summary = row.by_condition[0].or(row.by_condition[1]);
        summary.map_or(f64::NAN, |summary| summary.median)
    };
    rows.sort_by(|a, b| {
        if metric.better.of(rank(a), rank(b)) == rank(b) {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        }
    });
    rows
}

fn panel(area: &Area<'_>, title: &str, metric: &Metric, rows: &[Row]) -> Result<()> {
    let summaries = || rows.iter().flat_map(|row| row.by_condition).flatten();
    let low = summaries().map(|one| one.min).fold(f64::INFINITY, f64::min);
    let high = summaries().map(|one| one.max).fold(0.0, f64::max);
    let across = decades(low, high).log_scale();
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 14))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(150)
        .build_cartesian_2d(across, (0..rows.len()).into_segmented())?;
    let name = |row: &SegmentValue<usize>| match row {
        SegmentValue::CenterOf(at) => rows.get(*at).map_or("", |row| row.contender).to_owned(),
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .y_labels(rows.len())
        .y_label_formatter(&name)
        .x_labels(6)
        .x_label_formatter(&|value| short(*value))
        .x_desc(format!("{}; filled: quiet, hollow: loaded", metric.title))
        .label_style((FONT, 11))
        .axis_desc_style((FONT, 12))
        .draw()?;
    for (at, row) in rows.iter().enumerate() {
        let color = color(row.kind);
        for (summary, quiet) in row.by_condition.iter().zip([true, false]) {
            let Some(summary) = summary else { continue };
            let y = SegmentValue::CenterOf(at);
            let range = vec![(summary.min, y.clone()), (summary.max, y.clone())];
            chart.draw_series([PathElement::new(range, color.stroke_width(1))])?;
            let style = if quiet {
                color.filled()
            } else {
                color.stroke_width(1)
            };
            chart.draw_series([Circle::new((summary.median, y), 4, style)])?;
        }
    }
    Ok(())
}

/// The powers of ten around a range; only they have a label on a logarithmic axis.
fn decades(low: f64, high: f64) -> std::ops::Range<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    10_f64.powi(first)..10_f64.powi(last.max(first + 1))
}

fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Ours => RGBColor(200, 30, 30),
        Kind::Plain => RGBColor(40, 90, 160),
        Kind::Priorities => RGBColor(20, 130, 70),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixture::{METRIC, results},
        *,
    };
    use crate::compare::Case;

    fn outline() -> Outline {
        let case = |name: &str| Case {
            name: name.to_owned(),
            title: format!("{name} producers"),
        };
        Outline {
            name: "W1",
            title: "fan-out",
            about: "",
            metrics: &[METRIC],
            cases: vec![case("1"), case("2")],
        }
    }

    #[test]
    fn a_plot_names_its_contenders_and_cases() {
        let results = results(&[("fast", "1", 90.0), ("slow", "1", 0.5), ("fast", "2", 80.0)]);
        let plot = dots(&results, &outline()).unwrap().unwrap();
        for text in ["<svg", "fast", "slow", "1 producers", "M tasks/s"] {
            assert!(plot.contains(text), "{text}: {plot}");
        }
        // Only the first case had all contenders.
        assert!(!plot.contains("2 producers"));
    }

    #[test]
    fn what_has_no_logarithm_is_not_plotted_and_neither_is_nothing() {
        let zero = results(&[("a", "1", 0.0)]);
        assert_eq!(dots(&zero, &outline()).unwrap(), None);
        assert_eq!(dots(&Results::default(), &outline()).unwrap(), None);
    }

    #[test]
    fn an_axis_ends_at_powers_of_ten() {
        assert_eq!(decades(0.3, 70.0), 0.1..100.0);
        assert_eq!(decades(2.0, 3.0), 1.0..10.0);
        assert_eq!(decades(10.0, 10.0), 10.0..100.0);
    }
}
