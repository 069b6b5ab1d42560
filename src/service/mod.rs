//! What workers run.
//!
//! 1. [`sync`] services run on threads of the pool.
//! 2. [`task`] services are async and run as tokio tasks.
//! 3. [`batch`] services run several requests at once, on threads; those of [`batch_task`] as tokio tasks.

mod batch;
#[cfg(feature = "tokio")]
mod batch_task;
mod sync;
#[cfg(feature = "tokio")]
mod task;

pub use batch::{Answers, Batch, BatchFn, BatchService, batch_fn};
#[cfg(feature = "tokio")]
pub use batch_task::{AsyncBatchFn, AsyncBatchService, async_batch_fn};
pub use sync::{Service, ServiceFn, service_fn};
#[cfg(feature = "tokio")]
pub use task::{AsyncService, AsyncServiceFn, async_service_fn};
