//! A small pool of async workers against a model, step by step.
//!
//! The workers run on a runtime of this thread and move only when the scenario says so; tasks wait at
//! gates until the scenario says how they end; deadlines are on a clock that it turns. So an input
//! repeats its run exactly, and the model knows at every moment what the pool must do.
//!
//! **The model** has each lane as a plain queue with its capacity, policy and counts, and each task
//! with its stage (outside, queued, running, done) and its caller (waits, nobody, gone). It predicts
//!
//! - what becomes of a task that is handed in, in any way: accepted, made to wait, or refused, why,
//!   and with the same request handed back;
//! - who is taken next: the oldest of its lane; never one that was cancelled (it is dropped), never
//!   one past its deadline (it expires); with a single worker none below the highest lane that holds
//!   something, except of a lane that was passed over for its gap; and no head of a lane later than
//!   the published starvation bound;
//! - that no worker sleeps while a task waits, that everybody who has an answer has been woken, and
//!   that a lane with room has let in one of those who wait for it;
//! - the outcome of every task, once: as its caller is told it, as the statistics of its lane, the
//!   monitor and the events count it, and as a shutdown reports it (what is handed back, in order;
//!   what still runs, with its numbers);
//! - the end: nothing queued or running, the counts conserved, every request and every answer dropped
//!   once, nobody holding the pool.

#![no_main]

use lanepool_fuzz::scheduler::{Scenario, run_tasks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|scenario: Scenario| run_tasks(&scenario));
