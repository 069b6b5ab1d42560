//! `cargo bench -p lanepool-bench --bench batching -- [--quick] [--json] [--only GROUP]`: batches that are full, on
//! time, and what they are worth.
//!
//! | group | shows | target |
//! |---|---|---|
//! | fill | how full batches are while enough for one waits | 90 % |
//! | throughput | adaptive sizes beside every fixed one, saturated | 95 % of the best |
//! | light | what batching adds to the latency of a request that comes alone, and for how long batches linger | 5 % with the idle rule, and nobody beyond the limits without |
//! | deadlines | requests that are not answered in time, at 70 % load, by a clock that the service turns and in real time | fewer than with any fixed size |
//! | sqlite | inserts into a database, one transaction a batch | 95 % of the best, 90 % full |
//! | rivals | other crates that batch, on the same loads | |
//! | keys | bytes of a key that has requests, and of one that has none | |
//!
//! The service of all groups but one is [emulated](service): a batch of `n` requests keeps a CPU busy for `a + b * n`.
//! Every answer is compared with its request, and when a pool is closed its statistics are
//! compared with what the service saw and the callers heard.
//!
//! | module | role |
//! |---|---|
//! | [`service`] | requests, answers, and what a batch costs |
//! | [`shop`] | a pool with that service, and its books |
//! | [`saturated`], [`open_loop`] | who asks |
//! | [`turned`] | a pool on a clock that its service turns |
//! | [`fill`], [`throughput`], [`light`], [`deadlines`], [`sqlite`], [`rivals`], [`keys`] | the groups |

mod deadlines;
mod fill;
mod keys;
mod light;
mod open_loop;
mod rivals;
mod saturated;
mod service;
mod shop;
mod sqlite;
mod throughput;
mod turned;

use std::process::ExitCode;

use lanepool_bench::{Bench, Group, alloc::Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GROUPS: &[Group] = &[
    Group {
        name: "fill",
        measure: fill::measure,
    },
    Group {
        name: "throughput",
        measure: throughput::measure,
    },
    Group {
        name: "light",
        measure: light::measure,
    },
    Group {
        name: "deadlines",
        measure: deadlines::measure,
    },
    Group {
        name: "sqlite",
        measure: sqlite::measure,
    },
    Group {
        name: "rivals",
        measure: rivals::measure,
    },
    // Last: from here on every allocation is counted, which costs a little.
    Group {
        name: "keys",
        measure: keys::measure,
    },
];

fn main() -> ExitCode {
    Bench {
        title: "batching",
        groups: GROUPS,
        cells: &[],
    }
    .main()
}
