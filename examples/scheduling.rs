//! Order by key, a worker kept for urgent tasks, a lane paused and resumed, and what the pool says of it.
//!
//! Edits of one document must not overtake each other; documents must not wait for each other; and a save
//! must not wait for a spell check.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use lanepool::{
    ProcessingTask, SchedulingStrategy, TaskContext, TaskPriority, WorkerPool, WorkerPoolConfig,
    service_fn,
};

const DOCUMENTS: u64 = 3;
const EDITS: u64 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let config = WorkerPoolConfig::builder()
        .workers(3)
        .scheduling_strategy(SchedulingStrategy::HashBased)
        .reserve(TaskPriority::Critical, 1)
        .build()?;
    let applied: Mutex<Vec<(u64, u64)>> = Mutex::default();
    let apply = move |edit: u64, context: &TaskContext| {
        let mut applied = applied.lock().map_err(|_| "an edit panicked")?;
        let document = context.key().ok_or("an edit belongs to a document")?;
        let before = applied.iter().filter(|(other, _)| *other == document);
        if before.count() as u64 != edit {
            return Err("an edit overtook another of its document");
        }
        applied.push((document, edit));
        Ok(applied.len())
    };
    let pool = WorkerPool::with_config(service_fn(apply), config)?;
    let scheduler = pool.scheduler();

    // Nothing of the low lane starts while it is paused; it is accepted all the same.
    scheduler.pause(TaskPriority::Low);
    let spell_check = ProcessingTask::new(0).key(99).priority(TaskPriority::Low);
    let spell_check = pool.submit_blocking(spell_check)?;

    let edits = (0..EDITS).flat_map(|edit| (0..DOCUMENTS).map(move |document| (document, edit)));
    let tasks = edits.map(|(document, edit)| ProcessingTask::new(edit).key(document));
    let results = pool.execute_batch_blocking(tasks);
    println!("{} edits applied, none out of order", results.len());
    for result in results {
        result.map_err(|error| error.to_string())?;
    }
    assert!(!spell_check.is_done(), "its lane is paused");
    scheduler.resume(TaskPriority::Low);
    let place = spell_check.wait().map_err(|error| error.to_string())?;
    println!("the spell check came as number {place}");

    let statistics = scheduler.statistics();
    println!("{statistics:#?}");
    for worker in pool.load_balancer().metrics() {
        println!(
            "worker {}: {:.0} tasks a second",
            worker.worker, worker.throughput
        );
    }
    let report = pool.shutdown_blocking(Duration::from_secs(5));
    assert!(report.drained && report.statistics.conserved().is_ok());
    Ok(())
}
