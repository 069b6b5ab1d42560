//! Plots in SVG.
//!
//! | module | role |
//! |---|---|
//! | [`dots`] | contenders side by side, case by case |
//! | [`curves`] | contenders along cases of growing size |

mod curves;
mod dots;

pub use curves::{Curves, curves};
pub use dots::dots;
use plotters::{coord::Shift, prelude::*};

const PANEL_WIDTH: u32 = 460;
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Up to three digits, and no exponent.
fn short(value: f64) -> String {
    if value >= 1.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod fixture {
    use crate::compare::{Better, Condition, Kind, Measurement, Metric, Results};

    pub(super) const METRIC: Metric = Metric {
        name: "speed",
        title: "M tasks/s",
        better: Better::Higher,
    };

    /// Quiet cells of one round: contender, case and value.
    pub(super) fn results(cells: &[(&'static str, &str, f64)]) -> Results {
        let mut results = Results::default();
        for &(contender, case, value) in cells {
            results.push(Measurement {
                workload: "W1",
                case: case.to_owned(),
                contender,
                kind: Kind::Plain,
                condition: Condition::Quiet,
                round: 0,
                values: vec![("speed".to_owned(), value)],
            });
        }
        results
    }
}
