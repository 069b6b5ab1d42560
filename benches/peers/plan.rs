//! Which cells are run, how long, and in which order.
//!
//! A case is finished before the next one begins: all contenders in one round, each round beginning with
//! another one, and then the next round. So what is compared ran within seconds of each other.

use std::time::Duration;

use lanepool_bench::compare::{
    Condition, Kind, Options, Results, measurement::Column, ratio::Summary,
};

use crate::{
    field::{self, Entry},
    workloads::{Amount, Field, Setting, Workload},
};

const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 1;

/// A case in a condition, with all that its cells have in common.
pub(crate) struct Stage {
    pub(crate) condition: Condition,
    pub(crate) workload: Workload,
    pub(crate) setting: Setting,
    pub(crate) amount: u64,
    pub(crate) rounds: usize,
}

/// Every stage that the options ask for, in order.
pub(crate) fn stages(options: &Options) -> Vec<Stage> {
    let mut stages = Vec::new();
    let conditions = Condition::ALL
        .into_iter()
        .filter(|condition| options.wants_condition(*condition));
    for condition in conditions {
        for workload in Workload::ALL {
            if !options.wants_workload(workload.outline().name) {
                continue;
            }
            for setting in workload.settings() {
                let run_in = if options.quick {
                    setting.quick
                } else {
                    setting.full
                };
                if run_in.contains(&condition) && options.wants_case(&setting.case.name) {
                    stages.push(stage(options, condition, workload, setting));
                }
            }
        }
    }
    stages
}

fn stage(options: &Options, condition: Condition, workload: Workload, setting: Setting) -> Stage {
    let (full, quick, said) = match setting.amount {
        Amount::Milliseconds { full, quick } => (full, quick, options.cell_ms),
        Amount::Items { full, quick } => (full, quick, None),
    };
    let (amount, rounds) = if options.quick {
        (quick, ROUNDS_QUICK)
    } else {
        (full, ROUNDS)
    };
    let amount = said.unwrap_or(amount);
    let rounds = options.rounds.unwrap_or(rounds);
    Stage {
        condition,
        workload,
        amount,
        rounds: rounds.min(setting.rounds_max),
        setting,
    }
}

impl Stage {
    /// The name of a contender's cell.
    pub(crate) fn cell(&self, contender: &str) -> String {
        let workload = self.workload.outline().name;
        format!("{workload}/{}/{contender}", self.setting.case.name)
    }

    /// Everybody who may take part.
    fn candidates(&self, options: &Options) -> Vec<Entry> {
        let mut entries = field::entrants(self.workload, &self.setting.case.name);
        entries.retain(|entry| options.wants_contender(entry.name));
        entries
    }

    /// About how many take part, before it is known who leads.
    pub(crate) fn expected(&self, options: &Options) -> usize {
        let candidates = self.candidates(options);
        match self.setting.field {
            Field::All => candidates.len(),
            Field::Leaders(most) => {
                let rivals = candidates.iter().filter(|entry| entry.kind != Kind::Ours);
                let rivals = rivals.count();
                candidates.len() - rivals + rivals.min(most)
            }
        }
    }

    /// Who takes part.
    pub(crate) fn entrants(&self, options: &Options, results: &Results) -> Vec<Entry> {
        let mut entries = self.candidates(options);
        if let Field::Leaders(most) = self.setting.field {
            let leaders = self.leaders(results, most);
            if !leaders.is_empty() {
                entries.retain(|entry| entry.kind == Kind::Ours || leaders.contains(&entry.name));
            }
        }
        entries
    }

    /// The rivals that did best in the workload's first case; nobody if it was not run.
    fn leaders(&self, results: &Results, most: usize) -> Vec<&'static str> {
        let outline = self.workload.outline();
        let (Some(case), Some(metric)) = (outline.cases.first(), outline.metrics.first()) else {
            return Vec::new();
        };
        let column = results.column(Column {
            condition: self.condition,
            workload: outline.name,
            case: &case.name,
            metric: metric.name,
        });
        let mut rivals: Vec<(&'static str, f64)> = column
            .iter()
            .filter(|series| series.kind != Kind::Ours)
            .filter_map(|series| Some((series.contender, Summary::of(series.values())?.median)))
            .collect();
        // The first metric of a workload with leaders is one of which more is better.
        rivals.sort_by(|a, b| b.1.total_cmp(&a.1));
        rivals.truncate(most);
        rivals.into_iter().map(|(name, _)| name).collect()
    }
}

/// The longest that a cell may take; only one that hangs does.
pub(crate) fn limit(options: &Options) -> Duration {
    let cell = Duration::from_millis(options.cell_ms.unwrap_or(0));
    Duration::from_secs(if options.quick { 15 } else { 60 }) + cell * 20
}

/// How long the rest takes if it goes on as so far, in minutes.
pub(crate) fn minutes_left(elapsed: Duration, done: usize, total: usize) -> f64 {
    let each = elapsed.as_secs_f64() / done.max(1) as f64;
    each * total.saturating_sub(done) as f64 / 60.0
}
