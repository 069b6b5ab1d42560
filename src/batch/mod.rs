//! Requests that are run together: when a batch closes, how large it is to be, what came of it.
//!
//! 1. [`config`] is what a user says about batches.
//! 2. [`form`] decides whether a batch closes now or lingers; pure.
//! 3. [`curve`] learns what a batch of `n` costs, and [`sizing`] how large a batch is to be; pure.
//! 4. [`statistics`] is what workers count and what a user reads.
//! 5. [`desk`] is where workers wait whose batches linger.
//! 6. [`waitlist`] has the keys whose batches linger without a worker.
//! 7. [`batching`] holds these for a pool.
//!
//! How a worker gathers a batch, runs it and answers is in `worker/batch_shift.rs`.

mod batching;
mod config;
mod curve;
mod desk;
mod form;
mod sizing;
mod statistics;
mod waitlist;

pub(crate) use batching::Batching;
pub use config::{BatchProcessorConfig, MOST_BATCH};
#[cfg(all(test, feature = "loom"))]
pub(crate) use desk::Desk;
pub use form::CloseReason;
pub(crate) use form::{Decision, Forming, Situation};
pub(crate) use statistics::Closed;
pub use statistics::{BatchStatistics, ServiceCurve};
pub(crate) use waitlist::Entry;

/// The items of a batch lie beside the worker's stack up to this many.
pub(crate) const INLINE: usize = 8;
