//! Rivals whose workers are threads that take messages of one type from something.
//!
//! Such a rival implements [`Queue`] once, and [`Fire`] and [`Ask`] make the pools of it. A task is a message as it
//! is; a request is a message with the means to answer it. What serves lives in the workers, not in the messages.
//!
//! Its workers do with what they take what their [`Life`] says. For batches that is what users of a channel write: a
//! worker blocks for one message, and takes what else is there without waiting for more.

use std::thread::{self, JoinHandle};

use super::replies::{self, Request};
use crate::contender::{Calls, Priority, Serve, ServeBatch, Shape, Task, Tasks};

/// Something that carries messages to the workers behind it.
pub(crate) trait Carrier<M>: Send + Sync + 'static {
    /// Sends; blocks while there is no room.
    fn send(&self, message: M, priority: Priority);

    /// Sends; awaits room without blocking the thread.
    ///
    /// The message is `Unpin` because the future of one of the channels needs that.
    fn send_async(&self, message: M, priority: Priority) -> impl Future<Output = ()> + Send
    where
        M: Unpin;

    /// Has every message handled and the workers joined.
    fn finish(self);
}

/// A carrier whose workers are threads that take the messages themselves.
pub(crate) trait Queue<M>: Carrier<M> + Sized {
    /// Starts the workers, each of which lives its own clone of `life`.
    fn start(shape: Shape, life: impl Life<M>) -> Self;
}

/// Where a worker takes messages from.
pub(super) trait Source<M> {
    /// The next message, which this blocks for; none once the pool is closed and empty.
    fn take(&mut self) -> Option<M>;

    /// Puts up to `most` messages into an empty `batch`: blocks for the first, and adds what else is there. None
    /// once the pool is closed and empty.
    fn take_many(&mut self, batch: &mut Vec<M>, most: usize);
}

/// What a worker does with what it takes.
pub(crate) trait Life<M>: Clone + Send + 'static {
    /// Returns once the source is closed and empty.
    fn live(self, source: impl Source<M>);
}

/// Handles message after message.
#[derive(Clone)]
struct OneByOne<F>(F);

impl<M, F: Fn(M) + Clone + Send + 'static> Life<M> for OneByOne<F> {
    fn live(self, mut source: impl Source<M>) {
        while let Some(message) = source.take() {
            self.0(message);
        }
    }
}

/// Handles up to `most` messages together; `handle` leaves the list empty.
#[derive(Clone)]
struct Together<F> {
    most: usize,
    handle: F,
}

impl<M, F: Fn(&mut Vec<M>) + Clone + Send + 'static> Life<M> for Together<F> {
    fn live(self, mut source: impl Source<M>) {
        let mut batch = Vec::with_capacity(self.most);
        loop {
            source.take_many(&mut batch, self.most);
            if batch.is_empty() {
                return;
            }
            (self.handle)(&mut batch);
        }
    }
}

/// Runs tasks.
pub(crate) struct Fire<C>(pub(super) C);

impl<Q> Fire<Q> {
    pub(super) fn start<T: Task>(shape: Shape) -> Self
    where
        Q: Queue<T>,
    {
        Self(Q::start(shape, OneByOne(T::run)))
    }
}

impl<T: Task, C: Carrier<T>> Tasks<T> for Fire<C> {
    fn submit(&self, task: T, priority: Priority) {
        self.0.send(task, priority);
    }

    fn finish(self) {
        self.0.finish();
    }
}

/// Answers requests.
pub(crate) struct Ask<C>(pub(super) C);

impl<Q: Queue<Request>> Ask<Q> {
    pub(super) fn start(shape: Shape, serve: impl Serve) -> Self {
        let handle = move |request: Request| request.answer(|number| serve.serve(number));
        Self(Q::start(shape, OneByOne(handle)))
    }

    /// Answers them in batches of at most `most`.
    pub(super) fn start_batches(shape: Shape, most: usize, serve: impl ServeBatch) -> Self {
        let handle = move |batch: &mut Vec<Request>| replies::answer_all(batch, &serve);
        Self(Q::start(shape, Together { most, handle }))
    }
}

impl<C: Carrier<Request>> Calls for Ask<C> {
    fn call(&self, request: u64, priority: Priority) -> u64 {
        replies::wait(request, |request| self.0.send(request, priority))
    }

    async fn call_async(&self, request: u64, priority: Priority) -> u64 {
        let (request, reply) = replies::pair(request);
        self.0.send_async(request, priority).await;
        reply.await.expect("every request is answered")
    }

    fn finish(self) {
        self.0.finish();
    }
}

/// The threads of a pool.
pub(super) struct Crew(Vec<JoinHandle<()>>);

impl Crew {
    /// Starts `workers` threads, each with a `life` made for it.
    pub(super) fn start<L>(workers: usize, mut life: impl FnMut() -> L) -> Self
    where
        L: FnOnce() + Send + 'static,
    {
        Self((0..workers).map(|_| thread::spawn(life())).collect())
    }

    /// Waits for all to end, and passes a panic on.
    pub(super) fn join(self) {
        for thread in self.0 {
            thread.join().expect("no worker panics");
        }
    }
}
