//! Who goes before whom. One worker is held at a gate inside a request while others are submitted, so
//! that the order in which they finish does not depend on time.

use std::collections::HashMap;
use std::fs;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lanepool::{ProcessingTask, Service, TaskContext, TaskPriority, WorkerPool};

use super::asset_kind::AssetKind;
use super::editor::{self, Opening};
use super::project::Project;
use super::run::{self, Pool};
use super::service::{ImportError, ImportRequest, ImportService, Imported, WorkerState};
use super::walk::FoundFile;

/// The service of the import, which stops at gates and notes the order in which files finish.
struct Gated {
    inner: ImportService,
    /// By path.
    gates: HashMap<&'static str, Mutex<Inside>>,
    finished: Arc<Mutex<Vec<String>>>,
}

impl Service<ImportRequest> for Gated {
    type Response = Imported;
    type Error = ImportError;
    type State = WorkerState;

    fn state(&self, worker: usize) -> WorkerState {
        self.inner.state(worker)
    }

    fn call(
        &self,
        state: &mut WorkerState,
        request: ImportRequest,
        context: &TaskContext,
    ) -> Result<Imported, ImportError> {
        let path = request.path.clone();
        if let Some(gate) = self.gates.get(path.as_str()) {
            let gate = gate.lock().expect("not poisoned");
            gate.entered.send(()).expect("the test waits");
            gate.opened.recv().expect("the test opens the gate");
        }
        let result = self.inner.call(state, request, context);
        self.finished.lock().expect("not poisoned").push(path);
        result
    }
}

/// The worker's side of a gate: where it says that it is there, and where it waits.
struct Inside {
    entered: Sender<()>,
    opened: Receiver<()>,
}

/// The test's side of a gate.
struct Gate {
    entered: Receiver<()>,
    open: Sender<()>,
}

/// A project, and a pool of one worker on it that stops at gates.
struct Setting {
    _folder: tempfile::TempDir,
    pool: Pool,
    gates: HashMap<&'static str, Gate>,
    finished: Arc<Mutex<Vec<String>>>,
}

impl Setting {
    fn new(files: &[&str], gated: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("Assets")).expect("folder");
        for file in files.iter().chain(gated) {
            fs::write(folder.path().join(file), file).expect("file");
        }
        let project = Project::open(folder.path()).expect("a project");
        let mut inside = HashMap::new();
        let mut gates = HashMap::new();
        for path in gated {
            let (worker_entered, entered) = mpsc::channel();
            let (open, opened) = mpsc::channel();
            let gate = Inside {
                entered: worker_entered,
                opened,
            };
            inside.insert(*path, Mutex::new(gate));
            gates.insert(*path, Gate { entered, open });
        }
        let finished = Arc::new(Mutex::new(Vec::new()));
        let service = Gated {
            inner: ImportService::new(project, Arc::default()),
            gates: inside,
            finished: Arc::clone(&finished),
        };
        let config = run::config(1).expect("valid");
        let pool = WorkerPool::with_config(service, config).expect("a pool");
        Self {
            _folder: folder,
            pool,
            gates,
            finished,
        }
    }

    /// Submits a file as the import of the project does.
    fn submit(&self, path: &str) {
        let request = ImportRequest {
            path: path.to_owned(),
        };
        let priority = AssetKind::of(path).priority();
        self.pool
            .try_spawn(ProcessingTask::new(request).priority(priority))
            .expect("accepted");
    }

    /// Waits until the worker stands at a gate.
    fn entered(&self, path: &str) {
        self.gates[path].entered.recv().expect("the worker comes");
    }

    fn open(&self, path: &str) {
        self.gates[path].open.send(()).expect("the worker waits");
    }

    fn queued(&self) -> u64 {
        self.pool.statistics().total().queued
    }

    /// How many files finish after a gate is opened until the one that was opened meanwhile has, at
    /// most: the bound that the pool states.
    fn bound(&self) -> usize {
        let bound = self.pool.starvation_bound(TaskPriority::Critical);
        usize::try_from(bound).expect("small")
    }

    /// The paths in the order in which they finished. Shuts the pool down.
    fn order(self) -> Vec<String> {
        let report = self.pool.shutdown_blocking(Duration::MAX);
        assert!(report.drained);
        assert_eq!(report.statistics.conserved(), Ok(()));
        let finished = self.finished.lock().expect("not poisoned");
        assert_eq!(report.statistics.total().completed, finished.len() as u64);
        finished.clone()
    }
}

/// Whether `path` is among the first `count` that finished after `gate`.
fn finished_within(order: &[String], count: usize, gate: &str, path: &str) -> bool {
    let mut after = order
        .iter()
        .skip_while(|finished| *finished != gate)
        .skip(1);
    after.by_ref().take(count).any(|finished| finished == path)
}

fn names(prefix: &str, extension: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|index| format!("Assets/{prefix}{index:02}.{extension}"))
        .collect()
}

/// Opens one file in the editor while the worker stands at `gate`, then opens that gate.
fn open_in_editor_at(setting: &Setting, gate: &str, path: &str) {
    let file = FoundFile {
        path: path.to_owned(),
        kind: AssetKind::of(path),
    };
    // The sender is gone at once, so that the editor opens one file and no second.
    let (_, closed) = mpsc::channel();
    let opening = Opening {
        every: Duration::ZERO,
        seed: 1,
    };
    let pool = &setting.pool;
    let before = setting.queued();
    thread::scope(|scope| {
        let editor = scope.spawn(move || editor::open_files(pool, &[file], opening, &closed));
        while setting.queued() == before {
            thread::yield_now();
        }
        setting.open(gate);
        let opened = editor.join().expect("it does not panic");
        assert_eq!(
            opened
                .iter()
                .map(|(path, _)| path.as_str())
                .collect::<Vec<_>>(),
            [path]
        );
    });
}

#[test]
fn an_opened_file_overtakes_the_whole_backlog() {
    let files: Vec<_> = [
        names("T", "png", 60),
        names("S", "cs", 60),
        names("P", "prefab", 60),
    ]
    .concat();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    let setting = Setting::new(&files, &["Assets/gate.png"]);
    setting.submit("Assets/gate.png");
    setting.entered("Assets/gate.png");
    for file in &files {
        setting.submit(file);
    }
    open_in_editor_at(&setting, "Assets/gate.png", "Assets/T59.png");
    let bound = setting.bound();
    let order = setting.order();
    assert_eq!(order.len(), 182);
    assert!(bound < 10 && finished_within(&order, bound, "Assets/gate.png", "Assets/T59.png"));
}

#[test]
fn an_opened_file_overtakes_in_the_middle_of_a_backlog() {
    let files = names("T", "png", 20);
    let setting = Setting::new(
        &files.iter().map(String::as_str).collect::<Vec<_>>(),
        &["Assets/gate1.png", "Assets/gate2.png"],
    );
    setting.submit("Assets/gate1.png");
    setting.entered("Assets/gate1.png");
    for file in &files[..3] {
        setting.submit(file);
    }
    setting.submit("Assets/gate2.png");
    for file in &files[3..] {
        setting.submit(file);
    }
    setting.open("Assets/gate1.png");
    setting.entered("Assets/gate2.png");
    open_in_editor_at(&setting, "Assets/gate2.png", "Assets/T19.png");
    let bound = setting.bound();
    let order = setting.order();
    assert_eq!(order.len(), 23);
    assert!(bound < 10 && finished_within(&order, bound, "Assets/gate2.png", "Assets/T19.png"));
}

#[test]
fn scripts_go_before_textures_that_came_first() {
    let textures = names("T", "png", 40);
    let scripts = names("S", "cs", 40);
    let files: Vec<_> = textures
        .iter()
        .chain(&scripts)
        .map(String::as_str)
        .collect();
    let setting = Setting::new(&files, &["Assets/gate.png"]);
    setting.submit("Assets/gate.png");
    setting.entered("Assets/gate.png");
    for file in &files {
        setting.submit(file);
    }
    setting.open("Assets/gate.png");
    let order = setting.order();
    let half = order[1..].iter().take(40);
    let scripts_first = half.filter(|path| path.ends_with(".cs")).count();
    // The lowest lane's guaranteed share is 1 pull in 85; a few textures may pass, no more.
    assert!(scripts_first >= 36, "{order:?}");
}
