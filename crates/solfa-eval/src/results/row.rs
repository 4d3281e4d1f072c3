//! One measured number.

use serde::{Deserialize, Serialize};

/// The version of [`ResultRow`]'s fields.
pub const RESULT_SCHEMA: u32 = 1;

/// One number that was measured, with all that it depends on: a line of `results.jsonl`.
///
/// A row with a `seed` is one training; a row without is the mean over the seeds of the same run, and its interval comes
/// from drawing tracks anew (bootstrap).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRow {
    /// [`RESULT_SCHEMA`] of the program that wrote the row.
    pub schema: u32,
    /// When, in UTC: `2026-11-21T10:00:00Z`.
    pub time: String,
    /// SHA-256 (first 16 hexadecimal digits) of all that determines the number: data, space, layer, head, protocol, seed.
    pub run: String,
    /// Name of the task: `gtzan-genre`.
    pub task: String,
    /// Name of the data set's file, as people call it. Informative.
    pub dataset: String,
    /// SHA-256 of the data set's lines.
    pub dataset_sha256: String,
    /// Name of the encoder, as people call it.
    pub encoder: String,
    /// The `space_id` of the features that the head saw.
    pub space_id: String,
    /// A layer's number, `weighted` (a learned mixture of all), `all` (all, one after the other), or `joint` (zero-shot).
    pub layer: String,
    /// `linear`, `mlp-512`, `class-mean`, `frame-linear`, `zero-shot`, ...
    pub head: String,
    /// `linear`, `marble-v1`, `marble-v2`, or `custom`.
    pub protocol: String,
    /// Share of the training labels that was used, from 0 to 1.
    pub label_fraction: f64,
    /// Number of the draw of that share, from 0.
    pub draw: u32,
    /// The seed of the training; `None` for the mean over seeds.
    pub seed: Option<u64>,
    /// The learning rate that validation chose, where one was learned with.
    pub learning_rate: Option<f64>,
    /// Epochs until the best one, where there are any.
    pub epochs: Option<u32>,
    /// Recordings that were learned from.
    pub num_train: u64,
    /// Recordings that chose the learning rate and the epoch.
    pub num_validation: u64,
    /// Recordings that were scored.
    pub num_test: u64,
    /// Name of the score: `accuracy`, `roc_auc_macro`, `beat_f_measure`, ...
    pub metric: String,
    /// Whether it is the task's first score, the one that a table shows.
    pub is_headline: bool,
    /// The score on the test split.
    pub value: f64,
    /// Lower end of the 95 % interval over tracks.
    pub low: Option<f64>,
    /// Upper end of the 95 % interval over tracks.
    pub high: Option<f64>,
    /// The same score on the validation split, which chose.
    pub validation: Option<f64>,
    /// The file of predictions that the score was computed from, relative to the folder of results.
    pub predictions: Option<String>,
    /// Version of this program.
    pub program_version: String,
}

/// What a learned mixture of layers came to: a line of `layer-weights.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerWeights {
    /// The run that learned them: [`ResultRow::run`].
    pub run: String,
    /// Name of the task.
    pub task: String,
    /// Name of the encoder.
    pub encoder: String,
    /// The seed of the training.
    pub seed: u64,
    /// Numbers of the layers.
    pub layers: Vec<usize>,
    /// A weight for each, which sum to 1.
    pub weights: Vec<f64>,
}
