//! Counts instructions with valgrind's callgrind.
//!
//! Every instruction of every thread counts, the kernel's excepted. valgrind runs one thread at a time, so
//! a loop in which threads spin while they wait for one another would count the waiting. Cells that are
//! counted here are therefore built so that each thread either has work or sleeps.

use std::ffi::OsString;

use crate::{
    Result,
    child::{ScratchFile, Tool},
    samples,
};

const VALGRIND: Tool = Tool {
    program: "valgrind",
};

/// Instructions per item of a cell: the difference of the counts of a run over `base` items and of one over
/// `base + items`, divided by `items`; the median of `runs` such pairs.
///
/// # Errors
///
/// valgrind is missing, or the cell failed its own check.
pub fn instructions(cell: &str, base: u64, items: u64, runs: usize) -> Result<f64> {
    let mut counts = Vec::with_capacity(runs);
    for _ in 0..runs {
        let without = count(cell, base)?;
        let with = count(cell, base + items)?;
        counts.push((with as f64 - without as f64) / items as f64);
    }
    Ok(samples::median(&mut counts))
}

/// Instructions of one whole process that runs `items` items of a cell.
fn count(cell: &str, items: u64) -> Result<u64> {
    let output = ScratchFile::new("callgrind");
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(output.path());
    let options = vec!["-q".into(), "--tool=callgrind".into(), file];
    VALGRIND.run(options, cell, items)?;
    total(&output.text()?).ok_or_else(|| {
        "callgrind's output has no line of totals: is this valgrind 3.14 or later?".into()
    })
}

/// The instruction count in callgrind's output: the first number of its line `totals:`.
fn total(output: &str) -> Option<u64> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_the_totals_line() {
        let output =
            "version: 1\nevents: Ir\nsummary: 11\n\nfn=(1) main\n16 400\n\ntotals: 164032\n";
        assert_eq!(total(output), Some(164_032));
        assert_eq!(total("version: 1\nfn=(1) main\n16 400\n"), None);
    }
}
