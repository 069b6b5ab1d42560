//! Runs a cell of this bench target in a process of its own.
//!
//! The executable starts itself again with `--cell NAME COUNT`, under a counting tool where there is one.
//! What a tool counts is the whole process, set-up and end included, so callers run a cell at two lengths
//! and divide the difference of the counts by the difference of the lengths.

use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::Result;

/// The longest that one child may run. Only a hang takes this long.
const LIMIT: Duration = Duration::from_secs(300);

/// A program that counts what its child does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// The program, and the Debian package of the same name.
    pub(crate) program: &'static str,
}

impl Tool {
    /// Runs `count` items of a cell of this executable under the tool; `options` precede the executable.
    pub(crate) fn run(self, options: Vec<OsString>, cell: &str, count: u64) -> Result<()> {
        let executable = std::env::current_exe()?;
        let mut command = Command::new(self.program);
        command
            .args(options)
            .arg(executable)
            .args(["--cell", cell, &count.to_string()]);
        self.wait(command, LIMIT)
    }

    fn wait(self, mut command: Command, limit: Duration) -> Result<()> {
        let program = self.program;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                format!("{program} is not installed: run `apt-get install {program}`")
            }
            _ => format!("{program} did not start: {error}"),
        })?;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("the measured loop under {program} failed ({status})").into())
                };
            }
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Err(format!(
                    "the measured loop under {program} hung for {limit:?} and was killed"
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A file name of this process's own in the temporary folder; the file is removed on drop.
#[derive(Debug)]
pub(crate) struct ScratchFile(PathBuf);

impl ScratchFile {
    pub(crate) fn new(kind: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lanepool-bench-{}-{number}.{kind}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn text(&self) -> Result<String> {
        std::fs::read_to_string(&self.0)
            .map_err(|error| format!("{} could not be read: {error}", self.0.display()).into())
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // Nothing depends on it: the file may never have been written.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_missing_tool_says_how_to_get_it() {
        let tool = Tool {
            program: "no-such-counting-tool",
        };
        let error = tool.run(Vec::new(), "any", 1).unwrap_err().to_string();
        assert!(
            error.contains("apt-get install no-such-counting-tool"),
            "{error}"
        );
    }

    #[test]
    fn a_failing_child_and_a_hanging_one_are_errors() {
        let tool = Tool { program: "sh" };
        assert!(tool.wait(shell("exit 0"), LIMIT).is_ok());
        assert!(
            tool.wait(shell("exit 3"), LIMIT)
                .unwrap_err()
                .to_string()
                .contains("failed")
        );
        let hung = tool
            .wait(shell("exec sleep 600"), Duration::ZERO)
            .unwrap_err()
            .to_string();
        assert!(hung.contains("hung"), "{hung}");
    }

    #[test]
    fn a_scratch_file_is_gone_after_its_owner() {
        let file = ScratchFile::new("test");
        let path = file.path().to_owned();
        std::fs::write(&path, "x").unwrap();
        assert_eq!(file.text().unwrap(), "x");
        drop(file);
        assert!(!path.exists());
    }
}
