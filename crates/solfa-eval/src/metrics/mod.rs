//! Scores of estimates against references: pure functions on slices, each file with its definition, paper and units.
//!
//! Where `mir_eval` or scikit-learn define a score, ours is theirs to rounding; where the field has two rules, both are
//! here and the name says which.
//!
//! This module must not know: files and their formats, tasks, probes.

pub mod matching;

mod error;

pub use error::MetricError;
