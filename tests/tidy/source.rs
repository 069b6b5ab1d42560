//! Text files as the rules see them: each line as written, its code, and its comment.
//!
//! A small lexer, because `todo!` in a sentence is fine and in code is not. It knows comments
//! (nested too), strings (raw ones too) and characters, and nothing else of Rust. In the code of a
//! line the contents of strings and characters are blanked; their quotes stay.

use std::fs;
use std::path::Path;

/// One line of a file.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// As written.
    pub(crate) text: String,
    /// Without comments and without the contents of strings. Empty in files that are not Rust.
    pub(crate) code: String,
    /// The comment, with its slashes.
    pub(crate) comment: String,
    /// Whether it belongs to an item under `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

/// A text file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root of the tree, with `/`.
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut lines = if path.ends_with(".rs") {
            Lexer::default().lines(text)
        } else {
            let plain = |text: &str| Line {
                text: text.to_owned(),
                ..Line::default()
            };
            text.lines().map(plain).collect()
        };
        mark_tests(path, &mut lines);
        Self {
            path: path.to_owned(),
            lines,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }
}

/// Every text file of the tree, but for what is built, fetched or found by a fuzzer.
pub(crate) fn tree(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    walk(root, "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    const SKIPPED: [&str; 7] = [
        "target",
        "corpus",
        "artifacts",
        "coverage",
        "node_modules",
        "shared",
        "LICENSE-APACHE",
    ];
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".gitignore";
        if hidden || SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = entry
            .file_type()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(
                fs::read(entry.path()).unwrap_or_else(|error| panic!("{path}: {error}")),
            )
        {
            files.push(File::new(&path, &text));
        }
    }
}

/// Where the lexer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Code,
    LineComment,
    /// How deep.
    BlockComment(usize),
    String,
    /// How many `#` end it.
    RawString(usize),
}

#[derive(Debug, Default)]
struct Lexer {
    state: State,
    line: Line,
}

impl Lexer {
    fn lines(mut self, text: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        for text in text.lines() {
            let chars: Vec<char> = text.chars().collect();
            let mut at = 0;
            while at < chars.len() {
                at += self.step(&chars[at..], at.checked_sub(1).map(|before| chars[before]));
            }
            if self.state == State::LineComment {
                self.state = State::Code;
            }
            self.line.text = text.to_owned();
            lines.push(std::mem::take(&mut self.line));
        }
        lines
    }

    /// Takes what begins at `rest[0]` and returns its length.
    fn step(&mut self, rest: &[char], before: Option<char>) -> usize {
        match self.state {
            State::Code => self.code(rest, before),
            State::LineComment => self.comment(rest, 1),
            State::BlockComment(depth) => match rest {
                ['/', '*', ..] => {
                    self.state = State::BlockComment(depth + 1);
                    self.comment(rest, 2)
                }
                ['*', '/', ..] => {
                    let outermost = depth == 1;
                    self.state = if outermost {
                        State::Code
                    } else {
                        State::BlockComment(depth - 1)
                    };
                    self.comment(rest, 2)
                }
                _ => self.comment(rest, 1),
            },
            State::String => match rest {
                ['\\', _, ..] => 2,
                ['"', ..] => self.close(1),
                _ => 1,
            },
            State::RawString(hashes) => {
                let ends =
                    rest[0] == '"' && rest[1..].iter().take_while(|c| **c == '#').count() >= hashes;
                if ends { self.close(1 + hashes) } else { 1 }
            }
        }
    }

    fn code(&mut self, rest: &[char], before: Option<char>) -> usize {
        let after_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let starts_raw = matches!(rest[0], 'r' | 'b' | 'c') && !after_word;
        if starts_raw && let Some((length, hashes)) = raw_string(rest) {
            self.state = State::RawString(hashes);
            self.line.code.push('"');
            return length;
        }
        match rest {
            ['/', '/', ..] => {
                self.state = State::LineComment;
                self.comment(rest, 2)
            }
            ['/', '*', ..] => {
                self.state = State::BlockComment(1);
                self.comment(rest, 2)
            }
            ['"', ..] => {
                self.state = State::String;
                self.line.code.push('"');
                1
            }
            ['\'', '\\', ..] => {
                // The escaped character itself may be a quote.
                let end = rest.iter().skip(3).position(|c| *c == '\'');
                self.line.code.push_str("''");
                end.map_or(rest.len(), |end| end + 4)
            }
            ['\'', _, '\'', ..] => {
                self.line.code.push_str("''");
                3
            }
            _ => {
                self.line.code.push(rest[0]);
                1
            }
        }
    }

    fn comment(&mut self, rest: &[char], length: usize) -> usize {
        self.line.comment.extend(&rest[..length]);
        length
    }

    fn close(&mut self, length: usize) -> usize {
        self.line.code.push('"');
        self.state = State::Code;
        length
    }
}

/// The length of the opening of a raw string and the number of its `#`, if one begins here.
fn raw_string(rest: &[char]) -> Option<(usize, usize)> {
    let prefix = if rest[0] == 'r' { 1 } else { 2 };
    if rest.get(prefix - 1) != Some(&'r') {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    (rest.get(prefix + hashes) == Some(&'"')).then_some((prefix + hashes + 1, hashes))
}

/// Marks the items under `#[cfg(test)]` or `#[cfg(all(test, …))]`, and files of tests.
fn mark_tests(path: &str, lines: &mut [Line]) {
    if path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/") {
        lines.iter_mut().for_each(|line| line.in_test = true);
        return;
    }
    let mut at = 0;
    while at < lines.len() {
        let code = lines[at].code.trim_start();
        if code.starts_with("#[cfg(test") || code.starts_with("#[cfg(all(test") {
            at = mark_item(lines, at);
        } else {
            at += 1;
        }
    }
}

/// Marks from `at` to the end of the item: its closing brace, or a semicolon before any brace.
/// Returns the line after it.
fn mark_item(lines: &mut [Line], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < lines.len() {
        lines[at].in_test = true;
        for c in lines[at].code.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                return at + 1;
            }
        }
        at += 1;
    }
    at
}
