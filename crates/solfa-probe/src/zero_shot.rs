//! Tasks without training: labels as sentences, in the joint space of a model of music and text.
//!
//! Each label's vector is the mean of those of its prompts; a track scores by the cosine of its mean vector with it, as in
//! MuQ-MuLan's table on MagnaTagATune (Zhu et al. 2025). Only the test split is used. Scores that need a line between yes
//! and no (F1 of tags) are left out: a cosine has none.

use solfa_eval::dataset::Split;
use solfa_eval::metrics::MetricError;
use solfa_eval::results::{ResultFolder, ResultRow};
use solfa_eval::store::StoreError;
use solfa_eval::tag::{TagError, cosine_scores};
use solfa_eval::task::{Evaluation, Prediction, PredictionRules, PredictionsError, ScoredTrack, TaskKind};

use crate::features::{CachedFeatures, FeatureError};
use crate::problem::Problem;
use crate::record::{MadeOf, Recorder, run_name};

/// The name of the joint space in the place of a layer's number.
const JOINT: &str = "joint";

/// The seed of intervals.
const STATISTICS_SEED: u64 = 0;

/// A task that is answered by comparing tracks with sentences.
pub struct ZeroShot<'run> {
    /// The task on its data set: classes or tags.
    pub problem: &'run Problem,
    /// One vector a recording, in the joint space.
    pub features: CachedFeatures<'run>,
    /// Name of the model.
    pub encoder: &'run str,
    /// Each class's vector in the joint space, in the order of the problem's classes.
    pub class_vectors: &'run [Vec<f32>],
    /// The sentences that classes were put into.
    pub templates: &'run [String],
    /// Where rows and predictions go.
    pub results: &'run ResultFolder,
    /// When, in UTC.
    pub time: &'run str,
    /// Version of the program.
    pub program_version: &'run str,
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
    /// Predictions cannot be scored.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// Predictions cannot be written.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
    /// Results cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ZeroShot<'_> {
    /// Scores the test split and writes rows and predictions. Gives the rows, also where they were there already.
    ///
    /// # Errors
    /// [`ZeroShotError`] for a task without words, features that are missing, results that cannot be written.
    pub fn run(&self) -> Result<Vec<ResultRow>, ZeroShotError> {
        let Problem { task, dataset, dataset_sha256, .. } = self.problem;
        if !matches!(task.kind, TaskKind::Class | TaskKind::Tags) {
            return Err(ZeroShotError::Kind { task: task.name.clone(), kind: task.kind.name() });
        }
        let run = run_name(&format!(
            "solfa zero-shot 1\ntask={} {}\ndata={dataset_sha256}\nfeatures={}\ntemplates={:?}\n",
            task.name,
            task.kind.name(),
            self.features.key.id(),
            self.templates,
        ));
        let (rows, _) = self.results.rows()?;
        let there: Vec<ResultRow> = rows.into_iter().filter(|row| row.run == run).collect();
        if !there.is_empty() {
            return Ok(there);
        }
        let tracks: Vec<usize> = self
            .problem
            .of_split(Split::Test)
            .into_iter()
            .filter(|&track| self.features.has(self.problem, track))
            .collect();
        if tracks.is_empty() {
            return Err(ZeroShotError::NothingLeft { dataset: dataset.clone() });
        }
        let predictions = self.predictions(&tracks)?;
        let scored: Vec<ScoredTrack> = tracks
            .iter()
            .zip(&predictions)
            .map(|(&track, prediction)| ScoredTrack {
                target: self.problem.tracks[track].target.clone(),
                prediction: prediction.clone(),
            })
            .collect();
        let scoring = PredictionRules::default();
        let evaluation = Evaluation::new(task.kind, self.problem.classes.len(), scoring, &scored)?;
        let recorder = Recorder {
            problem: self.problem,
            encoder: self.encoder,
            space_id: self.features.key.space.space_id(),
            head: "zero-shot".to_owned(),
            protocol: format!("zero-shot, prompts: {}", self.templates.len()),
            scoring,
            results: self.results,
            time: self.time,
            program_version: self.program_version,
        };
        let made_of = MadeOf { run: &run, layer: JOINT, fraction: 1.0, draw: 0 };
        let file = recorder.write_predictions(&made_of, None, &tracks, predictions)?;
        let has_line = |name: &str| task.kind == TaskKind::Class || !name.starts_with("f1");
        let rows: Vec<ResultRow> = evaluation
            .values()
            .into_iter()
            .filter(|(metric, _)| has_line(metric.name))
            .map(|(metric, value)| {
                let interval = evaluation.interval(metric, STATISTICS_SEED);
                ResultRow {
                    low: interval.map(|interval| interval.low),
                    high: interval.map(|interval| interval.high),
                    predictions: Some(file.clone()),
                    ..recorder.row(&made_of, metric, value, [0, 0, tracks.len()])
                }
            })
            .collect();
        self.results.append(&rows)?;
        Ok(rows)
    }

    /// The cosines of each track's mean vector with those of the classes.
    fn predictions(&self, tracks: &[usize]) -> Result<Vec<Prediction>, ZeroShotError> {
        let layers = &self.features.key.space.layers;
        let items = self.features.load(self.problem, tracks, &layers[layers.len() - 1..])?;
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
