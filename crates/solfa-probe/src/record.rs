//! What is written of a run: rows of the table of results, and its predictions.

use solfa_eval::results::{RESULT_SCHEMA, ResultFolder, ResultRow};
use solfa_eval::task::{
    Metric, Prediction, PredictionFile, PredictionHeader, PredictionRules, PredictionsError, TrackPrediction,
};
use solfa_signal::encoder::sha256_hex;

use crate::problem::Problem;

/// Digits of a run's name.
const RUN_DIGITS: usize = 16;

/// The name of a run from everything that determines its numbers: 16 hexadecimal digits.
pub(crate) fn run_name(text: &str) -> String {
    let mut name = sha256_hex(text);
    name.truncate(RUN_DIGITS);
    name
}

/// What all rows of one encoder on one problem share.
pub(crate) struct Recorder<'run> {
    pub(crate) problem: &'run Problem,
    pub(crate) encoder: &'run str,
    pub(crate) space_id: String,
    pub(crate) head: String,
    pub(crate) protocol: String,
    pub(crate) scoring: PredictionRules,
    pub(crate) results: &'run ResultFolder,
    pub(crate) time: &'run str,
    pub(crate) program_version: &'run str,
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
        let Problem { task, dataset, dataset_sha256, .. } = self.problem;
        ResultRow {
            schema: RESULT_SCHEMA,
            time: self.time.to_owned(),
            run: made_of.run.to_owned(),
            task: task.name.clone(),
            dataset: dataset.clone(),
            dataset_sha256: dataset_sha256.clone(),
            encoder: self.encoder.to_owned(),
            space_id: self.space_id.clone(),
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
            program_version: self.program_version.to_owned(),
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
        let Problem { task, classes, dataset, dataset_sha256, .. } = self.problem;
        let header = PredictionHeader {
            version: PredictionHeader::VERSION,
            task: task.name.clone(),
            kind: task.kind,
            classes: classes.clone(),
            rules: self.scoring,
            dataset: dataset.clone(),
            dataset_sha256: dataset_sha256.clone(),
            encoder: self.encoder.to_owned(),
            layer: made_of.layer.to_owned(),
            head: self.head.clone(),
            run: made_of.run.to_owned(),
        };
        let tracks = tracks
            .iter()
            .zip(predictions)
            .map(|(&track, prediction)| {
                let track = &self.problem.tracks[track];
                TrackPrediction { track: track.name.clone(), label: track.label.clone(), prediction }
            })
            .collect();
        let seed = seed.map_or_else(String::new, |seed| format!("-seed-{seed}"));
        let name = format!("predictions/{}{seed}.jsonl", made_of.run);
        PredictionFile { header, tracks }.write(&self.results.path().join(&name))?;
        Ok(name)
    }
}
