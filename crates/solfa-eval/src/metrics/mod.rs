//! Scores of estimates against references: pure functions on slices, each file with its definition, paper and units.
//!
//! Where `mir_eval` or scikit-learn define a score, ours is theirs to rounding; where the field has two rules, both are
//! here and the name says which.
//!
//! This module must not know: files and their formats, tasks, probes.

pub mod beat;
pub mod bipartite;
pub mod chord;
pub mod classification;
pub mod intervals;
pub mod key;
pub mod matching;
pub mod melody;
pub mod notes;
pub mod onset;
pub mod piano_roll;
pub mod retrieval;
pub mod segment;
pub mod separation;
pub mod tempo;

mod check;
mod error;
mod f_measure;
#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod golden_cases;

pub use error::MetricError;
pub use f_measure::FMeasure;
