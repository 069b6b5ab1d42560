//! Each rule is fed what it must report and what it must not.

use crate::rules::RULES;
use crate::source::File;

/// What the rule of this name reports for files given as path and text.
fn report(rule: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (_, rule) = RULES
        .iter()
        .find(|(name, _)| *name == rule)
        .expect("a rule of that name");
    let files: Vec<File> = files
        .iter()
        .map(|(path, text)| File::new(path, text))
        .collect();
    rule(&files).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn reports(rule: &str, path: &str, text: &str, places: &[usize]) {
    let report = report(rule, &[(path, text)]);
    let expected: Vec<String> = places
        .iter()
        .map(|line| format!("{path}:{line}: "))
        .collect();
    let as_expected = report.len() == expected.len()
        && report
            .iter()
            .zip(&expected)
            .all(|(finding, place)| finding.starts_with(place));
    assert!(
        as_expected,
        "expected findings at {expected:?}, got {report:#?} for:\n{text}"
    );
}

#[track_caller]
fn accepts(rule: &str, path: &str, text: &str) {
    reports(rule, path, text, &[]);
}

#[test]
fn facade_reports_what_goes_around_it() {
    for text in [
        "use std::sync::atomic::AtomicU64;",
        "use core::sync::atomic::Ordering;",
        "use std::sync::Mutex;",
        "use std::sync::{Arc, Mutex};",
        "use std::sync::{\n    Arc,\n    atomic::AtomicU64,\n};",
        "pub(crate) use std::{thread, time};",
        "fn f() { std::thread::spawn(|| ()); }",
        "fn f() { ::std::thread::yield_now(); }",
        "use loom::sync::Arc;",
        "use std::sync::mpsc::channel;",
        "#[cfg(test)]\nmod tests;\nuse std::thread;",
    ] {
        let line = if text.starts_with('#') { 3 } else { 1 };
        reports("facade", "src/lane/ring.rs", text, &[line]);
    }
    for folder in [
        "src/lane/",
        "tests/",
        "benches/",
        "examples/",
        "crates/server/src/",
    ] {
        reports(
            "facade",
            &format!("{folder}x.rs"),
            "use loom::thread;",
            &[1],
        );
    }
}

#[test]
fn facade_accepts_what_each_folder_may_use() {
    let std = "use std::sync::atomic::AtomicU64;\nuse std::thread;\n";
    for folder in [
        "src/sync/",
        "tests/",
        "benches/",
        "examples/",
        "crates/server/src/",
        "fuzz/",
        "loom-tests/",
    ] {
        accepts("facade", &format!("{folder}x.rs"), std);
    }
    accepts("facade", "src/sync/modelled.rs", "use loom::thread;");
    accepts(
        "facade",
        "loom-tests/ring.rs",
        "fn f() { loom::model(|| ()); }",
    );
    for text in [
        "use crate::sync::atomic::AtomicU64;\nuse crate::sync::{Mutex, thread};",
        "use std::sync::{Arc, OnceLock};",
        "use std::thread::available_parallelism;",
        "fn f() -> bool { std::thread::panicking() }",
        "// Not std::thread, nor loom::thread.",
        "const NAME: &str = \"std::sync::atomic\";",
        "#[cfg(test)]\nmod tests {\n    use std::thread;\n    fn f() { { thread::park() } }\n}",
        "#[cfg(all(test, not(feature = \"loom\")))]\nmod tests {\n    use std::sync::Mutex;\n}",
    ] {
        accepts("facade", "src/x.rs", text);
    }
}

#[test]
fn tag_pairs_reports_a_lonely_tag() {
    let pair = "// ORDERING(edge): Release.\n// ORDERING(edge): Acquire.\n";
    accepts("tag pairs", "src/x.rs", pair);
    reports(
        "tag pairs",
        "src/x.rs",
        "\n// ORDERING(edge): Release.\n",
        &[2],
    );
    reports(
        "tag pairs",
        "src/x.rs",
        "// ORDERING(a, b): x\n// ORDERING(b): x\n",
        &[1],
    );
    reports("tag pairs", "src/x.rs", "// ORDERING: Release.\n", &[1]);
    reports("tag pairs", "src/x.rs", "// ORDERING(edge\n", &[1]);
    accepts("tag pairs", "tests/x.rs", "// ORDERING(edge): Release.\n");
    let code = "fn f() { println!(\"ORDERING(edge)\") }";
    accepts("tag pairs", "src/x.rs", code);
}

#[test]
fn tag_pairs_finds_the_other_end_in_another_file() {
    let one = ("src/one.rs", "// ORDERING(edge): Release.\n");
    let other = ("src/other.rs", "// ORDERING(edge): Acquire.\n");
    assert!(report("tag pairs", &[one, other]).is_empty());
    let misspelt = ("src/other.rs", "// ORDERING(egde): Acquire.\n");
    assert_eq!(report("tag pairs", &[one, misspelt]).len(), 2);
}

#[test]
fn orderings_reports_an_operation_without_a_reason() {
    for ordering in ["SeqCst", "AcqRel", "Acquire", "Release"] {
        let bare = format!("fn f(a: &A) {{\n    a.store(1, Ordering::{ordering});\n}}\n");
        reports("orderings", "src/x.rs", &bare, &[2]);
        let untagged = bare.replace("    a.", "    // Acquire and Release: a reason.\n    a.");
        reports("orderings", "src/x.rs", &untagged, &[3]);
        let reasoned = bare.replace("    a.", "    // ORDERING(edge): a reason.\n    a.");
        accepts("orderings", "src/x.rs", &reasoned);
        accepts("orderings", "src/sync/x.rs", &bare);
        accepts("orderings", "tests/x.rs", &bare);
        accepts(
            "orderings",
            "src/x.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{bare}}}\n"),
        );
    }
}

#[test]
fn orderings_takes_no_reason_from_another_function() {
    let text = "fn one() {\n    // ORDERING(edge): x\n    a.load(Ordering::Acquire);\n}\n\
                // ORDERING(edge): outside.\n\
                fn two() {\n    a.load(Ordering::Acquire);\n}\n";
    reports("orderings", "src/x.rs", text, &[7]);
}

#[test]
fn orderings_asks_for_a_reason_for_relaxed_too() {
    let bare = "fn f(a: &A) {\n    a.load(Ordering::Relaxed);\n}\n";
    reports("orderings", "src/x.rs", bare, &[2]);
    accepts(
        "orderings",
        "src/x.rs",
        &bare.replace("    a.", "    // Relaxed: a hint.\n    a."),
    );
    accepts(
        "orderings",
        "src/x.rs",
        &format!("//! All orderings are Relaxed: hints.\n\n{bare}"),
    );
    let failed = "fn f() {\n    // ORDERING(edge): x\n    c(\n    Ordering::SeqCst,\n    Ordering::Relaxed);\n}";
    accepts("orderings", "src/x.rs", failed);
    accepts(
        "orderings",
        "src/x.rs",
        "fn f() -> Ordering {\n    std::cmp::Ordering::Less\n}\n",
    );
}

#[test]
fn orderings_reports_an_ordering_imported_by_name() {
    reports(
        "orderings",
        "src/x.rs",
        "use crate::sync::atomic::Ordering::Relaxed;",
        &[1],
    );
    reports(
        "orderings",
        "src/x.rs",
        "use crate::sync::atomic::Ordering::{Acquire, Release};",
        &[1],
    );
    accepts(
        "orderings",
        "src/x.rs",
        "use crate::sync::atomic::{AtomicU64, Ordering};",
    );
}

#[test]
fn unsafe_reports_a_module_that_is_not_listed() {
    let sound = "// SAFETY: a reason.\nlet x = unsafe { f() };\n";
    reports("unsafe", "src/pool.rs", sound, &[2]);
    reports("unsafe", "tests/x.rs", sound, &[2]);
    accepts("unsafe", "src/lane/ring.rs", sound);
    accepts(
        "unsafe",
        "src/pool.rs",
        "#![deny(unsafe_code)]\n// unsafe\nlet s = \"unsafe\";\n",
    );
}

#[test]
fn unsafe_reports_a_missing_reason() {
    for text in [
        "unsafe { f() };",
        "// A comment.\nlet x = unsafe { f() };",
        "// SAFETY: for another.\ng();\nunsafe { f() };",
        "// SAFETY: too far.\n\nunsafe { f() };",
        "unsafe impl Send for X {}",
        "impl X {\n    fn g() {}\n    unsafe fn f() {}",
        "// SAFETY: a reason.\nunsafe impl Y for X {\n    unsafe fn f() {\n        unsafe { g() }",
        "/// Docs without the section.\nunsafe fn f() {}",
    ] {
        reports("unsafe", "src/lane/ring.rs", text, &[text.lines().count()]);
    }
    for text in [
        "// SAFETY: a reason,\n// in two lines.\nunsafe { f() };",
        "// SAFETY: a reason.\nlet x =\n    g(|cell| unsafe { f(cell) });",
        "unsafe { f() } // SAFETY: a reason.",
        "// SAFETY: a reason.\nunsafe impl Send for X {}",
        "// SAFETY: a reason.\nunsafe impl Y for X {\n    fn g() {}\n    unsafe fn f() {}\n}",
        "/// Docs.\n///\n/// # Safety\n/// The caller does.\n#[inline]\npub(crate) unsafe fn f() {}",
    ] {
        accepts("unsafe", "src/lane/ring.rs", text);
    }
}

#[test]
fn unfinished_reports_what_is_left_to_do() {
    for text in [
        "todo!()",
        "std::todo!(\"later\")",
        "unimplemented!()",
        "dbg!(x)",
        "#[ignore]",
    ] {
        for path in [
            "src/x.rs",
            "tests/x.rs",
            "crates/server/src/x.rs",
            "fuzz/fuzz_targets/x.rs",
        ] {
            reports("unfinished", path, &format!("\n    {text}"), &[2]);
        }
    }
    for text in [
        "// todo!()",
        "let s = \"dbg!\";",
        "#[ignore = \"a reason\"]",
        "my_todo!()",
    ] {
        accepts("unfinished", "src/x.rs", text);
    }
}

#[test]
fn attributes_reports_a_silenced_lint_without_a_reason() {
    for text in [
        "#[allow(dead_code)]",
        "#![allow(dead_code)]",
        "#[expect(unsafe_code)]",
        "#[allow(\n    dead_code\n)]\nconst REASON: u8 = reason;",
        "#[allow(dead_code)] // reason: in a comment does not count",
    ] {
        reports("attributes", "tests/x.rs", text, &[1]);
    }
    for text in [
        "#[allow(dead_code, reason = \"it is used by half of the tests\")]",
        "#![expect(\n    unsafe_code,\n    reason = \"it must\"\n)]",
        "#![deny(unsafe_code)]",
        "x.expect(\"allow(dead_code)\")",
    ] {
        accepts("attributes", "tests/x.rs", text);
    }
}

#[test]
fn paths_reports_a_machine() {
    for text in [
        "see /work/x",
        "cd /tmp/x",
        "\"/home/me/x\"",
        "(/root/x)",
        "/Users/me",
        "C:\\Users\\me",
    ] {
        for path in ["src/x.rs", "README.md", ".ci/run", "Cargo.toml"] {
            reports("paths", path, &format!("\n{text}"), &[2]);
        }
    }
    for text in [
        "Assets/root/x",
        "${dir}/tmp/x",
        "network/tmp/",
        "~/x",
        "https://example.com/home/",
    ] {
        accepts("paths", "README.md", text);
    }
}

#[test]
fn words_reports_what_only_we_understand() {
    for text in [
        "// In this session we",
        "Closes issue #7",
        "as Issue 2 asks",
        "see STYLE.md",
    ] {
        reports("words", "src/x.rs", text, &[1]);
        reports("words", "ARCHITECTURE.md", text, &[1]);
    }
    for text in [
        "agents and editors open sessions",
        "tokio#3150",
        "an issue of rings",
        "tissue #1",
    ] {
        accepts("words", "ARCHITECTURE.md", text);
    }
}

#[test]
fn the_lexer_knows_code_from_comments_and_strings() {
    for (text, code, comment) in [
        ("a // b", "a ", "// b"),
        ("a /* b */ c", "a  c", "/* b */"),
        ("/* a /* b */ c */ d", " d", "/* a /* b */ c */"),
        ("f(\"a // b\")", "f(\"\")", ""),
        ("f(\"a \\\" // b\") // c", "f(\"\") ", "// c"),
        ("f(r\"a\\\") // c", "f(\"\") ", "// c"),
        ("f(r#\"a \" // b\"#) // c", "f(\"\") ", "// c"),
        ("f(br##\"a\"# b\"##) // c", "f(\"\") ", "// c"),
        ("f('\"') // c", "f('') ", "// c"),
        ("f('\\'') // c", "f('') ", "// c"),
        ("f('\\u{2019}') // c", "f('') ", "// c"),
        ("fn f<'a>(x: &'a str) // c", "fn f<'a>(x: &'a str) ", "// c"),
        (
            "let r#type = var\"\"; // c",
            "let r#type = var\"\"; ",
            "// c",
        ),
    ] {
        let file = File::new("src/x.rs", text);
        assert_eq!(
            (file.lines[0].code.as_str(), file.lines[0].comment.as_str()),
            (code, comment)
        );
    }
}

#[test]
fn the_lexer_carries_strings_and_comments_over_lines() {
    let text = "let a = \"x\n// no comment\n\"; // y\n/* z\ntodo!() */ b";
    let file = File::new("src/x.rs", text);
    let code: Vec<&str> = file.lines.iter().map(|line| line.code.as_str()).collect();
    assert_eq!(code, ["let a = \"", "", "\"; ", "", " b"]);
    assert_eq!(file.lines[4].comment, "todo!() */");
}
