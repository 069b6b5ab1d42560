//! The scheduler's harness: random operations on a small pool, against a model.
//!
//! 1. [`input`] is what the fuzzer makes up, and [`shape`] what the pool is like.
//! 2. [`world`] is the service under the driver's hand, and the journal of what happened.
//! 3. [`model`] is what the pool should be like; [`fairness`] is whose turn it may be.
//! 4. [`machine`] is where the workers run: a runtime that is stepped, or threads.
//! 5. [`driver`] does the operations, through [`ways_in`], [`stream`] and [`scheduling`]; [`calls`] is what
//!    it holds of them and [`polls`] what becomes of that.
//! 6. [`ending`] ends the pool and looks whether everything is accounted for.
//! 7. [`storm`] is a run without a model, for threads whose scheduling changes or that run batches.
//!
//! Async workers that run batches take one request at a time, so that the model of single requests is theirs, too.

mod calls;
mod driver;
mod ending;
mod fairness;
mod input;
mod machine;
mod model;
mod polls;
mod scheduling;
mod shape;
mod storm;
mod stream;
mod ways_in;
mod world;

pub use input::Scenario;

use driver::Driver;
use machine::{Machine, Tasks, Threads};

/// With async workers, step by step.
pub fn run_tasks(scenario: &Scenario) {
    run::<Tasks>(scenario);
}

/// With threads: step by step where all is as usual and nobody runs batches, else without a look at what they are at.
pub fn run_threads(scenario: &Scenario) {
    if scenario.shape.is_usual() && !scenario.shape.is_batched() {
        run::<Threads>(scenario);
    } else {
        storm::run(scenario);
    }
}

fn run<M: Machine>(scenario: &Scenario) {
    let mut driver = Driver::<M>::new(&scenario.shape);
    for operation in &scenario.operations {
        driver.apply(operation);
    }
    driver.finish(scenario.ending);
}
