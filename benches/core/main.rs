//! `cargo bench -p lanepool-bench --bench core -- [--quick] [--json]`: what the engine costs by itself.
//!
//! | group | figures | target |
//! |---|---|---|
//! | ring | instructions of a push and a pop; bytes of a slot | 60, 35 in runs of 16; 128 |
//! | instructions | instructions of a task from submit to done | 200 |
//! | allocations | heap allocations of a task, for each way in | 0 |
//! | system-calls | system calls of a task on a saturated pool | 0.01 |
//! | page-faults | pages first touched by a task, in the first lap of a lane | 0.002 |
//! | idle | CPU time and wakes of an idle pool in two seconds | 100 µs, 0 |
//! | throughput | time, CPU time and switches of a task, by producers | |
//! | latency | round trips, and from submit to service | |

mod allocations;
mod idle;
mod instructions;
mod latency;
mod page_faults;
mod ring;
mod system_calls;
mod throughput;

use std::process::ExitCode;

use lanepool_bench::{Bench, Cell, Group, alloc::Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GROUPS: &[Group] = &[
    Group {
        name: "ring",
        measure: ring::measure,
    },
    Group {
        name: "instructions",
        measure: instructions::measure,
    },
    Group {
        name: "allocations",
        measure: allocations::measure,
    },
    Group {
        name: "system-calls",
        measure: system_calls::measure,
    },
    Group {
        name: "page-faults",
        measure: page_faults::measure,
    },
    Group {
        name: "idle",
        measure: idle::measure,
    },
    Group {
        name: "throughput",
        measure: throughput::measure,
    },
    Group {
        name: "latency",
        measure: latency::measure,
    },
];

const CELLS: &[Cell] = &[
    Cell {
        name: "ring-single",
        run: ring::single,
    },
    Cell {
        name: "ring-runs",
        run: ring::runs,
    },
    Cell {
        name: "spawn",
        run: instructions::spawn,
    },
    Cell {
        name: "spawn-claims",
        run: instructions::spawn_claims,
    },
    Cell {
        name: "spawn-48",
        run: instructions::spawn_48,
    },
    Cell {
        name: "spawn-lanes",
        run: instructions::spawn_lanes,
    },
    Cell {
        name: "spawn-async",
        run: instructions::spawn_async,
    },
    Cell {
        name: "ticket",
        run: instructions::ticket,
    },
    Cell {
        name: "saturated-tiny",
        run: system_calls::tiny,
    },
    Cell {
        name: "saturated-1us",
        run: system_calls::microsecond,
    },
];

fn main() -> ExitCode {
    Bench {
        title: "core",
        groups: GROUPS,
        cells: CELLS,
    }
    .main()
}
