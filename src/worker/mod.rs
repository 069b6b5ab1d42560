//! Workers: threads for sync services, tokio tasks for async ones.
//!
//! 1. [`run_length`] decides how many tasks a claim takes; pure.
//! 2. [`puller`] is the one pull loop of both kinds: whose turn, claim, hand over.
//! 3. [`shift`] is the way of one task through a worker: begin, settle, count.
//! 4. [`thread`] runs a sync service and sleeps on a futex.
//! 5. [`async_task`] runs an async service and sleeps on a waker.
//! 6. [`nesting`] knows whether a thread is a worker.

#[cfg(feature = "tokio")]
pub(crate) mod async_task;
pub(crate) mod nesting;
mod puller;
mod run_length;
pub(crate) mod shift;
pub(crate) mod thread;
