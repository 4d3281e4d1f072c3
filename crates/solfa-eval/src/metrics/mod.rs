//! Scores of estimates against references: pure functions on slices, each file with its definition, paper and units.
//!
//! Where `mir_eval` or scikit-learn define a score, ours is theirs to rounding; where the field has two rules, both are
//! here and the name says which.
//!
//! This module must not know: files and their formats, tasks, probes.

pub mod bipartite;
pub mod chord;
pub mod intervals;
pub mod matching;
pub mod melody;
pub mod notes;
pub mod piano_roll;
pub mod precision_recall;
pub mod segment;
pub mod separation;

mod error;

pub use error::MetricError;

#[cfg(test)]
pub(crate) mod golden_cases;
