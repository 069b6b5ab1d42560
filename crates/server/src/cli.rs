//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs the requests of Unity editors through bounded priority lanes.
#[derive(Debug, Parser)]
#[command(name = "lanepool", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Import(ImportArgs),
}

/// Imports a Unity project: hashes every asset and gives it a .meta file with a lasting GUID.
///
/// Walks Assets/ below the project folder, leaving out what Unity ignores. Scripts and shaders go first,
/// then scenes, prefabs and materials, then textures, models and sound. Meanwhile files are "opened in
/// the editor" now and then; those overtake all others.
///
/// A .meta file that exists is kept as it is; a missing one is written next to the asset. A file that
/// cannot be imported is listed at the end and does not stop the others.
///
/// Ctrl-C stops the import, lets files that were already handed over finish for a while (--grace), and
/// lists what was not imported; a second Ctrl-C ends the program at once.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImportArgs {
    /// Folder that holds Assets/ [default: a sample project, made in a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,

    /// Worker threads; 0 is one for each CPU that this process may use
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) workers: usize,

    /// Print one JSON object on standard output in place of the table
    #[arg(long)]
    pub(crate) json: bool,

    /// Files that are opened in the editor meanwhile, per second; 0 is none
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) opens_per_second: u32,

    /// How long, after Ctrl-C, files already handed over may take to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=3600))]
    pub(crate) grace: u64,

    /// Files in the sample project; 3,000 are about 140 MB
    #[arg(long, value_name = "N", default_value_t = 3000, conflicts_with = "project",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) sample_files: u32,

    /// Keep the sample project and say where it is, to import it again
    #[arg(long, conflicts_with = "project")]
    pub(crate) keep_sample: bool,

    /// Decides the contents of the sample and which files are opened in the editor
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

const AFTER_HELP: &str = "\
Exit code:
  0  every file was imported
  1  some file was not; the table and the JSON object list which, and why
  2  the import could not start: bad usage, no such project, too many workers

Examples:
  lanepool import
  lanepool import --project ~/game --workers 4
  lanepool import --project ~/game --json > import.json";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_has_a_help_text() {
        let mut command = Cli::command();
        command.build();
        for subcommand in command.get_subcommands() {
            assert!(
                subcommand.get_about().is_some(),
                "{}",
                subcommand.get_name()
            );
            for argument in subcommand.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    subcommand.get_name(),
                    argument.get_id()
                );
            }
        }
    }

    #[test]
    fn sample_options_do_not_go_with_a_project() {
        for option in ["--keep-sample", "--sample-files=5"] {
            let result = Cli::try_parse_from(["lanepool", "import", "--project", "x", option]);
            assert!(result.is_err(), "{option}");
        }
    }
}
