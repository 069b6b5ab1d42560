//! Puts one worker to sleep on its waker.

use std::task::{Poll, Waker};

use crate::panics;
use crate::sync::Mutex;

/// One worker's bed: a token, and the waker to call when it arrives.
///
/// Behind a lock, because both sides come here only to sleep or to wake, and hold it for a few
/// instructions. The waker runs outside it.
#[derive(Debug)]
pub(crate) struct WakerCell {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: bool,
    waker: Option<Waker>,
}

impl WakerCell {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
        }
    }

    /// Takes the token if there is one; else leaves the waker.
    pub(crate) fn poll_park(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.token) {
            state.waker = None;
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(old) => old.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// Takes the token if there is one, without waiting.
    pub(crate) fn take_token(&self) -> bool {
        std::mem::take(&mut self.state.lock().token)
    }

    /// Leaves a token and calls the waker.
    pub(crate) fn unpark(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.token = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            panics::wake(waker);
        }
    }
}
