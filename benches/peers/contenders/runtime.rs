//! The tokio runtimes of contenders that run on one.

use tokio::runtime::{Builder, Runtime};

/// A runtime with this many threads. It has no timers and no sockets: hardly anybody here uses them.
pub(super) fn multi_thread(threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .build()
        .expect("the runtime starts")
}

/// The same for those who need timers.
pub(super) fn multi_thread_with_timers(threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .expect("the runtime starts")
}
