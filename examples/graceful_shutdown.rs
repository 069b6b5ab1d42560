//! A shutdown that runs out of time: everybody is answered, and what did not run comes back.
//!
//! One worker is stuck with a request and three more wait behind it. The shutdown is given no time, so
//! it names the stuck one, hands the three back (to be written to a disk, say), and tells all four
//! callers. Later the worker gets free, and a second shutdown finds nothing left to do.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use lanepool::{
    ProcessingError, ProcessingTask, SubmitError, TaskContext, TaskPriority, WorkerPool,
    WorkerPoolConfig, service_fn,
};

fn main() -> Result<(), Box<dyn Error>> {
    let (started, starts) = mpsc::channel();
    let (let_go, held) = mpsc::channel::<()>();
    // A `Receiver` belongs to one thread at a time, and a service to all workers.
    let held = std::sync::Mutex::new(held);
    let config = WorkerPoolConfig::builder().workers(1).build()?;
    let pool = WorkerPool::with_config(
        service_fn(move |order: String, _: &TaskContext| {
            started.send(order.clone()).map_err(|_| "nobody watches")?;
            // Until the other end is dropped.
            let _ = held.lock().map_err(|_| "a worker panicked")?.recv();
            Ok::<_, &str>(order)
        }),
        config,
    )?;

    let stuck = pool.try_submit(ProcessingTask::new("order 1".to_owned()).connection_id(71))?;
    assert_eq!(starts.recv()?, "order 1");
    let mut queued = Vec::new();
    for n in 2..=4 {
        let task = ProcessingTask::new(format!("order {n}"))
            .priority(TaskPriority::Low)
            .message_id(n);
        queued.push(pool.try_submit(task)?);
    }

    let report = pool.shutdown_blocking(Duration::ZERO);
    assert!(!report.drained);
    let running = &report.running[0];
    assert_eq!(
        (running.worker, running.context.connection_id()),
        (0, Some(71))
    );
    for (returned, n) in report.returned.iter().zip(2..) {
        assert_eq!(returned.request, format!("order {n}"));
        assert_eq!(returned.context.message_id(), Some(n));
        println!("{} was accepted and not started", returned.request);
    }
    assert_eq!(report.returned.len(), 3);

    // Everybody has an answer, though the worker is still stuck.
    for ticket in queued.into_iter().chain([stuck]) {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    let refused = pool
        .try_submit("order 5".to_owned())
        .expect_err("the pool is closed");
    assert_eq!(refused, SubmitError::Closed("order 5".to_owned()));

    drop(let_go);
    let report = pool.shutdown_blocking(Duration::MAX);
    assert!(report.running.is_empty() && report.returned.is_empty());
    let total = report.statistics.total();
    assert_eq!((total.abandoned, total.refused, total.submitted), (4, 1, 5));
    assert_eq!(report.statistics.conserved(), Ok(()));
    Ok(())
}
