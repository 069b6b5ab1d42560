//! A worker that is a tokio task and runs batches.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::async_task::{find, guarded};
use super::batch_shift::BatchShift;
use super::batch_thread::Lingering;
use super::thread::make_state_of;
use crate::batch::Decision;
use crate::engine::Engine;
use crate::panics;
use crate::schedule::shards::Seat;
use crate::service::{AsyncBatchService, Batch};

/// Works until the pool is closed and empty, or the service cannot make new state.
pub(crate) async fn work<Q, S>(
    service: Arc<S>,
    mut state: S::State,
    mut shift: BatchShift<Q, S::Response, S::Error>,
) where
    Q: Send + 'static,
    S: AsyncBatchService<Q>,
{
    let engine = shift.engine();
    loop {
        if shift.ripen_and_gather(&engine) {
            shift.find_keeper();
        } else {
            if let Some(until_ns) = shift.keeps_time() {
                let _keeping = Keeping(&engine);
                wait(&engine, shift.shift.seat, 1, until_ns).await;
            } else if !find(&mut shift.shift).await && shift.shift.is_over() {
                break;
            }
            continue;
        }
        let reason = match shift.decide(&engine) {
            Decision::Close(reason) => reason,
            Decision::LingerUntil(until_ns) => {
                wait(&engine, shift.shift.seat, shift.lacks(), until_ns).await;
                continue;
            }
        };
        let mut batch = Batch::forming();
        if !shift.begin(&engine, reason, &mut batch) {
            continue;
        }
        let pool = Arc::as_ptr(&shift.shift.engine).addr();
        let called = guarded(pool, || service.call_batch(&mut state, batch)).await;
        // An error is cloned, and a response that nobody takes is dropped, by the user's code.
        let finished = called.and_then(|result| {
            let finish = AssertUnwindSafe(|| shift.finish(result));
            catch_unwind(finish).map_err(panics::message)
        });
        if let Err(message) = finished {
            shift.panicked(&message);
            panics::discard(state);
            match make_state_of(|| service.state(shift.shift.worker)) {
                Ok(fresh) => state = fresh,
                Err(message) => {
                    let why = "the service panicked while it made new state";
                    shift.shift.reason = Some(format!("{why}: {message}"));
                    return;
                }
            }
        }
        // A flood of batches that never wait must not keep the runtime's thread to itself.
        tokio::task::coop::consume_budget().await;
    }
    panics::discard(state);
}

/// A worker that keeps the time. Dropped, it does so no more.
struct Keeping<'a, Q, R, E>(&'a Engine<Q, R, E>);

impl<Q, R, E> Drop for Keeping<'_, Q, R, E> {
    fn drop(&mut self) {
        self.0.batching().waitlist.cease();
    }
}

/// Waits until so many tasks wait, or the clock shows `until_ns`.
async fn wait<Q, R, E>(engine: &Engine<Q, R, E>, seat: Seat, wanted: usize, until_ns: u64) {
    let lingering = Lingering::begin(engine, seat.worker, wanted);
    if engine.is_to_go_on(seat, until_ns) {
        drop(lingering);
        // Claimed by a submitter that was interrupted before it could publish: let others run.
        tokio::task::yield_now().await;
        return;
    }
    let roused = poll_fn(|context| {
        engine
            .batching()
            .desk
            .poll(seat.worker, &engine.clock, until_ns, context)
    });
    match engine.clock.instant_of(until_ns) {
        None => roused.await,
        Some(instant) => {
            let mut roused = pin!(roused);
            let mut timer = pin!(tokio::time::sleep_until(instant.into()));
            poll_fn(|context| {
                if roused.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                timer.as_mut().poll(context)
            })
            .await;
        }
    }
}
