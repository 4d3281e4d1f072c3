//! Tasks without training: labels as sentences, in the joint space of a model of music and text.
//!
//! Each label's vector is the mean of those of its prompts; a track scores by the cosine of its mean vector with it, as in
//! MuQ-MuLan's table on MagnaTagATune (Zhu et al. 2025). Only the test split is used. Scores that need a line between yes
//! and no (F1 of tags) are left out: a cosine has none.

use solfa_eval::dataset::Split;
use solfa_eval::results::ResultRow;
use solfa_eval::tag::{TagError, cosine_scores};
use solfa_eval::task::{Metric, Prediction, PredictionRules, TaskKind};

use crate::features::FeatureError;
use crate::problem::Problem;
use crate::record::{MadeOf, RecordError, Recorder, run_name};
use crate::subject::Subject;

/// The name of the joint space in the place of a layer's number.
const JOINT: &str = "joint";

/// A task that is answered by comparing tracks with sentences.
pub struct ZeroShot<'run> {
    /// A task about classes or tags, and one vector a recording in the joint space.
    pub subject: Subject<'run>,
    /// Each class's vector in the joint space, in the order of the problem's classes.
    pub class_vectors: &'run [Vec<f32>],
    /// The sentences that classes were put into.
    pub templates: &'run [String],
}

/// Why a task could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ZeroShotError {
    /// The task is not about classes or tags.
    #[error("task `{task}` is of the kind `{kind}`: only classes and tags can be put into words")]
    Kind {
        /// The task.
        task: String,
        /// Its kind.
        kind: &'static str,
    },
    /// No test recording could be encoded.
    #[error("{dataset}: no recording of split `test` could be encoded")]
    NothingLeft {
        /// The data set.
        dataset: String,
    },
    /// Vectors cannot be compared.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// Features cannot be had.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// Predictions cannot be scored or written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl ZeroShot<'_> {
    /// Scores the test split and writes rows and predictions. Gives the rows, also where they were there already.
    ///
    /// # Errors
    /// [`ZeroShotError`] for a task without words, features that are missing, results that cannot be written.
    pub fn run(&self) -> Result<Vec<ResultRow>, ZeroShotError> {
        let Problem { task, dataset, dataset_sha256, .. } = self.subject.problem;
        if !matches!(task.kind, TaskKind::Class | TaskKind::Tags) {
            return Err(ZeroShotError::Kind { task: task.name.clone(), kind: task.kind.name() });
        }
        let run = run_name(&format!(
            "solfa zero-shot 1\ntask={} {}\ndata={dataset_sha256}\nfeatures={}\ntemplates={:?}\n",
            task.name,
            task.kind.name(),
            self.subject.features.key.id(),
            self.templates,
        ));
        let (rows, _) = self.subject.results.rows().map_err(RecordError::from)?;
        let there: Vec<ResultRow> = rows.into_iter().filter(|row| row.run == run).collect();
        if !there.is_empty() {
            return Ok(there);
        }
        let tracks = self.subject.usable(Split::Test);
        if tracks.is_empty() {
            return Err(ZeroShotError::NothingLeft { dataset: dataset.clone() });
        }
        let predictions = self.predictions(&tracks)?;
        let recorder = Recorder {
            subject: &self.subject,
            head: "zero-shot".to_owned(),
            protocol: format!("zero-shot, prompts: {}", self.templates.len()),
            scoring: PredictionRules::default(),
        };
        let made_of = MadeOf { run: &run, layer: JOINT, fraction: 1.0, draw: 0 };
        // A cosine has no line between yes and no.
        let is_scored = |metric: Metric| task.kind == TaskKind::Class || !metric.name.starts_with("f1");
        Ok(recorder.record_untrained(&made_of, &tracks, predictions, is_scored)?)
    }

    /// The cosines of each track's mean vector with those of the classes.
    fn predictions(&self, tracks: &[usize]) -> Result<Vec<Prediction>, ZeroShotError> {
        let layers = &self.subject.features.key.space.layers;
        let items = self.subject.features.load(self.subject.problem, tracks, &layers[layers.len() - 1..])?;
        let width = items.features.width();
        let score = |of_track: Vec<usize>| {
            let vectors = items.features.gather(&of_track);
            let mean = |dimension: usize| {
                let values = vectors.iter().skip(dimension).step_by(width);
                (values.map(|&value| f64::from(value)).sum::<f64>() / of_track.len().max(1) as f64) as f32
            };
            let mean: Vec<f32> = (0..width).map(mean).collect();
            Ok(Prediction::Scores(cosine_scores(&mean, self.class_vectors)?))
        };
        items.ranges(tracks.len()).into_iter().map(score).collect()
    }
}
