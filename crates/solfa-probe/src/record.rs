//! What is written of a run: rows of the table of results, and its predictions.

use solfa_eval::metrics::MetricError;
use solfa_eval::results::{RESULT_SCHEMA, ResultRow};
use solfa_eval::store::StoreError;
use solfa_eval::task::{
    Metric, Prediction, PredictionFile, PredictionHeader, PredictionRules, PredictionsError, TrackPrediction,
};
use solfa_signal::encoder::sha256_hex;

use crate::problem::Problem;
use crate::subject::Subject;

/// The seed of intervals and comparisons: the same for all, so that a number can be had again.
pub(crate) const STATISTICS_SEED: u64 = 0;

/// Digits of a run's name.
const RUN_DIGITS: usize = 16;

/// The name of a run from everything that determines its numbers: 16 hexadecimal digits.
pub(crate) fn run_name(text: &str) -> String {
    let mut name = sha256_hex(text);
    name.truncate(RUN_DIGITS);
    name
}

/// Why a run could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
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

/// What all rows of one way of probing share.
pub(crate) struct Recorder<'run> {
    pub(crate) subject: &'run Subject<'run>,
    pub(crate) head: String,
    pub(crate) protocol: String,
    pub(crate) scoring: PredictionRules,
}

/// Which run a row is of.
pub(crate) struct MadeOf<'unit> {
    pub(crate) run: &'unit str,
    pub(crate) layer: &'unit str,
    pub(crate) fraction: f64,
    pub(crate) draw: u32,
}

impl Recorder<'_> {
    /// A row for a score. `counts` are the tracks of training, validation and test.
    pub(crate) fn row(&self, made_of: &MadeOf<'_>, metric: Metric, value: f64, counts: [usize; 3]) -> ResultRow {
        let Problem { task, dataset, dataset_sha256, .. } = self.subject.problem;
        ResultRow {
            schema: RESULT_SCHEMA,
            time: self.subject.time.to_owned(),
            run: made_of.run.to_owned(),
            task: task.name.clone(),
            dataset: dataset.clone(),
            dataset_sha256: dataset_sha256.clone(),
            encoder: self.subject.encoder.to_owned(),
            space_id: self.subject.features.key.space.space_id(),
            layer: made_of.layer.to_owned(),
            head: self.head.clone(),
            protocol: self.protocol.clone(),
            label_fraction: made_of.fraction,
            draw: made_of.draw,
            seed: None,
            learning_rate: None,
            epochs: None,
            num_train: counts[0] as u64,
            num_validation: counts[1] as u64,
            num_test: counts[2] as u64,
            metric: metric.name.to_owned(),
            is_headline: metric == task.kind.headline(),
            value,
            low: None,
            high: None,
            validation: None,
            predictions: None,
            program_version: self.subject.program_version.to_owned(),
        }
    }

    /// Writes what was predicted of tracks, and says where, relative to the folder of results.
    pub(crate) fn write_predictions(
        &self,
        made_of: &MadeOf<'_>,
        seed: Option<u64>,
        tracks: &[usize],
        predictions: Vec<Prediction>,
    ) -> Result<String, PredictionsError> {
        let Problem { task, classes, dataset, dataset_sha256, .. } = self.subject.problem;
        let header = PredictionHeader {
            version: PredictionHeader::VERSION,
            task: task.name.clone(),
            kind: task.kind,
            classes: classes.clone(),
            rules: self.scoring,
            dataset: dataset.clone(),
            dataset_sha256: dataset_sha256.clone(),
            encoder: self.subject.encoder.to_owned(),
            layer: made_of.layer.to_owned(),
            head: self.head.clone(),
            run: made_of.run.to_owned(),
        };
        let tracks = tracks
            .iter()
            .zip(predictions)
            .map(|(&track, prediction)| {
                let track = &self.subject.problem.tracks[track];
                TrackPrediction { track: track.name.clone(), label: track.label.clone(), prediction }
            })
            .collect();
        let seed = seed.map_or_else(String::new, |seed| format!("-seed-{seed}"));
        let name = format!("predictions/{}{seed}.jsonl", made_of.run);
        PredictionFile { header, tracks }.write(&self.subject.results.path().join(&name))?;
        Ok(name)
    }

    /// Scores what was said of test tracks without training, and writes rows and predictions. Metrics that `is_scored` says no
    /// to are left out.
    ///
    /// # Errors
    /// Predictions that are not of the task's form, or results that cannot be written.
    pub(crate) fn record_untrained(
        &self,
        made_of: &MadeOf<'_>,
        tracks: &[usize],
        predictions: Vec<Prediction>,
        is_scored: impl Fn(Metric) -> bool,
    ) -> Result<Vec<ResultRow>, RecordError> {
        let evaluation = self.subject.evaluate(tracks, &predictions, self.scoring)?;
        let file = self.write_predictions(made_of, None, tracks, predictions)?;
        let row = |(metric, value)| {
            let interval = evaluation.interval(metric, STATISTICS_SEED);
            ResultRow {
                low: interval.map(|interval| interval.low),
                high: interval.map(|interval| interval.high),
                predictions: Some(file.clone()),
                ..self.row(made_of, metric, value, [0, 0, tracks.len()])
            }
        };
        let rows: Vec<ResultRow> =
            evaluation.values().into_iter().filter(|(metric, _)| is_scored(*metric)).map(row).collect();
        self.subject.results.append(&rows)?;
        Ok(rows)
    }
}
