//! Every strategy on every load: rounds, tables and verdicts.
//!
//! The pools of all contenders live side by side, and one of them at a time is measured, for a slice of some
//! tens of milliseconds; a round is a slice of each, and each round begins with another one. So what is compared
//! ran within half a second, and ratios are taken within a round. Pools that are not measured sleep.
//!
//! Two jobs are compared. *Any order*: on the loads that are not about keys every strategy does it, those
//! that keep the order of keys into the bargain. *Order by key*: `HashBased` alone, with each balancing.
//!
//! The best of nine that are equally good and scatter by 5 % is 8 % above each of them, so the ratio to the
//! best of a round, which the tables have, would find fault with chance. The verdict is held against the
//! rival that is best by the median ratio beside it: the lowest of these ratios must be 0.9.

use std::time::Duration;

use lanepool_bench::{
    Bound, Report,
    compare::ratio::{beside, to_best_of_round},
    figure::amount,
    samples,
};

use crate::{
    cell::{Cell, Measured},
    contenders::{self, Contender, DEFAULT, KEYED_DEFAULT},
    loads::{LOADS, Load},
};

const LANES: [&str; 4] = ["Low", "Normal", "High", "Critical"];
/// Within 10 % of the best.
const WITHIN: f64 = 0.9;

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(40, 12);
    let slice = Duration::from_millis(report.choose(100, 30));
    for load in &LOADS {
        eprintln!("strategies, {}: warming up", load.name);
        let mut field = Vec::new();
        for contender in contenders::all() {
            match Cell::open(contender, load) {
                Ok(cell) => field.push((cell, Entry::new(contender))),
                Err(error) => report.fail(&named(load, contender), &error),
            }
        }
        eprintln!(
            "strategies, {}: {rounds} rounds of {slice:?} each",
            load.name
        );
        for round in 0..rounds {
            run_round(report, load, &mut field, round, slice);
        }
        let mut entries = Vec::new();
        for (cell, mut entry) in field {
            match cell.close() {
                Ok(measured) => {
                    entry.measured = Some(measured);
                    entries.push(entry);
                }
                Err(error) => report.fail(&named(load, entry.contender), &error),
            }
        }
        show(report, load, &entries, rounds);
        judge(report, load, &entries);
    }
}

/// A slice of each. Who fails is not asked again.
fn run_round(
    report: &mut Report,
    load: &Load,
    field: &mut Vec<(Cell, Entry)>,
    round: usize,
    slice: Duration,
) {
    let turn = |at: usize, all: usize| (at + round) % all;
    let all = field.len();
    let mut failed = Vec::new();
    for at in (0..all).map(|at| turn(at, all)) {
        let (cell, entry) = &mut field[at];
        match cell.round(slice) {
            Ok(throughput) => entry.throughputs.push(throughput),
            Err(error) => {
                report.fail(&named(load, entry.contender), &error);
                failed.push(entry.contender);
            }
        }
    }
    field.retain(|(_, entry)| !failed.contains(&entry.contender));
}

fn named(load: &Load, contender: Contender) -> String {
    format!("{}, {}", load.name, contender.name())
}

/// A contender and what it reached.
struct Entry {
    contender: Contender,
    /// Tasks a second, by round.
    throughputs: Vec<f64>,
    /// Of all rounds together.
    measured: Option<Measured>,
}

impl Entry {
    fn new(contender: Contender) -> Self {
        Self {
            contender,
            throughputs: Vec::new(),
            measured: None,
        }
    }
}

/// One column of the table: its head, its unit, and where its values come from.
struct Column {
    head: String,
    unit: &'static str,
    value: Value,
}

type Value = Box<dyn Fn(&Entry) -> Option<f64>>;

fn columns() -> Vec<Column> {
    let column = |head: &str, unit, value: fn(&Measured) -> f64| Column {
        head: head.to_owned(),
        unit,
        value: Box::new(move |entry| entry.measured.as_ref().map(value)),
    };
    let throughput = Column {
        head: "throughput".to_owned(),
        unit: "tasks/s",
        value: Box::new(|entry| Some(samples::median(&mut entry.throughputs.clone()))),
    };
    let waits = (0..LANES.len()).map(|lane| Column {
        head: format!("wait p99 {}", LANES[lane]),
        unit: "µs",
        value: Box::new(move |entry| entry.measured.as_ref()?.wait_p99_us[lane]),
    });
    let last = [
        column("balance", "Jain's index", |measured| measured.balance),
        column("stolen of 1000", "tasks", |measured| {
            measured.stolen_per_1000
        }),
        column("CPU", "µs a task", |measured| measured.cpu_us),
        column("idle while backlogged", "%", |measured| {
            measured.idle_backlogged_percent
        }),
    ];
    std::iter::once(throughput)
        .chain(waits)
        .chain(last)
        .collect()
}

fn show(report: &mut Report, load: &Load, field: &[Entry], rounds: usize) {
    let columns = columns();
    let throughputs: Vec<Vec<f64>> = field
        .iter()
        .map(|entry| entry.throughputs.clone())
        .collect();
    let of_best = to_best_of_round(&throughputs);
    let mut rows = Vec::new();
    for (entry, of_best) in field.iter().zip(of_best) {
        let values: Vec<Option<f64>> = columns.iter().map(|column| (column.value)(entry)).collect();
        if report.is_json() {
            for (column, value) in columns.iter().zip(&values) {
                if let Some(value) = *value {
                    let figure = format!("{}, {}", named(load, entry.contender), column.head);
                    report.record(figure, value, column.unit, Bound::None);
                }
            }
        }
        let text = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), amount);
        let mut row = vec![entry.contender.name(), text(&values[0])];
        row.push(format!("{of_best:.2}"));
        row.extend(values[1..].iter().map(text));
        row.push(in_force(entry));
        rows.push(row);
    }
    let heads = columns
        .iter()
        .map(|column| format!("{}, {}", column.head, column.unit));
    let mut heads: Vec<String> = std::iter::once("strategy".to_owned())
        .chain(heads)
        .collect();
    heads.insert(2, "of the round's best".to_owned());
    heads.push("balancing at the end".to_owned());
    let about = format!(
        "{}. Throughput and ratio are medians of {rounds} rounds. {}",
        load.about,
        comparable(load)
    );
    report.table(load.name, &about, &heads, &rows);
}

fn comparable(load: &Load) -> &'static str {
    if load.is_about_keys {
        "Only HashBased runs the tasks of a key in order and one at a time; the others have less to do, and \
         are comparable with one another alone. Normal is the hot key, High and Low are the other keys"
    } else {
        "All rows are comparable; HashBased keeps the order of keys into the bargain"
    }
}

/// What the adaptive balancing chose.
fn in_force(entry: &Entry) -> String {
    match &entry.measured {
        Some(measured) if entry.contender.is_adaptive() => format!("{:?}", measured.in_force),
        _ => "-".to_owned(),
    }
}

fn judge(report: &mut Report, load: &Load, field: &[Entry]) {
    let keyed: Vec<&Entry> = field
        .iter()
        .filter(|entry| entry.contender.is_keyed())
        .collect();
    if load.is_about_keys {
        let plain = field.iter().filter(|entry| !entry.contender.is_keyed());
        let plain: Vec<&Entry> = plain.collect();
        verdict(report, load, "without order the default", DEFAULT, &plain);
        verdict(
            report,
            load,
            "the default and of the balancings",
            KEYED_DEFAULT,
            &keyed,
        );
    } else {
        let all: Vec<&Entry> = field.iter().collect();
        verdict(report, load, "the default", DEFAULT, &all);
        verdict(report, load, "of the balancings", KEYED_DEFAULT, &keyed);
    }
}

/// Records how one contender stands beside the best of its rivals.
fn verdict(report: &mut Report, load: &Load, role: &str, which: Contender, field: &[&Entry]) {
    let Some(ours) = field.iter().find(|entry| entry.contender == which) else {
        return;
    };
    let rivals = field.iter().filter(|entry| entry.contender != which);
    let beside_each = rivals.map(|rival| {
        let ratio = beside(&ours.throughputs, &rival.throughputs);
        (ratio, rival.contender)
    });
    if let Some((ratio, best)) = beside_each.min_by(|a, b| a.0.total_cmp(&b.0)) {
        let figure = format!(
            "{}: {role}, {}, beside {}",
            load.name,
            which.name(),
            best.name()
        );
        report.record(figure, ratio, "x", Bound::AtLeast(WITHIN));
    }
}
