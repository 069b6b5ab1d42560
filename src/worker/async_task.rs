//! A worker that is a tokio task: runs an async service and sleeps on a waker.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::nesting;
use super::shift::Shift;
use super::thread::make_state_of;
use crate::engine::Engine;
use crate::idle::{Announced, Search};
use crate::panics;
use crate::service::AsyncService;
use crate::sync::guarded as guarded_now;

/// Works until the pool is closed and empty, or the service cannot make new state.
pub(crate) async fn work<Q, S>(
    service: Arc<S>,
    mut state: S::State,
    mut shift: Shift<Q, S::Response, S::Error>,
) where
    Q: Send + 'static,
    S: AsyncService<Q>,
{
    while find(&mut shift).await {
        let Some(request) = shift.begin() else {
            continue;
        };
        let context = *shift.context();
        let pool = Arc::as_ptr(&shift.engine).addr();
        let result = guarded(pool, || service.call(&mut state, request, &context)).await;
        match result {
            // A response that nobody takes is dropped here, by the user's code.
            Ok(result) => guarded_now(|| shift.finish(result)),
            Err(message) => {
                shift.panicked(&message);
                panics::discard(state);
                match make_state_of(|| service.state(shift.worker)) {
                    Ok(fresh) => state = fresh,
                    Err(message) => {
                        let why = "the service panicked while it made new state";
                        shift.reason = Some(format!("{why}: {message}"));
                        return;
                    }
                }
            }
        }
        // A flood of tasks that never wait must not keep the runtime's thread to itself.
        tokio::task::coop::consume_budget().await;
    }
    panics::discard(state);
}

/// Runs a future as a worker of the pool at this address; a panic, of making it or of any poll, is an
/// error with its message.
pub(super) async fn guarded<F: Future>(
    pool: usize,
    make: impl FnOnce() -> F,
) -> Result<F::Output, String> {
    let inside = || {
        let _inside = nesting::enter(pool);
        make()
    };
    let future = catch_unwind(AssertUnwindSafe(inside)).map_err(panics::message)?;
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _inside = nesting::enter(pool);
            future.as_mut().poll(context)
        }));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panics::message(panic))),
        }
    })
    .await
}

/// Brings the next task to the worker's hand, after any amount of sleep. Returns `false` when the pool
/// is closed and empty, or somebody has to keep the time of batches.
pub(super) async fn find<Q, R, E>(shift: &mut Shift<Q, R, E>) -> bool {
    loop {
        if shift.has_next() {
            return true;
        }
        shift.went_idle();
        let (engine, worker) = (Arc::clone(&shift.engine), shift.worker);
        let search = engine.roster.begin_search(worker);
        engine.shards.refresh_hints(shift.seat);
        let announced = engine.roster.announce(search);
        let stirs = engine.any_stirs(shift.seat);
        let search = if stirs {
            engine.roster.withdraw(announced)
        } else {
            shift.stays_idle();
            let asleep = Asleep {
                engine: Arc::clone(&engine),
                worker,
                announced: Some(announced),
            };
            asleep.until_woken().await
        };
        let found = shift.has_next();
        engine.roster.found(search, |lanes| engine.to_do(lanes));
        if found || engine.wants_keeper() || shift.is_over() {
            return found;
        }
        if stirs {
            // Claimed by a submitter that was interrupted before it could publish: let others run.
            tokio::task::yield_now().await;
        }
    }
}

/// A worker that has announced its sleep. Dropped before it was polled awake, it passes on a wake-up
/// that it may have been given.
struct Asleep<Q, R, E> {
    engine: Arc<Engine<Q, R, E>>,
    worker: usize,
    announced: Option<Announced>,
}

impl<Q, R, E> Asleep<Q, R, E> {
    async fn until_woken(mut self) -> Search {
        poll_fn(|context| self.engine.roster.poll_sleep(self.worker, context)).await;
        let announced = self
            .announced
            .take()
            .expect("it is announced until it is woken");
        self.engine.roster.awoken(announced)
    }
}

impl<Q, R, E> Drop for Asleep<Q, R, E> {
    fn drop(&mut self) {
        if let Some(announced) = self.announced.take() {
            self.engine
                .roster
                .resign(announced, |lanes| self.engine.to_do(lanes));
        }
    }
}
