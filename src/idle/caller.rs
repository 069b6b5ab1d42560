//! How a thread waits for something that wakes a waker.

use std::task::{Context, Poll};
use std::time::Instant;

use super::pace::{self, Luck};
use crate::sync::{hint, thread};

/// Polls until ready, parking in between; `None` when the deadline passes first.
///
/// # Blocking
/// Until ready or the deadline.
pub(crate) fn wait<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    thread::with_waker(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(value) = poll(&mut context) {
                return Some(value);
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    if left.is_zero() {
                        return None;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    })
}

/// Polls for a moment before the caller parks, if that has paid lately.
#[inline]
pub(crate) fn spin(luck: &Luck, done: impl Fn() -> bool) {
    if !luck.is_with_us() {
        return;
    }
    let spins = pace::caller_spins();
    for _ in 0..spins {
        if done() {
            luck.note(true);
            return;
        }
        hint::spin_loop();
    }
    if spins > 0 {
        luck.note(false);
    }
}
