//! Between a task and a head: what outputs should be for each item, and what outputs say of a track.

mod predictions;
mod targets;

use solfa_eval::dataset::Split;
use solfa_eval::decode::DecodeError;
use solfa_eval::metrics::MetricError;
use solfa_eval::task::{Evaluation, Prediction, PredictionRules, ScoredTrack, Target, TaskKind};

use self::predictions::Wanted;
use crate::features::TrackItems;
use crate::problem::Problem;

/// The lowest pitch that melodies and notes are heard at: the piano's lowest key.
const LOWEST_PITCH: usize = 21;

/// Pitches from the piano's lowest key to its highest.
const NUM_PITCHES: usize = 88;

/// How items of a track are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// The mean of outputs before softmax or sigmoid.
    #[default]
    MeanLogits,
    /// The mean of probabilities.
    MeanProbabilities,
}

/// Choices that a protocol makes about answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerRules {
    /// How items of a track are put together.
    pub aggregation: Aggregation,
    /// Chord labels by MARBLE v2's mapping, and not by the vocabulary that is scored.
    pub marble_chords: bool,
    /// Downbeats decoded in the range of beats (55 to 215 a minute), as MARBLE v2 does, and not in that of bars.
    pub downbeats_as_beats: bool,
    /// Beats decoded from outputs as they are, at the items' rate, and rounded to it before they are scored, as MARBLE does:
    /// [`PredictionRules::beat_frames_per_second`].
    pub beats_on_frames: bool,
    /// Length in seconds of the clips that beats are decoded in, each on its own, as MARBLE v2 does; `None` decodes a track
    /// at once.
    pub beat_clip_seconds: Option<f64>,
    /// Validation scores clips and not tracks, as MARBLE v2 does for answers about whole tracks.
    pub validates_clips: bool,
    /// How predictions are scored.
    pub scoring: PredictionRules,
}

/// What a head's outputs mean for a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    kind: TaskKind,
    classes: Vec<String>,
    rules: AnswerRules,
    /// Means and deviations of the training labels, for numbers.
    scale: Vec<(f64, f64)>,
}

/// Why outputs could not be turned into predictions and scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// Activations could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Predictions could not be scored.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The task has no head of this form.
    #[error("task `{0}` has no head on frozen features")]
    NoHead(&'static str),
}

impl Answers {
    /// The answers to a problem, of items at a rate. Numbers are scaled by the labels of its training split.
    pub fn new(problem: &Problem, mut rules: AnswerRules, items_per_second: f64) -> Self {
        if rules.beats_on_frames {
            rules.scoring.beat_frames_per_second = Some(items_per_second);
        }
        let mut scale = Vec::new();
        if problem.task.kind == TaskKind::Numbers {
            let labels: Vec<&Vec<f64>> = problem
                .of_split(Split::Train)
                .into_iter()
                .filter_map(|track| match &problem.tracks[track].target {
                    Target::Numbers(values) => Some(values),
                    _ => None,
                })
                .collect();
            let width = labels.first().map_or(0, |values| values.len());
            for dimension in 0..width {
                let column: Vec<f64> = labels.iter().filter_map(|values| values.get(dimension).copied()).collect();
                let mean = column.iter().sum::<f64>() / column.len() as f64;
                let variance = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / column.len() as f64;
                scale.push((mean, if variance > 0.0 { variance.sqrt() } else { 1.0 }));
            }
        }
        Self { kind: problem.task.kind, classes: problem.classes.clone(), rules, scale }
    }

    /// Number of classes that scores are for.
    pub fn num_classes(&self) -> usize {
        match self.kind {
            TaskKind::Key => 24,
            _ => self.classes.len(),
        }
    }

    /// The rules of scoring.
    pub fn scoring(&self) -> PredictionRules {
        self.rules.scoring
    }

    /// The task's first score of a head's outputs; nothing where it is not defined. What other scores need is not decoded.
    ///
    /// # Errors
    /// [`AnswerError`] where outputs cannot be decoded or scored.
    pub fn headline(
        &self,
        targets: &[&Target],
        outputs: &[f32],
        items: &TrackItems,
    ) -> Result<Option<f64>, AnswerError> {
        let predictions = self.predict(outputs, items, targets.len(), Wanted::Headline)?;
        Ok(self.score(targets, &predictions)?.headline())
    }

    /// The scores of what outputs said.
    ///
    /// # Errors
    /// [`AnswerError`] where predictions cannot be scored.
    pub fn score(&self, targets: &[&Target], predictions: &[Prediction]) -> Result<Evaluation, AnswerError> {
        let tracks = ScoredTrack::zip(targets.iter().copied().cloned(), predictions)?;
        Ok(Evaluation::new(self.kind, self.num_classes(), self.rules.scoring, &tracks)?)
    }
}
