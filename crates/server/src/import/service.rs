//! The service that the pool's workers run: one request, one asset imported.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lanepool::{Service, TaskContext};
use thiserror::Error;

use super::asset_kind::AssetKind;
use super::asset_path::{AssetPath, AssetPathError};
use super::meta::{self, Guid, MetaError, MetaState};
use super::project::{LocateError, Project};

/// How much is read at once, in bytes: enough that a system call costs nothing beside the hashing, and
/// small enough to stay in the cache until it is hashed.
const BUFFER_BYTES: usize = 128 << 10;

/// Asks for the import of one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImportRequest {
    /// The path as the client names it; the service checks it.
    pub(crate) path: String,
}

/// An asset as imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) bytes: u64,
    pub(crate) hash: blake3::Hash,
    pub(crate) guid: Guid,
    pub(crate) meta: MetaState,
}

/// Why an asset was not imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ImportError {
    #[error(transparent)]
    Path(#[from] AssetPathError),
    #[error(transparent)]
    Locate(#[from] LocateError),
    #[error("cannot read the file: {0}; give this user the right to read it, and check the disk")]
    Read(io::Error),
    #[error("the import was stopped while the file was read; import again")]
    Stopped,
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Imports assets of one project: checks the path, reads and hashes the file, keeps or writes its
/// `.meta`.
#[derive(Debug)]
pub(crate) struct ImportService {
    project: Project,
    stop: Arc<AtomicBool>,
}

/// What each worker keeps between requests.
pub(crate) struct WorkerState {
    buffer: Box<[u8]>,
    hasher: blake3::Hasher,
}

impl ImportService {
    /// Once `stop` is true, files that are being read are given up at the next buffer.
    pub(crate) fn new(project: Project, stop: Arc<AtomicBool>) -> Self {
        Self { project, stop }
    }

    fn hash(
        &self,
        state: &mut WorkerState,
        path: &Path,
    ) -> Result<(u64, blake3::Hash), ImportError> {
        let mut file = File::open(path).map_err(ImportError::Read)?;
        let mut bytes = 0;
        state.hasher.reset();
        loop {
            // ORDERING: Relaxed, because the flag guards no other data and seeing it a buffer later is as good.
            if self.stop.load(Ordering::Relaxed) {
                return Err(ImportError::Stopped);
            }
            match file.read(&mut state.buffer) {
                Ok(0) => return Ok((bytes, state.hasher.finalize())),
                Ok(count) => {
                    state.hasher.update(&state.buffer[..count]);
                    bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImportError::Read(error)),
            }
        }
    }
}

impl Service<ImportRequest> for ImportService {
    type Response = Imported;
    type Error = ImportError;
    type State = WorkerState;

    fn state(&self, _worker: usize) -> WorkerState {
        WorkerState {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            hasher: blake3::Hasher::new(),
        }
    }

    fn call(
        &self,
        state: &mut WorkerState,
        request: ImportRequest,
        _context: &TaskContext,
    ) -> Result<Imported, ImportError> {
        let path = AssetPath::parse(&request.path)?;
        let located = self.project.locate(&path)?;
        let (bytes, hash) = self.hash(state, &located.file)?;
        let (guid, meta) = meta::keep_or_write(&located.meta, AssetKind::of(path.as_str()))?;
        Ok(Imported {
            bytes,
            hash,
            guid,
            meta,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A project with these files, its service, and the flag that stops it.
    fn service(files: &[(&str, &[u8])]) -> (tempfile::TempDir, ImportService, Arc<AtomicBool>) {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("Assets")).expect("folder");
        for (path, content) in files {
            fs::write(folder.path().join(path), content).expect("file");
        }
        let project = Project::open(folder.path()).expect("a project");
        let stop = Arc::new(AtomicBool::new(false));
        (folder, ImportService::new(project, Arc::clone(&stop)), stop)
    }

    fn import(
        service: &ImportService,
        state: &mut WorkerState,
        path: &str,
    ) -> Result<Imported, ImportError> {
        let request = ImportRequest {
            path: path.to_owned(),
        };
        service.call(state, request, &TaskContext::default())
    }

    #[test]
    fn files_of_all_sizes_are_hashed_one_after_the_other() {
        let sizes = [
            0,
            1,
            BUFFER_BYTES - 1,
            BUFFER_BYTES,
            BUFFER_BYTES + 1,
            3 * BUFFER_BYTES + 17,
        ];
        let contents: Vec<Vec<u8>> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
        let paths: Vec<String> = sizes.iter().map(|size| format!("Assets/{size}")).collect();
        let files: Vec<(&str, &[u8])> = paths
            .iter()
            .map(String::as_str)
            .zip(contents.iter().map(Vec::as_slice))
            .collect();
        let (_folder, service, _stop) = service(&files);
        let mut state = service.state(0);
        for (path, content) in files.iter().rev() {
            let imported = import(&service, &mut state, path).expect("imported");
            assert_eq!(imported.bytes, content.len() as u64);
            assert_eq!(imported.hash, blake3::hash(content));
            assert_eq!(imported.meta, MetaState::New);
            let again = import(&service, &mut state, path).expect("imported");
            assert_eq!(
                again,
                Imported {
                    meta: MetaState::Kept,
                    ..imported
                }
            );
        }
    }

    #[test]
    fn a_request_that_fails_says_why_and_writes_nothing() {
        let (folder, service, _stop) = service(&[("Assets/a", b"a"), ("Assets/a.meta", b"")]);
        let mut state = service.state(0);
        let mut error = |path| import(&service, &mut state, path).expect_err(path);
        assert!(matches!(
            error("../a"),
            ImportError::Path(AssetPathError::Parent)
        ));
        assert!(matches!(
            error("Assets/b"),
            ImportError::Locate(LocateError::Missing(_))
        ));
        assert!(matches!(
            error("Assets/a"),
            ImportError::Meta(MetaError::Malformed(_))
        ));
        assert_eq!(
            fs::read_dir(folder.path().join("Assets"))
                .expect("folder")
                .count(),
            2
        );
    }

    #[test]
    fn a_stopped_service_gives_files_up() {
        let (folder, service, stop) = service(&[("Assets/a", b"a")]);
        stop.store(true, Ordering::Relaxed);
        let error = import(&service, &mut service.state(0), "Assets/a").expect_err("stopped");
        assert!(matches!(error, ImportError::Stopped));
        assert!(!folder.path().join("Assets/a.meta").exists());
    }
}
