//! Heads on items: clips or frames, each with what should come of it.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use solfa_eval::dataset::Split;
use solfa_eval::task::{Scope, Target};

use super::record::{TrainedHead, TrainedUnit};
use super::{Scan, ScanError, ScanObserver, Splits, Unit, best_rate};
use crate::answers::Answers;
use crate::head::{Head, HeadKind};
use crate::items::{TargetBlock, output_width};
use crate::train::{Trained, class_means, train};

impl Scan<'_> {
    /// Trains a head for every learning rate and seed, and lets those of the best rate answer for the test tracks.
    pub(super) fn train_on_items(
        &self,
        unit: &Unit,
        splits: &Splits,
        answers: &Answers,
        observer: &dyn ScanObserver,
    ) -> Result<TrainedUnit, ScanError> {
        let (task, protocol) = (&self.subject.problem.task, self.protocol);
        let answer_error = |source| ScanError::Answer { task: task.name.clone(), source };
        let targets_of = |split| self.subject.targets(&self.subject.usable(split));
        let train_targets = targets_of(Split::Train);
        let places = unit.drawn(train_targets.len());
        let drawn = (unit.fraction < 1.0).then(|| splits.train.of_tracks(&places));
        let train_items = drawn.as_ref().unwrap_or(&splits.train);
        let blocks: Vec<TargetBlock> = answers.targets(&train_targets, train_items).map_err(answer_error)?;
        let dims: Vec<usize> = splits.train.features.layers.iter().map(|layer| layer.dim).collect();
        let head = Head::new(unit.policy, protocol.head, &dims, output_width(&blocks))
            .map_err(|source| ScanError::Head { task: task.name.clone(), layer: unit.label.clone(), source })?;
        let validation_targets = targets_of(Split::Validation);
        // Published code that scores clips here chooses by another score than it reports.
        let clips = (protocol.answers.validates_clips && task.kind.scope() == Scope::Track)
            .then(|| splits.validation.each_alone());
        let clip_targets: Vec<&Target> =
            splits.validation.track_of_item.iter().map(|&track| validation_targets[track]).collect();
        let (validation_items, validation_targets) = match &clips {
            Some(clips) => (clips, &clip_targets),
            None => (&splits.validation, &validation_targets),
        };
        let validate = |parameters: &Vec<Vec<f32>>| {
            let outputs = head.predict(parameters, &validation_items.features);
            let score = answers.headline(validation_targets, &outputs, validation_items);
            score.ok().flatten().unwrap_or(f64::NEG_INFINITY)
        };
        let trainings = AtomicU64::new(0);
        let finished_one = || {
            trainings.fetch_add(1, Ordering::Relaxed);
            observer.trained();
        };
        let train_error = |source| ScanError::Train { task: task.name.clone(), layer: unit.label.clone(), source };
        let (learning_rate, heads) = if protocol.head == HeadKind::ClassMean {
            let trained = class_means(&head, &train_items.features, &blocks, validate).map_err(train_error)?;
            finished_one();
            (None, vec![(None, trained)])
        } else {
            let trained = protocol
                .jobs()
                .par_iter()
                .map(|&(rate, seed)| {
                    let training = protocol.training(task.kind.scope(), rate);
                    let trained = train(&head, &train_items.features, &blocks, &training, seed, validate);
                    finished_one();
                    trained
                })
                .collect();
            let score = |trained: &Trained| trained.validation;
            let (rate, heads) = best_rate(protocol, trained, score).map_err(train_error)?;
            (Some(rate), heads)
        };
        let test_targets = targets_of(Split::Test);
        let heads = heads.into_iter().map(|(seed, trained)| {
            let outputs = head.predict(&trained.parameters, &splits.test.features);
            let predictions = answers.predictions(&outputs, &splits.test, test_targets.len())?;
            Ok(TrainedHead {
                seed,
                epoch: trained.epoch,
                validation: trained.validation,
                evaluation: answers.score(&test_targets, &predictions)?,
                predictions,
                layer_weights: head.layer_weights(&trained.parameters),
            })
        });
        Ok(TrainedUnit {
            learning_rate,
            heads: heads.collect::<Result<_, _>>().map_err(answer_error)?,
            num_train: places.len(),
            trainings: trainings.into_inner() as usize,
        })
    }
}
