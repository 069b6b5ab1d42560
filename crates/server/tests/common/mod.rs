//! A project on disk, and the program run on it.

// Each test binary uses its own part of these.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A project in a temporary folder.
pub(crate) struct Project(TempDir);

impl Project {
    /// One with these files below it, each with its path as its content.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let project = Self(tempfile::tempdir().expect("temporary folder"));
        fs::create_dir(project.path("Assets")).expect("folder");
        for file in files {
            project.write(file, file);
        }
        project
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, content).expect("file");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The GUID that the `.meta` file of an asset names.
    pub(crate) fn guid(&self, asset: &str) -> String {
        let meta = String::from_utf8(self.read(&format!("{asset}.meta"))).expect("text");
        let line = meta
            .lines()
            .find(|line| line.starts_with("guid: "))
            .expect("a GUID");
        line["guid: ".len()..].to_owned()
    }

    /// Every regular file below the project with its content.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("folder") {
                let entry = entry.expect("entry");
                let kind = entry.file_type().expect("type");
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.insert(entry.path(), fs::read(entry.path()).expect("file"));
                }
            }
        }
        files
    }

    /// Imports this project with `--json` and further arguments.
    pub(crate) fn import(&self, more: &[&str]) -> Run {
        let folder = self.folder().to_str().expect("text");
        lanepool(&[&["import", "--json", "--project", folder], more].concat())
    }
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Standard output as the one JSON object that it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The failures that the JSON object lists: path and error.
    pub(crate) fn failures(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        self.json()["failures"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|failure| (text(&failure["path"]), text(&failure["error"])))
            .collect()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// The program, yet to be run.
pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lanepool"))
}

/// Runs the program.
pub(crate) fn lanepool(arguments: &[&str]) -> Run {
    command()
        .args(arguments)
        .output()
        .expect("the program starts")
        .into()
}
