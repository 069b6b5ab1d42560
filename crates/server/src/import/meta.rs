//! The `.meta` file that Unity keeps beside every asset, and the GUID in it.
//!
//! Scenes and prefabs refer to an asset by its GUID, so a GUID that exists is never replaced: a valid
//! file is kept byte for byte, and one that cannot be understood is reported and left alone. A new
//! file appears under its name only when it is complete.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use thiserror::Error;

use super::asset_kind::AssetKind;

/// The largest `.meta` file that is read, in bytes. A sprite sheet with thousands of sprites takes a
/// few million.
const META_BYTES_MAX: u64 = 16 << 20;

/// The one version of the format that Unity writes.
const FORMAT_VERSION: &str = "2";

/// The lasting name of an asset.
///
/// New ones are random (UUID version 4), as Unity's are, and not made from the path: an asset takes
/// its GUID along when it moves, so a second asset that later takes the old path must not get the
/// same one. What keeps a GUID stable is the `.meta` file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Guid(u128);

impl Guid {
    fn new() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }

    /// Reads 32 hexadecimal digits; zero is no GUID.
    fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|guid| *guid != 0)
            .map(Self)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether an asset had a `.meta` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaState {
    Kept,
    New,
}

/// Why an asset has no GUID. The file is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum MetaError {
    #[error("cannot read its .meta file: {0}; give this user the right to read it")]
    Read(io::Error),
    #[error("its .meta file is not a regular file; move away what lies there under that name")]
    NotAFile,
    #[error("its .meta file has more than {META_BYTES_MAX} bytes; restore it from version control")]
    TooLarge,
    #[error(
        "its .meta file {0}; restore it from version control, or delete it for a new GUID, which loses references to the asset"
    )]
    Malformed(Malformed),
    #[error(
        "cannot write its .meta file: {0}; check that the folder is writable and the disk not full"
    )]
    Write(io::Error),
}

/// What is wrong with the text of a `.meta` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Malformed {
    #[error("is empty")]
    Empty,
    #[error("is not UTF-8 text")]
    NotUtf8,
    #[error("has unresolved merge conflicts")]
    Conflict,
    #[error("does not say `fileFormatVersion: {FORMAT_VERSION}`")]
    Version,
    #[error("has no `guid:` line")]
    NoGuid,
    #[error("has more than one `guid:` line")]
    TwoGuids,
    #[error("has a GUID that is not 32 hexadecimal digits, or is zero")]
    BadGuid,
}

/// Keeps the GUID in the file at `path`, or writes a new file with a new one.
///
/// If somebody else writes the file at the same moment, theirs is kept. The file is complete whenever
/// it is there, even after a crash of this process; it is not forced to the disk, so that after a crash
/// of the whole machine it may be empty, which the next import reports.
///
/// # Errors
/// If the file is there and malformed, or cannot be read or written.
pub(crate) fn keep_or_write(path: &Path, kind: AssetKind) -> Result<(Guid, MetaState), MetaError> {
    if let Some(guid) = read(path)? {
        return Ok((guid, MetaState::Kept));
    }
    let guid = Guid::new();
    if write_new(path, &text(guid, kind)).map_err(MetaError::Write)? {
        return Ok((guid, MetaState::New));
    }
    match read(path)? {
        Some(guid) => Ok((guid, MetaState::Kept)),
        None => Err(MetaError::Write(io::ErrorKind::AlreadyExists.into())),
    }
}

/// The GUID of an existing file; nothing if there is none.
fn read(path: &Path) -> Result<Option<Guid>, MetaError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MetaError::Read(error)),
        // A link could lead out of the project, and a pipe could wait for ever.
        Ok(metadata) if !metadata.is_file() => return Err(MetaError::NotAFile),
        Ok(metadata) if metadata.len() > META_BYTES_MAX => return Err(MetaError::TooLarge),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(META_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(MetaError::Read)?;
    parse(&bytes).map(Some).map_err(MetaError::Malformed)
}

/// Writes a file that is not there yet. False if it is by now.
fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    let folder = path.parent().expect("a .meta file lies in a folder");
    let mut builder = tempfile::Builder::new();
    // Unity ignores names with a leading dot, should one ever be left behind.
    builder.prefix(".lanepool-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any program would ask for; the user's mask takes away from it. The default of a temporary
        // file would keep the rest of a team out.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// The text of a new file, as Unity writes it, spaces at the ends of lines included.
fn text(guid: Guid, kind: AssetKind) -> String {
    let (importer, lines) = kind.importer();
    format!(
        "fileFormatVersion: {FORMAT_VERSION}\nguid: {guid}\n{importer}:\n  externalObjects: {{}}\n{lines}  userData: \n  \
         assetBundleName: \n  assetBundleVariant: \n"
    )
}

/// The GUID that a file's text names.
///
/// Only the unindented lines are looked at: an importer's section may hold GUIDs of other assets, and
/// holds YAML of all Unity versions, which is none of ours.
fn parse(bytes: &[u8]) -> Result<Guid, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Malformed::Empty);
    }
    let mut version = None;
    let mut guid = None;
    for line in text.lines() {
        if line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>") {
            return Err(Malformed::Conflict);
        }
        if let Some(value) = line.strip_prefix("fileFormatVersion:") {
            version = Some(value.trim());
        } else if let Some(value) = line.strip_prefix("guid:")
            && guid.replace(value.trim()).is_some()
        {
            return Err(Malformed::TwoGuids);
        }
    }
    if version != Some(FORMAT_VERSION) {
        return Err(Malformed::Version);
    }
    Guid::parse(guid.ok_or(Malformed::NoGuid)?).ok_or(Malformed::BadGuid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUID: &str = "0123456789abcdef0123456789abcdef";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("temporary folder")
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .expect("folder")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    #[test]
    fn a_new_file_reads_as_unity_writes_it() {
        let guid = Guid::parse(GUID).expect("valid");
        assert_eq!(
            text(guid, AssetKind::Script),
            "fileFormatVersion: 2\n\
             guid: 0123456789abcdef0123456789abcdef\n\
             MonoImporter:\n  \
               externalObjects: {}\n  \
               serializedVersion: 2\n  \
               defaultReferences: []\n  \
               executionOrder: 0\n  \
               icon: {instanceID: 0}\n  \
               userData: \n  \
               assetBundleName: \n  \
               assetBundleVariant: \n"
        );
        assert_eq!(parse(text(guid, AssetKind::Texture).as_bytes()), Ok(guid));
    }

    #[test]
    fn missing_is_written_and_then_kept_byte_for_byte() {
        let folder = folder();
        let path = folder.path().join("A.cs.meta");
        let (guid, state) = keep_or_write(&path, AssetKind::Script).expect("written");
        assert_eq!(state, MetaState::New);
        let bytes = fs::read(&path).expect("file");
        assert_eq!(
            keep_or_write(&path, AssetKind::Script).expect("kept"),
            (guid, MetaState::Kept)
        );
        assert_eq!(fs::read(&path).expect("file"), bytes);
        assert_eq!(
            names(folder.path()),
            ["A.cs.meta"],
            "no temporary file stays behind"
        );
    }

    #[test]
    fn two_assets_get_two_guids() {
        let folder = folder();
        let write = |name| {
            keep_or_write(&folder.path().join(name), AssetKind::Other)
                .expect("written")
                .0
        };
        assert_ne!(write("a.meta"), write("b.meta"));
    }

    #[test]
    fn what_others_wrote_meanwhile_is_not_replaced() {
        let folder = folder();
        let path = folder.path().join("a.meta");
        fs::write(&path, "theirs").expect("file");
        assert!(!write_new(&path, "ours").expect("no error"));
        assert_eq!(fs::read(&path).expect("file"), b"theirs");
        assert_eq!(names(folder.path()), ["a.meta"]);
    }

    #[test]
    fn writers_at_the_same_moment_agree_on_one_guid() {
        let folder = folder();
        for round in 0..20 {
            let path = folder.path().join(format!("{round}.meta"));
            let results: Vec<_> = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| keep_or_write(&path, AssetKind::Other)))
                    .collect();
                writers
                    .into_iter()
                    .map(|writer| writer.join().expect("no panic").expect("a GUID"))
                    .collect()
            });
            assert!(
                results.iter().all(|(guid, _)| *guid == results[0].0),
                "{results:?}"
            );
            assert_eq!(
                results
                    .iter()
                    .filter(|(_, state)| *state == MetaState::New)
                    .count(),
                1
            );
        }
    }

    #[test]
    fn malformed_is_reported_and_untouched() {
        let conflict = format!(
            "fileFormatVersion: 2\n<<<<<<< HEAD\nguid: {GUID}\n=======\nguid: {GUID}\n>>>>>>> x\n"
        );
        let two = format!("fileFormatVersion: 2\nguid: {GUID}\nguid: {GUID}\n");
        let version = format!("fileFormatVersion: 3\nguid: {GUID}\n");
        let indented = format!("fileFormatVersion: 2\nX:\n  guid: {GUID}\n");
        let long = format!("fileFormatVersion: 2\nguid: {GUID}0\n");
        for (text, expected) in [
            (&b""[..], Malformed::Empty),
            (b"\n \r\n", Malformed::Empty),
            (b"fileFormatVersion: 2\nguid: \xff\n", Malformed::NotUtf8),
            (conflict.as_bytes(), Malformed::Conflict),
            (b"garbage", Malformed::Version),
            (version.as_bytes(), Malformed::Version),
            (b"fileFormatVersion: 2\n", Malformed::NoGuid),
            (indented.as_bytes(), Malformed::NoGuid),
            (two.as_bytes(), Malformed::TwoGuids),
            (b"fileFormatVersion: 2\nguid: 123\n", Malformed::BadGuid),
            (
                b"fileFormatVersion: 2\nguid: 0123456789abcdef0123456789abcdeg\n",
                Malformed::BadGuid,
            ),
            (
                b"fileFormatVersion: 2\nguid: +123456789abcdef0123456789abcdef\n",
                Malformed::BadGuid,
            ),
            (
                b"fileFormatVersion: 2\nguid: 00000000000000000000000000000000\n",
                Malformed::BadGuid,
            ),
            (long.as_bytes(), Malformed::BadGuid),
        ] {
            let folder = folder();
            let path = folder.path().join("a.meta");
            fs::write(&path, text).expect("file");
            let error = keep_or_write(&path, AssetKind::Other).expect_err("malformed");
            assert!(
                matches!(error, MetaError::Malformed(found) if found == expected),
                "{expected:?}: {error:?}"
            );
            assert_eq!(fs::read(&path).expect("file"), text);
        }
    }

    #[test]
    fn windows_line_ends_marks_and_capitals_are_understood() {
        let text = format!(
            "\u{feff}fileFormatVersion: 2\r\nguid: {}\r\nX:\r\n",
            GUID.to_uppercase()
        );
        assert_eq!(
            parse(text.as_bytes()),
            Ok(Guid::parse(GUID).expect("valid"))
        );
    }

    #[test]
    fn what_is_not_a_file_or_too_large_is_reported() {
        let folder = folder();
        let path = folder.path().join("a.meta");
        fs::create_dir(&path).expect("folder");
        assert!(matches!(
            keep_or_write(&path, AssetKind::Other),
            Err(MetaError::NotAFile)
        ));
        let path = folder.path().join("b.meta");
        File::create(&path)
            .and_then(|file| file.set_len(META_BYTES_MAX + 1))
            .expect("file");
        assert!(matches!(
            keep_or_write(&path, AssetKind::Other),
            Err(MetaError::TooLarge)
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_neither_followed_nor_replaced() {
        let folder = folder();
        let target = folder.path().join("target");
        let path = folder.path().join("a.meta");
        std::os::unix::fs::symlink(&target, &path).expect("link");
        assert!(matches!(
            keep_or_write(&path, AssetKind::Other),
            Err(MetaError::NotAFile)
        ));
        assert!(!target.exists());
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_a_new_file_as_far_as_the_users_mask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        fs::write(folder.path().join("usual"), "").expect("file");
        keep_or_write(&folder.path().join("a.meta"), AssetKind::Other).expect("written");
        let mode = |name| {
            fs::metadata(folder.path().join(name))
                .expect("file")
                .permissions()
                .mode()
        };
        assert_eq!(mode("a.meta"), mode("usual"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn every_guid_survives_the_file(guid in 1u128..) {
            prop_assert_eq!(parse(text(Guid(guid), AssetKind::Audio).as_bytes()), Ok(Guid(guid)));
        }
    }
}
