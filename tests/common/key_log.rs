//! Watches the tasks of each key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lanepool::ProcessingTask;

use super::{EXPECTED, Job};

/// What is known of every key.
#[derive(Clone, Debug, Default)]
pub struct KeyLog(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    keys: HashMap<u64, Seen>,
    /// What went wrong. Not a panic, which a pool would take for the service's.
    wrong: Vec<String>,
}

#[derive(Debug, Default)]
struct Seen {
    runs: bool,
    started: Vec<u64>,
}

impl KeyLog {
    pub fn new() -> Self {
        Self::default()
    }

    /// Task number `n` of a key; the numbers of a key grow.
    pub fn task(&self, key: u64, n: u64) -> ProcessingTask<Job> {
        self.task_that(key, n, std::thread::yield_now)
    }

    /// As [`KeyLog::task`], but the service panics.
    pub fn panicking_task(&self, key: u64, n: u64) -> ProcessingTask<Job> {
        self.task_that(key, n, move || panic!("{n} of {key} {EXPECTED}"))
    }

    fn task_that(
        &self,
        key: u64,
        n: u64,
        run: impl FnOnce() + Send + 'static,
    ) -> ProcessingTask<Job> {
        ProcessingTask::new(self.job(key, n, run)).key(key)
    }

    /// The job alone, for a task that is to get its key in another way.
    pub fn job(&self, key: u64, n: u64, run: impl FnOnce() + Send + 'static) -> Job {
        let log = self.clone();
        Job::run(n, move |_| {
            let _running = log.begin(key, n);
            run();
        })
    }

    fn begin(&self, key: u64, n: u64) -> Running {
        let mut inner = self.0.lock().unwrap();
        let seen = inner.keys.entry(key).or_default();
        let mut wrong = Vec::new();
        if std::mem::replace(&mut seen.runs, true) {
            wrong.push(format!("key {key}: {n} was started beside another"));
        }
        if let Some(last) = seen.started.last().filter(|last| **last >= n) {
            wrong.push(format!("key {key}: {n} was started after {last}"));
        }
        seen.started.push(n);
        inner.wrong.extend(wrong);
        Running {
            log: self.clone(),
            key,
        }
    }

    /// The numbers of a key's tasks that were started, in that order.
    pub fn of(&self, key: u64) -> Vec<u64> {
        let inner = self.0.lock().unwrap();
        let seen = inner.keys.get(&key);
        seen.map_or_else(Vec::new, |seen| seen.started.clone())
    }

    /// How many tasks of all keys were started.
    pub fn started(&self) -> usize {
        let inner = self.0.lock().unwrap();
        inner.keys.values().map(|seen| seen.started.len()).sum()
    }

    /// Whatever was started was in order and one at a time.
    pub fn assert_orderly(&self) {
        let inner = self.0.lock().unwrap();
        let first: Vec<_> = inner.wrong.iter().take(5).collect();
        assert!(first.is_empty(), "{} faults: {first:?}", inner.wrong.len());
    }
}

/// A task that runs; also when the service panics it is noted when it does not any more.
struct Running {
    log: KeyLog,
    key: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut inner = self.log.0.lock().unwrap();
        inner.keys.entry(self.key).or_default().runs = false;
    }
}
