//! Requests that a service answers many at a time: rows for a table, one commit a batch.
//!
//! A commit costs the same for one row as for a hundred. Callers know nothing of that: each hands in a row and
//! gets the row's number, or an error of its own.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use lanepool::{
    Answers, Batch, BatchProcessorConfig, BatchService, CloseReason, ProcessingTask, TaskPriority,
    WorkerPool, WorkerPoolConfig,
};

/// Rows that are committed, and how many commits that took.
#[derive(Default)]
struct Table {
    committed: Mutex<(Vec<String>, usize)>,
}

impl BatchService<String> for Table {
    type Response = usize;
    type Error = &'static str;
    type State = ();

    fn state(&self, _worker: usize) {}

    fn call_batch(
        &self,
        _: &mut (),
        batch: Batch<String>,
    ) -> Result<Answers<usize, &'static str>, &'static str> {
        // What fails here fails the whole batch, as a commit would.
        let mut committed = self.committed.lock().map_err(|_| "the table is spoilt")?;
        committed.1 += 1;
        let (commits, reason) = (committed.1, batch.close_reason());
        println!(
            "commit {commits}: {} rows, closed for {reason:?}",
            batch.len()
        );
        // What fails here fails one row.
        Ok(batch.answer_each(|row, _| {
            if row.is_empty() {
                return Err("a row says something");
            }
            committed.0.push(row);
            Ok(committed.0.len())
        }))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let batching = BatchProcessorConfig::new()
        .batch_size(16)
        .enable_adaptive_batching(false)
        .batch_timeout(Duration::from_millis(5));
    let config = WorkerPoolConfig::builder()
        .workers(1)
        .batching(batching)
        .build()?;
    let pool = WorkerPool::with_batches(Table::default(), config)?;

    let rows = (0..40).map(|n| {
        if n == 7 {
            String::new()
        } else {
            format!("row {n}")
        }
    });
    let results = pool.execute_batch_blocking(rows);
    assert!(results[7].is_err(), "it is empty");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 39);

    // Nobody waits for others who is in a hurry.
    let urgent = ProcessingTask::new("urgent".to_owned()).priority(TaskPriority::Critical);
    assert_eq!(pool.submit_blocking(urgent)?.wait(), Ok(40));

    let batches = pool
        .batch_processor()
        .ok_or("the pool runs batches")?
        .statistics();
    println!(
        "{} rows in {} commits, {:.1} a commit; {} were full",
        batches.requests,
        batches.batches(),
        batches.mean_size(),
        batches.closed(CloseReason::Full),
    );
    let report = pool.shutdown_blocking(Duration::from_secs(5));
    assert!(report.drained && report.statistics.conserved().is_ok());
    Ok(())
}
