//! Scheduling: where a task waits, in which order, and whose it is.
//!
//! 1. [`strategy`] names the strategies.
//! 2. [`placement`] decides which lane set a task goes to.
//! 3. [`key`] is what a task's order depends on, and [`strands`] keeps the order of each.
//! 4. [`shards`] is all lane sets, and who takes from which; [`crew`] says which workers there are.
//! 5. [`balance`] picks a worker by numbers alone, [`peak_ewma`] is one of these numbers, and
//!    [`adaptive`] judges the ways of picking. [`balancer`] puts them together.
//! 6. [`ageing`] tells from a few marks how long the head of a lane has waited.
//! 7. [`evenness`] says how evenly work is spread, and [`statistics`] shows all of it.

mod adaptive;
pub(crate) mod ageing;
pub(crate) mod balance;
pub(crate) mod balancer;
pub(crate) mod crew;
pub(crate) mod evenness;
mod key;
pub(crate) mod peak_ewma;
pub(crate) mod placement;
pub(crate) mod shards;
pub(crate) mod statistics;
pub(crate) mod strands;
mod strategy;

pub use adaptive::{AdaptiveLoadController, BalanceChange, BalanceWindow};
pub(crate) use key::Key;
pub use statistics::{SchedulingStatistics, WorkerMetrics};
pub use strategy::{LoadBalancingStrategy, SchedulingStrategy};
