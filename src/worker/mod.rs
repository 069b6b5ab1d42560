//! Workers: threads for sync services, tokio tasks for async ones.
//!
//! 1. [`run_length`] decides how many tasks a claim takes; pure.
//! 2. [`hand`] holds what a claim brought.
//! 3. [`sources`] finds the sets that tasks may wait in, and [`ages`] how long they have waited.
//! 4. [`puller`] is the one pull loop of both kinds: whose turn, claim, hand over.
//! 5. [`shift`] is the way of one task through a worker: begin, settle, count.
//! 6. [`thread`] runs a sync service and sleeps on a futex.
//! 7. [`async_task`] runs an async service and sleeps on a waker.
//! 8. [`batch_shift`] is the way of a batch through a worker: gather, close. [`batch_choice`] says which of the requests that
//!    it holds are in the batch, and [`batch_end`] settles and counts them.
//! 9. [`batch_thread`] and [`batch_task`] run batches of a sync and of an async service.
//! 10. [`nesting`] knows whether a thread is a worker.

mod ages;
#[cfg(feature = "tokio")]
pub(crate) mod async_task;
mod batch_choice;
mod batch_end;
pub(crate) mod batch_shift;
#[cfg(feature = "tokio")]
pub(crate) mod batch_task;
pub(crate) mod batch_thread;
mod hand;
pub(crate) mod nesting;
mod puller;
mod run_length;
pub(crate) mod shift;
mod sources;
pub(crate) mod thread;

pub(crate) use hand::LONGEST_RUN;
