//! `lanepool`: the Unity asset stream on a worker pool.
//!
//! A command goes one way: [`cli`] reads the arguments, [`import`] does the work, and the exit code says
//! how it went.

#![forbid(unsafe_code)]

mod cli;
mod import;
mod interrupt;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli {
        command: Command::Import(args),
    } = Cli::parse();
    match import::import(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("lanepool: {error}");
            ExitCode::from(2)
        }
    }
}
