//! Holds tasks up until the test lets them go, and tells the test that they are there.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Poll, Waker};

/// A gate that tasks of both kinds can wait at. Closed until it is opened, and then open for ever.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    arrived: usize,
    /// Opens by itself once so many have arrived.
    opens_at: usize,
    open: bool,
    wakers: Vec<Waker>,
}

impl Gate {
    /// A gate that the test opens.
    pub fn new() -> Self {
        Self::meeting(usize::MAX)
    }

    /// A gate that opens once `all` have arrived.
    pub fn meeting(all: usize) -> Self {
        let state = State {
            arrived: 0,
            opens_at: all,
            open: false,
            wakers: Vec::new(),
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock().unwrap();
        let result = change(&mut state);
        if state.arrived >= state.opens_at {
            state.open = true;
        }
        let wakers = if state.open {
            std::mem::take(&mut state.wakers)
        } else {
            Vec::new()
        };
        drop(state);
        self.0.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Lets everybody through.
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Waits until so many tasks have arrived.
    pub fn await_arrivals(&self, tasks: usize) {
        let state = self.0.state.lock().unwrap();
        let enough = |state: &mut State| state.arrived < tasks;
        drop(self.0.changed.wait_while(state, enough).unwrap());
    }

    /// How many have arrived.
    pub fn arrived(&self) -> usize {
        self.0.state.lock().unwrap().arrived
    }

    /// Arrives and waits, on a thread.
    pub fn pass(&self) {
        self.change(|state| state.arrived += 1);
        let state = self.0.state.lock().unwrap();
        drop(
            self.0
                .changed
                .wait_while(state, |state| !state.open)
                .unwrap(),
        );
    }

    /// Arrives and waits, in a future.
    pub async fn pass_async(&self) {
        self.change(|state| state.arrived += 1);
        poll_fn(|context| {
            let mut state = self.0.state.lock().unwrap();
            if state.open {
                return Poll::Ready(());
            }
            state.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
