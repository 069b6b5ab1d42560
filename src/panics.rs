//! What a panic said.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::sync;

/// The message of a caught panic. Disposes of the payload, whose own drop may panic as well.
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    };
    discard(payload);
    message
}

/// Calls a waker of the user's; its panic is the user's own affair and must not keep others waiting.
pub(crate) fn wake(waker: Waker) {
    sync::guarded(|| waker.wake());
}

/// Drops a value whose drop may panic, and goes on all the same.
pub(crate) fn discard<T>(value: T) {
    let mut dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
    // A payload that panics when dropped can hold another one; a few is a bug, more is malice.
    for _ in 0..8 {
        match dropped {
            Ok(()) => return,
            Err(payload) => dropped = catch_unwind(AssertUnwindSafe(|| drop(payload))),
        }
    }
    std::mem::forget(dropped);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb(u32);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 && !std::thread::panicking() {
                std::panic::panic_any(Bomb(self.0 - 1));
            }
        }
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        assert_eq!(message(Box::new("plain")), "plain");
        assert_eq!(message(Box::new(String::from("owned"))), "owned");
        assert_eq!(message(Box::new(Bomb(3))), "a panic without a message");
        assert_eq!(message(Box::new(Bomb(100))), "a panic without a message");
    }
}
