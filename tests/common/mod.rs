//! What the tests share: both kinds of workers behind one type, gates instead of sleeps, and a guard
//! against hanging.
//!
//! 1. [`gate`] holds tasks up until the test lets them go.
//! 2. [`script`] is a service whose requests say what it shall do.
//! 3. [`key_log`] watches the tasks of each key: their order, and that they run one at a time.
//! 4. [`batches`] makes pools of batches; [`clerk`] is a service of batches whose requests say what it shall do.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

pub mod batches;
pub mod clerk;
pub mod gate;
pub mod key_log;
pub mod script;

use std::any::Any;
use std::future::Future;
use std::io::Write;
use std::panic;
use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{LazyLock, Once};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use lanepool::{
    BuildError, EventStream, LaneConfig, LaneStatistics, OverflowPolicy, PoolBuilder, PoolEvent,
    ProcessingError, TaskContext, WorkerPool, WorkerPoolConfig, WorkerPoolConfigBuilder,
    WorkerPoolStatistics,
};

pub use gate::Gate;
pub use key_log::KeyLog;
pub use script::{Act, Done, Failure, Job, Rig, Script};

/// Stands in the messages of panics that a test wants; they are not printed.
pub const EXPECTED: &str = "expected by a test";

/// Long enough for everything that ends at all.
pub const LONG: Duration = Duration::from_secs(100);

/// After this a test counts as hanging.
const HANGS: Duration = Duration::from_secs(120);

/// The two kinds of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Threads,
    #[cfg(feature = "tokio")]
    Tasks,
}

impl Kind {
    /// All kinds that this build has.
    pub const ALL: &[Kind] = &[
        Kind::Threads,
        #[cfg(feature = "tokio")]
        Kind::Tasks,
    ];

    /// A pool of this kind around a closure.
    pub fn serve<Q, R, E>(
        self,
        builder: PoolBuilder,
        function: impl Fn(Q, &TaskContext) -> Result<R, E> + Clone + Send + Sync + 'static,
    ) -> Result<WorkerPool<Q, R, E>, BuildError>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        match self {
            Kind::Threads => builder.build(lanepool::service_fn(function)),
            #[cfg(feature = "tokio")]
            Kind::Tasks => {
                let service = lanepool::async_service_fn(move |request, context: TaskContext| {
                    let function = function.clone();
                    async move { function(request, &context) }
                });
                builder
                    .runtime(runtime().handle().clone())
                    .build_async(service)
            }
        }
    }
}

/// Makes two tests of each function that takes a [`Kind`]: `name::threads` and `name::tasks`.
macro_rules! for_both_kinds {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn threads() {
                crate::common::watched(|| super::$test(crate::common::Kind::Threads));
            }

            #[cfg(feature = "tokio")]
            #[test]
            fn tasks() {
                crate::common::watched(|| super::$test(crate::common::Kind::Tasks));
            }
        }
    )+};
}
pub(crate) use for_both_kinds;

/// Runs a test quietly, and ends the process with a message if it hangs.
pub fn watched<T>(test: impl FnOnce() -> T) -> T {
    hide_expected_panics();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let (running, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        if ended.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout) {
            // Past the capture of the test harness, which an abort would lose.
            let _ = writeln!(
                std::io::stderr(),
                "{name} hangs: not done after {HANGS:?}, aborting"
            );
            std::process::abort();
        }
    });
    let result = test();
    drop(running);
    result
}

/// Keeps panics with [`EXPECTED`] in their message, or with a payload that is no text, off the output.
pub fn hide_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = match payload.downcast_ref::<&str>() {
                Some(text) => Some(*text),
                None => payload.downcast_ref::<String>().map(String::as_str),
            };
            if text.is_some_and(|text| !text.contains(EXPECTED)) {
                usual(info);
            }
        }));
    });
}

/// The runtime of async workers and async callers; one for all tests of a binary.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .expect("a runtime can be started")
    });
    &RUNTIME
}

/// Runs a future to its end on the calling thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Polls a future once with a waker that does nothing.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A configuration of this many workers that claim one task at a time and time every task.
pub fn config(workers: usize) -> WorkerPoolConfigBuilder {
    WorkerPoolConfig::builder()
        .workers(workers)
        .sample_every(1)
        .max_run_length(1)
}

/// Four lanes of this capacity with the default weights.
pub fn lanes(capacity: usize, overflow: OverflowPolicy) -> [LaneConfig; 4] {
    [1, 4, 16, 64].map(|weight| {
        LaneConfig::new()
            .capacity(capacity)
            .weight(weight)
            .overflow(overflow)
    })
}

/// A builder with this configuration, which must be valid.
pub fn builder(config: WorkerPoolConfigBuilder) -> PoolBuilder {
    PoolBuilder::new().config(config.build().expect("a valid configuration"))
}

/// A function for [`Rig::with_extra`] that makes each worker's first
/// state and no other: a panic ends the worker.
pub fn mortal(workers: usize) -> impl Fn(usize, u64) -> Box<dyn Any + Send> + Send + Sync {
    move |_, number| {
        assert!(number < workers as u64, "no more state, {EXPECTED}");
        Box::new(())
    }
}

/// Waits until so many workers have ended. `events` were subscribed to before.
pub fn await_ends(events: &EventStream, workers: usize) -> Vec<usize> {
    let mut ended = Vec::new();
    while ended.len() < workers {
        match events.recv_timeout(LONG).expect("the workers end") {
            PoolEvent::WorkerStopped { worker, .. } => ended.push(worker),
            _other => {}
        }
    }
    ended
}

/// Shuts a pool down that has nothing to hold it up; all tasks must be accounted for.
pub fn drain<Q, R, E>(pool: &WorkerPool<Q, R, E>) -> WorkerPoolStatistics {
    let report = pool.shutdown_blocking(LONG);
    assert!(report.drained, "running: {:?}", report.running);
    assert!(report.returned.is_empty());
    assert_at_rest(&report.statistics);
    report.statistics
}

/// The conservation law, and nothing queued or running.
pub fn assert_at_rest(statistics: &WorkerPoolStatistics) {
    if let Err(imbalance) = statistics.conserved() {
        panic!("{imbalance}: {statistics:?}");
    }
    let total = statistics.total();
    assert_eq!((total.queued, total.running), (0, 0), "{total:?}");
}

/// What callers were told, to be held against the statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub completed: u64,
    pub failed: u64,
    pub panicked: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub abandoned: u64,
}

impl Tally {
    /// Notes an answer.
    pub fn note<R, E>(&mut self, answer: &Result<R, ProcessingError<E>>) {
        let count = match answer {
            Ok(_) => &mut self.completed,
            Err(ProcessingError::Failed(_)) => &mut self.failed,
            Err(ProcessingError::Panicked(_)) => &mut self.panicked,
            Err(ProcessingError::Expired) => &mut self.expired,
            Err(ProcessingError::Cancelled) => &mut self.cancelled,
            Err(ProcessingError::Abandoned) => &mut self.abandoned,
            Err(_) => panic!("nothing is shed"),
        };
        *count += 1;
    }

    /// What the statistics count.
    pub fn of(lane: &LaneStatistics) -> Self {
        Self {
            completed: lane.completed,
            failed: lane.failed,
            panicked: lane.panicked,
            expired: lane.expired,
            cancelled: lane.cancelled,
            abandoned: lane.abandoned,
        }
    }
}
