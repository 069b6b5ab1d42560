//! Lanes: where accepted tasks wait.
//!
//! 1. [`ring`] is one bounded multi-producer, multi-consumer queue.
//! 2. [`hint`] is a word that says which lanes may hold something.
//! 3. [`lane_set`] is one ring for each priority, with such a word.
//! 4. [`pick`] decides which lane a worker looks at next, and proves the starvation bound.

pub(crate) mod hint;
pub(crate) mod lane_set;
pub(crate) mod pick;
pub(crate) mod ring;

pub(crate) use hint::Hint;
pub(crate) use lane_set::LaneSet;
pub(crate) use ring::{Annex, Claim, Make, Refusal, Ring};
