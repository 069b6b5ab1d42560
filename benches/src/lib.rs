//! What every bench target shares: how a figure is counted, judged and printed.
//!
//! A bench target lists [`Group`]s, which record figures, and [`Cell`]s, which are loops that run in a
//! process of their own, under valgrind or strace where something is counted. It hands both to
//! [`Bench::main`] and prints a table, or one JSON object a line with `--json`.
//!
//! Times depend on the machine and on what else it does; counts hardly do. So figures that have a target
//! are counts wherever that is possible, and every loop checks its own result, so that a figure over
//! broken work cannot be printed.
//!
//! | module | role |
//! |---|---|
//! | [`args`] | the command line of a bench target |
//! | [`bench`](mod@bench) | runs groups and cells |
//! | [`figure`] | a figure, its bound, and the report that prints it |
//! | [`child`] | runs a cell in a child process, with a time limit |
//! | [`callgrind`] | instructions a task |
//! | [`syscalls`] | system calls a task |
//! | [`alloc`] | heap allocations a task |
//! | [`threads`] | CPU time and context switches by thread |
//! | [`work`] | a service that adds numbers, and the check of its sums |
//! | [`busy`] | work that keeps a CPU busy |
//! | [`random`] | arrivals and other numbers that look random |
//! | [`gated`] | a pool whose worker is held while tasks are queued |
//! | [`samples`] | medians and percentiles |
//! | [`waits`] | how long the tasks of each lane waited in a stretch of time |
//! | [`process`] | CPU time and context switches of the whole process |
//! | [`machine`] | what the figures were taken on |
//! | [`compare`] | rounds, ratios, targets, tables and plots of the comparison with rivals |

pub mod alloc;
pub mod args;
pub mod bench;
pub mod busy;
pub mod callgrind;
pub mod child;
pub mod compare;
pub mod figure;
pub mod gated;
pub mod machine;
pub mod process;
pub mod random;
pub mod samples;
pub mod syscalls;
pub mod threads;
pub mod waits;
pub mod work;

pub use bench::{Bench, Cell, Group};
pub use figure::{Bound, Report};

/// What went wrong, in one sentence that says what to do.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of a measurement; an error means that there is no figure, never that it was missed.
pub type Result<T> = std::result::Result<T, Error>;
