//! What can be asked of an encoder: the field's tasks, the forms of their labels, and the scores of predictions.
//!
//! A [`Task`] is plain data: a [`TaskKind`], which decides everything that is computed, its classes, and how long the clips
//! are that a track is cut into. A label of a data set becomes a [`Target`]; what a probe says becomes a [`Prediction`]; an
//! [`Evaluation`] scores predictions against targets, with intervals over tracks.
//!
//! This module must not know: encoders, heads, where features come from.

mod evaluation;
mod kind;
mod prediction;
mod registry;
mod target;

pub use evaluation::{Evaluation, ScoredTrack};
pub use kind::{Metric, Scope, TaskKind};
pub use prediction::{
    Prediction, PredictionFile, PredictionHeader, PredictionRules, PredictionsError, TrackPrediction, likeliest_class,
};
pub use registry::{ClassSource, TASKS, Task, tempo_bins};
pub use target::{BeatTimes, NoteEvent, Target, TargetError};
