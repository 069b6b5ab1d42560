//! How a request takes its answer back to its caller.
//!
//! A caller that awaits gets a one-shot channel. A caller that blocks has a slot of its own, one for each
//! thread, which serves for all its calls, since it makes one at a time: that saves the allocation. It spins
//! for a moment, as the channels do, before it parks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, Thread},
};

use crossbeam_utils::Backoff;
use oneshot::{Receiver, Sender};

use crate::contender::ServeBatch;

/// A request on its way.
pub(crate) struct Request {
    number: u64,
    reply: Reply,
}

enum Reply {
    Once(Sender<u64>),
    Slot(Held),
}

impl Request {
    /// Serves it and sends the answer.
    pub(super) fn answer(self, serve: impl FnOnce(u64) -> u64) {
        let answer = serve(self.number);
        match self.reply {
            // A caller that has gone needs no answer.
            Reply::Once(sender) => drop(sender.send(answer)),
            Reply::Slot(held) => held.answer(answer),
        }
    }
}

/// Serves a batch, sends the answers, and leaves the list empty.
pub(super) fn answer_all(batch: &mut Vec<Request>, serve: &impl ServeBatch) {
    serve.prepare(batch.len());
    for request in batch.drain(..) {
        request.answer(|number| serve.serve(number));
    }
}

/// A request, and where its answer arrives.
pub(super) fn pair(number: u64) -> (Request, Receiver<u64>) {
    let (sender, answer) = oneshot::channel();
    let reply = Reply::Once(sender);
    (Request { number, reply }, answer)
}

/// Sends a request and blocks for the answer.
pub(super) fn wait(number: u64, send: impl FnOnce(Request)) -> u64 {
    SLOT.with(|slot| {
        slot.state.store(WAITING, Ordering::Relaxed);
        let reply = Reply::Slot(Held {
            slot: Arc::clone(slot),
            answered: false,
        });
        send(Request { number, reply });
        slot.wait()
    })
}

thread_local! {
    static SLOT: Arc<Slot> = Arc::new(Slot {
        state: AtomicU8::new(WAITING),
        answer: AtomicU64::new(0),
        caller: thread::current(),
    });
}

/// The caller waits, awake.
const WAITING: u8 = 0;
/// The caller has parked, or is about to.
const PARKED: u8 = 1;
/// The answer is there.
const ANSWERED: u8 = 2;
/// The request was dropped without an answer.
const DROPPED: u8 = 3;

struct Slot {
    state: AtomicU8,
    answer: AtomicU64,
    caller: Thread,
}

impl Slot {
    fn wait(&self) -> u64 {
        let backoff = Backoff::new();
        while self.state.load(Ordering::Acquire) == WAITING && !backoff.is_completed() {
            backoff.snooze();
        }
        // Fails if the answer is there, which the loop then sees.
        let _ = self
            .state
            .compare_exchange(WAITING, PARKED, Ordering::AcqRel, Ordering::Acquire);
        loop {
            match self.state.load(Ordering::Acquire) {
                ANSWERED => return self.answer.load(Ordering::Relaxed),
                DROPPED => panic!("a request was dropped without an answer"),
                _ => thread::park(),
            }
        }
    }

    fn end(&self, state: u8) {
        if self.state.swap(state, Ordering::AcqRel) == PARKED {
            self.caller.unpark();
        }
    }
}

/// The worker's hold on a slot.
struct Held {
    slot: Arc<Slot>,
    answered: bool,
}

impl Held {
    fn answer(mut self, answer: u64) {
        self.answered = true;
        self.slot.answer.store(answer, Ordering::Relaxed);
        self.slot.end(ANSWERED);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Once answered, the slot may serve the caller's next request already.
        if !self.answered {
            self.slot.end(DROPPED);
        }
    }
}
