//! Adaptive sizes beside every fixed size, saturated.
//!
//! The pools of all contenders live side by side, and one of them at a time is measured, for a slice of time; a
//! round is a slice of each, and each round begins with another one. Pools that are not measured sleep. A
//! ratio is taken between slices of one round.
//!
//! Of several that are equally good, the best of a round is the luckiest. So the verdict is held against the fixed size
//! that is best by the median of the ratios beside it: that is the lowest of these medians.

use std::time::Duration;

use lanepool::BatchProcessorConfig;
use lanepool_bench::{
    Bound, Report, Result,
    compare::ratio::{Summary, ratios},
    figure::amount,
    samples,
};

use crate::{
    saturated::Caller,
    service::{COSTS, Cost},
    shop::{Shop, config},
};

/// The most requests of a batch, and the largest fixed size.
pub(crate) const MOST: usize = 64;
/// Of the best fixed size.
const SHARE: f64 = 0.95;
/// Enough batches to learn what they cost.
const WARM_UP: Duration = Duration::from_millis(80);

/// How the size of batches is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizing {
    Adaptive,
    Fixed(usize),
}

impl Sizing {
    /// Adaptive, and every fixed size up to [`MOST`].
    pub(crate) const ALL: [Self; 8] = [
        Self::Adaptive,
        Self::Fixed(1),
        Self::Fixed(2),
        Self::Fixed(4),
        Self::Fixed(8),
        Self::Fixed(16),
        Self::Fixed(32),
        Self::Fixed(MOST),
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Adaptive => "adaptive".to_owned(),
            Self::Fixed(size) => format!("fixed, {size}"),
        }
    }

    /// The default rules with these sizes.
    pub(crate) fn batching(self) -> BatchProcessorConfig {
        match self {
            Self::Adaptive => BatchProcessorConfig::new().batch_size(MOST),
            Self::Fixed(size) => BatchProcessorConfig::new()
                .batch_size(size)
                .enable_adaptive_batching(false),
        }
    }
}

/// A contender and what it reached.
struct Entry {
    sizing: Sizing,
    caller: Caller,
    /// Requests a second, by round.
    throughputs: Vec<f64>,
    /// CPU time of a request in microseconds, by round.
    cpus_us: Vec<f64>,
}

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(40, 10);
    let slice = Duration::from_millis(report.choose(20, 10));
    let costs = report.choose(&COSTS[..], &COSTS[..3]);
    for &cost in costs {
        let figure = format!("throughput, {}", cost.name());
        eprintln!("{figure}: {rounds} rounds of {slice:?} each");
        if let Err(error) = compare(report, cost, rounds, slice) {
            report.fail(&figure, &error);
        }
    }
}

fn compare(report: &mut Report, cost: Cost, rounds: usize, slice: Duration) -> Result<()> {
    let open = |sizing: Sizing| -> Result<Entry> {
        let mut caller = Caller::of(Shop::open(cost, config(1, sizing.batching()))?);
        caller.run(WARM_UP)?;
        caller.rest()?;
        Ok(Entry {
            sizing,
            caller,
            throughputs: Vec::new(),
            cpus_us: Vec::new(),
        })
    };
    let mut field = Sizing::ALL
        .into_iter()
        .map(open)
        .collect::<Result<Vec<Entry>>>()?;
    for round in 0..rounds {
        let all = field.len();
        for at in (0..all).map(|at| (at + round) % all) {
            let entry = &mut field[at];
            let pace = entry.caller.run(slice)?;
            entry.throughputs.push(pace.per_s);
            entry.cpus_us.push(pace.cpu_us);
            entry.caller.rest()?;
        }
    }
    show(report, cost, &field, rounds);
    judge(report, cost, &field);
    field.into_iter().try_for_each(|entry| entry.caller.close())
}

fn show(report: &mut Report, cost: Cost, field: &[Entry], rounds: usize) {
    let [adaptive, ..] = field else { return };
    let mut rows = Vec::new();
    for entry in field {
        let throughput = samples::median(&mut entry.throughputs.clone());
        let statistics = entry.caller.shop.batches();
        let beside = ratios(&adaptive.throughputs, &entry.throughputs);
        let name = format!("throughput, {}, {}", cost.name(), entry.sizing.name());
        if report.is_json() {
            report.record(&name, throughput, "requests/s", Bound::None);
            let size = statistics.mean_size();
            report.record(
                format!("{name}, requests a batch"),
                size,
                "requests",
                Bound::None,
            );
        }
        rows.push(vec![
            entry.sizing.name(),
            amount(throughput),
            amount(throughput * cost.of(MOST).as_secs_f64() / MOST as f64),
            amount(statistics.mean_size()),
            amount(samples::median(&mut entry.cpus_us.clone())),
            Summary::of(beside).map_or_else(|| "-".to_owned(), range),
        ]);
    }
    let heads = [
        "sizes",
        "requests/s",
        "of what the service can do in batches of 64",
        "requests a batch",
        "CPU, µs a request",
        "adaptive beside it (range)",
    ];
    let about =
        format!("saturated, 1 worker, {rounds} rounds; medians. Ratios are taken within a round");
    let title = format!("throughput, {}", cost.name());
    report.table(&title, &about, &heads.map(str::to_owned), &rows);
}

/// A median and the range around it.
pub(crate) fn range(of: Summary) -> String {
    format!("{:.3} ({:.3} to {:.3})", of.median, of.min, of.max)
}

fn judge(report: &mut Report, cost: Cost, field: &[Entry]) {
    let [adaptive, fixed @ ..] = field else {
        return;
    };
    let beside = fixed.iter().filter_map(|entry| {
        let ratio = Summary::of(ratios(&adaptive.throughputs, &entry.throughputs))?;
        Some((ratio, entry.sizing))
    });
    if let Some((ratio, best)) = beside.min_by(|a, b| a.0.median.total_cmp(&b.0.median)) {
        let figure = format!(
            "throughput, {}: adaptive beside the best, {}",
            cost.name(),
            best.name()
        );
        report.record(&figure, ratio.median, "x", Bound::AtLeast(SHARE));
        report.record(
            format!("{figure}, least round"),
            ratio.min,
            "x",
            Bound::None,
        );
        report.record(format!("{figure}, best round"), ratio.max, "x", Bound::None);
    }
}
