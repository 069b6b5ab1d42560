//! The scheduler's harness: random operations on a small pool, against a model.
//!
//! 1. [`input`] is what the fuzzer makes up.
//! 2. [`world`] is the service under the driver's hand, and the journal of what happened.
//! 3. [`model`] is what the pool should be like; [`fairness`] is whose turn it may be.
//! 4. [`machine`] is where the workers run: a runtime that is stepped, or threads.
//! 5. [`driver`] does the operations, through [`ways_in`] and [`stream`]; [`calls`] is what it holds
//!    of them and [`polls`] what becomes of that.
//! 6. [`ending`] ends the pool and looks whether everything is accounted for.

mod calls;
mod driver;
mod ending;
mod fairness;
mod input;
mod machine;
mod model;
mod polls;
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

/// With threads.
pub fn run_threads(scenario: &Scenario) {
    run::<Threads>(scenario);
}

fn run<M: Machine>(scenario: &Scenario) {
    let mut driver = Driver::<M>::new(&scenario.shape);
    for operation in &scenario.operations {
        driver.apply(operation);
    }
    driver.finish(scenario.ending);
}
