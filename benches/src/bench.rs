//! A bench target: groups that record figures, and cells that run in processes of their own.

use std::process::ExitCode;

use crate::{
    Report, Result,
    args::{self, Arguments},
    machine,
};

/// Figures that belong together; its name chooses it on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The name on the command line.
    pub name: &'static str,
    /// Records the group's figures. It goes on after one that could not be taken.
    pub measure: fn(&mut Report),
}

/// A loop that the bench target runs in a child process, because something counts the whole process.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The name on the child's command line.
    pub name: &'static str,
    /// Handles this many items and checks what came of them.
    pub run: fn(u64) -> Result<()>,
}

/// What the `main` of a bench target consists of.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// The name of the bench target.
    pub title: &'static str,
    /// In the order in which they run.
    pub groups: &'static [Group],
    /// Every loop that a child process can be asked to run.
    pub cells: &'static [Cell],
}

impl Bench {
    /// Does what the command line asks for.
    #[must_use]
    pub fn main(&self) -> ExitCode {
        let arguments = match Arguments::parse(std::env::args().skip(1)) {
            Ok(arguments) => arguments,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::from(2);
            }
        };
        if arguments.help {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        match &arguments.cell {
            Some((name, count)) => self.run_cell(name, *count),
            None => self.run_groups(arguments),
        }
    }

    fn run_cell(&self, name: &str, count: u64) -> ExitCode {
        let outcome = match self.cells.iter().find(|cell| cell.name == name) {
            Some(cell) => (cell.run)(count),
            None => Err(format!(
                "no such cell; the cells are {}",
                names(self.cells.iter().map(|cell| cell.name))
            )
            .into()),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{name}: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn run_groups(&self, arguments: Arguments) -> ExitCode {
        let mut report = Report::new(arguments);
        if !self.groups.iter().any(|group| report.wants(group.name)) {
            eprintln!(
                "no group has such a name; the groups are {}",
                names(self.groups.iter().map(|group| group.name))
            );
            return ExitCode::from(2);
        }
        report.open(self.title, &machine::description());
        for group in self.groups {
            if report.wants(group.name) {
                (group.measure)(&mut report);
            }
        }
        ExitCode::from(report.exit_code())
    }
}

fn names(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
