//! The command line of a bench target.

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Shorter loops and fewer repetitions: about a minute in all.
    pub quick: bool,
    /// One JSON object a line on standard output, and nothing else there.
    pub json: bool,
    /// A missed target makes the exit code 1.
    pub strict: bool,
    /// Only the groups whose name contains one of these; all groups when empty.
    pub only: Vec<String>,
    /// Print [`USAGE`] and do nothing else.
    pub help: bool,
    /// Run this cell, this many items long, and print nothing.
    ///
    /// This is how a bench target runs a loop of its own under valgrind or strace; by hand it serves to
    /// look at such a loop with a profiler.
    pub cell: Option<(String, u64)>,
}

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: cargo bench -p lanepool-bench --bench TARGET -- [OPTIONS] [GROUP]...

  GROUP, --only GROUP  only the groups whose name contains one of these
  --quick              shorter loops, fewer repetitions
  --json               one JSON object a line: figure, value, unit, target, met
  --strict             exit code 1 if a target is missed
  --cell NAME COUNT    run one measured loop, COUNT items long, and print nothing

Exit code: 0 all figures were taken; 1 a target was missed and --strict was given; 2 a check failed or a
figure could not be taken.";

impl Arguments {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    ///
    /// An unknown option, or a cell without its name and count.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => arguments.quick = true,
                "--json" => arguments.json = true,
                "--strict" => arguments.strict = true,
                // `cargo bench` passes this to every bench target.
                "--bench" => {}
                "--help" | "-h" => arguments.help = true,
                "--only" => {
                    let group = words
                        .next()
                        .ok_or("--only needs a part of a group's name")?;
                    arguments.only.push(group);
                }
                "--cell" => arguments.cell = Some(cell(&mut words)?),
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}\n\n{USAGE}"));
                }
                _ => arguments.only.push(word),
            }
        }
        Ok(arguments)
    }

    /// Whether the group of this name was asked for.
    #[must_use]
    pub fn wants(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| group.contains(part.as_str()))
    }
}

fn cell(words: &mut impl Iterator<Item = String>) -> Result<(String, u64), String> {
    let name = words
        .next()
        .ok_or("--cell needs the name of a loop and a count of items")?;
    let count = words
        .next()
        .ok_or_else(|| format!("--cell {name} needs a count of items"))?;
    let count = count
        .parse()
        .map_err(|_| format!("--cell {name} needs a whole number of items, not {count}"))?;
    Ok((name, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_may_stand_in_any_order_and_cargos_own_is_ignored() {
        let expected = Arguments {
            quick: true,
            json: true,
            strict: true,
            only: vec!["ring".to_owned()],
            ..Arguments::default()
        };
        assert_eq!(parse("--bench --json ring --strict --quick"), Ok(expected));
        assert_eq!(parse("--bench"), Ok(Arguments::default()));
    }

    #[test]
    fn a_cell_needs_a_name_and_a_count() {
        assert_eq!(
            parse("--cell ring-single 100").unwrap().cell,
            Some(("ring-single".to_owned(), 100))
        );
        for line in ["--cell", "--cell ring-single", "--cell ring-single many"] {
            assert!(parse(line).unwrap_err().contains("--cell"), "{line}");
        }
    }

    #[test]
    fn an_unknown_option_is_named_beside_the_usage() {
        let message = parse("--fast").unwrap_err();
        assert!(
            message.contains("--fast") && message.contains("Usage"),
            "{message}"
        );
    }

    #[test]
    fn groups_are_chosen_by_a_part_of_their_name() {
        for line in ["alloc", "--only alloc"] {
            let arguments = parse(line).unwrap();
            assert!(arguments.wants("allocations"), "{line}");
            assert!(!arguments.wants("ring"), "{line}");
        }
        assert!(parse("--only").unwrap_err().contains("--only"));
        assert!(Arguments::default().wants("ring"));
    }
}
