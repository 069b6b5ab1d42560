//! Rivals whose workers are threads that take messages of one type from something.
//!
//! Such a rival implements [`Queue`] once, and [`Fire`] and [`Ask`] make the two pools of it. A task is a
//! message as it is; a request is a message with the means to answer it. What serves lives in the workers,
//! not in the messages.

use std::thread::{self, JoinHandle};

use super::replies::{self, Request};
use crate::contender::{Calls, Priority, Serve, Shape, Task, Tasks};

/// Threads behind something that carries messages to them.
pub(crate) trait Queue<M: Send + 'static>: Send + Sync + Sized + 'static {
    /// Starts the workers; each handles messages by its own clone of `handle`.
    fn start(shape: Shape, handle: impl Fn(M) + Clone + Send + Sync + 'static) -> Self;

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

/// Runs tasks.
pub(crate) struct Fire<Q>(Q);

impl<Q> Fire<Q> {
    pub(super) fn start<T: Task>(shape: Shape) -> Self
    where
        Q: Queue<T>,
    {
        Self(Q::start(shape, T::run))
    }
}

impl<T: Task, Q: Queue<T>> Tasks<T> for Fire<Q> {
    fn submit(&self, task: T, priority: Priority) {
        self.0.send(task, priority);
    }

    fn finish(self) {
        self.0.finish();
    }
}

/// Answers requests.
pub(crate) struct Ask<Q>(Q);

impl<Q: Queue<Request>> Ask<Q> {
    pub(super) fn start(shape: Shape, serve: impl Serve) -> Self {
        Self(Q::start(shape, move |request: Request| {
            request.answer(|number| serve.serve(number));
        }))
    }
}

impl<Q: Queue<Request>> Calls for Ask<Q> {
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
