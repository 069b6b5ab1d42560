//! The phases of `lanepool import`: a project, its files, the run, the report.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use lanepool::BuildError;
use tempfile::TempDir;
use thiserror::Error;

use super::editor::Opening;
use super::progress::Progress;
use super::project::{Project, ProjectError};
use super::report::ImportReport;
use super::run::{self, RunPlan};
use super::sample::{self, SampleError, SamplePlan};
use super::table;
use super::walk::{self, FoundFile, Walked};
use crate::cli::ImportArgs;
use crate::interrupt::Interrupt;

/// Why an import did not start, or could not say how it went.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CommandError {
    #[error("cannot listen for Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error(
        "cannot make a temporary folder: {0}; name another place by the environment variable TMPDIR, or import a project of your own with --project"
    )]
    TemporaryFolder(io::Error),
    #[error(transparent)]
    Sample(#[from] SampleError),
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error("interrupted while looking for files; nothing was imported")]
    Interrupted,
    #[error("cannot start the workers: {0}; choose another number with --workers")]
    Pool(#[from] BuildError),
    #[error("cannot print the report: {0}")]
    Print(io::Error),
}

/// Imports as the arguments say and prints the report. Returns whether every file was imported.
///
/// # Errors
/// If the import could not start, or the report not be printed.
pub(crate) fn import(args: &ImportArgs) -> Result<bool, CommandError> {
    let interrupt = Interrupt::install()?;
    // The folder of a sample lasts until its report is printed.
    let (project, _sample) = match &args.project {
        Some(folder) => (Project::open(folder)?, None),
        None => {
            let folder = sample_project(args, &interrupt)?;
            (Project::open(folder.path())?, Some(folder))
        }
    };
    let Walked { files, failures } = walk::walk(&project, || interrupt.requested());
    if interrupt.requested() {
        return Err(CommandError::Interrupted);
    }
    let files = in_order(files);

    let progress = Progress::new("importing", files.len());
    let ran = run::run(&project, &files, plan(args), &interrupt, &progress)?;
    progress.clear();
    let found = files.len() + failures.len();
    let failures: BTreeMap<_, _> = failures
        .into_iter()
        .map(|failure| (failure.path, failure.error.to_string()))
        .collect();
    let report = ImportReport::new(found, failures, ran);
    print(&text(&report, args.json)).map_err(CommandError::Print)?;
    Ok(report.all_imported())
}

/// Scripts first. The lanes alone would not do: a lane that is full holds the submitter back, and scripts
/// that come later in the walk with it. Equal priorities keep the order of the walk.
fn in_order(mut files: Vec<FoundFile>) -> Vec<FoundFile> {
    files.sort_by_key(|file| Reverse(file.kind.priority()));
    files
}

fn plan(args: &ImportArgs) -> RunPlan {
    let opening = (args.opens_per_second > 0).then(|| Opening {
        every: Duration::from_secs(1) / args.opens_per_second,
        seed: args.seed,
    });
    RunPlan {
        workers: args.workers,
        opening,
        grace: Duration::from_secs(args.grace),
    }
}

fn sample_project(args: &ImportArgs, interrupt: &Interrupt) -> Result<TempDir, CommandError> {
    let folder = tempfile::Builder::new()
        .prefix("lanepool-sample-")
        .disable_cleanup(args.keep_sample)
        .tempdir()
        .map_err(CommandError::TemporaryFolder)?;
    let files = args.sample_files as usize;
    let progress = Progress::new("making", files);
    let made = sample::make(
        folder.path(),
        SamplePlan {
            files,
            seed: args.seed,
        },
        || {
            progress.file_done();
            !interrupt.requested()
        },
    );
    progress.clear();
    made?;
    if args.keep_sample {
        say_where(folder.path());
    }
    Ok(folder)
}

/// Says on standard error where the sample lies, so that standard output holds the report alone.
fn say_where(folder: &Path) {
    let folder = folder.display();
    eprintln!(
        "The sample project is kept in {folder}; import it again with: lanepool import --project {folder}"
    );
}

fn text(report: &ImportReport, json: bool) -> String {
    if json {
        let object =
            serde_json::to_string(report).expect("numbers and strings can be written as JSON");
        format!("{object}\n")
    } else {
        table::render(report)
    }
}

/// Prints to standard output. Who closed it early, as `head` does, has read enough.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::asset_kind::AssetKind;

    #[test]
    fn scripts_are_submitted_before_scenes_before_textures() {
        let found = |path: &str| FoundFile {
            path: path.to_owned(),
            kind: AssetKind::of(path),
        };
        let files = ["a.png", "b.unity", "c.cs", "d.png", "e.mat", "f.shader"].map(found);
        let files = in_order(files.to_vec());
        let order: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            order,
            ["c.cs", "f.shader", "b.unity", "e.mat", "a.png", "d.png"]
        );
    }
}
