//! Statistics: counted where the work is done, read from anywhere.
//!
//! 1. [`histogram`] holds durations in log-linear buckets.
//! 2. [`worker_block`] is what one worker counts; it alone writes it.
//! 3. [`front`] is what submitters and the shutdown count.
//! 4. [`snapshot`] is what a caller sees, with the conservation law.
//! 5. [`monitor`] is told of each task as it passes.

pub(crate) mod front;
mod histogram;
mod monitor;
mod snapshot;
pub(crate) mod worker_block;

pub(crate) use front::Front;
pub(crate) use histogram::Histogram;
pub use histogram::HistogramSnapshot;
pub use monitor::PerformanceMonitor;
pub(crate) use monitor::Watch;
pub use snapshot::{
    Imbalance, LaneStatistics, WorkerHealthStatus, WorkerPoolStatistics, WorkerStatistics,
};
pub(crate) use worker_block::{Life, WorkerBlock};
