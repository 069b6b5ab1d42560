//! A figure, what bounds it, and the report that prints figures as they are taken.

use serde::Serialize;

use crate::{Error, Result, args::Arguments, compare::table::markdown};

/// What a figure has to keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Informative: there is no target.
    None,
    /// The value must not be above this.
    AtMost(f64),
    /// The value must not be below this.
    AtLeast(f64),
}

impl Bound {
    fn target(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::AtMost(target) | Self::AtLeast(target) => Some(target),
        }
    }

    fn met_by(self, value: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(target) => Some(value <= target),
            Self::AtLeast(target) => Some(value >= target),
        }
    }
}

/// One measured value. Its JSON form is what `--json` prints, a line each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub figure: String,
    /// The value, in `unit`.
    pub value: f64,
    /// What the value counts.
    pub unit: &'static str,
    /// What the value has to keep to, if anything.
    pub target: Option<f64>,
    /// Whether it does; `None` without a target.
    pub met: Option<bool>,
}

impl Figure {
    /// Judges `value` by `bound`.
    #[must_use]
    pub fn new(figure: impl Into<String>, value: f64, unit: &'static str, bound: Bound) -> Self {
        Self {
            figure: figure.into(),
            value,
            unit,
            target: bound.target(),
            met: bound.met_by(value),
        }
    }

    /// The figure as a row of the table.
    fn row(&self) -> String {
        let target = self.target.map_or_else(String::new, amount);
        let met = match self.met {
            None => "",
            Some(true) => "met",
            Some(false) => "NOT MET",
        };
        format!(
            "| {:<84} | {:>10} | {:<14} | {target:>8} | {met:<7} |",
            self.figure,
            amount(self.value),
            self.unit
        )
    }
}

/// A value with about four significant digits, without an exponent.
#[must_use]
pub fn amount(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        size if size >= 0.1 => 3,
        _ => 6,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Prints each figure as soon as it is taken, and remembers what the exit code depends on.
#[derive(Debug)]
pub struct Report {
    arguments: Arguments,
    missed: usize,
    broken: usize,
}

impl Report {
    pub(crate) fn new(arguments: Arguments) -> Self {
        Self {
            arguments,
            missed: 0,
            broken: 0,
        }
    }

    /// Whether loops should be short and repeated little.
    #[must_use]
    pub fn quick(&self) -> bool {
        self.arguments.quick
    }

    /// `quick` items in a quick run and `full` ones otherwise.
    #[must_use]
    pub fn choose<T>(&self, full: T, quick: T) -> T {
        if self.arguments.quick { quick } else { full }
    }

    /// Takes a figure. An error is printed on standard error, and makes the exit code 2.
    pub fn take(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        bound: Bound,
        measure: impl FnOnce() -> Result<f64>,
    ) {
        let name = name.into();
        match measure() {
            Ok(value) => self.record(name, value, unit, bound),
            Err(error) => self.fail(&name, &error),
        }
    }

    /// Records a value that was already measured.
    pub fn record(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        bound: Bound,
    ) {
        let figure = Figure::new(name, value, unit, bound);
        if !figure.value.is_finite() {
            let error =
                format!("the measured value is {value}, which is no number: nothing was counted");
            return self.fail(&figure.figure, &error.into());
        }
        self.missed += usize::from(figure.met == Some(false));
        if self.arguments.json {
            match serde_json::to_string(&figure) {
                Ok(line) => println!("{line}"),
                Err(error) => self.fail(&figure.figure, &error.into()),
            }
        } else {
            println!("{}", figure.row());
        }
    }

    /// Reports that something could not be measured, or that a check failed while it was.
    pub fn fail(&mut self, name: &str, error: &Error) {
        self.broken += 1;
        eprintln!("{name}: {error}");
    }

    pub(crate) fn open(&self, title: &str, machine: &str) {
        if self.arguments.json {
            eprintln!("{title}: {machine}");
        } else {
            println!("{title}: {machine}\n");
            head();
        }
    }

    /// Whether figures are printed as lines of JSON, so that a [`table`](Self::table) would not be.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.arguments.json
    }

    /// Prints a table of its own, below a title and what has to be known to read it. With `--json` there are
    /// no tables, and the caller records the figures one by one.
    pub fn table(&self, title: &str, about: &str, columns: &[String], rows: &[Vec<String>]) {
        if !self.arguments.json {
            println!("\n{title}: {about}\n\n{}", markdown(columns, rows));
            head();
        }
    }

    pub(crate) fn wants(&self, group: &str) -> bool {
        self.arguments.wants(group)
    }

    /// 2 if anything was broken, 1 if a target was missed and that matters, else 0.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.missed > 0 {
            eprintln!("{} missed", plural(self.missed, "target"));
        }
        if self.broken > 0 {
            eprintln!("{} could not be taken", plural(self.broken, "figure"));
            2
        } else {
            u8::from(self.arguments.strict && self.missed > 0)
        }
    }
}

/// The head of the table of figures.
fn head() {
    println!(
        "| {:<84} | {:>10} | {:<14} | {:>8} | {:<7} |",
        "figure", "value", "unit", "target", ""
    );
    println!(
        "|{:-<86}|{:->12}|{:-<16}|{:->10}|{:-<9}|",
        "", ":", "", ":", ""
    );
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_has_exactly_the_promised_fields() {
        let with = Figure::new("instructions", 61.5, "instructions", Bound::AtMost(60.0));
        assert_eq!(
            serde_json::to_string(&with).unwrap(),
            r#"{"figure":"instructions","value":61.5,"unit":"instructions","target":60.0,"met":false}"#
        );
        let without = Figure::new("time", 3.0, "ns", Bound::None);
        assert_eq!(
            serde_json::to_string(&without).unwrap(),
            r#"{"figure":"time","value":3.0,"unit":"ns","target":null,"met":null}"#
        );
    }

    #[test]
    fn a_bound_includes_its_own_value() {
        for (bound, below, at, above) in [
            (Bound::AtMost(0.0), true, true, false),
            (Bound::AtLeast(0.0), false, true, true),
        ] {
            assert_eq!(bound.met_by(-1.0), Some(below), "{bound:?}");
            assert_eq!(bound.met_by(0.0), Some(at), "{bound:?}");
            assert_eq!(bound.met_by(1.0), Some(above), "{bound:?}");
        }
        assert_eq!(Bound::None.met_by(1.0), None);
    }

    #[test]
    fn amounts_keep_four_digits_and_no_idle_zeros() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_02, "0.00002"),
            (0.25, "0.25"),
            (59.0, "59"),
            (76.129, "76.13"),
            (1200.4, "1200"),
            (2000.0, "2000"),
        ] {
            assert_eq!(amount(value), text);
        }
    }

    #[test]
    fn a_missed_target_matters_when_strict_and_a_broken_figure_always() {
        let code = |strict, value: Result<f64>| {
            let mut report = Report::new(Arguments {
                strict,
                json: true,
                ..Arguments::default()
            });
            report.take("x", "items", Bound::AtMost(1.0), || value);
            report.exit_code()
        };
        assert_eq!(code(true, Ok(1.0)), 0);
        assert_eq!(code(false, Ok(2.0)), 0);
        assert_eq!(code(true, Ok(2.0)), 1);
        assert_eq!(code(false, Ok(f64::NAN)), 2);
        assert_eq!(code(false, Err("the sum is wrong".into())), 2);
    }
}
