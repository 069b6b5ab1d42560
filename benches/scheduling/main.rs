//! `cargo bench -p lanepool-bench --bench scheduling -- [--quick] [--json] [--only GROUP]`: where tasks wait,
//! whose they are, and what deciding that costs.
//!
//! | group | shows | target |
//! |---|---|---|
//! | strategies | every strategy on five loads: throughput, waits, balance, steals, idleness | the default within 10 % of the best |
//! | reserved | waits of Critical tasks beside long low ones, with a worker reserved and without | one run of a Critical task |
//! | switching | the strategy changed 1,000 times under load | nothing lost, order by key kept |
//! | ageing | what ageing costs, in instructions and time | |
//! | pausing | instructions of a task on a pool whose lanes were paused | as if they had not been |
//! | wake-ramp | how soon all of eight sleeping workers run | |
//! | memory | bytes of a key that has tasks, and of one that has none | |
//!
//! | module | role |
//! |---|---|
//! | [`service`] | what the tasks do, and how it is checked |
//! | [`driver`] | who hands them in |
//! | [`loads`], [`contenders`] | the rows and the columns of the comparison |
//! | [`cell`](mod@cell) | one of them on one load |
//! | [`strategies`] | rounds, tables and verdicts |
//! | [`reserved`], [`switching`], [`ageing`], [`pausing`], [`wake_ramp`], [`memory`] | the other groups |

mod ageing;
mod cell;
mod contenders;
mod driver;
mod loads;
mod memory;
mod pausing;
mod reserved;
mod service;
mod strategies;
mod switching;
mod wake_ramp;

use std::process::ExitCode;

use lanepool_bench::{Bench, Cell, Group, alloc::Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GROUPS: &[Group] = &[
    Group {
        name: "strategies",
        measure: strategies::measure,
    },
    Group {
        name: "reserved",
        measure: reserved::measure,
    },
    Group {
        name: "switching",
        measure: switching::measure,
    },
    Group {
        name: "ageing",
        measure: ageing::measure,
    },
    Group {
        name: "pausing",
        measure: pausing::measure,
    },
    Group {
        name: "wake-ramp",
        measure: wake_ramp::measure,
    },
    // Last: from here on every allocation is counted, which costs a little.
    Group {
        name: "memory",
        measure: memory::measure,
    },
];

const CELLS: &[Cell] = &[
    Cell {
        name: "two-lanes",
        run: ageing::off,
    },
    Cell {
        name: "two-lanes-ageing",
        run: ageing::on,
    },
    Cell {
        name: "two-lanes-claims",
        run: ageing::off_claims,
    },
    Cell {
        name: "two-lanes-ageing-claims",
        run: ageing::on_claims,
    },
    Cell {
        name: "never-paused",
        run: pausing::never,
    },
    Cell {
        name: "resumed",
        run: pausing::resumed,
    },
    Cell {
        name: "other-paused",
        run: pausing::other,
    },
];

fn main() -> ExitCode {
    Bench {
        title: "scheduling",
        groups: GROUPS,
        cells: CELLS,
    }
    .main()
}
