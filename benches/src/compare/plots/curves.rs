//! Contenders along cases of growing size.

use plotters::{coord::combinators::IntoLogRange, prelude::*};

use super::{Area, FONT, PANEL_WIDTH, short};
use crate::{
    Result,
    compare::{
        Condition, Metric, Results,
        measurement::{Column, Series},
        ratio::Summary,
    },
};

const CURVES_HEIGHT: u32 = 320;

/// A line for each contender along cases of growing size.
#[derive(Clone, Debug)]
pub struct Curves<'a> {
    /// The plot's title.
    pub title: &'a str,
    /// What grows.
    pub axis: &'a str,
    /// Size and case, the smallest first.
    pub steps: Vec<(f64, String)>,
}

/// Side by side, one plot for each of `curves` in this condition; contenders that lack a step are left out.
/// `None` if that leaves nobody.
///
/// # Errors
///
/// The plot could not be drawn.
pub fn curves(
    results: &Results,
    workload: &str,
    metric: &Metric,
    condition: Condition,
    curves: &[Curves<'_>],
) -> Result<Option<String>> {
    let plots: Vec<(&Curves<'_>, Vec<Line>)> = curves
        .iter()
        .map(|one| (one, complete(results, workload, metric, condition, one)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    if plots.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    {
        let size = (PANEL_WIDTH * plots.len() as u32, CURVES_HEIGHT);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, (one, lines)) in root.split_evenly((1, plots.len())).iter().zip(&plots) {
            curve_plot(area, metric, one, lines)?;
        }
        root.present()?;
    }
    Ok(Some(text))
}

/// A contender's medians along the steps.
struct Line {
    contender: &'static str,
    points: Vec<(f64, f64)>,
}

fn complete(
    results: &Results,
    workload: &str,
    metric: &Metric,
    condition: Condition,
    curves: &Curves<'_>,
) -> Vec<Line> {
    let columns: Vec<(f64, Vec<Series>)> = curves
        .steps
        .iter()
        .map(|(size, case)| {
            let column = results.column(Column {
                condition,
                workload,
                case,
                metric: metric.name,
            });
            (*size, column)
        })
        .collect();
    let Some((_, first)) = columns.first() else {
        return Vec::new();
    };
    first
        .iter()
        .filter_map(|series| {
            let point = |(size, column): &(f64, Vec<Series>)| {
                let same = column
                    .iter()
                    .find(|one| one.contender == series.contender)?;
                Some((*size, Summary::of(same.values())?.median))
            };
            let points = columns.iter().map(point).collect::<Option<Vec<_>>>()?;
            Some(Line {
                contender: series.contender,
                points,
            })
        })
        .collect()
}

fn curve_plot(area: &Area<'_>, metric: &Metric, curves: &Curves<'_>, lines: &[Line]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let high = points().map(|point| point.1).fold(0.0, f64::max);
    let (first, last) = points().fold((f64::INFINITY, 0.0_f64), |(first, last), point| {
        (first.min(point.0), last.max(point.0))
    });
    let mut chart = ChartBuilder::on(area)
        .caption(curves.title, (FONT, 14))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(50)
        .build_cartesian_2d((first..last).log_scale().base(2.0), 0.0..high * 1.1)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|value| short(*value))
        .x_desc(curves.axis)
        .y_desc(metric.title)
        .label_style((FONT, 11))
        .axis_desc_style((FONT, 12))
        .draw()?;
    for (at, line) in lines.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        chart
            .draw_series([PathElement::new(line.points.clone(), color.stroke_width(2))])?
            .label(line.contender)
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 14, y)], color.stroke_width(2))
            });
        let dots = line.points.iter();
        chart.draw_series(dots.map(|&point| Circle::new(point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 11))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixture::{METRIC, results},
        *,
    };

    #[test]
    fn a_curve_needs_every_step() {
        let results = results(&[("whole", "1", 3.0), ("whole", "2", 4.0), ("part", "1", 1.0)]);
        let steps = Curves {
            title: "scaling",
            axis: "producers",
            steps: vec![(1.0, "1".to_owned()), (2.0, "2".to_owned())],
        };
        let draw = |condition| {
            curves(
                &results,
                "W1",
                &METRIC,
                condition,
                std::slice::from_ref(&steps),
            )
            .unwrap()
        };
        let plot = draw(Condition::Quiet).unwrap();
        assert!(plot.contains("whole") && !plot.contains("part"), "{plot}");
        assert_eq!(draw(Condition::Loaded), None);
    }
}
