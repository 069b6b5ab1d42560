//! An async service: few threads, many requests in flight, and cancellation by drop.
//!
//! A hundred requests wait for each other, which they could not if any of them kept a thread.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use lanepool::{AsyncService, ProcessingTask, TaskContext, WorkerPool, WorkerPoolConfig};
use tokio::sync::Barrier;

const WORKERS: usize = 100;

/// Looks names up in a directory that answers only when all workers have asked.
struct Lookup {
    all_have_asked: Barrier,
    directory: Arc<HashMap<String, u32>>,
}

/// A connection that its worker keeps between requests.
struct Connection {
    directory: Arc<HashMap<String, u32>>,
    used: u32,
}

impl AsyncService<String> for Lookup {
    type Response = u32;
    type Error = &'static str;
    type State = Connection;

    fn state(&self, _worker: usize) -> Connection {
        Connection {
            directory: Arc::clone(&self.directory),
            used: 0,
        }
    }

    async fn call(
        &self,
        connection: &mut Connection,
        name: String,
        _: &TaskContext,
    ) -> Result<u32, &'static str> {
        connection.used += 1;
        self.all_have_asked.wait().await;
        let number = connection.directory.get(&name).copied();
        number.ok_or("nobody has this name")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let names = (0..WORKERS as u32 - 1).map(|n| (format!("peer-{n}"), n));
    let service = Lookup {
        all_have_asked: Barrier::new(WORKERS),
        directory: Arc::new(names.collect()),
    };
    let config = WorkerPoolConfig::builder().workers(WORKERS).build()?;
    let pool = WorkerPool::with_config_async(service, config)?;

    // One short of what the barrier waits for: all are in flight, and none can be answered.
    let mut waiting = Vec::new();
    for n in 0..WORKERS - 1 {
        waiting.push(pool.submit(format!("peer-{n}")).await?);
    }
    while pool.statistics().total().running < WORKERS as u64 - 1 {
        tokio::task::yield_now().await;
    }
    assert!(waiting.iter().all(|ticket| !ticket.is_done()));

    // The last one lets all of them go, and is itself a stranger.
    let stranger = pool
        .submit(ProcessingTask::new("stranger".to_owned()))
        .await?;
    assert!(stranger.await.is_err());
    for (n, ticket) in waiting.into_iter().enumerate() {
        assert_eq!(ticket.await, Ok(n as u32));
    }

    // Dropping a ticket cancels. No worker has been polled since, so the task is never started.
    drop(pool.try_submit("peer-0".to_owned())?);
    let report = pool.shutdown(Duration::from_secs(60)).await;
    assert!(report.drained);
    let total = report.statistics.total();
    assert_eq!((total.completed, total.failed, total.cancelled), (99, 1, 1));
    assert_eq!(report.statistics.conserved(), Ok(()));
    println!("{WORKERS} requests were in flight on one thread");
    Ok(())
}
