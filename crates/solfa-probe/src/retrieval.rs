//! Finding the other recordings of a work, by nothing but how near vectors are: no head, no training.
//!
//! A recording's vector is the mean of its clips, shifted and scaled by the collection's means and deviations, since layers
//! of networks share large offsets in which everything looks alike. Every test recording is a query among all others.

use solfa_eval::dataset::Split;
use solfa_eval::results::ResultRow;
use solfa_eval::task::{Prediction, PredictionRules};

use crate::features::{FeatureError, TrackItems};
use crate::items::Standardization;
use crate::problem::Problem;
use crate::record::{MadeOf, RecordError, Recorder, run_name};
use crate::subject::Subject;

/// A task of retrieval on a data set, whose labels are works, for every layer of an encoder.
pub struct Retrieval<'run> {
    /// The task, the features, and where results go.
    pub subject: Subject<'run>,
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
    /// No work has two recordings, vectors cannot be compared, or results cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Retrieval<'_> {
    /// Scores every layer and writes rows and predictions. Gives the rows of all layers, also of those that were there.
    ///
    /// # Errors
    /// [`RetrievalError`] where fewer than two recordings are left, no work has two, or results cannot be written.
    pub fn run(&self) -> Result<Vec<ResultRow>, RetrievalError> {
        let Subject { problem, features, results, .. } = &self.subject;
        let Problem { task, dataset, dataset_sha256, .. } = problem;
        let tracks = self.subject.usable(Split::Test);
        if tracks.len() < 2 {
            return Err(RetrievalError::TooFew { dataset: dataset.clone(), found: tracks.len() });
        }
        let recorder = Recorder {
            subject: &self.subject,
            head: "cosine".to_owned(),
            protocol: "retrieval".to_owned(),
            scoring: PredictionRules::default(),
        };
        let (there, _) = results.rows().map_err(RecordError::from)?;
        let mut all = Vec::new();
        for &layer in &features.key.space.layers {
            let run = run_name(&format!(
                "solfa retrieval 1\ntask={}\ndata={dataset_sha256}\nfeatures={}\nlayer={layer}\n",
                task.name,
                features.key.id(),
            ));
            let known: Vec<ResultRow> = there.iter().filter(|row| row.run == run).cloned().collect();
            if !known.is_empty() {
                all.extend(known);
                continue;
            }
            let predictions = vectors(&features.load(problem, &tracks, &[layer])?, tracks.len());
            let label = layer.to_string();
            let made_of = MadeOf { run: &run, layer: &label, fraction: 1.0, draw: 0 };
            all.extend(recorder.record_untrained(&made_of, &tracks, predictions, |_| true)?);
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
