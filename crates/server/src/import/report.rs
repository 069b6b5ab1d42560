//! The run as numbers: what `--json` prints, and what the table shows.

use std::collections::BTreeMap;
use std::time::Duration;

use lanepool::{HistogramSnapshot, LaneStatistics, WorkerPoolStatistics};
use serde::Serialize;

use super::run::Ran;

/// The lanes' names, lowest first as the pool numbers them.
const LANE_NAMES: [&str; 4] = ["low", "normal", "high", "critical"];

/// A finished run. Its serialised form is the object of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ImportReport {
    /// Files below `Assets/`, imported or not.
    pub(crate) files: usize,
    /// Imported files per second.
    pub(crate) throughput_per_s: f64,
    /// Time in the service over time alive, of all workers; 0 to 1.
    pub(crate) utilisation: f64,
    /// Time in which a worker slept while a task waited, over time alive; 0 to 1.
    pub(crate) idle_while_backlogged: f64,
    pub(crate) dispatch_overhead_us: Percentiles,
    /// Whether every accepted request has exactly one outcome.
    pub(crate) conserved: bool,
    /// Lowest first.
    pub(crate) lanes: Vec<LaneReport>,
    /// By path.
    pub(crate) failures: Vec<Failure>,
    /// What the table shows beyond.
    #[serde(skip)]
    pub(crate) summary: Summary,
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LaneReport {
    pub(crate) lane: String,
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) wait_us: Percentiles,
    pub(crate) run_us: Percentiles,
}

/// A file that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) path: String,
    pub(crate) error: String,
}

/// What people want to know and programs did not ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) imported: usize,
    pub(crate) bytes: u64,
    pub(crate) contents: usize,
    pub(crate) metas_new: usize,
    pub(crate) metas_kept: usize,
    pub(crate) opened: usize,
    pub(crate) shared_guids: Vec<(String, String)>,
    pub(crate) elapsed: Duration,
    pub(crate) workers: usize,
    pub(crate) interrupted: bool,
    /// The conservation law with its numbers, and what is wrong with it if it does not hold.
    pub(crate) conservation: String,
}

impl ImportReport {
    /// Puts together what the walk and the run found.
    pub(crate) fn new(files: usize, walk_failures: BTreeMap<String, String>, ran: Ran) -> Self {
        let Ran {
            tally,
            statistics,
            elapsed,
            interrupted,
        } = ran;
        let conserved = statistics.conserved();
        let mut conservation = law(&statistics.total());
        if let Err(imbalance) = &conserved {
            conservation = format!("{conservation}; {imbalance}");
        }
        let mut failures = walk_failures;
        failures.extend(tally.failures.clone());
        Self {
            files,
            throughput_per_s: per_second(tally.imported as f64, elapsed),
            utilisation: statistics.utilisation(),
            idle_while_backlogged: statistics.idle_while_backlogged(),
            dispatch_overhead_us: Percentiles::of(&statistics.dispatch_overhead),
            conserved: conserved.is_ok(),
            lanes: lanes(&statistics),
            failures: failures
                .into_iter()
                .map(|(path, error)| Failure { path, error })
                .collect(),
            summary: Summary {
                imported: tally.imported,
                bytes: tally.bytes,
                contents: tally.contents(),
                metas_new: tally.metas_new,
                metas_kept: tally.metas_kept,
                opened: tally.opened,
                shared_guids: tally.shared_guids,
                elapsed,
                workers: statistics.workers.len(),
                interrupted,
                conservation,
            },
        }
    }

    /// Whether every file was imported.
    pub(crate) fn all_imported(&self) -> bool {
        self.failures.is_empty() && self.conserved
    }
}

impl Percentiles {
    fn of(histogram: &HistogramSnapshot) -> Self {
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        Self {
            p50: micros(histogram.p50()),
            p99: micros(histogram.p99()),
        }
    }
}

/// `count` over `time`; 0 if no time has passed.
pub(crate) fn per_second(count: f64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count / time.as_secs_f64()
    }
}

fn lanes(statistics: &WorkerPoolStatistics) -> Vec<LaneReport> {
    let report = |(name, lane): (&str, &LaneStatistics)| LaneReport {
        lane: name.to_owned(),
        submitted: lane.submitted,
        completed: lane.completed,
        failed: lane.failed,
        wait_us: Percentiles::of(&lane.wait),
        run_us: Percentiles::of(&lane.run),
    };
    LANE_NAMES
        .into_iter()
        .zip(&statistics.lanes)
        .map(report)
        .collect()
}

/// The conservation law of all lanes together. Outcomes that did not occur are left out, except for
/// the two that always matter.
fn law(total: &LaneStatistics) -> String {
    let mut terms = vec![
        format!("{} completed", total.completed),
        format!("{} failed", total.failed),
    ];
    for (count, name) in [
        (total.refused, "refused"),
        (total.panicked, "panicked"),
        (total.expired, "expired"),
        (total.cancelled, "cancelled"),
        (total.shed, "shed"),
        (total.abandoned, "abandoned"),
        (total.queued, "queued"),
        (total.running, "running"),
    ] {
        if count > 0 {
            terms.push(format!("{count} {name}"));
        }
    }
    format!("{} submitted = {}", total.submitted, terms.join(" + "))
}
