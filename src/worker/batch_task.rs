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
use crate::panics;
use crate::service::AsyncBatchService;

/// Works until the pool is closed and empty, or the service cannot make new state.
pub(crate) async fn work<Q, S>(
    service: Arc<S>,
    mut state: S::State,
    mut shift: BatchShift<Q, S::Response, S::Error>,
) where
    Q: Send + 'static,
    S: AsyncBatchService<Q>,
{
    loop {
        if !shift.gather() {
            // Whoever lingers while the pool has nothing else to do need not linger on.
            shift.engine().batching().desk.rouse_all();
            if !find(&mut shift.shift).await {
                break;
            }
            continue;
        }
        let reason = match shift.decide() {
            Decision::Close(reason) => reason,
            Decision::LingerUntil(until_ns) => {
                linger(&mut shift, until_ns).await;
                continue;
            }
        };
        let Some(batch) = shift.begin(reason) else {
            continue;
        };
        let pool = Arc::as_ptr(&shift.shift.engine).addr();
        match guarded(pool, || service.call_batch(&mut state, batch)).await {
            Ok(result) => {
                // An error is cloned, and a response that nobody takes is dropped, by the user's code.
                let finish = AssertUnwindSafe(|| shift.finish(result));
                if let Err(panic) = catch_unwind(finish) {
                    shift.panicked(&panics::message(panic));
                }
            }
            Err(message) => {
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
        }
        // A flood of batches that never wait must not keep the runtime's thread to itself.
        tokio::task::coop::consume_budget().await;
    }
    panics::discard(state);
}

/// Waits until there is more for the batch, or its time is up.
async fn linger<Q, R, E>(shift: &mut BatchShift<Q, R, E>, until_ns: u64) {
    let engine = shift.engine();
    let worker = shift.shift.worker;
    let lingering = Lingering::begin(&engine, worker, shift.lacks());
    if engine.shards.any_stirs(shift.shift.seat) {
        drop(lingering);
        // Claimed by a submitter that was interrupted before it could publish: let others run.
        tokio::task::yield_now().await;
        return;
    }
    let roused = poll_fn(|context| {
        engine
            .batching()
            .desk
            .poll(worker, &engine.clock, until_ns, context)
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
