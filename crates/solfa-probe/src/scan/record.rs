//! What a unit's trainings came to, written down: predictions, weights of layers, and rows.

use solfa_eval::dataset::Split;
use solfa_eval::results::{LayerWeights, ResultRow};
use solfa_eval::task::{Evaluation, Prediction, PredictionRules};

use super::{Scan, ScanError, Unit, UnitScores};
use crate::record::{MadeOf, Recorder, STATISTICS_SEED};

/// The heads of the learning rate that validation chose.
pub(super) struct TrainedUnit {
    pub(super) learning_rate: Option<f64>,
    /// One for each seed.
    pub(super) heads: Vec<TrainedHead>,
    /// Tracks that were learned from.
    pub(super) num_train: usize,
    /// Heads that were trained, the others included.
    pub(super) trainings: usize,
}

/// One head, and what it said of the test tracks.
pub(super) struct TrainedHead {
    /// `None` where nothing was drawn at random.
    pub(super) seed: Option<u64>,
    pub(super) epoch: u32,
    pub(super) validation: f64,
    pub(super) evaluation: Evaluation,
    pub(super) predictions: Vec<Prediction>,
    pub(super) layer_weights: Option<Vec<f64>>,
}

impl Scan<'_> {
    pub(super) fn record(
        &self,
        unit: &Unit,
        trained: TrainedUnit,
        scoring: PredictionRules,
    ) -> Result<UnitScores, ScanError> {
        let task = &self.subject.problem.task;
        let recorder = Recorder {
            subject: &self.subject,
            head: self.protocol.head_name(task.kind.scope()),
            protocol: self.protocol.name.clone(),
            scoring,
        };
        let made_of = MadeOf { run: &unit.run, layer: &unit.label, fraction: unit.fraction, draw: unit.draw };
        let TrainedUnit { learning_rate, mut heads, num_train, trainings } = trained;
        let test = self.subject.usable(Split::Test);
        let counts = [num_train, self.subject.usable(Split::Validation).len(), test.len()];
        let mut files = Vec::with_capacity(heads.len());
        for head in &mut heads {
            let predictions = std::mem::take(&mut head.predictions);
            files.push(recorder.write_predictions(&made_of, head.seed, &test, predictions)?);
        }
        let mut rows = Vec::new();
        for (head, file) in heads.iter().zip(&files).filter(|(head, _)| head.seed.is_some()) {
            for (metric, value) in head.evaluation.values() {
                let validation = (metric == task.kind.headline()).then_some(head.validation);
                rows.push(ResultRow {
                    seed: head.seed,
                    learning_rate,
                    epochs: Some(head.epoch),
                    validation,
                    predictions: Some(file.clone()),
                    ..recorder.row(&made_of, metric, value, counts)
                });
            }
        }
        let validation = heads.iter().map(|head| head.validation).sum::<f64>() / heads.len() as f64;
        let evaluations: Vec<Evaluation> = heads.iter().map(|head| head.evaluation.clone()).collect();
        let mut scores = Vec::new();
        for metric in task.kind.metrics() {
            let Some((value, interval)) = Evaluation::mean_over(&evaluations, *metric, STATISTICS_SEED) else {
                continue;
            };
            scores.push((*metric, value, interval.map(|interval| [interval.low, interval.high])));
            rows.push(ResultRow {
                learning_rate,
                low: interval.map(|interval| interval.low),
                high: interval.map(|interval| interval.high),
                validation: (*metric == task.kind.headline()).then_some(validation),
                // The mean of several seeds has no file of its own.
                predictions: if let [file] = files.as_slice() { Some(file.clone()) } else { None },
                ..recorder.row(&made_of, *metric, value, counts)
            });
        }
        let weights: Vec<LayerWeights> = heads
            .iter()
            .filter_map(|head| {
                Some(LayerWeights {
                    run: unit.run.clone(),
                    task: task.name.clone(),
                    encoder: self.subject.encoder.to_owned(),
                    seed: head.seed?,
                    layers: unit.layers.clone(),
                    weights: head.layer_weights.clone()?,
                })
            })
            .collect();
        self.subject.results.append_layer_weights(&weights)?;
        // Rows last: a run that has rows is done.
        self.subject.results.append(&rows)?;
        Ok(UnitScores { learning_rate, scores, validation, trainings })
    }
}
