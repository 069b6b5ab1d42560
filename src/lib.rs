//! lanepool

#![deny(unsafe_code)]

mod admission;
mod clock;
mod config;
mod cpus;
mod engine;
mod error;
mod events;
mod idle;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod lane;
mod panics;
mod pool;
mod reply;
mod service;
mod stats;
mod sync;
mod task;
mod worker;

pub use admission::OverflowPolicy;
pub use clock::{Clock, ManualClock};
pub use config::{
    LaneConfig, MOST_CAPACITY, MOST_STACK, MOST_WEIGHT, MOST_WORKERS, WorkerPoolConfig,
    WorkerPoolConfigBuilder,
};
pub use error::{
    BuildError, ConfigError, ConfigProblem, ExecuteError, ProcessingError, SubmitError,
};
pub use events::{EventStream, PoolEvent};
pub use pool::{
    PoolBuilder, ResultStream, Returned, RunningTask, ShutdownReport, StreamItem, WorkerPool,
};
pub use reply::Ticket;
#[cfg(feature = "tokio")]
pub use service::{AsyncService, AsyncServiceFn, async_service_fn};
pub use service::{Service, ServiceFn, service_fn};
pub use stats::{
    HistogramSnapshot, Imbalance, LaneStatistics, PerformanceMonitor, WorkerHealthStatus,
    WorkerPoolStatistics, WorkerStatistics,
};
pub use task::{Outcome, ProcessingTask, TaskContext, TaskPriority};

#[cfg(all(test, feature = "loom"))]
#[path = "../loom-tests/mod.rs"]
mod loom_tests;
