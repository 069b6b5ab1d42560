//! Somebody at the editor: opens a file now and then, and waits for it.
//!
//! These requests go to the top lane. They are what the lanes are for: the person must not wait behind
//! the import of the whole project.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use lanepool::{ExecuteError, TaskContext, TaskPriority};

use super::run::Pool;
use super::service::{ImportRequest, Imported};
use super::walk::FoundFile;

/// How often files are opened, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) every: Duration,
    pub(crate) seed: u64,
}

/// Opens one file at once and further ones at intervals, until `closed` has lost its sender or the pool
/// admits no more. Returns each that was imported.
pub(crate) fn open_files(
    pool: &Pool,
    files: &[FoundFile],
    opening: Opening,
    closed: &Receiver<()>,
) -> Vec<(String, Imported)> {
    let mut rng = fastrand::Rng::with_seed(opening.seed);
    let mut opened = Vec::new();
    while let Some(file) = rng.choice(files) {
        let request = ImportRequest {
            path: file.path.clone(),
        };
        match pool.execute_blocking(request, TaskPriority::Critical, TaskContext::default()) {
            Ok(imported) => opened.push((file.path.clone(), imported)),
            Err(ExecuteError::Processing(_)) => {}
            // Refused, because the pool shuts down.
            Err(_) => break,
        }
        if closed.recv_timeout(opening.every) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    opened
}
