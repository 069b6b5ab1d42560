//! Finds contenders by name, and runs a cell of one.

use lanepool_bench::{Result, compare};

use crate::{
    contender::{self, Contender},
    contenders::{Visitor, visit_all},
    rings::{RINGS, Ring},
    workloads::{Values, Workload},
};

/// What is known of a contender without running it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) kind: compare::Kind,
    pub(crate) note: &'static str,
}

/// Every pool, in the order of the tables.
pub(crate) fn pools() -> Vec<Entry> {
    let mut list = List(Vec::new());
    visit_all(&mut list);
    list.0
}

/// Who takes part in a case of a workload.
pub(crate) fn entrants(workload: Workload, case: &str) -> Vec<Entry> {
    if workload == Workload::Rings {
        let rings = RINGS.iter().filter(|ring| ring.has(case));
        rings.map(entry).collect()
    } else {
        pools()
    }
}

/// Every ring, in the order of the tables.
pub(crate) fn all_rings() -> Vec<Entry> {
    RINGS.iter().map(entry).collect()
}

fn entry(ring: &Ring) -> Entry {
    Entry {
        name: ring.name,
        kind: ring.kind,
        note: ring.note,
    }
}

struct List(Vec<Entry>);

impl Visitor for List {
    fn visit<C: Contender>(&mut self) {
        self.0.push(Entry {
            name: C::NAME,
            kind: match C::KIND {
                contender::Kind::Ours => compare::Kind::Ours,
                contender::Kind::Plain => compare::Kind::Plain,
                contender::Kind::Priorities => compare::Kind::Priorities,
            },
            note: C::NOTE,
        });
    }
}

/// Runs the cell of this name, `amount` long, in this process.
pub(crate) fn run_cell(name: &str, amount: u64) -> Result<Values> {
    let mut parts = name.splitn(3, '/');
    let (Some(workload), Some(case), Some(contender)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("a cell is WORKLOAD/CASE/CONTENDER, not {name}").into());
    };
    let workload = Workload::named(workload)
        .ok_or_else(|| format!("there is no workload {workload}: see --list"))?;
    if amount == 0 {
        return Err("a cell needs an amount above zero".into());
    }
    let unknown = || format!("there is no contender {contender}: see --list");
    if workload == Workload::Rings {
        let ring = Ring::named(contender).ok_or_else(unknown)?;
        ring.run(case, amount)?;
        return Ok(Vec::new());
    }
    let mut run = Run {
        workload,
        case,
        contender,
        amount,
        outcome: None,
    };
    visit_all(&mut run);
    run.outcome.ok_or_else(unknown)?
}

struct Run<'a> {
    workload: Workload,
    case: &'a str,
    contender: &'a str,
    amount: u64,
    outcome: Option<Result<Values>>,
}

impl Visitor for Run<'_> {
    fn visit<C: Contender>(&mut self) {
        if C::NAME == self.contender {
            self.outcome = Some(self.workload.run::<C>(self.case, self.amount));
        }
    }
}
