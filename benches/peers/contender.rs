//! What a pool has to offer to be measured beside the others.
//!
//! A contender is a type without values that starts pools. Each comes in its best idiomatic form, and its
//! [`NOTE`](Contender::NOTE) says which: so it is typed where the rival is typed, boxes only where the rival
//! boxes, answers by the rival's own means if it has some, and by the fastest one-shot channel if not.
//!
//! The work is the same for everybody: a [`Task`] runs itself, a [`Serve`] answers requests, and a [`ServeBatch`]
//! answers them many at a time.

use std::future::Future;

/// How many workers, and how many tasks may wait where the contender knows a bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) workers: usize,
    /// For each lane, where there are lanes. Unbounded rivals ignore it, and say so in their note.
    pub(crate) capacity: usize,
}

/// What a task or a request asks to be preferred by. Contenders without priorities ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
    Critical,
}

/// One unit of fire-and-forget work.
pub(crate) trait Task: Send + 'static {
    fn run(self);
}

/// What answers requests, on the workers.
pub(crate) trait Serve: Clone + Send + Sync + 'static {
    fn serve(&self, request: u64) -> u64;
}

/// What answers requests many at a time: one [`prepare`](Self::prepare), and then [`serve`](Serve::serve) for each
/// request of the batch.
pub(crate) trait ServeBatch: Serve {
    /// Does what a batch of this many requests takes.
    fn prepare(&self, requests: usize);
}

/// What contenders are grouped by in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This project.
    Ours,
    /// Workers on something without priorities.
    Plain,
    /// Workers on something that prefers some tasks to others.
    Priorities,
}

/// A pool to measure.
pub(crate) trait Contender: 'static {
    /// As in the tables; also what the command line takes.
    const NAME: &'static str;
    const KIND: Kind;
    /// Which form of the rival this is, and why that is its best.
    const NOTE: &'static str;

    type Tasks<T: Task>: Tasks<T>;
    type Calls<S: Serve>: Calls;
    type Batches<S: ServeBatch>: Calls;

    /// A pool that runs tasks. Its workers have been started when this returns.
    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T>;

    /// A pool that answers requests.
    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S>;

    /// A pool that answers requests in batches, of at most `most` each.
    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S>;
}

/// A pool of fire-and-forget tasks.
pub(crate) trait Tasks<T>: Send + Sync + 'static {
    /// Hands a task over; waits while a bounded pool is full.
    fn submit(&self, task: T, priority: Priority);

    /// Runs what was accepted, ends the workers and waits for them.
    fn finish(self);
}

/// A pool that answers.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Hands a request over and blocks for its answer.
    fn call(&self, request: u64, priority: Priority) -> u64;

    /// Hands a request over and awaits its answer, without ever blocking the thread.
    fn call_async(&self, request: u64, priority: Priority) -> impl Future<Output = u64> + Send;

    /// Ends the workers and waits for them.
    fn finish(self);
}
