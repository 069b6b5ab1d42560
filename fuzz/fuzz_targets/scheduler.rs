//! A small pool of async workers against a model, step by step.
//!
//! The workers run on a runtime of this thread and move only when the scenario says so; tasks wait at
//! gates until the scenario says how they end; deadlines are on a clock that it turns. So an input
//! repeats its run exactly, and the model knows at every moment what the pool must do.
//!
//! **The model** has every set of lanes, the one that all workers share and each worker's own, as plain queues,
//! the tasks of each key as another, and each task with its stage (outside, queued, running, done) and its caller
//! (waits, nobody, gone). Strategies, weights and pauses change under way. It predicts
//!
//! - what becomes of a task that is handed in, in any way: accepted, made to wait, or refused, why,
//!   and with the same request handed back. Which worker a strategy chooses is left to the pool and seen by
//!   the length of its queue; the model checks that it takes the lane, is alive and has room, that it was its turn
//!   or has not the most to do, and that the shared lane got only what had no room there;
//! - who is taken next: the oldest of its queue; never one that was cancelled (it is dropped), never
//!   one past its deadline (it expires), of a key the tasks in their order and one at a time; never one of a
//!   paused lane, of a lane that the worker is not for, or of another's lanes while there is something at home;
//!   with a single worker none below the highest lane that holds something, except of a lane that was passed
//!   over for its gap or has waited for long; and no head of a queue later than the published starvation bound;
//! - that no worker sleeps while a task waits that it may take, that everybody who has an answer has been woken,
//!   and that a lane with room has let in one of those who wait for it;
//! - the outcome of every task, once: as its caller is told it, as the statistics of its lane, the
//!   monitor and the events count it, and as a shutdown reports it (what is handed back, in order;
//!   what still runs, with its numbers); how many were stolen and how often a key had its turn; what waits with
//!   each worker;
//! - the end: nothing queued or running, no key left, the counts conserved, every request and every answer
//!   dropped once, nobody holding the pool.
//!
//! Two things the model leaves open. A key whose most urgent task stands behind one that a worker may not
//! take now is moved to another lane by whoever meets it, which nobody sees; its turn there is not checked. And
//! while a strategy places tasks, a batch is handed over only where one claim takes it, with one key at most.

#![no_main]

use lanepool_fuzz::scheduler::{Scenario, run_tasks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|scenario: Scenario| run_tasks(&scenario));
