//! What is printed of the contenders.

use lanepool_bench::{
    Bound, Report,
    compare::ratio::{Summary, beside, ratios},
    figure::amount,
    samples,
};

use super::{
    SIZE,
    field::{Entry, Load, OnLoad},
};
use crate::service::Cost;

/// A column: a figure of one load.
struct Column {
    load: usize,
    name: String,
    unit: &'static str,
    values: fn(&OnLoad) -> &[f64],
    /// Whether more is better.
    more: bool,
}

fn columns() -> Vec<Column> {
    let mut columns = Vec::new();
    for (load, of) in Load::ALL.into_iter().enumerate() {
        let mut add = |what: &str, unit, more, values| {
            columns.push(Column {
                load,
                name: format!("{}, {what}", of.name()),
                unit,
                values,
                more,
            });
        };
        match of {
            Load::Clients(_) => add("throughput", "requests/s", true, |on| &on.throughputs),
            Load::Percent(_) => {
                add("p50", "µs", false, |on| &on.p50s_us);
                add("p99", "µs", false, |on| &on.p99s_us);
            }
        }
    }
    columns
}

impl Column {
    fn of<'a>(&self, entry: &'a Entry) -> &'a [f64] {
        (self.values)(&entry.on[self.load])
    }
}

/// The rounds of one service.
pub(super) fn show(report: &mut Report, cost: Cost, entries: &[Entry], rounds: usize) {
    let title = format!("rivals, {}", cost.name());
    let columns = columns();
    let mut rows = Vec::new();
    for entry in entries {
        let mut row = vec![entry.name.to_owned()];
        for column in &columns {
            let median = samples::median(&mut column.of(entry).to_vec());
            row.push(amount(median));
            if report.is_json() {
                let figure = format!("{title}, {}: {}", entry.name, column.name);
                report.record(figure, median, column.unit, Bound::None);
            }
        }
        let sizes = entry
            .on
            .iter()
            .map(|on| amount(samples::median(&mut on.sizes.clone())));
        row.push(sizes.collect::<Vec<_>>().join(", "));
        rows.push(row);
    }
    let heads = columns
        .iter()
        .map(|column| format!("{}, {}", column.name, column.unit));
    let heads: Vec<String> = ["contender".to_owned()]
        .into_iter()
        .chain(heads)
        .chain(["requests a batch, by load".to_owned()])
        .collect();
    let about = format!(
        "medians of {rounds} rounds; one worker, batches of at most {SIZE}. 100 % load are {} requests a second",
        amount(cost.capacity(SIZE))
    );
    report.table(&title, &about, &heads, &rows);
    for column in &columns {
        compare(report, &title, column, entries);
    }
}

/// How our default stands beside the best of the rivals.
fn compare(report: &mut Report, title: &str, column: &Column, entries: &[Entry]) {
    let Some(ours) = entries.iter().find(|entry| entry.is_ours) else {
        return;
    };
    let values = column.of(ours);
    let rivals = entries.iter().filter(|entry| !entry.is_ours);
    let worst_first = |ratio: f64| if column.more { ratio } else { -ratio };
    let best = rivals.min_by(|a, b| {
        let a = worst_first(beside(values, column.of(a)));
        let b = worst_first(beside(values, column.of(b)));
        a.total_cmp(&b)
    });
    if let Some(best) = best
        && let Some(ratio) = Summary::of(ratios(values, column.of(best)))
    {
        let figure = format!(
            "{title}, {}: {} beside {}",
            column.name, ours.name, best.name
        );
        report.record(&figure, ratio.median, "x", Bound::None);
        if report.is_json() {
            for (which, value) in [("least", ratio.min), ("largest", ratio.max)] {
                report.record(format!("{figure}, {which} round"), value, "x", Bound::None);
            }
        }
    }
}

/// In which form each contender came.
pub(super) fn notes(report: &Report, entries: &[Entry]) {
    if !report.is_json() {
        for entry in entries {
            println!("- **{}**: {}", entry.name, entry.note);
        }
    }
}
