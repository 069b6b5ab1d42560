//! The smallest use: a closure as the service, one request, its answer.

use lanepool::{BuildError, TaskContext, TaskPriority, WorkerPool, service_fn};

fn main() -> Result<(), BuildError> {
    let pool = WorkerPool::new(service_fn(|n: u64, _: &TaskContext| {
        n.checked_mul(n).ok_or("too large to square")
    }))?;
    let square = pool.execute_blocking(12, TaskPriority::Normal, TaskContext::new());
    assert_eq!(square, Ok(144));
    println!("12 * 12 = {}", square.unwrap_or_default());
    Ok(())
}
