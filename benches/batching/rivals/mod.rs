//! The same requests through other crates that batch.
//!
//! All of them have one worker, batches of at most 32 and a linger of a millisecond where they linger. Who asks
//! is a tokio runtime of one thread: clients that call, await and call again, or random arrivals, each a task
//! of that runtime. Two CPUs are enough for it and a worker.
//!
//! Load is a share of what one worker can do in full batches. A latency runs from when a request was due.
//!
//! | module | role |
//! |---|---|
//! | [`clients`] | who asks, and how long it takes |
//! | [`field`] | one contender on every load |
//! | [`ours`], [`batched_fn`](mod@batched_fn), [`batch_aint_one`](mod@batch_aint_one) | the contenders |
//! | [`table`] | what is printed |

mod batch_aint_one;
mod batched_fn;
mod clients;
mod field;
mod ours;
mod table;

use std::time::Duration;

use lanepool_bench::{Report, Result};

use crate::service::{COSTS, Cost, Served};
use field::{Load, Running};

/// The most requests of a batch.
const SIZE: usize = 32;
/// How long a batch lingers. One of the rivals knows whole milliseconds alone.
const LINGER: Duration = Duration::from_millis(1);
/// The services: one that is all overhead, and one in between.
const SERVICES: [Cost; 2] = [COSTS[0], COSTS[2]];

/// A way to have requests batched.
trait Rival: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    /// In which form it is used, and why.
    const NOTE: &'static str;
    const IS_OURS: bool = false;

    /// Starts it, with an emulated service of this cost.
    fn start(cost: Cost) -> Result<Self>;

    /// Asks, and awaits the answer.
    fn call(&self, number: u64) -> impl Future<Output = Result<u64>> + Send;

    /// What its service did so far.
    fn served(&self) -> &Served;

    /// Ends it after `answered` answers, and checks its books if it keeps any.
    fn finish(self, answered: u64) -> Result<()>;
}

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(7, 3);
    let slice = Duration::from_millis(report.choose(200, 40));
    let mut noted = false;
    for cost in SERVICES {
        eprintln!(
            "rivals, {}: {rounds} rounds of {slice:?} for each load",
            cost.name()
        );
        let mut field = Vec::new();
        for start in field::CONTENDERS {
            match start(cost) {
                Ok(running) => field.push(running),
                Err(error) => report.fail(&format!("rivals, {}", cost.name()), &error),
            }
        }
        for round in 0..rounds {
            run_round(report, cost, &mut field, round, slice);
        }
        let mut entries = Vec::new();
        for running in field {
            let name = running.entry().name;
            match running.close() {
                Ok(entry) => entries.push(entry),
                Err(error) => report.fail(&named(cost, name), &error),
            }
        }
        table::show(report, cost, &entries, rounds);
        if !noted {
            table::notes(report, &entries);
            noted = true;
        }
    }
}

fn named(cost: Cost, contender: &str) -> String {
    format!("rivals, {}, {contender}", cost.name())
}

/// A slice of each load, each contender after the other. Who fails is not asked again.
fn run_round(
    report: &mut Report,
    cost: Cost,
    field: &mut Vec<Box<dyn Running>>,
    round: usize,
    slice: Duration,
) {
    let all = field.len();
    let mut failed = Vec::new();
    for load in Load::ALL {
        for at in (0..all).map(|at| (at + round) % all) {
            let name = field[at].entry().name;
            if failed.contains(&name) {
                continue;
            }
            if let Err(error) = field[at].round(load, round, slice) {
                report.fail(&named(cost, name), &error);
                failed.push(name);
            }
        }
    }
    field.retain(|running| !failed.contains(&running.entry().name));
}
