//! Replies: how an outcome gets from a worker to the caller, once, whatever happens.
//!
//! 1. [`slot`] is one reply in flight: its states and who may do what in each.
//! 2. [`slab`] is where slots come from, without allocation, and where all who wait are registered.
//! 3. [`promise`] is the worker's half; dropped unanswered it answers "abandoned".
//! 4. [`ticket`] is the caller's half; dropped it cancels.

mod promise;
mod slab;
mod slot;
mod ticket;

pub(crate) use promise::{Delivery, Promise};
pub(crate) use slab::Slab;
pub use ticket::Ticket;
