//! The one table of results: a row for every number that was measured, with all that it depends on.
//!
//! A folder of results holds
//!
//! - `results.jsonl`: [`ResultRow`]s, appended, never changed; `results.parquet` is a copy of them;
//! - `layer-weights.jsonl`: [`LayerWeights`], what a learned mixture of layers came to;
//! - `comparisons.jsonl`: [`PairedComparison`]s, two results on the same recordings;
//! - `predictions/`: what every number was computed from.
//!
//! This module must not know: how heads are trained, how a report looks.

mod paired;
mod row;
mod table;

pub use paired::PairedComparison;
pub use row::{LayerWeights, RESULT_SCHEMA, ResultRow};
pub use table::{BrokenLine, ResultFolder};
