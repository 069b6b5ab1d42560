//! The rules. Each takes the whole tree and says what is wrong, where, and how to mend it.

use std::collections::BTreeMap;
use std::fmt;

use crate::source::{File, Line};

/// One thing to mend.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.what)
    }
}

fn finding(file: &File, at: usize, what: impl Into<String>) -> Finding {
    Finding {
        path: file.path.clone(),
        line: at + 1,
        what: what.into(),
    }
}

/// A rule reads all files and reports all findings.
pub(crate) type Rule = fn(&[File]) -> Vec<Finding>;

/// Every rule by its name.
pub(crate) const RULES: [(&str, Rule); 8] = [
    ("facade", facade),
    ("tag pairs", tag_pairs),
    ("orderings", orderings),
    ("unsafe", unsafe_code),
    ("unfinished", unfinished),
    ("attributes", attributes),
    ("paths", paths),
    ("words", words),
];

/// Modules that may say `unsafe`, and why.
const UNSAFE: [&str; 10] = [
    // Slots are handed between threads by their sequence.
    "src/lane/ring.rs",
    // Instructions that no safe function stands for.
    "src/sync/prefetch.rs",
    // Two owners share a slot by its state; the slab frees it.
    "src/reply/slot.rs",
    "src/reply/slab.rs",
    "src/reply/promise.rs",
    "src/reply/ticket.rs",
    // A task leaves its place in the hand in two parts.
    "src/worker/hand.rs",
    // The benchmarks' and fuzzers' view of the ring reads the places that it has filled.
    "src/internals.rs",
    // Global allocators that count.
    "benches/src/alloc.rs",
    "tests/allocations.rs",
];

/// Questions that `std::thread` answers and that synchronise nothing.
const HARMLESS: [&str; 2] = ["available_parallelism", "panicking"];

/// What threads meet in: the engine takes it from `crate::sync`, or its models would not see it.
///
/// `src/sync/` may use std and loom. The rest of `src/` may use neither, but its unit tests may use
/// std. `loom-tests/` may use both. Everything else may use std: it stands outside of the engine.
fn facade(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && !file.is_in("src/sync/"))
    {
        for (at, line) in file.lines.iter().enumerate() {
            let may_use_std = !file.is_in("src/") || line.in_test;
            if !may_use_std && (names_std(&line.code) || imports_std(&file.lines[at..])) {
                let mend = "takes threads, atomics or locks from std; models cannot see them: \
                            import them from `crate::sync`";
                found.push(finding(file, at, mend));
            }
            if !file.is_in("loom-tests/") && has_word(&line.code, "loom::") {
                let mend = "names loom outside of `src/sync/` and `loom-tests/`: go through \
                            `crate::sync`";
                found.push(finding(file, at, mend));
            }
        }
    }
    found
}

/// A path into std, written out.
fn names_std(code: &str) -> bool {
    let locks = ["Mutex", "RwLock", "Condvar", "Barrier", "mpsc", "atomic"];
    let meets = |path: &str| {
        locks
            .iter()
            .any(|name| has_word(code, &format!("{path}{name}")))
    };
    let threads = ["std::thread", "core::thread"].iter().any(|path| {
        words_at(code, path).any(|at| {
            let rest = code[at + path.len()..].trim_start_matches(':');
            !HARMLESS.iter().any(|harmless| rest.starts_with(harmless))
        })
    });
    meets("std::sync::") || meets("core::sync::") || threads
}

/// A `use std::{…}` that begins in the first line and takes the same from a nested list.
fn imports_std(lines: &[Line]) -> bool {
    let first = lines[0].code.trim_start();
    let imports = ["use std::", "use core::"]
        .iter()
        .any(|start| has_word(first, start));
    if !imports || !lines[0].code.contains('{') {
        return false;
    }
    let end = lines
        .iter()
        .position(|line| line.code.contains(';'))
        .unwrap_or(0);
    let statement: String = lines[..=end]
        .iter()
        .map(|line| line.code.as_str())
        .collect();
    [
        "atomic", "thread", "Mutex", "RwLock", "Condvar", "Barrier", "mpsc",
    ]
    .iter()
    .any(|name| has_word(&statement, name))
}

/// Both ends of an ordering edge carry its tag, so a tag that occurs once has lost its other end.
fn tag_pairs(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut places: BTreeMap<&str, Vec<(&File, usize)>> = BTreeMap::new();
    for file in engine(files) {
        for (at, line) in file.lines.iter().enumerate() {
            let Some((_, rest)) = line.comment.split_once("ORDERING") else {
                continue;
            };
            let tags = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
            let Some((tags, _)) = tags else {
                let mend = "an ordering comment without a tag: write `ORDERING(name-of-edge): why`";
                found.push(finding(file, at, mend));
                continue;
            };
            for tag in tags.split(',').map(str::trim) {
                places.entry(tag).or_default().push((file, at));
            }
        }
    }
    for (tag, places) in places {
        if let [(file, at)] = places[..] {
            let what = format!(
                "the ordering tag `{tag}` occurs once: give the same tag to the operation it pairs \
                 with, or mend the spelling"
            );
            found.push(finding(file, at, what));
        }
    }
    found
}

/// Every atomic operation says why its ordering is what it is, in a comment before it in the same
/// function. For Relaxed, the module's header may say it for all.
fn orderings(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in engine(files).filter(|file| !file.is_in("src/sync/")) {
        let header = file
            .lines
            .iter()
            .take_while(|line| line.code.trim().is_empty());
        let relaxed_by_header = header
            .into_iter()
            .any(|line| line.comment.contains("Relaxed"));
        for (at, line) in file
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !line.in_test)
        {
            if has_word(&line.code, "use") && line.code.contains("Ordering::") {
                let mend = "imports an ordering by name: spell `Ordering::` at each operation";
                found.push(finding(file, at, mend));
            } else if let Some(strong) = strong_ordering(&line.code) {
                if !comments_above(file, at).any(|comment| comment.contains("ORDERING(")) {
                    let what = format!(
                        "`{strong}` without a reason: put `// ORDERING(name-of-edge): why` before it, \
                         in this function"
                    );
                    found.push(finding(file, at, what));
                }
            } else if has_word(&line.code, "Ordering::Relaxed") && !relaxed_by_header {
                let reason =
                    |comment: &str| comment.contains("Relaxed") || comment.contains("ORDERING(");
                if !comments_above(file, at).any(reason) {
                    let mend = "`Relaxed` without a reason: put `// Relaxed: why` before it, or say \
                                why once in the module's header";
                    found.push(finding(file, at, mend));
                }
            }
        }
    }
    found
}

fn strong_ordering(code: &str) -> Option<&'static str> {
    [
        "Ordering::SeqCst",
        "Ordering::AcqRel",
        "Ordering::Acquire",
        "Ordering::Release",
    ]
    .into_iter()
    .find(|strong| has_word(code, strong))
}

/// The comments from this line up to the line that begins the function.
fn comments_above(file: &File, at: usize) -> impl Iterator<Item = &str> {
    let mut inside = true;
    file.lines[..=at].iter().rev().map_while(move |line| {
        let comment = inside.then_some(line.comment.as_str());
        inside = inside && !begins_function(&line.code);
        comment
    })
}

fn begins_function(code: &str) -> bool {
    words_at(code, "fn ")
        .any(|at| code[at + 3..].starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// `unsafe` lives in a few modules, and each use says why it is sound.
fn unsafe_code(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (at, line) in file.lines.iter().enumerate() {
            if !has_word(&line.code, "unsafe") || line.code.contains("#[unsafe(") {
                continue;
            }
            if !UNSAFE.contains(&file.path.as_str()) {
                let mend = "`unsafe` outside of the modules that need it: use a safe form, or add the \
                            module and its reason to the list in tests/tidy/rules.rs";
                found.push(finding(file, at, mend));
            } else if !says_why_sound(file, at) && !implements_a_trait(file, at) {
                let mend = "`unsafe` without its reason: put `// SAFETY: why` right before it, or a \
                            `# Safety` section in the docs of an unsafe function";
                found.push(finding(file, at, mend));
            }
        }
    }
    found
}

/// Whether the comment right before the statement, or behind it, gives a reason.
fn says_why_sound(file: &File, at: usize) -> bool {
    let reason =
        |line: &Line| line.comment.contains("SAFETY:") || line.comment.contains("# Safety");
    let before = file.lines[..at].iter().rev().take_while(|line| {
        let code = line.code.trim();
        let attribute = code.starts_with("#[");
        let continued = !code.is_empty() && !code.ends_with([';', '{', '}', ',']);
        attribute || continued || (code.is_empty() && !line.comment.is_empty())
    });
    reason(&file.lines[at]) || before.into_iter().any(reason)
}

/// Whether this begins an unsafe function that a trait asks for: the trait's docs say what it needs.
fn implements_a_trait(file: &File, at: usize) -> bool {
    let indent = |line: &Line| line.text.len() - line.text.trim_start().len();
    let line = &file.lines[at];
    let mut above = file.lines[..at]
        .iter()
        .rev()
        .filter(|line| !line.code.trim().is_empty());
    let block = above.find(|above| indent(above) < indent(line));
    let is_impl = |line: &Line| has_word(&line.code, "impl") && has_word(&line.code, "for");
    has_word(&line.code, "unsafe fn") && block.is_some_and(is_impl)
}

/// Nothing is left to do, and no test is left out.
fn unfinished(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (at, line) in file.lines.iter().enumerate() {
            for name in ["todo!", "unimplemented!", "dbg!"] {
                if has_word(&line.code, name) {
                    let what = format!("`{name}` is left in: finish it or take it out");
                    found.push(finding(file, at, what));
                }
            }
            if line.code.contains("#[ignore]") {
                let mend =
                    "a test is ignored without a reason: mend it, or write `#[ignore = \"…\"]`";
                found.push(finding(file, at, mend));
            }
        }
    }
    found
}

/// A silenced warning says why.
fn attributes(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (at, line) in file.lines.iter().enumerate() {
            let silences = ["allow", "expect"].iter().any(|level| {
                ["#[", "#!["]
                    .iter()
                    .any(|open| line.code.contains(&format!("{open}{level}(")))
            });
            let end = file.lines[at..]
                .iter()
                .position(|line| line.code.contains(']'));
            let attribute = &file.lines[at..=at + end.unwrap_or(0)];
            if silences && !attribute.iter().any(|line| has_word(&line.code, "reason")) {
                let mend = "a lint is silenced without a reason: add `, reason = \"…\"`";
                found.push(finding(file, at, mend));
            }
        }
    }
    found
}

/// The tree works anywhere.
fn paths(files: &[File]) -> Vec<Finding> {
    const MACHINES: [&str; 6] = [
        "/work/",
        "/tmp/",
        "/home/",
        "/root/",
        "/Users/",
        "C:\\Users",
    ];
    search(files, &MACHINES, |path| {
        format!(
            "`{path}` is a path of one machine: make it relative, or ask for a temporary folder"
        )
    })
}

/// The tree speaks of the project alone, to somebody who has nothing but the tree.
fn words(files: &[File]) -> Vec<Finding> {
    const PRIVATE: [&str; 12] = [
        "this session",
        "issue #",
        "issue 1",
        "issue 2",
        "the brief",
        "sub-agent",
        "subagent",
        "design.md",
        "hotpath.md",
        "peers.md",
        "style.md",
        "tools.md",
    ];
    search(files, &PRIVATE, |word| {
        format!("`{word}` means nothing to a reader of the tree: say what it says, or leave it out")
    })
}

fn search(files: &[File], needles: &[&str], what: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut found = Vec::new();
    // The rules and their tests spell out what they look for.
    for file in files.iter().filter(|file| !file.is_in("tests/tidy/")) {
        for (at, line) in file.lines.iter().enumerate() {
            let text = line.text.to_lowercase();
            for needle in needles
                .iter()
                .filter(|needle| starts_in(&text, &needle.to_lowercase()))
            {
                found.push(finding(file, at, what(needle)));
            }
        }
    }
    found
}

/// Whether `needle` occurs in `text` other than as the tail of a longer word, path or address.
fn starts_in(text: &str, needle: &str) -> bool {
    text.match_indices(needle).any(|(at, _)| {
        !text[..at]
            .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')'))
    })
}

fn engine(files: &[File]) -> impl Iterator<Item = &File> {
    files
        .iter()
        .filter(|file| file.is_rust() && file.is_in("src/"))
}

/// Whether `word` occurs in `code` and is not part of a longer word.
fn has_word(code: &str, word: &str) -> bool {
    words_at(code, word).next().is_some()
}

fn words_at<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let goes_on = word.ends_with(part) && code[at + word.len()..].starts_with(part);
            !goes_on && !code[..*at].ends_with(part)
        })
}
