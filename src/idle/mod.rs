//! Idle workers: who looks for work, who sleeps, and who is woken.
//!
//! `README.md` beside this file has the protocol in numbered steps and the proof that no task waits
//! while a worker sleeps.
//!
//! 1. [`word`] packs the searchers and the sleepers into one number.
//! 2. [`roster`] is the protocol: announce, look again, sleep; and wake exactly when it helps.
//! 3. [`parker`] puts a thread to sleep on a futex; [`waker_cell`] an async worker on its waker.
//! 4. [`caller`] is how a thread waits for something that wakes a waker, and an async caller before it does.
//! 5. [`company`] tells whether an async caller has its thread to itself.
//! 6. [`pace`] says how long to spin and to yield before sleeping.

pub(crate) mod caller;
mod company;
pub(crate) mod pace;
pub(crate) mod parker;
pub(crate) mod roster;
pub(crate) mod waker_cell;
mod word;

pub(crate) use company::Company;
#[cfg(feature = "tokio")]
pub(crate) use roster::Announced;
pub(crate) use roster::{Attention, Look, Roster, Search, Sleeper};
