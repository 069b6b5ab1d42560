//! Makes a sample project: real files of mixed kinds and sizes, the same for the same seed.
//!
//! The proportions are those of a small game: much code, many small prefabs and materials, and most
//! bytes in textures, models and sound. Contents look like their kind from the outside, which is all
//! that an import without Unity looks at.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use thiserror::Error;

/// How much to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SamplePlan {
    /// Files below `Assets/`.
    pub(crate) files: usize,
    pub(crate) seed: u64,
}

/// Why a sample project could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SampleError {
    #[error(
        "cannot write the sample project at {}: {cause}; free some space there, name another folder by the \
         environment variable TMPDIR, or import a project of your own with --project",
        .path.display()
    )]
    Write { path: PathBuf, cause: io::Error },
    #[error("interrupted while making the sample project; nothing was imported")]
    Interrupted,
}

/// The content of a sort of file.
#[derive(Debug, Clone, Copy)]
enum Content {
    Script,
    Shader,
    Yaml,
    Png,
    Fbx,
    Wav,
}

/// A sort of file in the sample.
struct Sort {
    folder: &'static str,
    extension: &'static str,
    content: Content,
    /// Of 1,000 files.
    share: usize,
    bytes_min: u64,
    bytes_max: u64,
}

const fn sort(
    folder: &'static str,
    extension: &'static str,
    content: Content,
    share: usize,
    bytes: (u64, u64),
) -> Sort {
    Sort {
        folder,
        extension,
        content,
        share,
        bytes_min: bytes.0,
        bytes_max: bytes.1,
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const SORTS: [Sort; 8] = [
    sort("Scripts", "cs", Content::Script, 400, (KIB, 32 * KIB)),
    sort(
        "Shaders",
        "shader",
        Content::Shader,
        40,
        (2 * KIB, 24 * KIB),
    ),
    sort("Scenes", "unity", Content::Yaml, 10, (64 * KIB, 512 * KIB)),
    sort("Prefabs", "prefab", Content::Yaml, 140, (2 * KIB, 48 * KIB)),
    sort("Materials", "mat", Content::Yaml, 120, (KIB, 4 * KIB)),
    sort("Textures", "png", Content::Png, 200, (4 * KIB, 512 * KIB)),
    sort("Models", "fbx", Content::Fbx, 50, (16 * KIB, MIB)),
    sort("Audio", "wav", Content::Wav, 40, (32 * KIB, 512 * KIB)),
];

/// How many files of each sort share a folder.
const FILES_PER_FOLDER: usize = 50;

/// Makes the project in `folder`, which exists and is empty, and tells `progress` after each file. It
/// stops when `progress` returns false. Returns the bytes written below `Assets/`.
///
/// # Errors
/// If a file cannot be written, or if `progress` said stop.
pub(crate) fn make(
    folder: &Path,
    plan: SamplePlan,
    mut progress: impl FnMut() -> bool,
) -> Result<u64, SampleError> {
    settings(folder)?;
    let mut buffer = Vec::with_capacity(usize::try_from(MIB).expect("a MiB fits") + 64);
    let mut bytes = 0;
    for (index, sort) in order(plan.files).enumerate() {
        let parent = folder
            .join("Assets")
            .join(sort.folder)
            .join(format!("Set{:03}", index / FILES_PER_FOLDER));
        create_folder(&parent)?;
        // Each file has a seed of its own, so that its content does not depend on those before it.
        let mut rng =
            Rng::with_seed(plan.seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let size = size(sort, &mut rng);
        buffer.clear();
        fill(&mut buffer, sort.content, index, size, &mut rng);
        let path = parent.join(format!("{}{index:05}.{}", sort.folder, sort.extension));
        write(&path, &buffer)?;
        bytes += buffer.len() as u64;
        if !progress() {
            return Err(SampleError::Interrupted);
        }
    }
    Ok(bytes)
}

/// The sorts of the files, mixed as evenly as their shares allow: each time the sort that lags most.
fn order(files: usize) -> impl Iterator<Item = &'static Sort> {
    let mut made = [0; SORTS.len()];
    (1..=files).map(move |count| {
        let lag = |index: usize| (SORTS[index].share * count) as i64 - (made[index] * 1000) as i64;
        let next = (0..SORTS.len())
            .max_by_key(|&index| lag(index))
            .expect("there are sorts");
        made[next] += 1;
        &SORTS[next]
    })
}

/// A size between the sort's bounds, small ones more often: evenly distributed on a logarithmic scale.
fn size(sort: &Sort, rng: &mut Rng) -> usize {
    let (min, max) = (sort.bytes_min as f64, sort.bytes_max as f64);
    (min * (max / min).powf(rng.f64())) as usize
}

/// The two files outside `Assets/` by which Unity knows a project.
fn settings(folder: &Path) -> Result<(), SampleError> {
    for (name, text) in [
        (
            "ProjectSettings/ProjectVersion.txt",
            "m_EditorVersion: 6000.0.23f1\n",
        ),
        ("Packages/manifest.json", "{\n  \"dependencies\": {}\n}\n"),
        // The folder must be there even if the sample has no files.
        (
            "Assets/README.md~",
            "Made by `lanepool import` as a sample; delete it as you like.\n",
        ),
    ] {
        let path = folder.join(name);
        create_folder(path.parent().expect("a file lies in a folder"))?;
        write(&path, text.as_bytes())?;
    }
    Ok(())
}

fn create_folder(path: &Path) -> Result<(), SampleError> {
    fs::create_dir_all(path).map_err(|cause| SampleError::Write {
        path: path.to_owned(),
        cause,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SampleError> {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|cause| SampleError::Write {
            path: path.to_owned(),
            cause,
        })
}

/// Appends a content of `size` bytes, or a few more where a head needs them.
fn fill(out: &mut Vec<u8>, content: Content, index: usize, size: usize, rng: &mut Rng) {
    match content {
        Content::Script => {
            let head = format!(
                "using UnityEngine;\n\npublic class Script{index:05} : MonoBehaviour\n{{\n"
            );
            text(out, &head, "}\n", size, |line| {
                format!(
                    "    public float Step{line}(float x) => x * {}f + {line}f;\n",
                    rng.u32(..1000)
                )
            });
        }
        Content::Shader => {
            let head = format!(
                "Shader \"Sample/Shader{index:05}\"\n{{\n    SubShader {{ Pass {{ HLSLPROGRAM\n"
            );
            text(out, &head, "    ENDHLSL } }\n}\n", size, |line| {
                format!(
                    "    float f{line}(float x) {{ return x * {}; }}\n",
                    rng.u32(..1000)
                )
            });
        }
        Content::Yaml => text(
            out,
            "%YAML 1.1\n%TAG !u! tag:unity3d.com,2011:\n",
            "",
            size,
            |line| {
                format!(
                    "--- !u!4 &{}\nTransform:\n  m_RootOrder: {line}\n",
                    rng.u64(1_000_000..)
                )
            },
        ),
        Content::Png => {
            let head = [
                &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\0\0\0\x02\0\x08\x06\0\0\0"[..],
                b"\xf4\x78\xd4\xfa",
            ]
            .concat();
            noise(out, &head, size, rng);
        }
        Content::Fbx => noise(out, b"Kaydara FBX Binary  \0\x1a\0\x84\x1d\0\0", size, rng),
        Content::Wav => noise(out, &wav_head(size), size, rng),
    }
}

/// The head, lines until the size is reached, and the tail.
fn text(
    out: &mut Vec<u8>,
    head: &str,
    tail: &str,
    size: usize,
    mut line: impl FnMut(usize) -> String,
) {
    out.extend_from_slice(head.as_bytes());
    let mut lines = 0;
    while out.len() + tail.len() < size {
        out.extend_from_slice(line(lines).as_bytes());
        lines += 1;
    }
    out.extend_from_slice(tail.as_bytes());
}

/// The head and random bytes: media do not compress.
fn noise(out: &mut Vec<u8>, head: &[u8], size: usize, rng: &mut Rng) {
    out.extend_from_slice(head);
    out.resize(size.max(head.len()), 0);
    rng.fill(&mut out[head.len()..]);
}

/// The head of a WAVE file of `size` bytes in all: one channel, 44.1 kHz, 16 bits.
fn wav_head(size: usize) -> Vec<u8> {
    const HEAD: usize = 44;
    let size = u32::try_from(size).expect("samples are small");
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(b"RIFF");
    head.extend_from_slice(&(size - 8).to_le_bytes());
    head.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    head.extend_from_slice(&44_100u32.to_le_bytes());
    head.extend_from_slice(&88_200u32.to_le_bytes());
    head.extend_from_slice(b"\x02\0\x10\0data");
    head.extend_from_slice(&(size - HEAD as u32).to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::import::project::Project;
    use crate::import::walk::walk;

    fn plan(files: usize, seed: u64) -> SamplePlan {
        SamplePlan { files, seed }
    }

    /// Every file of a fresh sample by path, and the bytes that `make` claims.
    fn sample(plan: SamplePlan) -> (BTreeMap<String, Vec<u8>>, u64) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let bytes = make(folder.path(), plan, || true).expect("made");
        let project = Project::open(folder.path()).expect("a project");
        let files = walk(&project, || false)
            .files
            .into_iter()
            .map(|file| {
                (
                    file.path.clone(),
                    fs::read(folder.path().join(file.path)).expect("file"),
                )
            })
            .collect();
        (files, bytes)
    }

    #[test]
    fn it_has_as_many_files_as_planned_and_says_their_bytes() {
        for files in [0, 1, 100] {
            let (found, bytes) = sample(plan(files, 1));
            assert_eq!(found.len(), files);
            assert_eq!(
                found
                    .values()
                    .map(|content| content.len() as u64)
                    .sum::<u64>(),
                bytes
            );
        }
    }

    #[test]
    fn the_seed_decides_every_byte() {
        assert!(sample(plan(60, 7)) == sample(plan(60, 7)));
        assert!(sample(plan(60, 7)) != sample(plan(60, 8)));
    }

    #[test]
    fn sorts_keep_their_shares_and_bounds() {
        assert_eq!(SORTS.iter().map(|sort| sort.share).sum::<usize>(), 1000);
        let mut counts = BTreeMap::new();
        for sort in order(2000) {
            *counts.entry(sort.folder).or_insert(0) += 1;
        }
        for sort in &SORTS {
            assert_eq!(counts[sort.folder], sort.share * 2, "{}", sort.folder);
        }
        let (found, _) = sample(plan(200, 3));
        for (path, content) in &found {
            let sort = SORTS
                .iter()
                .find(|sort| path.starts_with(&format!("Assets/{}/", sort.folder)))
                .expect("a sort");
            // Text ends with the line that reaches the size.
            assert!(
                (sort.bytes_min..=sort.bytes_max + 256).contains(&(content.len() as u64)),
                "{path}"
            );
        }
    }

    #[test]
    fn media_begin_like_their_kind() {
        let (found, _) = sample(plan(200, 3));
        for (path, content) in &found {
            let head: &[u8] = match path.rsplit_once('.').expect("an extension").1 {
                "png" => b"\x89PNG\r\n\x1a\n",
                "wav" => b"RIFF",
                "fbx" => b"Kaydara FBX Binary",
                "cs" => b"using UnityEngine;",
                "shader" => b"Shader \"",
                _ => b"%YAML 1.1",
            };
            assert!(content.starts_with(head), "{path}");
        }
    }

    #[test]
    fn it_stops_when_told() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut left = 3;
        let result = make(folder.path(), plan(10, 1), || {
            left -= 1;
            left > 0
        });
        assert!(matches!(result, Err(SampleError::Interrupted)));
        assert_eq!(
            walk(&Project::open(folder.path()).expect("a project"), || false)
                .files
                .len(),
            3
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::write(folder.path().join("Assets"), "in the way").expect("file");
        let error = make(folder.path(), plan(1, 1), || true).expect_err("no folder");
        assert!(error.to_string().contains("Assets"), "{error}");
    }
}
