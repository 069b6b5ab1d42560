//! The command line of the comparison.

use crate::compare::Condition;

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: cargo bench -p lanepool-bench --bench peers -- [OPTIONS]

Runs every workload with every contender, and prints tables. A full run with nothing left out also writes
benches/RESULTS.md and benches/plots/.

  --quick                  one round of short cells and the main cases: about a minute and a half
  --json                   one JSON object for each cell and metric, a line each, instead of tables
  --strict                 exit code 1 if a target is missed
  --only W1,W3             these workloads
  --cases TEXT,...         only cases whose name contains one of these
  --contenders NAME,...    only these contenders
  --condition WHICH        quiet, loaded or both; both if not said
  --rounds N               rounds; 5, or 1 with --quick, if not said
  --seconds-per-cell S     how long a cell measures, for those that measure for a time
  --write                  write the report and the plots even if something was left out
  --list                   print workloads, cases and contenders, and run nothing
  --check [NAME]           run each contender whose name contains NAME through a check of its answers
  --cell CELL AMOUNT       run one cell here, and print its values. CELL is WORKLOAD/CASE/CONTENDER as in
                           --list; AMOUNT is milliseconds, for W5 and W6 a count of items

Exit code: 0 all cells were measured; 1 a target was missed and --strict was given; 2 a cell failed its own
check, hung, or could not be run.";

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// One round of short cells and the main cases.
    pub quick: bool,
    /// Lines of JSON instead of tables.
    pub json: bool,
    /// A missed target makes the exit code 1.
    pub strict: bool,
    /// Workloads by name; all when empty.
    pub only: Vec<String>,
    /// Parts of names of cases; all when empty.
    pub cases: Vec<String>,
    /// Contenders by name; all when empty.
    pub contenders: Vec<String>,
    /// Conditions; all when empty.
    pub conditions: Vec<Condition>,
    /// Rounds, if said.
    pub rounds: Option<usize>,
    /// The length of a timed cell, if said.
    pub cell_ms: Option<u64>,
    /// Write the report in any case.
    pub write: bool,
    /// What to do instead of a run.
    pub instead: Option<Instead>,
}

/// What the command line asks for instead of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Print [`USAGE`].
    Help,
    /// Print workloads, cases and contenders.
    List,
    /// Check the contenders whose name contains this.
    Check(String),
    /// Run one cell and print its values.
    Cell {
        /// Workload, case and contender, between slashes.
        name: String,
        /// How much of it.
        amount: u64,
    },
    /// Keep a CPU busy until standard input ends. The harness starts such processes for itself.
    Busy,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    ///
    /// An unknown option, or a value that is missing or cannot be read.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value\n\n{USAGE}"))
            };
            match word.as_str() {
                // `cargo bench` passes this to every bench target.
                "--bench" => {}
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                "--strict" => options.strict = true,
                "--write" => options.write = true,
                "--only" => options.only.extend(list(&value()?)),
                "--cases" => options.cases.extend(list(&value()?)),
                "--contenders" => options.contenders.extend(list(&value()?)),
                "--condition" => options.conditions = conditions(&value()?)?,
                "--rounds" => options.rounds = Some(rounds(&value()?)?),
                "--seconds-per-cell" => options.cell_ms = Some(milliseconds(&value()?)?),
                "--help" | "-h" => options.instead = Some(Instead::Help),
                "--list" => options.instead = Some(Instead::List),
                "--busy" => options.instead = Some(Instead::Busy),
                "--check" => {
                    let name = words.next_if(|next| !next.starts_with('-'));
                    options.instead = Some(Instead::Check(name.unwrap_or_default()));
                }
                "--cell" => {
                    let (name, amount) = (value()?, value()?);
                    let amount = amount.parse().map_err(|_| {
                        format!("--cell {name} needs a whole number as its amount, not {amount}")
                    })?;
                    options.instead = Some(Instead::Cell { name, amount });
                }
                _ => return Err(format!("unknown option {word}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Whether the workload of this name is asked for.
    #[must_use]
    pub fn wants_workload(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(name))
    }

    /// Whether the case of this name is asked for.
    #[must_use]
    pub fn wants_case(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|part| name.contains(part.as_str()))
    }

    /// Whether the contender of this name is asked for.
    #[must_use]
    pub fn wants_contender(&self, name: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|only| only == name)
    }

    /// Whether the condition is asked for.
    #[must_use]
    pub fn wants_condition(&self, condition: Condition) -> bool {
        self.conditions.is_empty() || self.conditions.contains(&condition)
    }

    /// Whether nothing is left out that a report should have.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.quick
            && self.only.is_empty()
            && self.cases.is_empty()
            && self.contenders.is_empty()
            && Condition::ALL.iter().all(|one| self.wants_condition(*one))
    }
}

fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn conditions(value: &str) -> Result<Vec<Condition>, String> {
    match value {
        "quiet" => Ok(vec![Condition::Quiet]),
        "loaded" => Ok(vec![Condition::Loaded]),
        "both" => Ok(Condition::ALL.to_vec()),
        _ => Err(format!("--condition is quiet, loaded or both, not {value}")),
    }
}

fn rounds(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(rounds) if rounds > 0 => Ok(rounds),
        _ => Err(format!(
            "--rounds needs a whole number above zero, not {value}"
        )),
    }
}

fn milliseconds(value: &str) -> Result<u64, String> {
    match value.parse::<f64>() {
        Ok(seconds) if (0.01..=600.0).contains(&seconds) => Ok((seconds * 1000.0) as u64),
        _ => Err(format!(
            "--seconds-per-cell needs a number from 0.01 to 600, not {value}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_choice_leaves_the_rest_out() {
        let options = parse(
            "--bench --only w1,W3 --contenders a --cases p1 --condition loaded \
             --rounds 2 --seconds-per-cell 0.5",
        )
        .unwrap();
        assert!(options.wants_workload("W1") && !options.wants_workload("W10"));
        assert!(options.wants_contender("a") && !options.wants_contender("ab"));
        assert!(options.wants_case("p1-w2") && !options.wants_case("p2-w2"));
        assert!(!options.wants_condition(Condition::Quiet));
        assert_eq!((options.rounds, options.cell_ms), (Some(2), Some(500)));
        assert!(!options.is_complete());
    }

    #[test]
    fn without_options_everything_is_run() {
        let options = parse("--bench").unwrap();
        assert_eq!(options, Options::default());
        assert!(options.is_complete() && options.wants_condition(Condition::Loaded));
        assert!(parse("--condition both --json").unwrap().is_complete());
        assert!(!parse("--quick").unwrap().is_complete());
    }

    #[test]
    fn a_cell_has_a_name_and_an_amount() {
        let cell = Instead::Cell {
            name: "W1/p1-w2/a".to_owned(),
            amount: 100,
        };
        assert_eq!(parse("--cell W1/p1-w2/a 100").unwrap().instead, Some(cell));
        for line in ["--cell", "--cell a", "--cell a b"] {
            assert!(parse(line).unwrap_err().contains("--cell"), "{line}");
        }
    }

    #[test]
    fn a_check_may_name_a_contender() {
        let instead = |line| parse(line).unwrap().instead.unwrap();
        assert_eq!(instead("--check"), Instead::Check(String::new()));
        assert_eq!(instead("--check fl"), Instead::Check("fl".to_owned()));
        assert_eq!(instead("--check --bench"), Instead::Check(String::new()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, part) in [
            ("--fast", "--fast"),
            ("--rounds 0", "--rounds"),
            ("--rounds", "--rounds"),
            ("--seconds-per-cell long", "long"),
            ("--condition calm", "calm"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }
}
