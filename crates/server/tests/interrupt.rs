//! Ctrl-C ends an import in good order: what is done stays done, the rest is listed.
#![cfg(unix)]

mod common;

use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;

use common::{Project, Run, command};

/// A script, which goes first, and more textures than fit into a lane; the first texture is so large
/// that its import does not end by itself.
fn endless() -> Project {
    let project = Project::new(["Assets/0.cs"]);
    // It has holes in place of blocks, so that it takes no space.
    File::create(project.path("Assets/A.png"))
        .and_then(|file| file.set_len(1 << 40))
        .expect("a file with holes");
    for index in 0..1500 {
        project.write(&format!("Assets/B{index:04}.png"), "small");
    }
    project
}

#[test]
fn ctrl_c_stops_admission_and_lists_what_was_not_imported() {
    let project = endless();
    let mut child = command()
        .args([
            "import",
            "--json",
            "--workers",
            "1",
            "--grace",
            "0",
            "--project",
        ])
        .arg(project.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Once the script has its GUID, the import runs, and the endless file keeps it running.
    while !project.path("Assets/0.cs.meta").exists() {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "the program ended by itself"
        );
        thread::yield_now();
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(sent.success());
    let run = Run::from(child.wait_with_output().expect("the program ends"));
    assert_eq!(run.code, Some(1), "{run:?}");
    let object = run.json();
    assert_eq!(object["files"], 1502);
    assert_eq!(object["conserved"], true);
    // The only run of this lane is that of the endless file, and it has a time because it has ended.
    let run_us = object["lanes"][0]["run_us"]["p50"]
        .as_f64()
        .expect("a time");
    assert!(run_us > 0.0, "the endless file was not given up");
    let failures = run.failures();
    assert!(failures.contains_key("Assets/A.png") && !failures.contains_key("Assets/0.cs"));
    for (path, error) in &failures {
        assert!(error.contains("import again"), "{path}: {error}");
    }
    // Each file has been imported or is listed, never both and never neither.
    for index in 0..1500 {
        let path = format!("Assets/B{index:04}.png");
        let imported = project.path(&format!("{path}.meta")).exists();
        assert_ne!(imported, failures.contains_key(&path), "{path}");
    }
}
