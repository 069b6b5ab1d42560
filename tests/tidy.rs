//! Reads the tree as text and reports what no compiler sees: an atomic that goes around the `sync`
//! facade, an ordering whose other end is lost, an `unsafe` without its reason, a machine's path.
//!
//! Each finding names its place and its mend. The rules are in `tidy/rules.rs`; each is fed a bad
//! snippet in `tidy/self_tests.rs`, so that no rule sleeps.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/self_tests.rs"]
mod self_tests;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

#[test]
fn the_tree_is_tidy() {
    let files = source::tree(Path::new(env!("CARGO_MANIFEST_DIR")));
    let engine = files
        .iter()
        .filter(|file| file.is_rust() && file.is_in("src/"));
    assert!(
        engine.count() > 10,
        "the walk did not find the engine: mend `source::tree`"
    );

    let mut report = String::new();
    for (name, rule) in rules::RULES {
        for finding in rule(&files) {
            report += &format!("{finding} [{name}]\n");
        }
    }
    assert!(report.is_empty(), "the tree is not tidy:\n{report}");
}
