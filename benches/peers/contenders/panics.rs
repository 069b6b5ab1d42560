//! Makes panics of tasks surface in pools that swallow them.

use std::{mem, process, thread};

/// Runs work; ends the process if it panics, when the message has been printed.
///
/// Most pools of closures keep a worker alive by catching panics, or start another; a cell whose work
/// panicked would then give a figure, or wait for ever.
pub(super) fn surfacing<R>(work: impl FnOnce() -> R) -> R {
    let guard = Abort;
    let result = work();
    mem::forget(guard);
    result
}

struct Abort;

impl Drop for Abort {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}
