//! Writes `RESULTS.md` and the plots beside it.

use std::{
    fmt::{self, Write},
    fs,
    path::{Path, PathBuf},
};

use lanepool_bench::{
    Result,
    compare::{Condition, Kind, Results, plots, table},
};

use crate::{
    field::{self, Entry},
    harness::Broken,
    workloads::Workload,
};

/// What a report is made of.
pub(crate) struct Findings<'a> {
    pub(crate) machine: &'a str,
    pub(crate) results: &'a Results,
    pub(crate) targets: &'a str,
    pub(crate) broken: &'a [Broken],
    pub(crate) rounds: usize,
}

const PLOTS: &str = "plots";

/// Writes the report and the plots into the package's folder.
pub(crate) fn write(findings: &Findings<'_>) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(folder.join(PLOTS))?;
    let mut text = String::new();
    opening(&mut text, findings)?;
    for workload in Workload::ALL {
        section(&mut text, workload, findings.results, &folder)?;
    }
    closing(&mut text)?;
    let file = folder.join("RESULTS.md");
    fs::write(&file, text)?;
    eprintln!("written: {}", file.display());
    Ok(())
}

fn opening(text: &mut String, findings: &Findings<'_>) -> Result<()> {
    writeln!(
        text,
        "\
# lanepool beside its rivals

Written by `cargo bench -p lanepool-bench --bench peers`, which repeats all of it on your machine; `--help`
tells how to run a part.

{machine}.

- A **cell** is a workload, a case and a contender, in a process of its own, which checks every answer.
- **Rounds**: {rounds}. Within a round all contenders of a case run one after the other, and each round begins
  with another one. A table's cell is the median of the rounds, and their range in brackets.
- **Ratios** are taken within a round, to the rival with the best median of all rounds; the median of the rounds'
  ratios is held against the target. The last column has the ratios to whichever rival was best in each round: of
  many whose values scatter that is the luckiest.
- No sample is left out. Percentiles are of all samples of a cell.
- **Loaded**: beside each cell, a process for each CPU, and at least two, spins all the time. **Quiet**: nothing
  that the harness knows of.
- † marks rivals with priorities. Notes on each contender are at the end.
- CPU time and voluntary switches are those of the whole process, the clients included.
",
        machine = findings.machine,
        rounds = findings.rounds,
    )?;
    writeln!(text, "## Targets\n\n{}", findings.targets)?;
    if !findings.broken.is_empty() {
        writeln!(text, "## Cells that failed\n")?;
        for broken in findings.broken {
            let Broken {
                cell,
                condition,
                error,
            } = broken;
            writeln!(text, "- {cell}, {condition}: {error}")?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn section(text: &mut String, workload: Workload, results: &Results, folder: &Path) -> Result<()> {
    let outline = workload.outline();
    let conditions: Vec<Condition> = Condition::ALL
        .into_iter()
        .filter(|condition| !results.lacks(outline.name, *condition))
        .collect();
    if conditions.is_empty() {
        return Ok(());
    }
    let (name, title) = (outline.name, outline.title);
    writeln!(text, "## {name} {title}\n\n{}\n", outline.about)?;
    if let Some(plot) = plots::dots(results, &outline)? {
        save(text, folder, &file_name(name, title), title, &plot)?;
    }
    for &condition in &conditions {
        let metric = &outline.metrics[0];
        let curves = workload.curves();
        if let Some(plot) = plots::curves(results, name, metric, condition, &curves)? {
            let title = format!("{title} scaling {condition}");
            save(text, folder, &file_name(name, &title), &title, &plot)?;
        }
    }
    for metric in outline.metrics {
        for &condition in &conditions {
            if let Some(table) = table::cells(results, &outline, condition, metric) {
                writeln!(text, "### {name} {}, {condition}\n\n{table}", metric.title)?;
            }
        }
    }
    Ok(())
}

fn file_name(workload: &str, title: &str) -> String {
    let name = format!("{workload} {title}.svg").to_lowercase();
    name.replace(' ', "-")
}

fn save(text: &mut String, folder: &Path, file: &str, title: &str, plot: &str) -> Result<()> {
    fs::write(folder.join(PLOTS).join(file), plot)?;
    writeln!(text, "![{title}]({PLOTS}/{file})\n")?;
    Ok(())
}

fn closing(text: &mut String) -> fmt::Result {
    notes(text, "The contenders", &field::pools())?;
    notes(text, "The rings", &field::all_rings())
}

fn notes(text: &mut String, title: &str, entries: &[Entry]) -> fmt::Result {
    writeln!(text, "## {title}\n")?;
    for entry in entries {
        let mark = match entry.kind {
            Kind::Priorities => " †",
            Kind::Ours | Kind::Plain => "",
        };
        writeln!(text, "- **{}**{mark}: {}", entry.name, entry.note)?;
    }
    writeln!(text)
}
