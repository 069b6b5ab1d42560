//! What workers run.
//!
//! 1. [`sync`] services run on threads of the pool.
//! 2. [`task`] services are async and run as tokio tasks.

mod sync;
#[cfg(feature = "tokio")]
mod task;

pub use sync::{Service, ServiceFn, service_fn};
#[cfg(feature = "tokio")]
pub use task::{AsyncService, AsyncServiceFn, async_service_fn};
