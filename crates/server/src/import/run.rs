//! The run itself: everything through the pool, and an answer for every file.
//!
//! ```text
//! submitter ─ tickets, in order ─> gatherer ─ finished ─┐
//!     └─> pool <─ opened files ─ editor                 ├─> this thread: shuts the pool down
//!                                         Ctrl-C ───────┘
//! ```
//! A full lane holds the submitter back (the lanes' policy is to wait), and a bounded channel keeps it
//! from running ahead of the gatherer. The pool's shutdown is what ends an interrupted run: it
//! refuses the submitter and the editor, and answers every ticket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use lanepool::{
    BuildError, OverflowPolicy, ProcessingTask, SubmitError, TaskPriority, Ticket, WorkerPool,
    WorkerPoolConfig, WorkerPoolStatistics,
};

use super::editor::{self, Opening};
use super::progress::Progress;
use super::project::Project;
use super::service::{ImportError, ImportRequest, ImportService, Imported};
use super::tally::Tally;
use super::walk::FoundFile;
use crate::interrupt::{Interrupt, Wake};

/// The pool that imports.
pub(crate) type Pool = WorkerPool<ImportRequest, Imported, ImportError>;

/// What the submitter hands to the gatherer, one a file and in the files' order.
type Handed = Result<Ticket<Imported, ImportError>, SubmitError<ImportRequest>>;

/// Waiting requests per lane: enough that no worker runs dry, few enough that nothing is far ahead.
const LANE_CAPACITY: usize = 256;

/// Tickets that the submitter may be ahead of the gatherer: all lanes full.
const TICKETS_AHEAD: usize = 4 * LANE_CAPACITY;

/// How long a worker may take to give up a file: a buffer's reading, unless the disk hangs.
const GIVE_UP: Duration = Duration::from_secs(1);

/// How a run is to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunPlan {
    /// 0 is one for each usable CPU.
    pub(crate) workers: usize,
    /// Nothing if no files are opened.
    pub(crate) opening: Option<Opening>,
    /// How long accepted files may take to finish after an interruption.
    pub(crate) grace: Duration,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) tally: Tally,
    pub(crate) statistics: WorkerPoolStatistics,
    pub(crate) elapsed: Duration,
    pub(crate) interrupted: bool,
}

/// Imports `files`, which go in their order as far as their lanes let them.
///
/// # Errors
/// If the pool cannot be built, as with too many workers.
pub(crate) fn run(
    project: &Project,
    files: &[FoundFile],
    plan: RunPlan,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Ran, BuildError> {
    let stop = Arc::new(AtomicBool::new(false));
    let service = ImportService::new(project.clone(), Arc::clone(&stop));
    let pool = WorkerPool::with_config(service, config(plan.workers)?)?;
    let started = Instant::now();
    let (submitted, gathered) = mpsc::sync_channel(TICKETS_AHEAD);
    let (open, closed) = mpsc::channel();
    thread::scope(|scope| {
        let pool = &pool;
        let submitter = scope.spawn(move || submit(pool, files, &submitted));
        let editor = plan
            .opening
            .map(|opening| scope.spawn(move || editor::open_files(pool, files, opening, &closed)));
        let finished = interrupt.finisher();
        let gatherer = scope.spawn(move || {
            let mut tally = gather(files, &gathered, progress);
            let elapsed = started.elapsed();
            drop(open);
            let opened = editor.map(|editor| editor.join().expect("it does not panic"));
            for (path, imported) in opened.unwrap_or_default() {
                tally.record_opened(&path, imported);
            }
            drop(finished);
            (tally, elapsed)
        });
        let interrupted = interrupt.wait() == Wake::Interrupted;
        let mut shutdown = pool.shutdown_blocking(plan.grace);
        if !shutdown.drained {
            // ORDERING: Relaxed, because the flag guards no other data.
            stop.store(true, Ordering::Relaxed);
            // Workers still at a file give it up, and then the figures stand still.
            shutdown = pool.shutdown_blocking(GIVE_UP);
        }
        submitter.join().expect("it does not panic");
        let (tally, elapsed) = gatherer.join().expect("it does not panic");
        Ok(Ran {
            tally,
            statistics: shutdown.statistics,
            elapsed,
            interrupted,
        })
    })
}

/// The pool's configuration. Every task is stamped: a stamp costs nothing beside reading a file, and
/// percentiles of a small lane need all of its tasks. Workers take files one by one: a claim costs
/// nothing beside reading either, and no file waits for another in a worker's hand.
pub(crate) fn config(workers: usize) -> Result<WorkerPoolConfig, BuildError> {
    let mut builder = WorkerPoolConfig::builder()
        .workers(workers)
        .thread_name("import")
        .sample_every(1)
        .max_run_length(1);
    for priority in [
        TaskPriority::Low,
        TaskPriority::Normal,
        TaskPriority::High,
        TaskPriority::Critical,
    ] {
        builder = builder.lane(priority, |lane| {
            lane.capacity(LANE_CAPACITY).overflow(OverflowPolicy::Wait)
        });
    }
    builder.build().map_err(BuildError::Config)
}

/// Hands the files to the pool one by one, until it admits no more.
fn submit(pool: &Pool, files: &[FoundFile], submitted: &SyncSender<Handed>) {
    for file in files {
        let request = ImportRequest {
            path: file.path.clone(),
        };
        let handed =
            pool.submit_blocking(ProcessingTask::new(request).priority(file.kind.priority()));
        let closed = matches!(handed, Err(SubmitError::Closed(_)));
        if closed || submitted.send(handed).is_err() {
            return;
        }
    }
}

/// Waits for every file's outcome.
fn gather(files: &[FoundFile], gathered: &Receiver<Handed>, progress: &Progress) -> Tally {
    let mut tally = Tally::default();
    let mut files = files.iter();
    for (handed, file) in gathered.iter().zip(files.by_ref()) {
        match handed {
            Ok(ticket) => tally.record(&file.path, ticket.wait()),
            Err(refused) => tally.fail(&file.path, refused),
        }
        progress.file_done();
    }
    for file in files {
        tally.not_reached(&file.path);
    }
    tally
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::import::walk::walk;

    fn project(files: usize) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("Assets")).expect("folder");
        for index in 0..files {
            fs::write(folder.path().join(format!("Assets/{index}.png")), "x").expect("file");
        }
        let project = Project::open(folder.path()).expect("a project");
        (folder, project)
    }

    fn plan(opening: Option<Opening>, grace: Duration) -> RunPlan {
        RunPlan {
            workers: 2,
            opening,
            grace,
        }
    }

    fn run_on(project: &Project, files: &[FoundFile], plan: RunPlan, interrupt: &Interrupt) -> Ran {
        let progress = Progress::new("importing", files.len());
        run(project, files, plan, interrupt, &progress).expect("a pool")
    }

    #[test]
    fn every_file_is_imported_and_everything_is_accounted_for() {
        // More than all lanes and tickets ahead can hold.
        let (_folder, project) = project(TICKETS_AHEAD + LANE_CAPACITY + 100);
        let files = walk(&project, || false).files;
        let opening = Opening {
            every: Duration::from_millis(1),
            seed: 1,
        };
        let (interrupt, _interrupter) = Interrupt::new();
        let ran = run_on(
            &project,
            &files,
            plan(Some(opening), Duration::ZERO),
            &interrupt,
        );
        assert!(!ran.interrupted);
        assert_eq!(
            (ran.tally.imported, ran.tally.failures.len()),
            (files.len(), 0)
        );
        assert_eq!(ran.statistics.conserved(), Ok(()));
        assert_eq!(
            ran.statistics.total().completed,
            (files.len() + ran.tally.opened) as u64
        );
        assert!(ran.tally.opened >= 1);
        for lane in &ran.statistics.lanes {
            assert_eq!(
                (lane.wait.count(), lane.run.count()),
                (lane.completed, lane.completed)
            );
        }
    }

    #[test]
    fn an_interrupted_run_accounts_for_every_file() {
        let (_folder, project) = project(2000);
        let files = walk(&project, || false).files;
        for grace in [Duration::ZERO, Duration::MAX] {
            let (interrupt, interrupter) = Interrupt::new();
            assert!(interrupter.interrupt());
            let ran = run_on(&project, &files, plan(None, grace), &interrupt);
            assert!(ran.interrupted);
            assert_eq!(ran.tally.imported + ran.tally.failures.len(), files.len());
            assert_eq!(ran.statistics.conserved(), Ok(()));
        }
    }

    #[test]
    fn too_many_workers_are_refused() {
        let (_folder, project) = project(1);
        let (interrupt, _interrupter) = Interrupt::new();
        let plan = RunPlan {
            workers: usize::MAX,
            opening: None,
            grace: Duration::ZERO,
        };
        let error = run(
            &project,
            &[],
            plan,
            &interrupt,
            &Progress::new("importing", 0),
        )
        .expect_err("too many");
        assert!(
            error.to_string().contains(&usize::MAX.to_string()),
            "{error}"
        );
    }
}
