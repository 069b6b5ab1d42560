//! `lanepool import` does its job: every file, its GUID, and the figures of the run.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{Project, command, lanepool};
use serde_json::Value;

/// The keys of an object, in no order.
fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn sum(object: &Value, key: &str) -> u64 {
    let lanes = object["lanes"].as_array().expect("lanes");
    lanes
        .iter()
        .map(|lane| lane[key].as_u64().expect("a count"))
        .sum()
}

#[test]
fn a_sample_run_prints_one_object_that_conserves() {
    let run = lanepool(&[
        "import",
        "--json",
        "--sample-files",
        "200",
        "--workers",
        "2",
    ]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stderr, "", "silent where standard error is no terminal");
    let object = run.json();
    assert_eq!(
        keys(&object),
        BTreeSet::from([
            "files",
            "throughput_per_s",
            "utilisation",
            "idle_while_backlogged",
            "dispatch_overhead_us",
            "conserved",
            "lanes",
            "failures"
        ])
    );
    assert_eq!(object["files"], 200);
    assert_eq!(object["conserved"], true);
    assert_eq!(object["failures"], serde_json::json!([]));
    assert!(object["throughput_per_s"].as_f64().expect("a number") > 0.0);
    for share in ["utilisation", "idle_while_backlogged"] {
        let value = object[share].as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&value), "{share} {value}");
    }
    let lanes = object["lanes"].as_array().expect("lanes");
    let names: Vec<_> = lanes
        .iter()
        .map(|lane| lane["lane"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["low", "normal", "high", "critical"]);
    // The sample's shares: textures, models, sound; scenes, prefabs, materials; scripts, shaders.
    let submitted: Vec<_> = lanes
        .iter()
        .map(|lane| lane["submitted"].as_u64().expect("a count"))
        .collect();
    assert_eq!(submitted[..3], [58, 54, 88]);
    assert!(submitted[3] >= 1, "somebody opened a file");
    assert_eq!(sum(&object, "completed"), sum(&object, "submitted"));
    assert_eq!(sum(&object, "failed"), 0);
    for lane in lanes {
        assert_eq!(
            keys(lane),
            BTreeSet::from([
                "lane",
                "submitted",
                "completed",
                "failed",
                "wait_us",
                "run_us"
            ])
        );
        for times in [&lane["wait_us"], &lane["run_us"]] {
            assert_eq!(keys(times), BTreeSet::from(["p50", "p99"]));
            let (p50, p99) = (
                times["p50"].as_f64().expect("a time"),
                times["p99"].as_f64().expect("a time"),
            );
            assert!(0.0 <= p50 && p50 <= p99, "{lane}");
        }
        assert!(
            lane["run_us"]["p50"].as_f64().expect("a time") > 0.0,
            "every task is stamped: {lane}"
        );
    }
    assert_eq!(
        keys(&object["dispatch_overhead_us"]),
        BTreeSet::from(["p50", "p99"])
    );
}

#[test]
fn every_file_gets_a_meta_file_with_a_guid_of_its_own() {
    let assets = [
        "Assets/A.cs",
        "Assets/Sub/B.png",
        "Assets/Sub/Deep/C.prefab",
        "Assets/D",
    ];
    let project = Project::new(assets);
    let run = project.import(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()["files"], 4);
    let guids: BTreeSet<_> = assets.iter().map(|asset| project.guid(asset)).collect();
    assert_eq!(guids.len(), 4);
    for guid in &guids {
        assert!(
            guid.len() == 32
                && guid
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "{guid}"
        );
    }
    assert!(String::from_utf8_lossy(&project.read("Assets/A.cs.meta")).contains("MonoImporter:"));
    assert_eq!(
        project.snapshot().len(),
        8,
        "an asset and a .meta file each, and nothing else"
    );
}

#[test]
fn a_second_run_keeps_the_guids_byte_for_byte() {
    let project = Project::new(["Assets/A.cs", "Assets/B.png", "Assets/Sub/C.mat"]);
    assert_eq!(project.import(&[]).code, Some(0));
    let before = project.snapshot();
    assert_eq!(project.import(&["--workers", "3"]).code, Some(0));
    assert_eq!(project.snapshot(), before);

    fs::remove_file(project.path("Assets/B.png.meta")).expect("removed");
    project.write("Assets/A.cs", "changed");
    project.write("Assets/New.cs", "new");
    assert_eq!(project.import(&[]).code, Some(0));
    let after = project.snapshot();
    assert_eq!(after.len(), before.len() + 2);
    for kept in ["Assets/A.cs.meta", "Assets/Sub/C.mat.meta"] {
        assert_eq!(after[&project.path(kept)], before[&project.path(kept)]);
    }
    assert_ne!(
        after[&project.path("Assets/B.png.meta")],
        before[&project.path("Assets/B.png.meta")]
    );
}

#[test]
fn a_meta_file_of_any_unity_version_is_kept_as_it_is() {
    let project = Project::new(["Assets/A.png"]);
    let meta = "fileFormatVersion: 2\r\nguid: 0123456789ABCDEF0123456789abcdef\r\nTextureImporter:\r\n  guid: none\r\n";
    project.write("Assets/A.png.meta", meta);
    assert_eq!(project.import(&[]).code, Some(0));
    assert_eq!(project.read("Assets/A.png.meta"), meta.as_bytes());
}

#[test]
fn what_unity_ignores_is_left_alone() {
    let project = Project::new([
        "Assets/A.cs",
        "Assets/.hidden.cs",
        "Assets/Samples~/B.cs",
        "Assets/Gone.cs.meta",
        "ProjectSettings/X.asset",
    ]);
    let run = project.import(&[]);
    assert_eq!((run.code, &run.json()["files"]), (Some(0), &Value::from(1)));
    assert_eq!(project.snapshot().len(), 6, "one .meta file more");
}

#[test]
fn an_empty_project_is_imported_at_once() {
    let run = Project::new([]).import(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()["files"], 0);
    assert_eq!(run.json()["conserved"], true);
}

#[test]
fn nobody_opens_files_if_told_so() {
    let run = Project::new(["Assets/A.cs"]).import(&["--opens-per-second", "0"]);
    let object = run.json();
    let critical = &object["lanes"][3];
    assert_eq!(
        (&critical["lane"], &critical["submitted"]),
        (&Value::from("critical"), &Value::from(0))
    );
}

#[test]
fn the_table_shows_lanes_and_the_conservation_line() {
    let run = lanepool(&["import", "--sample-files", "50", "--opens-per-second", "0"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    assert!(
        run.stdout.starts_with("Imported 50 of 50 files, "),
        "{}",
        run.stdout
    );
    for lane in ["low", "normal", "high", "critical"] {
        assert!(
            run.stdout.lines().any(|line| line.trim().starts_with(lane)),
            "{lane}: {}",
            run.stdout
        );
    }
    assert!(
        run.stdout
            .contains("\nConserved: 50 submitted = 50 completed + 0 failed.\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn the_sample_is_removed_unless_it_is_to_be_kept() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let import = |more: &[&str]| {
        let output = command()
            .args(["import", "--json", "--sample-files", "20"])
            .args(more)
            .env("TMPDIR", folder.path())
            .output()
            .expect("the program starts");
        common::Run::from(output)
    };
    let entries = || fs::read_dir(folder.path()).expect("folder").count();
    assert_eq!(import(&[]).code, Some(0));
    assert_eq!(entries(), 0);
    let kept = import(&["--keep-sample"]);
    assert_eq!(kept.code, Some(0));
    assert_eq!(entries(), 1);
    let sample = kept
        .stderr
        .trim_end()
        .rsplit_once("--project ")
        .expect("the place is said")
        .1;
    let again = lanepool(&["import", "--json", "--project", sample]);
    assert_eq!(
        (again.code, &again.json()["files"]),
        (Some(0), &Value::from(20))
    );
}

#[test]
fn version_and_help_are_complete() {
    let version = lanepool(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert_eq!(
        version.stdout,
        format!("lanepool {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = lanepool(&["import", "--help"]);
    assert_eq!(help.code, Some(0));
    for word in [
        "--project",
        "--workers",
        "--json",
        "--opens-per-second",
        "--grace",
        "--sample-files",
        "--keep-sample",
        "--seed",
        "Exit code",
        "Examples",
        "Ctrl-C",
    ] {
        assert!(help.stdout.contains(word), "{word}");
    }
}
