//! Finding the other recordings of a work, by nothing but how near vectors are: no head, no training.
//!
//! A recording's vector is the mean of its clips, shifted and scaled by the collection's means and deviations, since layers
//! of networks share large offsets in which everything looks alike. Every test recording is a query among all others.

use solfa_eval::dataset::Split;
use solfa_eval::metrics::MetricError;
use solfa_eval::results::{ResultFolder, ResultRow};
use solfa_eval::store::StoreError;
use solfa_eval::task::{Evaluation, Prediction, PredictionRules, PredictionsError, ScoredTrack};

use crate::features::{CachedFeatures, FeatureError, TrackItems};
use crate::items::Standardization;
use crate::problem::Problem;
use crate::record::{MadeOf, Recorder, run_name};

/// The seed of intervals.
const STATISTICS_SEED: u64 = 0;

/// A task of retrieval on a data set, for every layer of an encoder.
pub struct Retrieval<'run> {
    /// The task on its data set: labels are works.
    pub problem: &'run Problem,
    /// The features.
    pub features: CachedFeatures<'run>,
    /// Name of the encoder.
    pub encoder: &'run str,
    /// Where rows and predictions go.
    pub results: &'run ResultFolder,
    /// When, in UTC.
    pub time: &'run str,
    /// Version of the program.
    pub program_version: &'run str,
}

/// Why recordings could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// Fewer than two recordings of the test split could be encoded.
    #[error("{dataset}: {found} recordings of split `test` could be encoded, and two are needed to compare")]
    TooFew {
        /// The data set.
        dataset: String,
        /// How many there are.
        found: usize,
    },
    /// Features cannot be had.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// No work has two recordings, or vectors cannot be compared.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// Predictions cannot be written.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
    /// Results cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Retrieval<'_> {
    /// Scores every layer and writes rows and predictions. Gives the rows of all layers, also of those that were there.
    ///
    /// # Errors
    /// [`RetrievalError`] where fewer than two recordings are left, no work has two, or results cannot be written.
    pub fn run(&self) -> Result<Vec<ResultRow>, RetrievalError> {
        let Problem { task, dataset, dataset_sha256, .. } = self.problem;
        let tracks: Vec<usize> = self
            .problem
            .of_split(Split::Test)
            .into_iter()
            .filter(|&track| self.features.has(self.problem, track))
            .collect();
        if tracks.len() < 2 {
            return Err(RetrievalError::TooFew { dataset: dataset.clone(), found: tracks.len() });
        }
        let recorder = Recorder {
            problem: self.problem,
            encoder: self.encoder,
            space_id: self.features.key.space.space_id(),
            head: "cosine".to_owned(),
            protocol: "retrieval".to_owned(),
            scoring: PredictionRules::default(),
            results: self.results,
            time: self.time,
            program_version: self.program_version,
        };
        let (there, _) = self.results.rows()?;
        let mut all = Vec::new();
        for &layer in &self.features.key.space.layers {
            let run = run_name(&format!(
                "solfa retrieval 1\ntask={}\ndata={dataset_sha256}\nfeatures={}\nlayer={layer}\n",
                task.name,
                self.features.key.id(),
            ));
            let known: Vec<ResultRow> = there.iter().filter(|row| row.run == run).cloned().collect();
            if !known.is_empty() {
                all.extend(known);
                continue;
            }
            let predictions = vectors(&self.features.load(self.problem, &tracks, &[layer])?, tracks.len());
            let scored: Vec<ScoredTrack> = tracks
                .iter()
                .zip(&predictions)
                .map(|(&track, prediction)| ScoredTrack {
                    target: self.problem.tracks[track].target.clone(),
                    prediction: prediction.clone(),
                })
                .collect();
            let evaluation = Evaluation::new(task.kind, self.problem.classes.len(), recorder.scoring, &scored)?;
            let label = layer.to_string();
            let made_of = MadeOf { run: &run, layer: &label, fraction: 1.0, draw: 0 };
            let file = recorder.write_predictions(&made_of, None, &tracks, predictions)?;
            let rows: Vec<ResultRow> = evaluation
                .values()
                .into_iter()
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
            all.extend(rows);
        }
        Ok(all)
    }
}

/// Each track's vector, standardised over the tracks.
fn vectors(items: &TrackItems, num_tracks: usize) -> Vec<Prediction> {
    let mut means = items.features.clone();
    means.num_items = num_tracks;
    let ranges = items.ranges(num_tracks);
    for layer in &mut means.layers {
        let of_track = |of_track: &Vec<usize>| {
            let mean = |dimension: usize| {
                let sum: f64 = of_track.iter().map(|&item| f64::from(layer.data[item * layer.dim + dimension])).sum();
                (sum / of_track.len().max(1) as f64) as f32
            };
            (0..layer.dim).map(mean).collect::<Vec<f32>>()
        };
        layer.data = ranges.iter().flat_map(of_track).collect();
    }
    Standardization::of(&means).apply(&mut means);
    (0..num_tracks).map(|track| Prediction::Vector(means.gather(&[track]))).collect()
}
