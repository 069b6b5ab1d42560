//! Runs the cells, each in a process of its own, and prints what came of them.

use std::time::{Duration, Instant};

use lanepool_bench::{
    Result, child,
    compare::{
        Condition, Measurement, Options, Results, table,
        verdict::{self, Line},
    },
    machine,
};

use crate::{
    busy::Busy,
    field::{self, Entry},
    plan::{self, Stage},
    report,
    rings::Ring,
    workloads::{Values, Workload},
};

/// A cell that could not be measured, and why.
pub(crate) struct Broken {
    pub(crate) cell: String,
    pub(crate) condition: Condition,
    pub(crate) error: String,
}

/// A run and what it has found so far.
pub(crate) struct Harness {
    options: Options,
    results: Results,
    lines: Vec<Line>,
    broken: Vec<Broken>,
    limit: Duration,
    began: Instant,
    done: usize,
    total: usize,
}

impl Harness {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            limit: plan::limit(&options),
            options,
            results: Results::default(),
            lines: Vec::new(),
            broken: Vec::new(),
            began: Instant::now(),
            done: 0,
            total: 0,
        }
    }

    /// Runs everything that was asked for, and returns the exit code.
    pub(crate) fn run(mut self) -> Result<u8> {
        let machine = machine::description();
        eprintln!("peers: {machine}");
        known(&self.options)?;
        let stages = plan::stages(&self.options);
        let cells = |stage: &Stage| stage.expected(&self.options) * stage.rounds;
        self.total = stages.iter().map(cells).sum();
        if self.total == 0 {
            return Err(
                "nothing fits what was asked for: see --list, and cases that are part of a \
                        quick run or of this condition"
                    .into(),
            );
        }
        let mut busy = None;
        let mut stages = stages.into_iter().peekable();
        while let Some(stage) = stages.next() {
            if stage.condition == Condition::Loaded && busy.is_none() {
                busy = Some(Busy::start()?);
            }
            self.stage(&stage);
            let ends = stages.peek().is_none_or(|next| {
                (next.condition, next.workload) != (stage.condition, stage.workload)
            });
            if ends {
                self.end_of_workload(stage.workload, stage.condition);
            }
        }
        drop(busy);
        self.close(&machine)
    }

    fn stage(&mut self, stage: &Stage) {
        let mut entrants = stage.entrants(&self.options, &self.results);
        let first_broken = self.broken.len();
        for round in 0..stage.rounds {
            self.progress(stage, round);
            for entry in &entrants {
                let cell = stage.cell(entry.name);
                // What failed in one round is not tried again: a hang would cost its limit each time.
                if self.broken[first_broken..]
                    .iter()
                    .all(|one| one.cell != cell)
                {
                    self.cell(stage, entry, round, cell);
                }
                self.done += 1;
            }
            if !entrants.is_empty() {
                entrants.rotate_left(1);
            }
        }
    }

    fn progress(&self, stage: &Stage, round: usize) {
        let minutes = plan::minutes_left(self.began.elapsed(), self.done, self.total);
        let left = if self.done == 0 {
            String::new()
        } else {
            format!(", about {minutes:.1} min left")
        };
        eprintln!(
            "{:>5} of {} cells{left}: {} {}, round {} of {}",
            self.done,
            self.total,
            stage.condition,
            stage.cell("*"),
            round + 1,
            stage.rounds
        );
    }

    fn cell(&mut self, stage: &Stage, entry: &Entry, round: usize, cell: String) {
        let measured = if stage.workload == Workload::Rings {
            Ring::measure(&cell, stage.amount).map(named)
        } else {
            child::output(&cell, stage.amount, self.limit).and_then(|text| values(&text))
        };
        match measured {
            Ok(values) => self.results.push(Measurement {
                workload: stage.workload.outline().name,
                case: stage.setting.case.name.clone(),
                contender: entry.name,
                kind: entry.kind,
                condition: stage.condition,
                round,
                values,
            }),
            Err(error) => {
                let condition = stage.condition;
                eprintln!("BROKEN {cell}, {condition}: {error}");
                self.broken.push(Broken {
                    cell,
                    condition,
                    error: error.to_string(),
                });
            }
        }
    }

    fn end_of_workload(&mut self, workload: Workload, condition: Condition) {
        workload.derive(&mut self.results, condition);
        let outline = workload.outline();
        let lines = verdict::lines(&self.results, &outline, condition);
        if self.options.json {
            for line in &lines {
                match serde_json::to_string(line) {
                    Ok(text) => println!("{text}"),
                    Err(error) => eprintln!("{}/{}: {error}", outline.name, line.case),
                }
            }
        } else {
            println!("\n## {} {}, {condition}", outline.name, outline.title);
            for metric in outline.metrics {
                if let Some(text) = table::cells(&self.results, &outline, condition, metric) {
                    println!("\n{}\n\n{text}", metric.title);
                }
            }
        }
        self.lines.extend(lines);
    }

    fn close(self, machine: &str) -> Result<u8> {
        let targets = table::targets(&self.lines);
        if !self.options.json {
            println!("\n## Targets\n\n{targets}");
        }
        let missed = self.lines.iter().filter(|line| line.met == Some(false));
        let missed = missed.count();
        let judged = self.lines.iter().filter(|line| line.met.is_some()).count();
        eprintln!("{} of {judged} targets met", judged - missed);
        for broken in &self.broken {
            let Broken {
                cell,
                condition,
                error,
            } = broken;
            eprintln!("BROKEN {cell}, {condition}: {error}");
        }
        if self.options.is_complete() || self.options.write {
            report::write(&report::Findings {
                machine,
                results: &self.results,
                targets: &targets,
                broken: &self.broken,
                rounds: self.lines.iter().map(|line| line.rounds).max().unwrap_or(0),
            })?;
        }
        if !self.broken.is_empty() {
            return Ok(2);
        }
        Ok(u8::from(self.options.strict && missed > 0))
    }
}

/// Checks that what was asked for by name exists, so that a slip of the pen leaves nobody out.
fn known(options: &Options) -> Result<()> {
    let contenders = field::pools().into_iter().chain(field::all_rings());
    let contenders: Vec<&str> = contenders.map(|entry| entry.name).collect();
    let stranger = options
        .contenders
        .iter()
        .find(|name| !contenders.contains(&name.as_str()));
    if let Some(name) = stranger {
        return Err(format!("there is no contender {name}: see --list").into());
    }
    let missing = |name: &&String| Workload::named(name).is_none();
    if let Some(name) = options.only.iter().find(missing) {
        return Err(format!("there is no workload {name}: see --list").into());
    }
    Ok(())
}

/// The values that a cell printed. Each is a number: nothing else can come of a cell that has measured.
fn values(text: &str) -> Result<Vec<(String, f64)>> {
    let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| format!("the cell printed no line of values: {error}"))?;
    values
        .into_iter()
        .map(|(metric, value)| match value.as_f64() {
            Some(number) => Ok((metric, number)),
            None => Err(format!("the cell's {metric} is {value}, which is no number").into()),
        })
        .collect()
}

fn named(values: Values) -> Vec<(String, f64)> {
    let named = values.into_iter();
    named
        .map(|(metric, value)| (metric.to_owned(), value))
        .collect()
}
