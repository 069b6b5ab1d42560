//! What contenders are measured in: one file each.
//!
//! A workload has an outline for the reports, settings, each of which is a case with its lengths, and `run`,
//! which measures one contender in one case in this process, checks what came of it, and returns a value for
//! each metric.
//!
//! | module | workload |
//! |---|---|
//! | [`fan_out`] | W1: tiny tasks from a few producers |
//! | [`round_trip`] | W2: one client |
//! | [`many_clients`] | W3: many async clients on one thread |
//! | [`priority_probe`] | W4: an urgent task into a full pool |
//! | [`rings`](crate::rings) | W5: rings by themselves |
//! | [`allocations`] | W6: heap allocations |
//! | [`idle`] | W7: a pool with nothing to do |
//! | [`batch_service`] | W8: a service that answers many requests at a time |
//! | [`open_loop`] | W9: random arrivals at a given load |
//! | [`memory`] | W10: what a pool and a queued task keep of the heap |
//! | [`clients`] | async clients that call again and again |
//! | [`tally`] | counts what tasks have done |
//! | [`requests`] | the requests and answers that the clients share |

mod allocations;
mod batch_service;
mod clients;
mod fan_out;
mod idle;
mod many_clients;
mod memory;
mod open_loop;
mod priority_probe;
mod requests;
mod round_trip;
mod tally;

use lanepool_bench::{
    Result,
    compare::{Case, Condition, Outline, Results, plots::Curves},
};

use crate::{contender::Contender, rings};

/// What a cell yields: metric and value.
pub(crate) type Values = Vec<(&'static str, f64)>;

/// A case, and how it is run.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) case: Case,
    /// In which conditions a full run has it.
    pub(crate) full: &'static [Condition],
    /// In which conditions a quick run has it.
    pub(crate) quick: &'static [Condition],
    pub(crate) amount: Amount,
    pub(crate) field: Field,
    /// More would say nothing new.
    pub(crate) rounds_max: usize,
}

/// How much of a cell is run, in a full and in a quick run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// For a time; `--seconds-per-cell` overrides it.
    Milliseconds { full: u64, quick: u64 },
    /// As many items.
    Items { full: u64, quick: u64 },
}

/// Which contenders take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    All,
    /// This project's, and the few rivals that did best in the workload's first case.
    Leaders(usize),
}

pub(crate) const NEVER: &[Condition] = &[];
pub(crate) const QUIET: &[Condition] = &[Condition::Quiet];
pub(crate) const BOTH: &[Condition] = &Condition::ALL;

impl Setting {
    /// A case that all contenders take part in, in both conditions, and not in quick runs.
    pub(crate) fn new(name: impl Into<String>, title: impl Into<String>, amount: Amount) -> Self {
        Self {
            case: Case {
                name: name.into(),
                title: title.into(),
            },
            full: BOTH,
            quick: NEVER,
            amount,
            field: Field::All,
            rounds_max: usize::MAX,
        }
    }

    pub(crate) fn full(self, full: &'static [Condition]) -> Self {
        Self { full, ..self }
    }

    pub(crate) fn quick(self, quick: &'static [Condition]) -> Self {
        Self { quick, ..self }
    }

    pub(crate) fn field(self, field: Field) -> Self {
        Self { field, ..self }
    }

    pub(crate) fn rounds_at_most(self, rounds_max: usize) -> Self {
        Self { rounds_max, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    FanOut,
    RoundTrip,
    ManyClients,
    PriorityProbe,
    Rings,
    Allocations,
    Idle,
    BatchService,
    OpenLoop,
    Memory,
}

impl Workload {
    pub(crate) const ALL: [Self; 10] = [
        Self::FanOut,
        Self::RoundTrip,
        Self::ManyClients,
        Self::PriorityProbe,
        Self::Rings,
        Self::Allocations,
        Self::Idle,
        Self::BatchService,
        Self::OpenLoop,
        Self::Memory,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|workload| workload.outline().name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn outline(self) -> Outline {
        match self {
            Self::FanOut => fan_out::outline(),
            Self::RoundTrip => round_trip::outline(),
            Self::ManyClients => many_clients::outline(),
            Self::PriorityProbe => priority_probe::outline(),
            Self::Rings => rings::outline(),
            Self::Allocations => allocations::outline(),
            Self::Idle => idle::outline(),
            Self::BatchService => batch_service::outline(),
            Self::OpenLoop => open_loop::outline(),
            Self::Memory => memory::outline(),
        }
    }

    pub(crate) fn settings(self) -> Vec<Setting> {
        match self {
            Self::FanOut => fan_out::settings(),
            Self::RoundTrip => round_trip::settings(),
            Self::ManyClients => many_clients::settings(),
            Self::PriorityProbe => priority_probe::settings(),
            Self::Rings => rings::settings(),
            Self::Allocations => allocations::settings(),
            Self::Idle => idle::settings(),
            Self::BatchService => batch_service::settings(),
            Self::OpenLoop => open_loop::settings(),
            Self::Memory => memory::settings(),
        }
    }

    /// Measures a contender here and now.
    pub(crate) fn run<C: Contender>(self, case: &str, amount: u64) -> Result<Values> {
        match self {
            Self::FanOut => fan_out::run::<C>(case, amount),
            Self::RoundTrip => round_trip::run::<C>(case, amount),
            Self::ManyClients => many_clients::run::<C>(case, amount),
            Self::PriorityProbe => priority_probe::run::<C>(case, amount),
            Self::Rings => Err("rings are no contenders: name one of the rings".into()),
            Self::Allocations => allocations::run::<C>(case, amount),
            Self::Idle => idle::run::<C>(amount),
            Self::BatchService => batch_service::run::<C>(case, amount),
            Self::OpenLoop => open_loop::run::<C>(case, amount),
            Self::Memory => memory::run::<C>(case),
        }
    }

    /// Adds what follows from several cells of a condition together.
    pub(crate) fn derive(self, results: &mut Results, condition: Condition) {
        match self {
            Self::FanOut => fan_out::derive(results, condition),
            Self::BatchService => batch_service::derive(results, condition),
            _ => {}
        }
    }

    /// What is plotted along cases of growing size.
    pub(crate) fn curves(self) -> Vec<Curves<'static>> {
        match self {
            Self::FanOut => fan_out::curves(),
            _ => Vec::new(),
        }
    }
}

/// An outline's cases, from the settings.
fn cases(settings: Vec<Setting>) -> Vec<Case> {
    settings.into_iter().map(|setting| setting.case).collect()
}

fn no_such_case(case: &str) -> lanepool_bench::Error {
    format!("there is no case {case}: see --list").into()
}
