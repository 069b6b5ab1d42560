//! Counts system calls with `strace -f -c`.
//!
//! strace stops a thread at each call it makes, so a thread that calls the system is slowed down, and others
//! get further meanwhile. Counts are thus repeatable to about a tenth, not exactly.

use std::collections::BTreeMap;

use crate::{
    Result,
    child::{ScratchFile, Tool},
    samples,
};

const STRACE: Tool = Tool { program: "strace" };

/// System calls per item of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemCalls {
    /// Of every kind.
    pub all: f64,
    /// By the name of the call, those that set-up alone makes left out.
    pub by_name: BTreeMap<String, f64>,
}

/// System calls per item of a cell: the difference of a run over `base` items and of one over `base + items`,
/// divided by `items`; of `runs` such pairs the one with the median total.
///
/// # Errors
///
/// strace is missing or may not trace, or the cell failed its own check.
pub fn system_calls(cell: &str, base: u64, items: u64, runs: usize) -> Result<SystemCalls> {
    let mut pairs = Vec::with_capacity(runs);
    for _ in 0..runs {
        let without = count(cell, base)?;
        let with = count(cell, base + items)?;
        pairs.push(difference(&without, &with, items));
    }
    let median = samples::median_index(&pairs.iter().map(|calls| calls.all).collect::<Vec<_>>());
    Ok(pairs.swap_remove(median))
}

/// System calls of one whole process that runs `items` items of a cell, by name.
fn count(cell: &str, items: u64) -> Result<BTreeMap<String, u64>> {
    let output = ScratchFile::new("strace");
    let options = vec!["-f".into(), "-c".into(), "-o".into(), output.path().into()];
    STRACE.run(options, cell, items)?;
    let calls = table(&output.text()?);
    if calls.is_empty() {
        return Err("strace counted no system call at all: may this process be traced?".into());
    }
    Ok(calls)
}

/// Calls by name, from the table that `strace -c` prints: percentage, seconds, µs a call, calls, perhaps
/// errors, name.
fn table(output: &str) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for line in output.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (Some(Ok(_)), Some(Ok(count)), Some(name)) = (
            columns.first().map(|share| share.parse::<f64>()),
            columns.get(3).map(|count| count.parse::<u64>()),
            columns.get(4..).and_then(<[_]>::last),
        ) else {
            continue;
        };
        if *name != "total" {
            *calls.entry((*name).to_owned()).or_default() += count;
        }
    }
    calls
}

fn difference(
    without: &BTreeMap<String, u64>,
    with: &BTreeMap<String, u64>,
    items: u64,
) -> SystemCalls {
    let per_item = |with: u64, without: u64| (with as f64 - without as f64) / items as f64;
    let mut calls = SystemCalls {
        all: per_item(with.values().sum(), without.values().sum()),
        by_name: BTreeMap::new(),
    };
    for (name, &count) in with {
        let before = without.get(name).copied().unwrap_or(0);
        if count != before {
            calls.by_name.insert(name.clone(), per_item(count, before));
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 82.41    0.000150           3       110        12 futex
 15.69    0.000030          10        30           sched_yield
  1.90    0.000002           2         1           exit_group
------ ----------- ----------- --------- --------- ----------------
100.00    0.000182          12       141        12 total
";

    #[test]
    fn calls_are_read_by_name_with_and_without_errors() {
        let calls = table(OUTPUT);
        assert_eq!(calls["futex"], 110);
        assert_eq!(calls["sched_yield"], 30);
        assert_eq!(calls.values().sum::<u64>(), 141);
        assert!(table("strace: attach: ptrace: Operation not permitted").is_empty());
    }

    #[test]
    fn set_up_does_not_count() {
        let without = BTreeMap::from([("futex".to_owned(), 10), ("mmap".to_owned(), 7)]);
        let with = BTreeMap::from([("futex".to_owned(), 110), ("mmap".to_owned(), 7)]);
        let calls = difference(&without, &with, 1000);
        assert_eq!(
            calls,
            SystemCalls {
                all: 0.1,
                by_name: BTreeMap::from([("futex".to_owned(), 0.1)])
            }
        );
    }
}
