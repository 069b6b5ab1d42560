//! What a comparison with rivals is made of, apart from taking the figures.
//!
//! A *cell* is a workload, a case of it, a contender and a condition of the machine; it is measured once in
//! each round, and yields a value for each metric of its workload. Everything here is arithmetic and text.
//!
//! | module | role |
//! |---|---|
//! | [`options`] | the command line of the comparison |
//! | [`measurement`] | what was measured, by cell and round |
//! | [`ratio`] | medians, ranges, and ratios within a round |
//! | [`targets`] | what has to be reached, and which cells it concerns |
//! | [`verdict`] | measurements held against targets; the lines of `--json` |
//! | [`table`] | tables in Markdown |
//! | [`plots`] | plots in SVG |

pub mod measurement;
pub mod options;
pub mod plots;
pub mod ratio;
pub mod table;
pub mod targets;
pub mod verdict;

pub use measurement::{Better, Case, Condition, Kind, Measurement, Metric, Outline, Results};
pub use options::Options;
