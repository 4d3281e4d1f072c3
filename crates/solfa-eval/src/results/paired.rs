//! Two results on the same recordings.

use serde::{Deserialize, Serialize};

/// By how much one encoder or layer is better than another on the same recordings: a line of `comparisons.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedComparison {
    /// Name of the task.
    pub task: String,
    /// Name of the score.
    pub metric: String,
    /// The first encoder.
    pub encoder_a: String,
    /// Its layer, as in a row of results.
    pub layer_a: String,
    /// The second encoder.
    pub encoder_b: String,
    /// Its layer.
    pub layer_b: String,
    /// Score of the first less score of the second.
    pub difference: f64,
    /// Lower end of the difference's 95 % interval.
    pub low: f64,
    /// Upper end of the difference's 95 % interval.
    pub high: f64,
    /// Probability of a difference at least as large if there were none; two-sided.
    pub p_value: f64,
    /// How it was computed: `paired bootstrap`, `permutation`.
    pub method: String,
    /// Recordings that both were scored on.
    pub num_test: u64,
}
