//! The path of an asset as a client names it, checked as text.
//!
//! An [`AssetPath`] is below `Assets/` whatever the file system holds; where symbolic links lead is
//! the affair of [`Project::locate`](super::project::Project::locate).

use std::fmt;

use thiserror::Error;

/// The folder that every asset path begins with.
pub(crate) const ASSETS: &str = "Assets";

/// The longest asset path, in characters: what Windows' classic file calls can take.
pub(crate) const PATH_CHARS_MAX: usize = 260;

/// A path such as `Assets/Scripts/Player.cs`, relative to the project, separated by `/`, without any
/// part that could lead out of `Assets`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AssetPath(String);

/// Why a text is not the path of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum AssetPathError {
    #[error("the path is empty; name a file below Assets/")]
    Empty,
    #[error(
        "the path has {chars} characters, at most {PATH_CHARS_MAX} are allowed; shorten its names or nest it less"
    )]
    TooLong { chars: usize },
    #[error("the path contains a NUL character; rename the file")]
    Nul,
    #[error("the path is absolute; name the file relative to the project, as Assets/...")]
    Absolute,
    #[error("the path does not begin with Assets/; only files below that folder are assets")]
    OutsideAssets,
    #[error("the path contains `..`, which could lead out of the project; name the file directly")]
    Parent,
    #[error("the path contains an empty or `.` part; an asset has one spelling, without them")]
    NotPlain,
    #[error(
        "the path names a .meta file, which belongs to an asset and is none itself; name the asset"
    )]
    Meta,
}

impl AssetPath {
    /// Checks `text`.
    ///
    /// # Errors
    /// The first rule of [`AssetPathError`] that the text breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, AssetPathError> {
        if text.is_empty() {
            return Err(AssetPathError::Empty);
        }
        let chars = text.chars().count();
        if chars > PATH_CHARS_MAX {
            return Err(AssetPathError::TooLong { chars });
        }
        if text.contains('\0') {
            return Err(AssetPathError::Nul);
        }
        if is_absolute(text) {
            return Err(AssetPathError::Absolute);
        }
        // Windows separates by `\` too. Elsewhere it is a character like any other, but no asset needs
        // a name with `..` between backslashes, so one rule serves all systems.
        if text.split(['/', '\\']).any(|part| part == "..") {
            return Err(AssetPathError::Parent);
        }
        let mut parts = text.split('/');
        if parts.next() != Some(ASSETS) {
            return Err(AssetPathError::OutsideAssets);
        }
        if parts.clone().next().is_none() {
            return Err(AssetPathError::OutsideAssets);
        }
        if parts.any(|part| part.is_empty() || part == ".") {
            return Err(AssetPathError::NotPlain);
        }
        if is_meta(text) {
            return Err(AssetPathError::Meta);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder, `Assets` at the least, and the file's name.
    pub(crate) fn split(&self) -> (&str, &str) {
        self.0
            .rsplit_once('/')
            .expect("a checked path has a part below Assets")
    }
}

impl fmt::Display for AssetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `name` is that of a `.meta` file.
pub(crate) fn is_meta(name: &str) -> bool {
    name.len() >= 5
        && name.is_char_boundary(name.len() - 5)
        && name[name.len() - 5..].eq_ignore_ascii_case(".meta")
}

/// Absolute on any system: `/x`, `\x`, `C:x`.
fn is_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes[0], b'/' | b'\\')
        || (bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':')
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> AssetPathError {
        AssetPath::parse(text).expect_err(text)
    }

    #[test]
    fn plain_paths_are_accepted_as_they_are() {
        for text in [
            "Assets/a",
            "Assets/Scripts/Player.cs",
            "Assets/..hidden/...",
            "Assets/with space/ünï/日本.png",
            "Assets/new\nline.cs",
            "Assets/x.meta.cs",
            "Assets/~/a~",
        ] {
            assert_eq!(AssetPath::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn each_rule_has_its_error() {
        assert_eq!(error(""), AssetPathError::Empty);
        assert_eq!(error("Assets/a\0.cs"), AssetPathError::Nul);
        for text in [
            "/Assets/a",
            "/etc/passwd",
            "\\\\host\\x",
            "C:/Assets/a",
            "c:a",
        ] {
            assert_eq!(error(text), AssetPathError::Absolute, "{text}");
        }
        for text in [
            "Assets",
            "assets/a.cs",
            "Assetsx/a.cs",
            "ProjectSettings/a",
            "a",
            "./Assets/a",
        ] {
            assert_eq!(error(text), AssetPathError::OutsideAssets, "{text}");
        }
        for text in [
            "Assets/../a",
            "Assets/a/..",
            "../Assets/a",
            "..",
            "Assets/a\\..\\b",
            "Assets\\..\\a",
        ] {
            assert_eq!(error(text), AssetPathError::Parent, "{text}");
        }
        for text in [
            "Assets/",
            "Assets//a",
            "Assets/./a",
            "Assets/a/",
            "Assets/a/.",
        ] {
            assert_eq!(error(text), AssetPathError::NotPlain, "{text}");
        }
        for text in ["Assets/a.cs.meta", "Assets/.meta", "Assets/a.META"] {
            assert_eq!(error(text), AssetPathError::Meta, "{text}");
        }
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        let longest = format!("Assets/{}", "ü".repeat(PATH_CHARS_MAX - "Assets/".len()));
        assert!(longest.len() > PATH_CHARS_MAX);
        assert!(AssetPath::parse(&longest).is_ok());
        assert_eq!(
            error(&format!("{longest}x")),
            AssetPathError::TooLong {
                chars: PATH_CHARS_MAX + 1
            }
        );
    }

    #[test]
    fn split_gives_folder_and_name() {
        let path = AssetPath::parse("Assets/Scripts/A.cs").expect("valid");
        assert_eq!(path.split(), ("Assets/Scripts", "A.cs"));
        let path = AssetPath::parse("Assets/A.cs").expect("valid");
        assert_eq!(path.split(), ("Assets", "A.cs"));
    }

    /// Texts made of the pieces that matter, so that hostile combinations are frequent.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("Assets".to_owned()),
            Just("/".to_owned()),
            Just("\\".to_owned()),
            Just("..".to_owned()),
            Just(".".to_owned()),
            Just("\0".to_owned()),
            Just("\n".to_owned()),
            Just("C:".to_owned()),
            Just(".meta".to_owned()),
            Just("é".repeat(100)),
            "\\PC{0,8}",
        ];
        prop_oneof![
            proptest::collection::vec(piece.clone(), 0..12).prop_map(|pieces| pieces.concat()),
            proptest::collection::vec(piece, 0..12)
                .prop_map(|pieces| format!("Assets/{}", pieces.concat())),
        ]
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_assets(text in hostile()) {
            if let Ok(path) = AssetPath::parse(&text) {
                prop_assert_eq!(path.as_str(), &text);
                prop_assert!(text.chars().count() <= PATH_CHARS_MAX);
                prop_assert!(!text.contains('\0'));
                let mut parts = Path::new(&text).components();
                prop_assert_eq!(parts.next(), Some(Component::Normal(ASSETS.as_ref())));
                let mut below = 0;
                for part in parts {
                    prop_assert!(matches!(part, Component::Normal(_)), "{:?}", part);
                    below += 1;
                }
                prop_assert!(below >= 1);
                let (folder, name) = path.split();
                prop_assert!(!name.is_empty() && !name.contains('/'));
                prop_assert_eq!(format!("{}/{}", folder, name), text);
            }
        }

        #[test]
        fn nothing_panics_and_every_error_is_a_sentence(text in any::<String>()) {
            if let Err(error) = AssetPath::parse(&text) {
                prop_assert!(error.to_string().starts_with("the path "));
            }
        }
    }
}
