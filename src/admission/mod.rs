//! Admission: the decision to accept a task, to make its submitter wait, or to refuse it.
//!
//! 1. [`gate`] is where submitters wait while a lane is full.
//! 2. [`policy`] says what a full lane means to a submitter.

pub(crate) mod gate;
mod policy;

pub(crate) use gate::{Gate, Room, Turn};
pub use policy::OverflowPolicy;
