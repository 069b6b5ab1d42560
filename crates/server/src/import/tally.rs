//! What became of each file, counted as the outcomes come in.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use lanepool::ProcessingError;

use super::meta::{Guid, MetaState};
use super::service::{ImportError, Imported};

/// What the pool answers for one file.
pub(crate) type Outcome = Result<Imported, ProcessingError<ImportError>>;

/// Why a file has no outcome, or none that is its own fault.
const INTERRUPTED: &str = "the import was interrupted before this file was done; import again";

/// The outcomes of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) imported: usize,
    pub(crate) bytes: u64,
    pub(crate) metas_new: usize,
    pub(crate) metas_kept: usize,
    /// Requests of the editor that were answered with an imported file. One that failed needs no note:
    /// the file comes with the project too, and its outcome there stands.
    pub(crate) opened: usize,
    /// By path.
    pub(crate) failures: BTreeMap<String, String>,
    /// Pairs of assets whose `.meta` files name the same GUID.
    pub(crate) shared_guids: Vec<(String, String)>,
    contents: HashSet<blake3::Hash>,
    owners: HashMap<Guid, String>,
}

impl Tally {
    /// Notes the outcome of a file of the project.
    pub(crate) fn record(&mut self, path: &str, outcome: Outcome) {
        match outcome {
            Ok(imported) => self.imported(path, imported),
            Err(error) => self.fail(path, describe(error)),
        }
    }

    /// Notes a file that was imported for the editor, after all files of the project were noted. It
    /// counts as imported even if the request that came with the project did not get so far, and its
    /// `.meta` file as new if it was this request that wrote it.
    pub(crate) fn record_opened(&mut self, path: &str, imported: Imported) {
        self.opened += 1;
        if self.failures.remove(path).is_some() {
            self.imported(path, imported);
        } else if imported.meta == MetaState::New
            // Somebody may have deleted it since, and then both requests wrote one.
            && let Some(kept) = self.metas_kept.checked_sub(1)
        {
            self.metas_kept = kept;
            self.metas_new += 1;
        }
    }

    /// Notes a file that failed before the pool could take it.
    pub(crate) fn fail(&mut self, path: &str, error: impl ToString) {
        self.failures
            .entry(path.to_owned())
            .or_insert_with(|| error.to_string());
    }

    /// Notes a file that was not handed over before the run was interrupted.
    pub(crate) fn not_reached(&mut self, path: &str) {
        self.fail(path, INTERRUPTED);
    }

    /// How many different contents the imported files have.
    pub(crate) fn contents(&self) -> usize {
        self.contents.len()
    }

    fn imported(&mut self, path: &str, imported: Imported) {
        self.imported += 1;
        self.bytes += imported.bytes;
        match imported.meta {
            MetaState::New => self.metas_new += 1,
            MetaState::Kept => self.metas_kept += 1,
        }
        self.contents.insert(imported.hash);
        match self.owners.entry(imported.guid) {
            Entry::Vacant(entry) => {
                entry.insert(path.to_owned());
            }
            Entry::Occupied(owner) => self
                .shared_guids
                .push((owner.get().clone(), path.to_owned())),
        }
    }
}

fn describe(error: ProcessingError<ImportError>) -> String {
    match error {
        ProcessingError::Failed(error) => error.to_string(),
        ProcessingError::Panicked(message) => {
            format!(
                "the importer panicked: {message}; this is a mistake in lanepool, please report it"
            )
        }
        ProcessingError::Abandoned => INTERRUPTED.to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::asset_kind::AssetKind;
    use crate::import::asset_path::AssetPathError;
    use crate::import::meta;

    fn imported(content: &str, meta: MetaState) -> Imported {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (guid, _) =
            meta::keep_or_write(&folder.path().join("a.meta"), AssetKind::Other).expect("written");
        Imported {
            bytes: content.len() as u64,
            hash: blake3::hash(content.as_bytes()),
            guid,
            meta,
        }
    }

    #[test]
    fn imported_files_are_counted_with_their_contents() {
        let mut tally = Tally::default();
        tally.record("a", Ok(imported("same", MetaState::New)));
        tally.record("b", Ok(imported("same", MetaState::Kept)));
        tally.record("c", Ok(imported("other!", MetaState::Kept)));
        tally.record_opened("a", imported("same", MetaState::Kept));
        tally.record_opened("b", imported("same", MetaState::New));
        assert_eq!((tally.imported, tally.bytes, tally.contents()), (3, 14, 2));
        assert_eq!((tally.metas_new, tally.metas_kept, tally.opened), (2, 1, 2));
        assert!(tally.failures.is_empty() && tally.shared_guids.is_empty());
    }

    #[test]
    fn failures_are_told_with_their_reason() {
        let mut tally = Tally::default();
        tally.record(
            "b",
            Err(ProcessingError::Failed(ImportError::Path(
                AssetPathError::Empty,
            ))),
        );
        tally.record("c", Err(ProcessingError::Panicked("boom".to_owned())));
        tally.record("a", Err(ProcessingError::Abandoned));
        tally.not_reached("d");
        let failures: Vec<_> = tally
            .failures
            .iter()
            .map(|(path, error)| (path.as_str(), error.as_str()))
            .collect();
        assert_eq!(failures[0], ("a", INTERRUPTED));
        assert_eq!(
            failures[1],
            ("b", AssetPathError::Empty.to_string().as_str())
        );
        assert!(failures[2].1.contains("boom"));
        assert_eq!(failures[3], ("d", INTERRUPTED));
        assert_eq!((tally.imported, tally.opened), (0, 0));
    }

    #[test]
    fn what_the_editor_got_counts_as_imported() {
        let mut tally = Tally::default();
        tally.not_reached("a");
        tally.not_reached("b");
        tally.record_opened("a", imported("x", MetaState::New));
        assert_eq!((tally.imported, tally.opened, tally.metas_new), (1, 1, 1));
        assert_eq!(tally.failures.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn two_assets_with_one_guid_are_noticed() {
        let mut tally = Tally::default();
        let twin = imported("x", MetaState::Kept);
        tally.record("a", Ok(twin));
        tally.record("b", Ok(twin));
        assert_eq!(tally.shared_guids, [("a".to_owned(), "b".to_owned())]);
    }
}
