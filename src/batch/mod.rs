//! Requests that are run together: when a batch closes, how large it is to be, what came of it.
//!
//! 1. [`config`] is what a user says about batches.
//! 2. [`form`] decides whether a batch closes now or lingers; pure.
//! 3. [`curve`] learns what a batch of `n` costs, and [`sizing`] how large a batch is to be; pure.
//! 4. [`giving_way`] chooses which of the requests with deadlines that a worker holds go first, and which are late in
//!    any case; pure.
//! 5. [`statistics`] is what workers count and what a user reads.
//! 6. [`desk`] is where workers wait whose batches linger.
//! 7. [`waitlist`] has the keys whose batches linger without a worker.
//! 8. [`batching`] holds these for a pool.
//!
//! How a worker gathers a batch, chooses from it, runs it and answers is in `worker/batch_shift.rs`, `batch_choice.rs` and
//! `batch_end.rs`.

mod batching;
mod config;
mod curve;
mod desk;
mod form;
mod giving_way;
mod sizing;
mod statistics;
mod waitlist;

pub(crate) use batching::Batching;
pub use config::{BatchProcessorConfig, MOST_BATCH};
#[cfg(all(test, feature = "loom"))]
pub(crate) use desk::Desk;
pub use form::CloseReason;
pub(crate) use form::{Decision, Forming, Situation};
pub(crate) use giving_way::{Candidate, Choice, Costs, Fate, Terms};
pub(crate) use sizing::Ran;
pub(crate) use statistics::Closed;
pub use statistics::{BatchStatistics, ServiceCurve};
pub(crate) use waitlist::Entry;

/// The items of a batch lie beside the worker's stack up to this many.
pub(crate) const INLINE: usize = 8;
