//! `cargo bench -p lanepool-bench --bench peers -- [--quick] [--json]`: lanepool beside its rivals.
//!
//! | module | role |
//! |---|---|
//! | [`contender`] | what a pool has to offer to be measured |
//! | [`contenders`] | the pools, one small file each |
//! | [`rings`] | rings by themselves, and how they are measured |
//! | [`workloads`] | what is measured, one file each |
//! | [`field`] | finds contenders by name, and runs a cell of one |
//! | [`plan`] | which cells are run, how long, and in which order |
//! | [`harness`] | runs the cells, and prints what came of them |
//! | [`report`] | writes the report and the plots |
//! | [`busy`] | processes that keep the machine busy |
//!
//! A cell is a workload, a case of it and a contender. It is run in a process of its own, which is this
//! executable with `--cell`, and which prints its values as a line of JSON once they have been checked.

mod busy;
mod contender;
mod contenders;
mod field;
mod harness;
mod plan;
mod report;
mod rings;
mod workloads;

use std::process::ExitCode;

use contenders::{check::Check, visit_all};
use harness::Harness;
use lanepool_bench::{
    alloc::Counting,
    compare::options::{Instead, Options, USAGE},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match options.instead.take() {
        None => return run(options),
        Some(Instead::Help) => println!("{USAGE}"),
        Some(Instead::List) => list(),
        Some(Instead::Busy) => return busy::spin(),
        Some(Instead::Check(only)) => return check(only),
        Some(Instead::Cell { name, amount }) => return cell(&name, amount),
    }
    ExitCode::SUCCESS
}

fn run(options: Options) -> ExitCode {
    match Harness::new(options).run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn cell(name: &str, amount: u64) -> ExitCode {
    match field::run_cell(name, amount) {
        Ok(values) => {
            let values: serde_json::Map<String, serde_json::Value> = values
                .into_iter()
                .map(|(metric, value)| (metric.to_owned(), value.into()))
                .collect();
            println!("{}", serde_json::Value::Object(values));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn check(only: String) -> ExitCode {
    let mut check = Check { only, passed: 0 };
    visit_all(&mut check);
    if check.passed == 0 {
        eprintln!("no contender has {} in its name: see --list", check.only);
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

fn list() {
    for workload in workloads::Workload::ALL {
        let outline = workload.outline();
        println!("{:<4} {}", outline.name, outline.title);
        for setting in workload.settings() {
            println!("       {:<16} {}", setting.case.name, setting.case.title);
        }
    }
    for (title, entries) in [
        ("contenders", field::pools()),
        ("rings", field::all_rings()),
    ] {
        println!("{title}");
        for entry in entries {
            println!("       {}", entry.name);
        }
    }
}
