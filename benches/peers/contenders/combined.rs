//! Batches for rivals that run closures: requests wait in a list, and a closure takes a batch of them.
//!
//! A closure for each request would be one too many for each request that finds another one waiting. So one is
//! handed to the pool only when the requests that wait outnumber what the closures on their way will take. That
//! is known without counting closures:
//!
//! 1. While nobody holds the list's lock, as many closures are on their way as there are batches in the list,
//!    `waiting.len().div_ceil(most)`, those included that a submitter is about to hand over.
//! 2. A request that joins the list makes it one batch more if the length was a multiple of `most`, and just
//!    then its submitter hands over a closure.
//! 3. A closure takes `most` requests, or all if they are fewer. Either is a batch less, and it is a closure less.
//!
//! So every request has a closure that will come for it, and no closure comes for nothing. All of it holds for
//! any order in which the pool runs them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    panics::surfacing,
    replies::{self, Request},
    spawned::Spawner,
};
use crate::contender::{Calls, Priority, ServeBatch, Shape};

/// Answers requests in batches.
pub(crate) struct Combined<P, S> {
    pool: P,
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    waiting: Mutex<VecDeque<Request>>,
    most: usize,
    serve: S,
}

impl<P: Spawner, S: ServeBatch> Combined<P, S> {
    pub(super) fn start(shape: Shape, most: usize, serve: S) -> Self {
        Self {
            pool: P::start(shape),
            shared: Arc::new(Shared {
                waiting: Mutex::new(VecDeque::with_capacity(shape.capacity)),
                most,
                serve,
            }),
        }
    }

    fn send(&self, request: Request) {
        if self.shared.push(request) {
            let shared = Arc::clone(&self.shared);
            self.pool.spawn(move || surfacing(|| shared.serve_batch()));
        }
    }
}

impl<S: ServeBatch> Shared<S> {
    /// Whether the request needs a closure more.
    fn push(&self, request: Request) -> bool {
        let mut waiting = self.lock();
        let begins_batch = waiting.len().is_multiple_of(self.most);
        waiting.push_back(request);
        begins_batch
    }

    fn serve_batch(&self) {
        let mut batch = Vec::with_capacity(self.most);
        {
            let mut waiting = self.lock();
            let count = waiting.len().min(self.most);
            batch.extend(waiting.drain(..count));
        }
        replies::answer_all(&mut batch, &self.serve);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.waiting.lock().expect("nobody panics under this lock")
    }
}

impl<P: Spawner, S: ServeBatch> Calls for Combined<P, S> {
    fn call(&self, request: u64, _: Priority) -> u64 {
        replies::wait(request, |request| self.send(request))
    }

    async fn call_async(&self, request: u64, _: Priority) -> u64 {
        let (request, answer) = replies::pair(request);
        self.send(request);
        answer.await.expect("every request is answered")
    }

    fn finish(self) {
        self.pool.finish();
    }
}
