//! How sure a score is: intervals over tracks, and whether two systems differ.
//!
//! This module must not know: what a score is, tasks, files.

mod bootstrap;
mod significance;

pub(crate) use bootstrap::weighted_mean;
pub use bootstrap::{BOOTSTRAP_DRAWS, Interval, bootstrap_interval, bootstrap_mean};
pub use significance::{Comparison, PERMUTATIONS, paired_randomization};
