//! Puts one thread to sleep on a futex.
//!
//! `EMPTY`: awake, no token. `ASLEEP`: the thread waits in the kernel or is about to. `NOTIFIED`: a
//! token lies here.
//!
//! # Orderings
//!
//! - `parker-token`: the waker's Release of `NOTIFIED` with the sleeper's Acquire: what the waker
//!   did before is seen after.

use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{futex_wait, futex_wake_one};

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const ASLEEP: u32 = 2;

/// One thread's bed. Only that thread parks; anybody unparks.
#[derive(Debug)]
pub(crate) struct Parker {
    word: AtomicU32,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(EMPTY),
        }
    }

    /// Sleeps until there is a token, and takes it.
    ///
    /// # Blocking
    /// Until [`Parker::unpark`], however early that was.
    pub(crate) fn park(&self) {
        // ORDERING(parker-token): Acquire when a token is there already.
        let asleep =
            self.word
                .compare_exchange(EMPTY, ASLEEP, Ordering::Acquire, Ordering::Acquire);
        if asleep.is_ok() {
            // ORDERING(parker-token): Acquire. The wait may end early, so it is repeated.
            while self.word.load(Ordering::Acquire) == ASLEEP {
                futex_wait(&self.word, ASLEEP);
            }
        }
        // Relaxed: the token is taken; the next one comes after the next announcement.
        self.word.store(EMPTY, Ordering::Relaxed);
    }

    /// Leaves a token. A system call only if the thread sleeps.
    pub(crate) fn unpark(&self) {
        // ORDERING(parker-token): Release.
        if self.word.swap(NOTIFIED, Ordering::Release) == ASLEEP {
            futex_wake_one(&self.word);
        }
    }
}
