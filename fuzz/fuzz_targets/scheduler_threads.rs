//! A small pool of threads against the model of the target `scheduler`.
//!
//! After each operation the driver waits until no worker can move: each has a task at its gate, or
//! nothing waits. What a thread does a moment after it has told of it (answer, count, wake) is waited
//! for, and its absence is a failure. Three things differ:
//!
//! - Several workers may tell of their takes in another order than they took, so a task may be as many
//!   places from the head of its lane as there are other workers.
//! - A worker that is alone may claim runs of several tasks. What it has in its hand has left the lane
//!   and counts as running; the model reads from the statistics how many that are.
//! - Batches are handed over only where they fit and every worker is busy, or the pool and the model
//!   would race.
//!
//! Where a pool has another scheduling than the usual one, nobody waits for the workers and there is no model: the
//! strategies, weights and pauses change while they work, and the order of each key, every outcome and the counts
//! at the end are looked at; see `src/scheduler/storm.rs`.
//!
//! Nothing here depends on a speed, but the interleaving within an operation is the machine's, so an
//! input may have to be repeated to fail again.

#![no_main]

use lanepool_fuzz::scheduler::{Scenario, run_threads};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|scenario: Scenario| run_threads(&scenario));
