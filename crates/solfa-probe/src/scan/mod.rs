//! One task, one encoder: every layer, learning rate and seed from the cache, to rows of results and files of predictions.
//!
//! For each choice of layers (and share of labels, and draw of it) one head is trained for every learning rate and seed. The
//! learning rate with the best mean validation score over seeds is kept, and only its heads see the test split.

mod items;
mod record;
mod stems;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use solfa_eval::dataset::Split;
use solfa_eval::store::StoreError;
use solfa_eval::task::{Metric, PredictionsError, Scope};

use crate::answers::{AnswerError, Answers};
use crate::features::{FeatureError, TrackItems};
use crate::head::HeadKind;
use crate::items::Standardization;
use crate::mix::{HeadError, LayerPolicy};
use crate::problem::Problem;
use crate::protocol::{LayerPlan, Protocol};
use crate::record::run_name;
use crate::separation::SeparationError;
use crate::subject::Subject;
use crate::train::TrainError;

/// A task on a data set, an encoder's cached features, and how heads are trained on them.
pub struct Scan<'run> {
    /// The task, the features, and where results go.
    pub subject: Subject<'run>,
    /// How heads are trained and scored.
    pub protocol: &'run Protocol,
}

/// Heads on one choice of layers, share of labels, and draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The layers' numbers.
    pub layers: Vec<usize>,
    /// How they come together.
    pub policy: LayerPolicy,
    /// The name in results: a number, `weighted`, `all` or `reduced`.
    pub label: String,
    /// Share of the training tracks.
    pub fraction: f64,
    /// Number of the draw.
    pub draw: u32,
    /// The run's name.
    pub run: String,
}

impl Unit {
    /// Which of so many training tracks are learned from, in ascending order: as many as the share rounds to, at least one.
    fn drawn(&self, num_tracks: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..num_tracks).collect();
        if self.fraction < 1.0 {
            places.shuffle(&mut ChaCha8Rng::seed_from_u64(u64::from(self.draw)));
            places.truncate(((num_tracks as f64 * self.fraction).round() as usize).max(1));
            places.sort_unstable();
        }
        places
    }
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq)]
pub enum UnitOutcome {
    /// Its rows were in the results already.
    Resumed,
    /// It was trained and scored.
    Done(Box<UnitScores>),
}

/// A unit's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitScores {
    /// The learning rate that validation chose.
    pub learning_rate: Option<f64>,
    /// The mean over seeds of each score on the test split, with its interval.
    pub scores: Vec<(Metric, f64, Option<[f64; 2]>)>,
    /// The mean validation score of the task's first metric.
    pub validation: f64,
    /// Heads trained.
    pub trainings: usize,
}

/// What a scan tells while it runs.
pub trait ScanObserver: Sync {
    /// A head has been trained.
    fn trained(&self) {}
    /// A unit is done.
    fn finished(&self, unit: &Unit, outcome: &UnitOutcome) {
        let _ = (unit, outcome);
    }
}

/// Says nothing.
impl ScanObserver for () {}

/// Why a scan ended.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The protocol cannot be run.
    #[error("protocol `{name}`: {reason}")]
    Protocol {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No usable track is left in a split.
    #[error("{dataset}: no recording of split `{}` could be encoded", split.name())]
    NothingLeft {
        /// The data set.
        dataset: String,
        /// The split.
        split: Split,
    },
    /// The encoder does not have a layer.
    #[error("{encoder} has no layer {layer}: it has {found:?}")]
    NoLayer {
        /// The encoder.
        encoder: String,
        /// The layer asked for.
        layer: usize,
        /// The layers that there are.
        found: Vec<usize>,
    },
    /// No training gave finite numbers.
    #[error("{task}, layer {layer}: {source}")]
    Train {
        /// The task.
        task: String,
        /// The layer.
        layer: String,
        /// Why.
        source: TrainError,
    },
    /// Layers and head do not fit.
    #[error("{task}, layers {layer}: {source}")]
    Head {
        /// The task.
        task: String,
        /// The layers.
        layer: String,
        /// Why.
        source: HeadError,
    },
    /// Stems cannot be separated.
    #[error("{task}, layers {layer}: {source}")]
    Separation {
        /// The task.
        task: String,
        /// The layers.
        layer: String,
        /// Why.
        source: Box<SeparationError>,
    },
    /// Features cannot be had.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// Outputs cannot be decoded or scored.
    #[error("{task}: {source}")]
    Answer {
        /// The task.
        task: String,
        /// Why.
        source: AnswerError,
    },
    /// Results cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Predictions cannot be written.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
}

/// The three splits of a unit.
struct Splits {
    train: TrackItems,
    validation: TrackItems,
    test: TrackItems,
}

impl Scan<'_> {
    /// The units of the scan, in order, for an encoder with these layers.
    ///
    /// # Errors
    /// A protocol that cannot be run, or a layer that the encoder does not have.
    pub fn units(&self, available: &[usize]) -> Result<Vec<Unit>, ScanError> {
        let protocol = self.protocol;
        protocol.check().map_err(|reason| ScanError::Protocol { name: protocol.name.clone(), reason })?;
        let mut choices: Vec<(Vec<usize>, LayerPolicy, String)> = Vec::new();
        let single = |layer: usize| (vec![layer], LayerPolicy::Single, layer.to_string());
        for plan in &protocol.layers {
            match plan {
                LayerPlan::Each => choices.extend(available.iter().copied().map(single)),
                LayerPlan::Numbers(numbers) => {
                    for &layer in numbers {
                        if !available.contains(&layer) {
                            let found = available.to_vec();
                            return Err(ScanError::NoLayer { encoder: self.subject.encoder.to_owned(), layer, found });
                        }
                        choices.push(single(layer));
                    }
                }
                // With one layer there is nothing to bring together.
                _ if available.len() < 2 => {}
                LayerPlan::Weighted => {
                    // MARBLE v1 leaves the front end's output out.
                    let skipped = usize::from(protocol.name.starts_with("marble-v1"));
                    choices.push((available[skipped..].to_vec(), LayerPolicy::Weighted, "weighted".to_owned()));
                }
                LayerPlan::All => choices.push((available.to_vec(), LayerPolicy::Concatenated, "all".to_owned())),
                LayerPlan::Reduced => choices.push((available.to_vec(), LayerPolicy::Reduced, "reduced".to_owned())),
            }
        }
        let mut units: Vec<Unit> = Vec::new();
        for (layers, policy, label) in choices {
            for &fraction in &protocol.label_fractions {
                let draws = if fraction < 1.0 { protocol.draws.max(1) } else { 1 };
                for draw in 0..draws {
                    let run = self.run_name(&layers, &label, fraction, draw);
                    let unit = Unit { layers: layers.clone(), policy, label: label.clone(), fraction, draw, run };
                    if !units.iter().any(|other| other.run == unit.run) {
                        units.push(unit);
                    }
                }
            }
        }
        Ok(units)
    }

    /// Trainings that units will take.
    pub fn num_trainings(&self, units: &[Unit]) -> usize {
        let of_unit = match (self.subject.problem.task.kind.scope(), self.protocol.head) {
            (Scope::Sound, _) => self.protocol.jobs().len() * self.stems().len(),
            (_, HeadKind::ClassMean) => 1,
            _ => self.protocol.jobs().len(),
        };
        units.len() * of_unit
    }

    /// Everything that determines a unit's numbers, as 16 hexadecimal digits.
    fn run_name(&self, layers: &[usize], label: &str, fraction: f64, draw: u32) -> String {
        let Problem { task, dataset_sha256, .. } = self.subject.problem;
        // Shares and layers that other units have do not change this one.
        let choices = Protocol { layers: Vec::new(), label_fractions: Vec::new(), draws: 0, ..self.protocol.clone() };
        let text = format!(
            "solfa run 1\ntask={} {}\ndata={dataset_sha256}\nfeatures={}\nlayers={label} {layers:?}\nfraction={fraction} \
             {draw}\nprotocol={}\n",
            task.name,
            task.kind.name(),
            self.subject.features.key.id(),
            serde_json::to_string(&choices).unwrap_or_default(),
        );
        run_name(&text)
    }

    /// Trains and scores units that are not in the results yet.
    ///
    /// # Errors
    /// [`ScanError`] for the first unit that fails; what was done before it is in the results.
    pub fn run(&self, units: &[Unit], observer: &dyn ScanObserver) -> Result<Vec<UnitOutcome>, ScanError> {
        let done = self.subject.results.runs()?;
        let mut loaded: Option<(Vec<usize>, Splits)> = None;
        let mut outcomes = Vec::with_capacity(units.len());
        for unit in units {
            let outcome = if done.contains(&unit.run) {
                UnitOutcome::Resumed
            } else {
                let splits = match loaded.take() {
                    Some((layers, splits)) if layers == unit.layers => splits,
                    _ => self.load(&unit.layers)?,
                };
                let rate = splits.train.items_per_second;
                let answers = Answers::new(self.subject.problem, self.protocol.answers, rate);
                let scores = self.unit(unit, &splits, &answers, observer)?;
                loaded = Some((unit.layers.clone(), splits));
                UnitOutcome::Done(Box::new(scores))
            };
            observer.finished(unit, &outcome);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn load(&self, layers: &[usize]) -> Result<Splits, ScanError> {
        let load = |split| {
            let tracks = self.subject.usable(split);
            if tracks.is_empty() {
                return Err(ScanError::NothingLeft { dataset: self.subject.problem.dataset.clone(), split });
            }
            Ok(self.subject.features.load(self.subject.problem, &tracks, layers)?)
        };
        let mut splits =
            Splits { train: load(Split::Train)?, validation: load(Split::Validation)?, test: load(Split::Test)? };
        if self.protocol.standardize {
            let scale = Standardization::of(&splits.train.features);
            for items in [&mut splits.train, &mut splits.validation, &mut splits.test] {
                scale.apply(&mut items.features);
            }
        }
        Ok(splits)
    }

    fn unit(
        &self,
        unit: &Unit,
        splits: &Splits,
        answers: &Answers,
        observer: &dyn ScanObserver,
    ) -> Result<UnitScores, ScanError> {
        let trained = match self.subject.problem.task.kind.scope() {
            Scope::Sound => self.train_on_stems(unit, splits, observer)?,
            _ => self.train_on_items(unit, splits, answers, observer)?,
        };
        self.record(unit, trained, answers.scoring())
    }
}

/// The learning rate with the best mean validation score, and what was trained with it by seeds. A learning rate that broke a
/// training counts as the worst.
///
/// `trained` is in the order of [`Protocol::jobs`].
fn best_rate<T, E: From<TrainError>>(
    protocol: &Protocol,
    trained: Vec<Result<T, E>>,
    score: impl Fn(&T) -> f64,
) -> Result<(f64, BySeed<T>), E> {
    let mut best: Option<(f64, f64, BySeed<T>)> = None;
    let mut failure = E::from(TrainError::Empty);
    let mut trained = trained.into_iter();
    for &rate in &protocol.learning_rates {
        let of_rate: Vec<_> = trained.by_ref().take(protocol.seeds.len()).collect();
        match of_rate.into_iter().collect::<Result<Vec<T>, E>>() {
            Ok(heads) => {
                let mean = heads.iter().map(&score).sum::<f64>() / heads.len() as f64;
                if best.as_ref().is_none_or(|(best, ..)| mean > *best) {
                    let seeds = protocol.seeds.iter().copied().map(Some);
                    best = Some((mean, rate, seeds.zip(heads).collect()));
                }
            }
            Err(error) => failure = error,
        }
    }
    best.map(|(_, rate, heads)| (rate, heads)).ok_or(failure)
}

/// What was trained, with its seed.
type BySeed<T> = Vec<(Option<u64>, T)>;

#[cfg(test)]
mod tests;
