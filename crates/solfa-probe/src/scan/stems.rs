//! Networks that separate: one for each stem, and the mean over stems as the score.

use std::collections::BTreeSet;

use rayon::prelude::*;
use solfa_eval::dataset::Split;
use solfa_eval::task::Prediction;

use super::record::{TrainedHead, TrainedUnit};
use super::{Scan, ScanError, ScanObserver, Splits, Unit, best_rate};
use crate::mix::LayerMix;
use crate::separation::{SeparationError, StemSplit, StemTask, TrainedStem};

/// The networks of one learning rate and seed: one for each stem.
type Stems = Vec<TrainedStem>;

impl Scan<'_> {
    /// Names of the stems that songs are mixed of, in alphabetical order.
    pub(super) fn stems(&self) -> Vec<String> {
        let tracks = self.subject.problem.tracks.iter();
        let names: BTreeSet<&String> = tracks.flat_map(|track| track.stems.iter().map(|(name, _)| name)).collect();
        names.into_iter().cloned().collect()
    }

    /// Trains a network for every stem, learning rate and seed. Test songs are separated by each, and only those of the best
    /// rate are looked at.
    pub(super) fn train_on_stems(
        &self,
        unit: &Unit,
        splits: &Splits,
        observer: &dyn ScanObserver,
    ) -> Result<TrainedUnit, ScanError> {
        let (task, protocol) = (&self.subject.problem.task, self.protocol);
        let error = |source: SeparationError| ScanError::Separation {
            task: task.name.clone(),
            layer: unit.label.clone(),
            source: Box::new(source),
        };
        let [train, validation, test] = Split::ALL.map(|split| self.subject.usable(split));
        let places = unit.drawn(train.len());
        let all = |tracks: &[usize]| (0..tracks.len()).collect::<Vec<usize>>();
        let dims: Vec<usize> = splits.train.features.layers.iter().map(|layer| layer.dim).collect();
        let mix = LayerMix::new(unit.policy, &dims).map_err(|source| ScanError::Head {
            task: task.name.clone(),
            layer: unit.label.clone(),
            source,
        })?;
        let stems = self.stems();
        let jobs = protocol.jobs();
        let mut trained: Vec<Result<Stems, SeparationError>> = jobs.iter().map(|_| Ok(Vec::new())).collect();
        for stem in &stems {
            let problem = self.subject.problem;
            let read = |tracks: &[usize], places: &[usize], items| {
                StemSplit::read(problem, tracks, places, stem, items).map_err(error)
            };
            let train = read(&train, &places, &splits.train)?;
            let (validation, test) =
                (read(&validation, &all(&validation), &splits.validation)?, read(&test, &all(&test), &splits.test)?);
            let of_stem = StemTask::new(mix.clone(), protocol.separation, &train, &validation, &test).map_err(error)?;
            jobs.par_iter().zip(&mut trained).for_each(|(&(rate, seed), trained)| {
                let training = protocol.training(task.kind.scope(), rate);
                match of_stem.train(&training, seed) {
                    Ok(network) => {
                        if let Ok(networks) = trained {
                            networks.push(network);
                        }
                    }
                    Err(error) => *trained = Err(error),
                }
                observer.trained();
            });
        }
        let mean = |networks: &Stems, value: &dyn Fn(&TrainedStem) -> f64| {
            networks.iter().map(value).sum::<f64>() / networks.len().max(1) as f64
        };
        let validation_of = |networks: &Stems| mean(networks, &|network| network.trained.validation);
        let (rate, networks) = best_rate(protocol, trained, validation_of).map_err(error)?;
        let heads = networks.into_iter().map(|(seed, networks)| {
            let of_song = |song: usize| {
                Prediction::Sdr(stems.iter().cloned().zip(networks.iter().map(|network| network.test[song])).collect())
            };
            let predictions: Vec<Prediction> = (0..test.len()).map(of_song).collect();
            let weights: Option<Vec<&Vec<f64>>> =
                networks.iter().map(|network| network.layer_weights.as_ref()).collect();
            let mean_weight = |weights: Vec<&Vec<f64>>| -> Vec<f64> {
                let of_layer = |layer| weights.iter().map(|weights| weights[layer]).sum::<f64>();
                (0..dims.len()).map(|layer| of_layer(layer) / weights.len().max(1) as f64).collect()
            };
            Ok(TrainedHead {
                seed,
                epoch: networks.iter().map(|network| network.trained.epoch).max().unwrap_or(0),
                validation: validation_of(&networks),
                evaluation: self.subject.evaluate(&test, &predictions, protocol.answers.scoring)?,
                predictions,
                layer_weights: weights.map(mean_weight),
            })
        });
        Ok(TrainedUnit {
            learning_rate: Some(rate),
            heads: heads.collect::<Result<_, _>>().map_err(error)?,
            num_train: places.len(),
            trainings: jobs.len() * stems.len(),
        })
    }
}
