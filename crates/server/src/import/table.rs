//! The report for people.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::report::{ImportReport, Summary, per_second};

/// Failures that are listed. Beyond that a list is for a program, which `--json` serves.
const FAILURES_SHOWN: usize = 50;

const HEADINGS: [&str; 8] = [
    "lane",
    "submitted",
    "completed",
    "failed",
    "wait p50",
    "wait p99",
    "run p50",
    "run p99",
];

/// Writes the report as text, with a line end at the end.
pub(crate) fn render(report: &ImportReport) -> String {
    let mut out = String::new();
    write(&mut out, report).expect("writing to a string does not fail");
    out
}

fn write(out: &mut String, report: &ImportReport) -> fmt::Result {
    let summary = &report.summary;
    head(out, report)?;
    writeln!(out)?;
    lanes(out, report)?;
    writeln!(
        out,
        "\nWorkers busy {:.1} %, idle while tasks waited {:.2} %. Dispatch overhead p50 {}, p99 {}.",
        report.utilisation * 100.0,
        report.idle_while_backlogged * 100.0,
        micros(report.dispatch_overhead_us.p50),
        micros(report.dispatch_overhead_us.p99),
    )?;
    let verdict = if report.conserved {
        "Conserved"
    } else {
        "NOT CONSERVED"
    };
    writeln!(out, "{verdict}: {}.", summary.conservation)?;
    warnings(out, summary)?;
    failures(out, report)
}

fn head(out: &mut String, report: &ImportReport) -> fmt::Result {
    let summary = &report.summary;
    let how = if summary.interrupted {
        "Interrupted: imported"
    } else {
        "Imported"
    };
    writeln!(
        out,
        "{how} {} of {} files, {}, in {} with {} worker{}: {:.0} files/s, {}/s.",
        summary.imported,
        report.files,
        bytes(summary.bytes as f64),
        seconds(summary.elapsed),
        summary.workers,
        if summary.workers == 1 { "" } else { "s" },
        report.throughput_per_s,
        bytes(per_second(summary.bytes as f64, summary.elapsed)),
    )?;
    writeln!(
        out,
        "GUIDs: {} new, {} kept. {} different contents. {} requests from the editor meanwhile.",
        summary.metas_new, summary.metas_kept, summary.contents, summary.opened
    )
}

/// A line per lane, top lane first.
fn lanes(out: &mut String, report: &ImportReport) -> fmt::Result {
    let [first, others @ ..] = &HEADINGS;
    row(
        out,
        first,
        others.each_ref().map(|heading| heading as &dyn Display),
    )?;
    for lane in report.lanes.iter().rev() {
        let waits = [lane.wait_us.p50, lane.wait_us.p99].map(micros);
        let runs = [lane.run_us.p50, lane.run_us.p99].map(micros);
        let counts = [&lane.submitted, &lane.completed, &lane.failed];
        let [submitted, completed, failed] = counts.map(|count| count as &dyn Display);
        let cells = [
            submitted, completed, failed, &waits[0], &waits[1], &runs[0], &runs[1],
        ];
        row(out, &lane.lane, cells)?;
    }
    Ok(())
}

/// One line of the table: the first cell to the left, the others to the right.
fn row(out: &mut String, first: &str, others: [&dyn Display; 7]) -> fmt::Result {
    write!(out, "{first:<8}")?;
    for cell in others {
        write!(out, "  {cell:>9}")?;
    }
    writeln!(out)
}

fn warnings(out: &mut String, summary: &Summary) -> fmt::Result {
    for (first, second) in summary.shared_guids.iter().take(FAILURES_SHOWN) {
        writeln!(
            out,
            "Warning: {} and {} have the same GUID; delete the .meta file of the copy, for a new one.",
            printable(first),
            printable(second)
        )?;
    }
    more(out, summary.shared_guids.len())
}

fn failures(out: &mut String, report: &ImportReport) -> fmt::Result {
    if report.failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nNot imported: {}", report.failures.len())?;
    for failure in report.failures.iter().take(FAILURES_SHOWN) {
        writeln!(
            out,
            "  {}: {}",
            printable(&failure.path),
            printable(&failure.error)
        )?;
    }
    more(out, report.failures.len())
}

fn more(out: &mut String, count: usize) -> fmt::Result {
    if count > FAILURES_SHOWN {
        writeln!(
            out,
            "  and {} more; --json lists all",
            count - FAILURES_SHOWN
        )?;
    }
    Ok(())
}

/// A name as one line of text, whatever its file is called: line ends and characters that steer a
/// terminal are escaped.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // `escape_debug` would escape these too, and they are harmless outside quotes.
            '"' | '\'' | '\\' => printable.push(character),
            other => printable.extend(other.escape_debug()),
        }
    }
    printable
}

/// Microseconds with a unit that keeps the number short.
fn micros(micros: f64) -> String {
    if micros < 1_000.0 {
        format!("{micros:.1} µs")
    } else if micros < 1_000_000.0 {
        format!("{:.1} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Bytes with a decimal unit.
fn bytes(bytes: f64) -> String {
    match bytes {
        small if small < 1e3 => format!("{small:.0} B"),
        small if small < 1e6 => format!("{:.1} kB", small / 1e3),
        medium if medium < 1e9 => format!("{:.1} MB", medium / 1e6),
        large => format!("{:.2} GB", large / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::report::{Failure, LaneReport, Percentiles};

    fn lane(name: &str, submitted: u64) -> LaneReport {
        LaneReport {
            lane: name.to_owned(),
            submitted,
            completed: submitted - 1,
            failed: 1,
            wait_us: Percentiles {
                p50: 12.34,
                p99: 1_500.0,
            },
            run_us: Percentiles {
                p50: 80.0,
                p99: 2_500_000.0,
            },
        }
    }

    fn report(failures: usize) -> ImportReport {
        ImportReport {
            files: 30,
            throughput_per_s: 1234.4,
            utilisation: 0.965,
            idle_while_backlogged: 0.0012,
            dispatch_overhead_us: Percentiles {
                p50: 5.0,
                p99: 70.25,
            },
            conserved: true,
            lanes: vec![lane("low", 20), lane("critical", 7)],
            failures: (0..failures)
                .map(|index| Failure {
                    path: format!("Assets/a\n\u{1b}[2J{index}"),
                    error: "it is bad".to_owned(),
                })
                .collect(),
            summary: Summary {
                imported: 28,
                bytes: 118_300_000,
                contents: 27,
                metas_new: 20,
                metas_kept: 8,
                opened: 6,
                shared_guids: vec![("Assets/x".to_owned(), "Assets/y".to_owned())],
                elapsed: Duration::from_millis(500),
                workers: 2,
                interrupted: false,
                conservation: "27 submitted = 25 completed + 2 failed".to_owned(),
            },
        }
    }

    #[test]
    fn the_report_reads_well() {
        let expected = "\
Imported 28 of 30 files, 118.3 MB, in 0.50 s with 2 workers: 1234 files/s, 236.6 MB/s.
GUIDs: 20 new, 8 kept. 27 different contents. 6 requests from the editor meanwhile.

lane      submitted  completed     failed   wait p50   wait p99    run p50    run p99
critical          7          6          1    12.3 µs     1.5 ms    80.0 µs     2.50 s
low              20         19          1    12.3 µs     1.5 ms    80.0 µs     2.50 s

Workers busy 96.5 %, idle while tasks waited 0.12 %. Dispatch overhead p50 5.0 µs, p99 70.2 µs.
Conserved: 27 submitted = 25 completed + 2 failed.
Warning: Assets/x and Assets/y have the same GUID; delete the .meta file of the copy, for a new one.

Not imported: 1
  Assets/a\\n\\u{1b}[2J0: it is bad
";
        assert_eq!(render(&report(1)), expected);
    }

    #[test]
    fn a_long_list_of_failures_is_cut() {
        let text = render(&report(FAILURES_SHOWN + 3));
        assert_eq!(text.matches("it is bad").count(), FAILURES_SHOWN);
        assert!(text.ends_with("  and 3 more; --json lists all\n"), "{text}");
        assert!(!render(&report(FAILURES_SHOWN)).contains("more;"));
    }

    #[test]
    fn trouble_is_said_plainly() {
        let mut report = report(0);
        report.conserved = false;
        report.summary.interrupted = true;
        let text = render(&report);
        assert!(
            text.starts_with("Interrupted: imported 28 of 30 files"),
            "{text}"
        );
        assert!(text.contains("\nNOT CONSERVED: 27 submitted"), "{text}");
        assert!(!text.contains("Not imported"), "{text}");
    }

    #[test]
    fn names_print_on_one_line_and_unchanged_where_harmless() {
        assert_eq!(
            printable("Assets/ü 日本 \"a\" 'b' c\\d.cs"),
            "Assets/ü 日本 \"a\" 'b' c\\d.cs"
        );
        assert_eq!(
            printable("a\r\n\t\u{7}\u{202e}b"),
            "a\\r\\n\\t\\u{7}\\u{202e}b"
        );
    }

    #[test]
    fn the_json_object_has_exactly_the_promised_keys() {
        let json = serde_json::to_value(report(1)).expect("serialisable");
        let expected = serde_json::json!({
            "files": 30,
            "throughput_per_s": 1234.4,
            "utilisation": 0.965,
            "idle_while_backlogged": 0.0012,
            "dispatch_overhead_us": {"p50": 5.0, "p99": 70.25},
            "conserved": true,
            "lanes": ([("low", 20), ("critical", 7)].map(|(name, submitted)| serde_json::json!({
                "lane": name, "submitted": submitted, "completed": submitted - 1, "failed": 1,
                "wait_us": {"p50": 12.34, "p99": 1500.0}, "run_us": {"p50": 80.0, "p99": 2500000.0},
            }))),
            "failures": [{"path": "Assets/a\n\u{1b}[2J0", "error": "it is bad"}],
        });
        assert_eq!(json, expected);
    }
}
