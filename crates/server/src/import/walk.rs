//! Finds the assets of a project: every file below `Assets/` that Unity would import.
//!
//! The walk reads folders alone; whether a file can be imported is for the service to say. What the
//! walk cannot hand over as a path it reports beside the files it found.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use walkdir::{DirEntry, WalkDir};

use super::asset_kind::AssetKind;
use super::asset_path::{ASSETS, PATH_CHARS_MAX, is_meta};
use super::project::{LocateError, Project};

/// A file to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Relative to the project, separated by `/`; not yet checked.
    pub(crate) path: String,
    pub(crate) kind: AssetKind,
}

/// Something below `Assets/` that could not become a [`FoundFile`].
#[derive(Debug)]
pub(crate) struct WalkFailure {
    /// Relative to the project as far as it can be written.
    pub(crate) path: String,
    pub(crate) error: WalkError,
}

/// Why something below `Assets/` was not walked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum WalkError {
    #[error("cannot read the folder: {0}; give this user the right to list it")]
    Folder(io::Error),
    #[error("the name is not valid UTF-8; rename it")]
    NotUtf8,
    #[error("folders are nested too deeply for any path in them to be valid; nest them less")]
    TooDeep,
    #[error(
        "the symbolic link leads to a folder that is imported already; remove the link, or its files would have two paths"
    )]
    WalkedAlready,
    #[error(transparent)]
    Link(#[from] LocateError),
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// In order of folder and name.
    pub(crate) files: Vec<FoundFile>,
    pub(crate) failures: Vec<WalkFailure>,
}

/// Walks `Assets/`, until `stop` says so.
///
/// A link to a folder is followed if the folder lies in the project and is not reached in another way,
/// so that every folder is walked at most once and the walk ends.
pub(crate) fn walk(project: &Project, stop: impl Fn() -> bool) -> Walked {
    let mut walk = Walk {
        project,
        found: Walked::default(),
        resolved: Vec::new(),
        pending: Vec::new(),
    };
    let assets = project.root().join(ASSETS);
    if let Err(error) = walk.start(assets.clone()) {
        walk.fail(&assets, error);
    }
    while let Some(folder) = walk.pending.pop() {
        walk.folder(&folder, &stop);
    }
    walk.found
}

struct Walk<'a> {
    project: &'a Project,
    found: Walked,
    /// The resolved folders whose contents have been or will be walked.
    resolved: Vec<PathBuf>,
    /// The folders still to walk, under the names by which they were reached.
    pending: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, stop: &impl Fn() -> bool) {
        // Each folder takes at least two characters of a path, so nothing deeper can be valid.
        let mut entries = WalkDir::new(folder)
            .follow_root_links(true)
            .max_depth(PATH_CHARS_MAX / 2)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = entries.next() {
            if stop() {
                return;
            }
            match entry {
                Ok(entry) if entry.depth() == 0 => {}
                Ok(entry) if is_ignored(&entry) => {
                    if entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) if entry.file_type().is_dir() => {
                    if entry.depth() == PATH_CHARS_MAX / 2 {
                        self.fail(entry.path(), WalkError::TooDeep);
                    }
                }
                Ok(entry) if entry.path_is_symlink() => self.link(entry.path()),
                Ok(entry) => self.file(entry.path()),
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    self.fail(&path, WalkError::Folder(error.into()));
                }
            }
        }
    }

    fn file(&mut self, path: &Path) {
        match self.name(path) {
            Some(path) => {
                let kind = AssetKind::of(&path);
                self.found.files.push(FoundFile { path, kind });
            }
            None => self.fail(path, WalkError::NotUtf8),
        }
    }

    fn link(&mut self, path: &Path) {
        if !path.is_dir() {
            // The service finds out where it leads, as with any request.
            return self.file(path);
        }
        if let Err(error) = self.start(path.to_owned()) {
            self.fail(path, error);
        }
    }

    /// Notes `folder` as one to walk.
    fn start(&mut self, folder: PathBuf) -> Result<(), WalkError> {
        let resolved = self.project.resolve(&folder)?;
        if self
            .resolved
            .iter()
            .any(|walked| resolved.starts_with(walked) || walked.starts_with(&resolved))
        {
            return Err(WalkError::WalkedAlready);
        }
        self.resolved.push(resolved);
        self.pending.push(folder);
        Ok(())
    }

    fn fail(&mut self, path: &Path, error: WalkError) {
        let path = match self.name(path) {
            Some(name) => name,
            None => self.relative(path).to_string_lossy().into_owned(),
        };
        self.found.failures.push(WalkFailure { path, error });
    }

    /// The path relative to the project, separated by `/` on every system.
    fn name(&self, path: &Path) -> Option<String> {
        let mut name = String::new();
        for part in self.relative(path) {
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(part.to_str()?);
        }
        Some(name)
    }

    fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.project.root()).unwrap_or(path)
    }
}

/// Whether Unity ignores a file or folder with this name: `.meta` files, and what its manual calls
/// hidden assets.
fn is_ignored(entry: &DirEntry) -> bool {
    // Bytes that are not UTF-8 become U+FFFD, which no rule looks at.
    let name = entry.file_name().to_string_lossy();
    let extension = Path::new(name.as_ref()).extension();
    name.starts_with('.')
        || name.ends_with('~')
        || name.eq_ignore_ascii_case("cvs")
        || extension.is_some_and(|extension| extension.eq_ignore_ascii_case("tmp"))
        || (is_meta(&name) && !entry.file_type().is_dir())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A project with these files below it.
    fn project(files: &[&str]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("Assets")).expect("folder");
        for file in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
            fs::write(file, "content").expect("file");
        }
        let project = Project::open(folder.path()).expect("a project");
        (folder, project)
    }

    fn paths(walked: &Walked) -> Vec<&str> {
        walked.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn finds_files_below_assets_alone_in_order() {
        let (_folder, project) = project(&[
            "Assets/b.png",
            "Assets/a/c.cs",
            "Assets/a/B.cs",
            "ProjectSettings/x.asset",
            "Library/y",
        ]);
        let walked = walk(&project, || false);
        assert_eq!(
            paths(&walked),
            ["Assets/a/B.cs", "Assets/a/c.cs", "Assets/b.png"]
        );
        assert_eq!(walked.files[2].kind, AssetKind::Texture);
        assert!(walked.failures.is_empty());
    }

    #[test]
    fn ignores_what_unity_ignores() {
        let (_folder, project) = project(&[
            "Assets/a.cs",
            "Assets/a.cs.meta",
            "Assets/gone.cs.META",
            "Assets/.hidden",
            "Assets/.git/config",
            "Assets/Samples~/b.cs",
            "Assets/backup~",
            "Assets/CVS/c.cs",
            "Assets/d.tmp",
            "Assets/folder.meta/e.cs",
            "Assets/~f.cs",
        ]);
        let walked = walk(&project, || false);
        assert_eq!(
            paths(&walked),
            ["Assets/a.cs", "Assets/folder.meta/e.cs", "Assets/~f.cs"]
        );
        assert!(walked.failures.is_empty());
    }

    #[test]
    fn an_empty_project_has_no_files() {
        let (_folder, project) = project(&[]);
        let walked = walk(&project, || false);
        assert!(walked.files.is_empty() && walked.failures.is_empty());
    }

    #[test]
    fn stops_when_told() {
        let (_folder, project) = project(&["Assets/a", "Assets/b"]);
        assert!(walk(&project, || true).files.is_empty());
    }

    #[test]
    fn a_folder_too_deep_for_a_path_is_reported() {
        let (_folder, project) = project(&[]);
        let deep = project
            .root()
            .join("Assets")
            .join("d/".repeat(PATH_CHARS_MAX / 2));
        fs::create_dir_all(&deep).expect("folders");
        fs::write(deep.join("a"), "").expect("file");
        let walked = walk(&project, || false);
        assert!(walked.files.is_empty());
        assert!(
            matches!(
                walked.failures[..],
                [WalkFailure {
                    error: WalkError::TooDeep,
                    ..
                }]
            ),
            "{walked:?}"
        );
    }

    #[cfg(unix)]
    mod unix {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;

        use super::*;

        #[test]
        fn a_linked_folder_of_the_project_is_walked_under_its_link() {
            let (_folder, project) = project(&["Assets/a.cs", "Shared/b.cs", "Shared/sub/c.cs"]);
            symlink("../Shared", project.root().join("Assets/Shared")).expect("link");
            let walked = walk(&project, || false);
            assert_eq!(
                paths(&walked),
                [
                    "Assets/a.cs",
                    "Assets/Shared/b.cs",
                    "Assets/Shared/sub/c.cs"
                ]
            );
            assert!(walked.failures.is_empty());
        }

        #[test]
        fn no_folder_is_walked_twice() {
            let (_folder, project) = project(&["Assets/a/a.cs", "Shared/b.cs"]);
            let assets = project.root().join("Assets");
            symlink(".", assets.join("loop")).expect("link");
            symlink("..", assets.join("root")).expect("link");
            symlink("a", assets.join("twin")).expect("link");
            symlink("../Shared", assets.join("x")).expect("link");
            symlink("../Shared", assets.join("y")).expect("link");
            symlink("../Assets", project.root().join("Shared/back")).expect("link");
            let walked = walk(&project, || false);
            assert_eq!(paths(&walked), ["Assets/a/a.cs", "Assets/x/b.cs"]);
            let mut failures: Vec<_> = walked
                .failures
                .iter()
                .map(|failure| failure.path.as_str())
                .collect();
            failures.sort_unstable();
            assert_eq!(
                failures,
                [
                    "Assets/loop",
                    "Assets/root",
                    "Assets/twin",
                    "Assets/x/back",
                    "Assets/y"
                ]
            );
            assert!(
                walked
                    .failures
                    .iter()
                    .all(|failure| matches!(failure.error, WalkError::WalkedAlready))
            );
        }

        #[test]
        fn a_linked_folder_outside_is_reported_and_not_walked() {
            let outside = tempfile::tempdir().expect("temporary folder");
            fs::write(outside.path().join("secret.cs"), "").expect("file");
            let (_folder, project) = project(&["Assets/a.cs"]);
            symlink(outside.path(), project.root().join("Assets/out")).expect("link");
            let walked = walk(&project, || false);
            assert_eq!(paths(&walked), ["Assets/a.cs"]);
            let [failure] = &walked.failures[..] else {
                panic!("{walked:?}")
            };
            assert_eq!(failure.path, "Assets/out");
            assert!(matches!(
                failure.error,
                WalkError::Link(LocateError::Escapes)
            ));
        }

        #[test]
        fn links_to_files_and_dangling_ones_are_left_to_the_service() {
            let (_folder, project) = project(&["Assets/a.cs"]);
            symlink("a.cs", project.root().join("Assets/b.cs")).expect("link");
            symlink("nowhere", project.root().join("Assets/c.cs")).expect("link");
            assert_eq!(
                paths(&walk(&project, || false)),
                ["Assets/a.cs", "Assets/b.cs", "Assets/c.cs"]
            );
        }

        #[test]
        fn a_name_that_is_not_utf8_is_reported() {
            let (_folder, project) = project(&["Assets/a.cs"]);
            let name = OsStr::from_bytes(b"b\xff.cs");
            if fs::write(project.root().join("Assets").join(name), "").is_err() {
                return; // Some file systems hold UTF-8 names alone, and then there is nothing to report.
            }
            let walked = walk(&project, || false);
            assert_eq!(paths(&walked), ["Assets/a.cs"]);
            assert!(matches!(
                walked.failures[..],
                [WalkFailure {
                    error: WalkError::NotUtf8,
                    ..
                }]
            ));
            assert_eq!(walked.failures[0].path, "Assets/b\u{fffd}.cs");
        }
    }
}
