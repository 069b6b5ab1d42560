//! CPU time, waits for a CPU and context switches of this process's threads, as Linux counts them.
//!
//! A thread that wakes and sleeps again, for a timer or for anything else, has at least one voluntary switch
//! more than before; so a process whose threads have none has fired no timer.

use std::{
    collections::BTreeMap,
    iter::Sum,
    ops::{Add, Sub},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::Result;

/// Threads that used nothing for so long have come to rest.
const SETTLED: Duration = Duration::from_millis(50);
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Returns when no other thread has used anything for a while, or when they never come to rest: then the figures will
/// show it.
///
/// # Errors
///
/// As [`others`].
///
/// # Blocking
///
/// For 50 ms at least and 5 s at most.
pub fn settle() -> Result<()> {
    let limit = Instant::now() + SETTLE_LIMIT;
    let mut before = others()?;
    while Instant::now() < limit {
        // The stretch between two readings that must be equal.
        thread::sleep(SETTLED);
        let now = others()?;
        if now.since(&before) == Usage::default() {
            break;
        }
        before = now;
    }
    Ok(())
}

/// What threads have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a CPU, in nanoseconds, the kernel's included.
    pub cpu_ns: u64,
    /// Time for which they could have run and had no CPU, in nanoseconds; 0 where only a whole process is looked at.
    pub waited_ns: u64,
    /// How often they went to sleep.
    pub voluntary: u64,
    /// How often they were made to give the CPU away while they had work, `sched_yield` included.
    pub involuntary: u64,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            waited_ns: self.waited_ns + other.waited_ns,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns - other.cpu_ns,
            waited_ns: self.waited_ns - other.waited_ns,
            voluntary: self.voluntary - other.voluntary,
            involuntary: self.involuntary - other.involuntary,
        }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Add::add)
    }
}

/// What the calling thread has used so far.
///
/// # Errors
///
/// This is not Linux, or it does not count (`CONFIG_SCHED_INFO`).
pub fn current() -> Result<Usage> {
    read(Path::new("/proc/thread-self"))
}

/// What every other living thread of the process has used so far, by thread.
///
/// # Errors
///
/// As for [`current`].
pub fn others() -> Result<Others> {
    let myself = std::fs::read_link("/proc/thread-self")
        .map_err(|error| unreadable(Path::new("/proc/thread-self"), &error))?;
    let folder = Path::new("/proc/self/task");
    let mut threads = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry?;
        if Some(entry.file_name().as_os_str()) == myself.file_name() {
            continue;
        }
        // A thread may end between the listing and the reading; then it has nothing left to tell.
        if let Ok(usage) = read(&entry.path()) {
            threads.insert(entry.file_name().to_string_lossy().into_owned(), usage);
        }
    }
    Ok(Others(threads))
}

/// A reading of [`others`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others(BTreeMap<String, Usage>);

impl Others {
    /// How many threads there were.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.len()
    }

    /// What these threads have used since `earlier`, together. A thread that is new counts from its start.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Usage {
        self.0
            .iter()
            .map(|(thread, usage)| *usage - earlier.0.get(thread).copied().unwrap_or_default())
            .sum()
    }
}

fn read(folder: &Path) -> Result<Usage> {
    let text = |name| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
    };
    parse(&text("schedstat")?, &text("status")?).ok_or_else(|| {
        format!(
            "{} has no CPU time or switches: these figures need Linux's counts",
            folder.display()
        )
        .into()
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!(
        "{} could not be read: {error}; CPU time and switches need Linux's /proc",
        path.display()
    )
}

fn parse(schedstat: &str, status: &str) -> Option<Usage> {
    let number = |key| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))?
            .trim()
            .parse()
            .ok()
    };
    let mut times = schedstat.split_whitespace().map(str::parse);
    Some(Usage {
        cpu_ns: times.next()?.ok()?,
        waited_ns: times.next()?.ok()?,
        voluntary: number("voluntary_ctxt_switches:")?,
        involuntary: number("nonvoluntary_ctxt_switches:")?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn both_files_are_read() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t128\nnonvoluntary_ctxt_switches:\t2\n";
        let usage = Usage {
            cpu_ns: 358_007_198,
            waited_ns: 844_224,
            voluntary: 128,
            involuntary: 2,
        };
        assert_eq!(parse("358007198 844224 131\n", status), Some(usage));
        assert_eq!(parse("", status), None);
        assert_eq!(parse("1 2 3", "Name:\tx\n"), None);
    }

    #[test]
    fn a_thread_that_waits_shows_its_switches() {
        let (to_thread, from_test) = mpsc::channel::<()>();
        let (to_test, from_thread) = mpsc::channel::<Usage>();
        let thread = std::thread::spawn(move || {
            for () in from_test {
                to_test.send(current().unwrap()).unwrap();
            }
        });
        to_thread.send(()).unwrap();
        let first = from_thread.recv().unwrap();
        let earlier = others().unwrap();
        // Whether a single receive has to sleep is up to chance; that not one of a thousand does, is not.
        let mut last = first;
        for _ in 0..1000 {
            to_thread.send(()).unwrap();
            last = from_thread.recv().unwrap();
        }
        assert!((last - first).voluntary > 0, "{first:?} {last:?}");
        assert!(others().unwrap().since(&earlier).voluntary > 0);
        drop(to_thread);
        thread.join().unwrap();
    }

    #[test]
    fn work_shows_as_cpu_time() {
        let before = current().unwrap();
        let mut work = 0_u64;
        while (current().unwrap() - before).cpu_ns < 1_000_000 {
            work = std::hint::black_box(work + 1);
        }
        assert!(work > 0);
    }
}
