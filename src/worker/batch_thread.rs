//! A worker that is a thread and runs batches.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::batch_shift::BatchShift;
use super::thread::{Searcher, make_state_of};
use crate::batch::Decision;
use crate::engine::Engine;
use crate::idle::caller;
use crate::panics;
use crate::schedule::shards::Seat;
use crate::service::{Batch, BatchService};
use crate::sync::thread;

/// Works until the pool is closed and empty, or the service cannot make new state.
pub(crate) fn work<Q, S: BatchService<Q>>(
    service: &S,
    mut state: S::State,
    mut shift: BatchShift<Q, S::Response, S::Error>,
) {
    let mut searcher = Searcher::new(shift.engine());
    loop {
        let serving = || serve(service, &mut state, &mut shift, &mut searcher);
        // Unwind safety: after a panic the state is made anew, and what the shift and the searcher
        // hold is valid between any two of their steps.
        let Err(panic) = catch_unwind(AssertUnwindSafe(serving)) else {
            break;
        };
        shift.panicked(&panics::message(panic));
        panics::discard(state);
        match make_state_of(|| service.state(shift.shift.worker)) {
            Ok(fresh) => state = fresh,
            Err(message) => {
                shift.shift.reason = Some(format!(
                    "the service panicked while it made new state: {message}"
                ));
                return;
            }
        }
    }
    panics::discard(state);
}

/// Works until the pool is closed and empty. A panic of the service leaves its batch in hand.
pub(crate) fn serve<Q, S: BatchService<Q>>(
    service: &S,
    state: &mut S::State,
    shift: &mut BatchShift<Q, S::Response, S::Error>,
    searcher: &mut Searcher<Q, S::Response, S::Error>,
) {
    let engine = shift.engine();
    loop {
        if shift.ripen_and_gather(&engine) {
            shift.find_keeper();
        } else {
            if let Some(until_ns) = shift.keeps_time() {
                keep_time(&engine, shift, until_ns);
            } else if !searcher.find(&mut shift.shift) && shift.shift.is_over() {
                return;
            }
            continue;
        }
        match shift.decide(&engine) {
            Decision::Close(reason) => {
                let mut batch = Batch::forming();
                if shift.begin(&engine, reason, &mut batch) {
                    let result = service.call_batch(state, batch);
                    shift.finish(result);
                }
            }
            Decision::LingerUntil(until_ns) => {
                wait(&engine, shift.shift.seat, shift.lacks(), until_ns)
            }
        }
    }
}

/// A worker that lingers. Dropped, it does so no more.
pub(super) struct Lingering<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
    worker: usize,
}

impl<'a, Q, R, E> Lingering<'a, Q, R, E> {
    pub(super) fn begin(engine: &'a Engine<Q, R, E>, worker: usize, wanted: usize) -> Self {
        engine.batching().desk.begin(worker, wanted);
        Self { engine, worker }
    }
}

impl<Q, R, E> Drop for Lingering<'_, Q, R, E> {
    fn drop(&mut self) {
        self.engine.batching().desk.end(self.worker);
    }
}

/// Waits until the first batch is due that lingers without a worker, or there is something to do.
fn keep_time<Q, R, E>(engine: &Engine<Q, R, E>, shift: &BatchShift<Q, R, E>, until_ns: u64) {
    wait(engine, shift.shift.seat, 1, until_ns);
    engine.batching().waitlist.cease();
}

/// Waits until so many tasks wait, or the clock shows `until_ns`.
fn wait<Q, R, E>(engine: &Engine<Q, R, E>, seat: Seat, wanted: usize, until_ns: u64) {
    let desk = &engine.batching().desk;
    let lingering = Lingering::begin(engine, seat.worker, wanted);
    if engine.is_to_go_on(seat, until_ns) {
        drop(lingering);
        // Claimed by a submitter that was interrupted before it could publish: let it run.
        thread::yield_now();
        return;
    }
    let deadline = engine.clock.instant_of(until_ns);
    caller::wait(deadline, |context| {
        desk.poll(seat.worker, &engine.clock, until_ns, context)
    });
}
