//! The project on disk: where it lies, and where a checked path leads in it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::asset_path::{ASSETS, AssetPath};

/// A folder that holds a Unity project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Canonical, so that "below the project" is a question of prefixes.
    root: PathBuf,
}

/// Why a folder cannot be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ProjectError {
    #[error("cannot open the project folder {}: {cause}; give --project a folder that exists and can be read", .folder.display())]
    Open { folder: PathBuf, cause: io::Error },
    #[error("{} is not a folder; give --project the folder that holds Assets", .0.display())]
    NotAFolder(PathBuf),
    #[error(
        "{} has no Assets folder, so it is not a Unity project; give --project the folder that holds Assets",
        .0.display()
    )]
    NoAssets(PathBuf),
    #[error("Assets in {} is a symbolic link that leads out of the project; give --project the folder that really holds Assets", .0.display())]
    AssetsElsewhere(PathBuf),
}

/// Why a path does not lead to a file of the project.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum LocateError {
    #[error(
        "cannot find the file: {0}; restore it, or mend the symbolic link that its path goes through"
    )]
    Missing(io::Error),
    #[error(
        "a symbolic link leads out of the project; replace it by the file or folder that it names"
    )]
    Escapes,
    #[error("it is neither a file nor a link to one; move it out of Assets")]
    NotAFile,
}

/// Where an asset and its `.meta` file lie. Both are below the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// The file itself, every symbolic link resolved.
    pub(crate) file: PathBuf,
    /// The `.meta` file beside the asset's name, which need not exist.
    pub(crate) meta: PathBuf,
}

impl Project {
    /// Opens the project in `folder`.
    ///
    /// # Errors
    /// If the folder, or `Assets` in it, is missing, is not a folder or lies elsewhere.
    pub(crate) fn open(folder: &Path) -> Result<Self, ProjectError> {
        let root = folder.canonicalize().map_err(|cause| ProjectError::Open {
            folder: folder.to_owned(),
            cause,
        })?;
        if !root.is_dir() {
            return Err(ProjectError::NotAFolder(folder.to_owned()));
        }
        match root.join(ASSETS).canonicalize() {
            Ok(assets) if !assets.starts_with(&root) => {
                Err(ProjectError::AssetsElsewhere(folder.to_owned()))
            }
            Ok(assets) if assets.is_dir() => Ok(Self { root }),
            _ => Err(ProjectError::NoAssets(folder.to_owned())),
        }
    }

    /// The project's folder, canonical.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Follows `path` on disk.
    ///
    /// The folder and the file are resolved apart, because the `.meta` file is written into the folder:
    /// a link to a folder outside may hold a link that leads back inside.
    ///
    /// # Errors
    /// If nothing is there, if it is not a file, or if a link leads out of the project. Somebody who
    /// exchanges a folder for a link between this look and the reading is not guarded against: whoever
    /// can do that may write the project anyway.
    pub(crate) fn locate(&self, path: &AssetPath) -> Result<Located, LocateError> {
        let (folder, name) = path.split();
        let folder = self.resolve(&self.root.join(folder))?;
        let mut file = folder.join(name);
        let mut metadata = file.symlink_metadata().map_err(LocateError::Missing)?;
        if metadata.is_symlink() {
            file = self.resolve(&file)?;
            metadata = file.metadata().map_err(LocateError::Missing)?;
        }
        // Reading a pipe or a device could wait for ever, so the look comes before the opening.
        if !metadata.is_file() {
            return Err(LocateError::NotAFile);
        }
        let meta = folder.join(format!("{name}.meta"));
        Ok(Located { file, meta })
    }

    /// Resolves every link of `path`, which must exist and stay below the project.
    ///
    /// # Errors
    /// [`LocateError::Missing`] or [`LocateError::Escapes`].
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, LocateError> {
        let resolved = path.canonicalize().map_err(LocateError::Missing)?;
        if resolved.starts_with(&self.root) {
            Ok(resolved)
        } else {
            Err(LocateError::Escapes)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn project() -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir_all(folder.path().join("Assets/Scripts")).expect("folders");
        fs::write(folder.path().join("Assets/Scripts/A.cs"), "class A {}").expect("file");
        let project = Project::open(folder.path()).expect("a project");
        (folder, project)
    }

    fn locate(project: &Project, text: &str) -> Result<Located, LocateError> {
        project.locate(&AssetPath::parse(text).expect(text))
    }

    #[test]
    fn open_says_what_is_wrong_with_the_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let missing = folder.path().join("missing");
        assert!(matches!(
            Project::open(&missing),
            Err(ProjectError::Open { .. })
        ));
        assert!(matches!(
            Project::open(folder.path()),
            Err(ProjectError::NoAssets(_))
        ));
        let file = folder.path().join("file");
        fs::write(&file, "").expect("file");
        assert!(matches!(
            Project::open(&file),
            Err(ProjectError::NotAFolder(_))
        ));
        fs::write(folder.path().join("Assets"), "").expect("file");
        assert!(matches!(
            Project::open(folder.path()),
            Err(ProjectError::NoAssets(_))
        ));
    }

    #[test]
    fn a_file_is_found_with_its_meta_beside_it() {
        let (_folder, project) = project();
        let located = locate(&project, "Assets/Scripts/A.cs").expect("found");
        assert_eq!(located.file, project.root().join("Assets/Scripts/A.cs"));
        assert_eq!(
            located.meta,
            project.root().join("Assets/Scripts/A.cs.meta")
        );
    }

    #[test]
    fn what_is_missing_or_a_folder_is_refused() {
        let (_folder, project) = project();
        assert!(matches!(
            locate(&project, "Assets/Scripts/B.cs"),
            Err(LocateError::Missing(_))
        ));
        assert!(matches!(
            locate(&project, "Assets/Nowhere/B.cs"),
            Err(LocateError::Missing(_))
        ));
        assert!(matches!(
            locate(&project, "Assets/Scripts"),
            Err(LocateError::NotAFile)
        ));
    }

    #[cfg(unix)]
    mod links {
        use std::os::unix::fs::symlink;

        use super::*;

        #[test]
        fn links_inside_are_followed_and_the_meta_stays_beside_the_link() {
            let (_folder, project) = project();
            symlink("Scripts/A.cs", project.root().join("Assets/Link.cs")).expect("link");
            let located = locate(&project, "Assets/Link.cs").expect("found");
            assert_eq!(located.file, project.root().join("Assets/Scripts/A.cs"));
            assert_eq!(located.meta, project.root().join("Assets/Link.cs.meta"));
        }

        #[test]
        fn links_that_lead_out_are_refused() {
            let (_folder, project) = project();
            let outside = tempfile::tempdir().expect("temporary folder");
            fs::write(outside.path().join("secret"), "secret").expect("file");
            symlink(
                outside.path().join("secret"),
                project.root().join("Assets/file"),
            )
            .expect("link");
            symlink(outside.path(), project.root().join("Assets/folder")).expect("link");
            assert!(matches!(
                locate(&project, "Assets/file"),
                Err(LocateError::Escapes)
            ));
            assert!(matches!(
                locate(&project, "Assets/folder/secret"),
                Err(LocateError::Escapes)
            ));
        }

        #[test]
        fn a_link_out_and_back_in_is_refused() {
            let (_folder, project) = project();
            let outside = tempfile::tempdir().expect("temporary folder");
            symlink(
                project.root().join("Assets/Scripts/A.cs"),
                outside.path().join("back.cs"),
            )
            .expect("link");
            symlink(outside.path(), project.root().join("Assets/folder")).expect("link");
            assert!(matches!(
                locate(&project, "Assets/folder/back.cs"),
                Err(LocateError::Escapes)
            ));
        }

        #[test]
        fn dangling_links_and_circles_are_missing() {
            let (_folder, project) = project();
            symlink("nowhere", project.root().join("Assets/dangling")).expect("link");
            symlink("circle", project.root().join("Assets/circle")).expect("link");
            assert!(matches!(
                locate(&project, "Assets/dangling"),
                Err(LocateError::Missing(_))
            ));
            assert!(matches!(
                locate(&project, "Assets/circle"),
                Err(LocateError::Missing(_))
            ));
        }

        #[test]
        fn a_neighbour_with_the_same_beginning_is_outside() {
            let parent = tempfile::tempdir().expect("temporary folder");
            fs::create_dir_all(parent.path().join("game/Assets")).expect("folders");
            fs::create_dir_all(parent.path().join("game2")).expect("folders");
            fs::write(parent.path().join("game2/a"), "").expect("file");
            let project = Project::open(&parent.path().join("game")).expect("a project");
            symlink("../../game2/a", project.root().join("Assets/a")).expect("link");
            assert!(matches!(
                locate(&project, "Assets/a"),
                Err(LocateError::Escapes)
            ));
        }

        #[test]
        fn assets_may_not_lie_elsewhere() {
            let folder = tempfile::tempdir().expect("temporary folder");
            let outside = tempfile::tempdir().expect("temporary folder");
            symlink(outside.path(), folder.path().join("Assets")).expect("link");
            assert!(matches!(
                Project::open(folder.path()),
                Err(ProjectError::AssetsElsewhere(_))
            ));
        }
    }
}
