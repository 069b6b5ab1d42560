//! What goes wrong is said, file by file, and stops nothing else.

mod common;

use common::{Project, command, lanepool};

/// Asserts that the program did not start and why.
fn refused(arguments: &[&str], reasons: &[&str]) {
    let run = lanepool(arguments);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_eq!(run.stdout, "");
    for reason in reasons {
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
    }
}

/// Asserts that exactly these files failed, each for a reason that contains the text, and that
/// `Assets/Good.cs` was imported all the same.
fn failed(project: &Project, expected: &[(&str, &str)]) {
    let run = project.import(&["--workers", "2"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.json()["conserved"], true);
    let failures = run.failures();
    let paths: Vec<_> = failures.keys().map(String::as_str).collect();
    let mut expected_paths: Vec<_> = expected.iter().map(|(path, _)| *path).collect();
    expected_paths.sort_unstable();
    assert_eq!(paths, expected_paths);
    for (path, reason) in expected {
        assert!(
            failures[*path].contains(reason),
            "{path}: {}",
            failures[*path]
        );
    }
    assert_eq!(project.guid("Assets/Good.cs").len(), 32);
}

#[test]
fn a_missing_project_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let missing = folder.path().join("missing");
    let missing = missing.to_str().expect("text");
    refused(
        &["import", "--project", missing],
        &[missing, "--project", "exists"],
    );
    refused(&["import", "--project", missing, "--json"], &[missing]);
    refused(&["import", "--project", ""], &["--project"]);
}

#[test]
fn a_folder_without_assets_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().to_str().expect("text");
    refused(
        &["import", "--project", path],
        &[path, "no Assets folder", "--project"],
    );
    std::fs::write(folder.path().join("file"), "").expect("file");
    let file = folder.path().join("file");
    refused(
        &["import", "--project", file.to_str().expect("text")],
        &["is not a folder"],
    );
}

#[test]
fn bad_usage_is_refused_with_a_hint() {
    refused(&[], &["Usage"]);
    refused(&["imprt"], &["import"]);
    refused(&["import", "--wrokers", "3"], &["--workers"]);
    refused(&["import", "--workers", "-1"], &["--workers"]);
    refused(&["import", "--workers", "many"], &["--workers", "many"]);
    refused(&["import", "--sample-files", "0"], &["--sample-files"]);
    refused(
        &["import", "--sample-files", "1000000000"],
        &["--sample-files", "100000"],
    );
    refused(&["import", "--grace", "9999999"], &["--grace"]);
    refused(
        &["import", "--project", ".", "--keep-sample"],
        &["--keep-sample", "--project"],
    );
}

#[test]
fn absurd_worker_counts_are_refused_and_zero_is_one_per_cpu() {
    let project = Project::new(["Assets/Good.cs"]);
    let folder = project.folder().to_str().expect("text");
    for workers in ["1000000", "18446744073709551615"] {
        refused(
            &["import", "--project", folder, "--workers", workers],
            &["cannot start the workers", workers, "--workers"],
        );
    }
    assert_eq!(project.snapshot().len(), 1, "nothing was written");
    assert_eq!(project.import(&["--workers", "0"]).code, Some(0));
}

#[test]
fn a_temporary_folder_that_is_not_there_is_named() {
    let output = command()
        .arg("import")
        .env("TMPDIR", "/nonexistent")
        .output()
        .expect("the program starts");
    let run = common::Run::from(output);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("TMPDIR") && run.stderr.contains("/nonexistent"),
        "{run:?}"
    );
}

#[test]
fn malformed_meta_files_are_reported_and_untouched() {
    let project = Project::new([
        "Assets/Good.cs",
        "Assets/Empty.cs",
        "Assets/Merged.cs",
        "Assets/Garbage.png",
    ]);
    let metas = [
        ("Assets/Empty.cs.meta", ""),
        (
            "Assets/Merged.cs.meta",
            "fileFormatVersion: 2\n<<<<<<< ours\nguid: 1\n=======\nguid: 2\n>>>>>>> theirs\n",
        ),
        (
            "Assets/Garbage.png.meta",
            "fileFormatVersion: 2\nguid: not a guid\n",
        ),
    ];
    for (meta, text) in metas {
        project.write(meta, text);
    }
    failed(
        &project,
        &[
            ("Assets/Empty.cs", "is empty"),
            ("Assets/Merged.cs", "merge conflicts"),
            ("Assets/Garbage.png", "32 hexadecimal digits"),
        ],
    );
    for (meta, text) in metas {
        assert_eq!(project.read(meta), text.as_bytes(), "{meta}");
    }
}

#[test]
fn what_lies_in_the_place_of_a_meta_file_is_reported() {
    let project = Project::new([
        "Assets/Good.cs",
        "Assets/A.cs",
        "Assets/A.cs.meta/Inside.cs",
    ]);
    failed(&project, &[("Assets/A.cs", "not a regular file")]);
    assert_eq!(
        project.guid("Assets/A.cs.meta/Inside.cs").len(),
        32,
        "a folder's name may end so"
    );
}

#[test]
fn a_path_of_more_than_260_characters_is_reported() {
    let longest = format!("Assets/{0}/{0}/{1}", "d".repeat(100), "f".repeat(51));
    assert_eq!(longest.len(), 260);
    let longer = format!("{longest}f");
    let project = Project::new(["Assets/Good.cs", &longest, &longer]);
    failed(&project, &[(&longer, "261 characters")]);
    assert!(!project.path(&format!("{longer}.meta")).exists());
    assert_eq!(project.guid(&longest).len(), 32);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_reported() {
        let project = Project::new(["Assets/Good.cs"]);
        symlink("nowhere", project.path("Assets/Dangling.cs")).expect("link");
        symlink("Circle.cs", project.path("Assets/Circle.cs")).expect("link");
        failed(
            &project,
            &[
                ("Assets/Dangling.cs", "cannot find the file"),
                ("Assets/Circle.cs", "cannot find the file"),
            ],
        );
    }

    #[test]
    fn a_pipe_does_not_hang_the_import() {
        let project = Project::new(["Assets/Good.cs", "Assets/A.cs"]);
        for pipe in ["Assets/Pipe.cs", "Assets/A.cs.meta"] {
            assert!(
                Command::new("mkfifo")
                    .arg(project.path(pipe))
                    .status()
                    .expect("mkfifo")
                    .success()
            );
        }
        failed(
            &project,
            &[
                ("Assets/Pipe.cs", "neither a file nor a link"),
                ("Assets/A.cs", "not a regular file"),
            ],
        );
    }

    #[test]
    fn links_that_lead_out_of_the_project_are_reported_and_nothing_is_written_there() {
        let outside = tempfile::tempdir().expect("temporary folder");
        std::fs::write(outside.path().join("secret.cs"), "secret").expect("file");
        let project = Project::new(["Assets/Good.cs", "Assets/A.cs"]);
        symlink(
            outside.path().join("secret.cs"),
            project.path("Assets/File.cs"),
        )
        .expect("link");
        symlink(outside.path(), project.path("Assets/Folder")).expect("link");
        symlink(
            outside.path().join("A.cs.meta"),
            project.path("Assets/A.cs.meta"),
        )
        .expect("link");
        failed(
            &project,
            &[
                ("Assets/File.cs", "leads out of the project"),
                ("Assets/Folder", "leads out of the project"),
                ("Assets/A.cs", "not a regular file"),
            ],
        );
        assert_eq!(
            std::fs::read_dir(outside.path()).expect("folder").count(),
            1
        );
        assert!(!project.path("Assets/File.cs.meta").exists());
    }

    #[test]
    fn links_in_circles_end() {
        let project = Project::new(["Assets/Good.cs", "Assets/Sub/A.cs"]);
        symlink("..", project.path("Assets/Sub/Up")).expect("link");
        failed(&project, &[("Assets/Sub/Up", "imported already")]);
    }

    #[test]
    fn hostile_names_are_files_like_any_other() {
        let names = [
            "Assets/new\nline.cs",
            "Assets/\u{1b}[2J.cs",
            "Assets/-rf",
            "Assets/a\\b.cs",
            "Assets/%s{}.cs",
            "Assets/ .cs",
        ];
        let project = Project::new(names);
        assert_eq!(project.import(&[]).code, Some(0));
        for name in names {
            assert_eq!(project.guid(name).len(), 32, "{name:?}");
        }
        // In the table, a name cannot break the line or steer the terminal.
        project.write("Assets/new\nline.cs.meta", "");
        project.write("Assets/\u{1b}[2J.cs.meta", "");
        let run = lanepool(&[
            "import",
            "--project",
            project.folder().to_str().expect("text"),
        ]);
        assert_eq!(run.code, Some(1));
        assert!(
            run.stdout
                .contains("  Assets/new\\nline.cs: its .meta file is empty"),
            "{}",
            run.stdout
        );
        assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
    }

    #[test]
    fn a_name_that_leaves_no_room_for_its_meta_file_is_reported() {
        let long = format!("Assets/{}", "x".repeat(252));
        let project = Project::new(["Assets/Good.cs", &long]);
        failed(&project, &[(&long, "meta file")]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_report_that_cannot_be_printed_is_an_error() {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        let project = Project::new(["Assets/Good.cs"]);
        let output = command()
            .args(["import", "--json", "--project"])
            .arg(project.folder())
            .stdout(full)
            .output()
            .expect("the program starts");
        let run = common::Run::from(output);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains("cannot print the report"), "{run:?}");
    }
}
