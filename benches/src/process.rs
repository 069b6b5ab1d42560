//! CPU time, context switches and page faults of the whole process, threads that have ended included.

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

use crate::{Result, threads::Usage};

/// What this process has used so far.
///
/// # Errors
///
/// The system does not count (`getrusage` fails).
pub fn usage() -> Result<Usage> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(Usage {
        cpu_ns: nanoseconds(usage.user_time()) + nanoseconds(usage.system_time()),
        // The system does not count it for a process.
        waited_ns: 0,
        voluntary: unsigned(usage.voluntary_context_switches()),
        involuntary: unsigned(usage.involuntary_context_switches()),
    })
}

/// How often a thread of this process touched a page that was not there yet.
///
/// # Errors
///
/// The system does not count (`getrusage` fails).
pub fn page_faults() -> Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(unsigned(usage.minor_page_faults()))
}

fn nanoseconds(time: TimeVal) -> u64 {
    unsigned(time.tv_sec()) * 1_000_000_000 + unsigned(time.tv_usec()) * 1_000
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, thread, time::Duration};

    use super::*;

    #[test]
    fn threads_that_have_ended_still_count() {
        let before = usage().unwrap();
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(1));
            let mut work = 0_u64;
            let begin = usage().unwrap();
            while (usage().unwrap() - begin).cpu_ns < 5_000_000 {
                work = black_box(work + 1);
            }
        })
        .join()
        .unwrap();
        let used = usage().unwrap() - before;
        assert!(used.cpu_ns >= 5_000_000 && used.voluntary > 0, "{used:?}");
    }
}
