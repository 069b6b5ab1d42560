//! The two kinds of workers: tasks of a runtime that the driver steps, and threads.

use std::sync::Arc;

use lanepool::PoolBuilder;
use tokio::runtime::{Builder, Runtime};

use super::driver::Pool;
use super::world::{Gated, World, task_number};

/// Where the workers of a pool run.
pub(crate) trait Machine: Sized {
    /// Whether workers move while the driver acts.
    const CONCURRENT: bool;

    /// A pool whose service runs batches or not.
    fn build(builder: PoolBuilder, world: Arc<World>, batched: bool) -> (Self, Pool);

    /// Lets workers move that do not move by themselves.
    fn step(&mut self);

    /// Takes the workers away. Returns whether that can be done.
    fn end_runtime(&mut self) -> bool;
}

/// Async workers on a runtime of this thread: nothing moves but in [`Machine::step`], so that a run is
/// repeated exactly by its input.
pub(crate) struct Tasks(Option<Runtime>);

impl Machine for Tasks {
    const CONCURRENT: bool = false;

    fn build(builder: PoolBuilder, world: Arc<World>, batched: bool) -> (Self, Pool) {
        let runtime = Builder::new_current_thread()
            .build()
            .expect("a runtime without drivers");
        world.workers_follow(task_number(runtime.spawn(async {}).id()));
        let builder = builder.runtime(runtime.handle().clone());
        let pool = match batched {
            false => builder.build_async(Gated(world)),
            true => builder.build_batches_async(Gated(world)),
        };
        let pool = pool.expect("every shape is a valid pool");
        (Self(Some(runtime)), pool)
    }

    fn step(&mut self) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    fn end_runtime(&mut self) -> bool {
        self.0 = None;
        true
    }
}

/// Threads. They move whenever they can; after each operation the driver waits until none can.
pub(crate) struct Threads;

impl Machine for Threads {
    const CONCURRENT: bool = true;

    fn build(builder: PoolBuilder, world: Arc<World>, batched: bool) -> (Self, Pool) {
        let pool = match batched {
            false => builder.build(Gated(world)),
            true => builder.build_batches(Gated(world)),
        };
        (Self, pool.expect("every shape is a valid pool"))
    }

    fn step(&mut self) {}

    fn end_runtime(&mut self) -> bool {
        false
    }
}

/// The threads of this process, where the system tells. A thread that has told its last is not yet
/// gone, and a leak check that comes in between takes what it holds for leaked.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
