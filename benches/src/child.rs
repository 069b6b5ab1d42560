//! Runs a cell of this bench target in a process of its own.
//!
//! The executable starts itself again with `--cell NAME COUNT`, under a counting tool where there is one.
//! What a tool counts is the whole process, set-up and end included, so callers run a cell at two lengths
//! and divide the difference of the counts by the difference of the lengths.

use std::{
    ffi::OsString,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
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
        match end_of(&mut child, Instant::now() + limit)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                Err(format!("the measured loop under {program} failed ({status})").into())
            }
            None => {
                child.kill()?;
                child.wait()?;
                Err(
                    format!("the measured loop under {program} hung for {limit:?} and was killed")
                        .into(),
                )
            }
        }
    }
}

/// What a cell of this executable, `count` items long, printed on standard output.
///
/// # Errors
///
/// The cell failed, and the error holds the last line of what it said about it; or it took longer than
/// `limit` and was killed.
pub fn output(cell: &str, count: u64, limit: Duration) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--cell", cell, &count.to_string()]);
    capture(command, limit)
}

fn capture(mut command: Command, limit: Duration) -> Result<String> {
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let printed = collect(child.stdout.take());
    let complaints = collect(child.stderr.take());
    let text = |from: &Receiver<String>| {
        let left = deadline.saturating_duration_since(Instant::now());
        from.recv_timeout(left).unwrap_or_default()
    };
    // Both end with the process, so nothing here has to run while the cell measures.
    let (printed, complaints) = (text(&printed), text(&complaints));
    let Some(status) = end_of(&mut child, deadline)? else {
        child.kill()?;
        child.wait()?;
        return Err(format!("hung for {limit:?} and was killed").into());
    };
    if status.success() {
        return Ok(printed);
    }
    // A panic's message is followed by a note on how to get a backtrace.
    let complaint = complaints
        .lines()
        .rfind(|line| !line.trim().is_empty() && !line.starts_with("note: "));
    Err(match complaint {
        Some(complaint) => complaint.trim().into(),
        None => format!("failed without a word ({status})").into(),
    })
}

/// Reads all of a child's output on a thread of its own.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read before an error is still worth reporting.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens any more to a child that hung.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The status of a child that ends before the deadline.
fn end_of(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(1));
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
    fn what_a_child_prints_comes_back_and_so_does_its_complaint() {
        assert_eq!(
            capture(shell("echo 7; echo noise >&2"), LIMIT).unwrap(),
            "7\n"
        );
        let error = capture(shell("echo first >&2; echo why >&2; exit 2"), LIMIT);
        assert_eq!(error.unwrap_err().to_string(), "why");
        let silent = capture(shell("exit 2"), LIMIT).unwrap_err().to_string();
        assert!(silent.contains("without a word"), "{silent}");
        let hung = capture(shell("exec sleep 600"), Duration::from_millis(20));
        assert!(hung.unwrap_err().to_string().contains("hung"));
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
