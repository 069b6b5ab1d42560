//! Rivals that run closures.
//!
//! Such a rival implements [`Spawner`] once, and [`Run`] and [`Reply`] make the two pools of it. A task is a
//! closure, and so is a request, with what serves and the means to answer in it. A rival whose own results
//! arrive sooner than such answers implements [`Returning`], too, and has [`Return`] in place of [`Reply`].

use std::sync::{Arc, Barrier};

use futures_lite::future::block_on;

use super::{
    panics::surfacing,
    replies::{self, Request},
};
use crate::contender::{Calls, Priority, Serve, Shape, Task, Tasks};

/// A pool that runs closures.
pub(crate) trait Spawner: Send + Sync + Sized + 'static {
    /// Starts the workers.
    fn start(shape: Shape) -> Self;

    /// Has a closure run. None of these pools has a bound, so this never waits.
    fn spawn(&self, job: impl FnOnce() + Send + 'static);

    /// Has every closure run and the workers ended.
    fn finish(self);
}

/// Runs tasks.
pub(crate) struct Run<P>(P);

impl<P: Spawner> Run<P> {
    pub(super) fn start(shape: Shape) -> Self {
        Self(P::start(shape))
    }
}

impl<T: Task, P: Spawner> Tasks<T> for Run<P> {
    fn submit(&self, task: T, _: Priority) {
        self.0.spawn(move || surfacing(|| task.run()));
    }

    fn finish(self) {
        self.0.finish();
    }
}

/// Answers requests.
pub(crate) struct Reply<P, S> {
    pool: P,
    serve: S,
}

impl<P: Spawner, S: Serve> Reply<P, S> {
    pub(super) fn start(shape: Shape, serve: S) -> Self {
        Self {
            pool: P::start(shape),
            serve,
        }
    }
}

impl<P: Spawner, S: Serve> Calls for Reply<P, S> {
    fn call(&self, request: u64, _: Priority) -> u64 {
        replies::wait(request, |request| send(&self.pool, &self.serve, request))
    }

    async fn call_async(&self, request: u64, _: Priority) -> u64 {
        let (request, answer) = replies::pair(request);
        send(&self.pool, &self.serve, request);
        answer.await.expect("every request is answered")
    }

    fn finish(self) {
        self.pool.finish();
    }
}

fn send<P: Spawner, S: Serve>(pool: &P, serve: &S, request: Request) {
    let serve = serve.clone();
    pool.spawn(move || surfacing(|| request.answer(|number| serve.serve(number))));
}

/// A pool that hands the result of a closure to whoever awaits it.
pub(crate) trait Returning: Spawner {
    /// Whether that is the faster way for async callers, too; if not, they get a one-shot channel.
    const FOR_ASYNC: bool;

    /// Has a closure run, for its result.
    fn run(
        &self,
        job: impl FnOnce() -> u64 + Send + 'static,
    ) -> impl Future<Output = u64> + Send + 'static;
}

/// Answers requests by the pool's own results.
pub(crate) struct Return<P, S> {
    pool: P,
    serve: S,
}

impl<P: Returning, S: Serve> Return<P, S> {
    pub(super) fn start(shape: Shape, serve: S) -> Self {
        Self {
            pool: P::start(shape),
            serve,
        }
    }

    fn run(&self, request: u64) -> impl Future<Output = u64> + Send + 'static {
        let serve = self.serve.clone();
        self.pool.run(move || surfacing(|| serve.serve(request)))
    }
}

impl<P: Returning, S: Serve> Calls for Return<P, S> {
    fn call(&self, request: u64, _: Priority) -> u64 {
        block_on(self.run(request))
    }

    async fn call_async(&self, request: u64, _: Priority) -> u64 {
        if P::FOR_ASYNC {
            return self.run(request).await;
        }
        let (request, answer) = replies::pair(request);
        send(&self.pool, &self.serve, request);
        answer.await.expect("every request is answered")
    }

    fn finish(self) {
        self.pool.finish();
    }
}

/// Returns when all of this many workers have run a closure at the same time.
///
/// In a pool that takes closures in order, everything handed over before has then been run.
pub(super) fn rendezvous(workers: usize, spawn: impl Fn(Box<dyn FnOnce() + Send>)) {
    let barrier = Arc::new(Barrier::new(workers + 1));
    for _ in 0..workers {
        let barrier = Arc::clone(&barrier);
        spawn(Box::new(move || {
            barrier.wait();
        }));
    }
    barrier.wait();
}
