//! Lanes: where accepted tasks wait.
//!
//! 1. [`ring`] is one bounded multi-producer, multi-consumer queue.
//! 2. [`lane_set`] is one ring for each priority, with a word that says which may hold something.
//! 3. [`pick`] decides which lane a worker looks at next, and proves the starvation bound.

pub(crate) mod lane_set;
pub(crate) mod pick;
pub(crate) mod ring;

pub(crate) use lane_set::{GIVEN_UP, LaneSet};
pub(crate) use ring::{Annex, Claim, Make, Refusal, Ring};
