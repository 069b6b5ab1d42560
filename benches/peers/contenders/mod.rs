//! The pools that are measured, one small file each.
//!
//! Most rivals are one of two shapes, and a shared file does for each shape what all of it have in common:
//!
//! | module | role |
//! |---|---|
//! | [`typed`] | threads that take messages of one type from something: a channel, a queue, a heap |
//! | [`spawned`] | pools that run closures |
//! | [`combined`] | batches for pools that run closures |
//! | [`replies`] | how a caller gets its answer from either |
//! | [`tally`] | when a pool that does not say so is done |
//! | [`panics`] | a task's panic in a pool that swallows it |
//! | [`runtime`] | the tokio runtimes of those that run on one |
//! | [`check`] | whether a contender does what it is measured for |

use crate::contender::Contender;

mod array_queue;
mod async_channel;
mod async_executor;
mod async_priority_channel;
pub(crate) mod check;
mod combined;
mod condvar_deques;
mod condvar_heap;
mod crossbeam_channel;
mod crossbeam_lanes;
mod crossfire;
mod executors;
mod flume;
mod kanal;
mod lanepool;
mod lanepool_async;
mod panics;
mod ractor;
mod rayon;
mod replies;
mod runtime;
mod rusty_pool;
mod spawned;
mod tally;
mod threadpool;
mod tokio_blocking;
mod tokio_spawn;
mod typed;

/// Does something with the type of each contender.
pub(crate) trait Visitor {
    fn visit<C: Contender>(&mut self);
}

/// Shows every contender: this project's, then those without priorities, then those with.
pub(crate) fn visit_all(visitor: &mut impl Visitor) {
    visitor.visit::<lanepool::Lanepool>();
    visitor.visit::<lanepool_async::LanepoolAsync>();

    visitor.visit::<crossfire::Crossfire>();
    visitor.visit::<kanal::Kanal>();
    visitor.visit::<crossbeam_channel::CrossbeamChannel>();
    visitor.visit::<array_queue::ArrayQueuePark>();
    visitor.visit::<flume::Flume>();
    visitor.visit::<async_channel::AsyncChannel>();
    visitor.visit::<rusty_pool::RustyPool>();
    visitor.visit::<threadpool::Threadpool>();
    visitor.visit::<executors::Executors>();
    visitor.visit::<rayon::Rayon>();
    visitor.visit::<tokio_spawn::TokioSpawn>();
    visitor.visit::<tokio_blocking::TokioBlocking>();
    visitor.visit::<async_executor::AsyncExecutor>();

    visitor.visit::<crossbeam_lanes::CrossbeamLanes>();
    visitor.visit::<async_priority_channel::AsyncPriorityChannel>();
    visitor.visit::<condvar_deques::CondvarDeques>();
    visitor.visit::<condvar_heap::CondvarHeap>();
    visitor.visit::<ractor::Ractor>();
}
