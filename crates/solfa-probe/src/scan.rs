//! One task, one encoder: every layer, learning rate and seed from the cache, to rows of results and files of predictions.
//!
//! For each choice of layers (and share of labels, and draw of it) one head is trained for every learning rate and seed. The
//! learning rate with the best mean validation score over seeds is kept, and only its heads see the test split.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use solfa_eval::dataset::Split;
use solfa_eval::results::{LayerWeights, ResultRow};
use solfa_eval::store::StoreError;
use solfa_eval::task::{Evaluation, Metric, PredictionsError};

use crate::answers::{AnswerError, Answers};
use crate::features::{FeatureError, TrackItems};
use crate::head::{Head, HeadError, HeadKind, LayerPolicy};
use crate::items::{Standardization, TargetBlock, output_width};
use crate::problem::Problem;
use crate::protocol::{LayerPlan, Protocol};
use crate::record::{MadeOf, Recorder, STATISTICS_SEED, run_name};
use crate::subject::Subject;
use crate::train::{TrainError, Trained, class_means, train};

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
    fn made_of(&self) -> MadeOf<'_> {
        MadeOf { run: &self.run, layer: &self.label, fraction: self.fraction, draw: self.draw }
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
        match self.protocol.head {
            HeadKind::ClassMean => units.len(),
            _ => units.len() * self.protocol.learning_rates.len() * self.protocol.seeds.len(),
        }
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
        let answers = Answers::new(self.subject.problem, self.protocol.answers);
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

    /// The training items that a share of the tracks leaves, with as many tracks as it rounds to, at least one.
    fn drawn(&self, unit: &Unit, train: &TrackItems, num_tracks: usize) -> Option<TrackItems> {
        if unit.fraction >= 1.0 {
            return None;
        }
        let mut order: Vec<usize> = (0..num_tracks).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(u64::from(unit.draw)));
        let count = ((num_tracks as f64 * unit.fraction).round() as usize).max(1);
        let mut is_drawn = vec![false; num_tracks];
        order[..count].iter().for_each(|&track| is_drawn[track] = true);
        let items: Vec<usize> =
            (0..train.track_of_item.len()).filter(|&item| is_drawn[train.track_of_item[item]]).collect();
        let mut features = train.features.clone();
        features.num_items = items.len();
        for layer in &mut features.layers {
            layer.data = items.iter().flat_map(|&i| &layer.data[i * layer.dim..(i + 1) * layer.dim]).copied().collect();
        }
        Some(TrackItems {
            features,
            track_of_item: items.iter().map(|&item| train.track_of_item[item]).collect(),
            seconds_of_item: items.iter().map(|&item| train.seconds_of_item[item]).collect(),
            items_per_second: train.items_per_second,
        })
    }

    fn unit(
        &self,
        unit: &Unit,
        splits: &Splits,
        answers: &Answers,
        observer: &dyn ScanObserver,
    ) -> Result<UnitScores, ScanError> {
        let (task, protocol) = (&self.subject.problem.task, self.protocol);
        let answer_error = |source| ScanError::Answer { task: task.name.clone(), source };
        let targets_of = |split| self.subject.targets(&self.subject.usable(split));
        let (train_targets, validation_targets) = (targets_of(Split::Train), targets_of(Split::Validation));
        let drawn = self.drawn(unit, &splits.train, train_targets.len());
        let train_items = drawn.as_ref().unwrap_or(&splits.train);
        let blocks: Vec<TargetBlock> = answers.targets(&train_targets, train_items).map_err(answer_error)?;
        let dims: Vec<usize> = splits.train.features.layers.iter().map(|layer| layer.dim).collect();
        let head = Head::new(unit.policy, protocol.head, &dims, output_width(&blocks))
            .map_err(|source| ScanError::Head { task: task.name.clone(), layer: unit.label.clone(), source })?;
        let validate = |parameters: &Vec<Vec<f32>>| {
            let outputs = head.predict(parameters, &splits.validation.features);
            let evaluation = answers.evaluate(&validation_targets, &outputs, &splits.validation);
            evaluation.ok().and_then(|evaluation| evaluation.headline()).unwrap_or(f64::NEG_INFINITY)
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
            let jobs: Vec<(f64, u64)> = protocol
                .learning_rates
                .iter()
                .flat_map(|&rate| protocol.seeds.iter().map(move |&seed| (rate, seed)))
                .collect();
            let trained: Vec<Result<Trained, TrainError>> = jobs
                .par_iter()
                .map(|&(rate, seed)| {
                    let training = protocol.training(task.kind.scope(), rate);
                    let trained = train(&head, &train_items.features, &blocks, &training, seed, validate);
                    finished_one();
                    trained
                })
                .collect();
            let (rate, heads) = best_rate(protocol, trained).map_err(train_error)?;
            (Some(rate), heads)
        };
        let test_tracks = self.subject.usable(Split::Test);
        let test_targets = targets_of(Split::Test);
        let recorder = self.recorder();
        let mut evaluations = Vec::with_capacity(heads.len());
        let mut files = Vec::with_capacity(heads.len());
        for (seed, trained) in &heads {
            let outputs = head.predict(&trained.parameters, &splits.test.features);
            evaluations.push(answers.evaluate(&test_targets, &outputs, &splits.test).map_err(answer_error)?);
            let predictions = answers.predictions(&outputs, &splits.test, test_tracks.len()).map_err(answer_error)?;
            files.push(recorder.write_predictions(&unit.made_of(), *seed, &test_tracks, predictions)?);
        }
        let counts = [train_targets_used(train_items), validation_targets.len(), test_tracks.len()];
        let mut rows = Vec::new();
        for (((seed, trained), evaluation), file) in heads.iter().zip(&evaluations).zip(&files) {
            for (metric, value) in evaluation.values() {
                let validation = (metric == task.kind.headline()).then_some(trained.validation);
                let mut row = ResultRow { learning_rate, ..recorder.row(&unit.made_of(), metric, value, counts) };
                (row.seed, row.epochs, row.validation) = (*seed, Some(trained.epoch), validation);
                row.predictions = Some(file.clone());
                if seed.is_some() {
                    rows.push(row);
                }
            }
        }
        let validation = heads.iter().map(|(_, trained)| trained.validation).sum::<f64>() / heads.len() as f64;
        let mut scores = Vec::new();
        for metric in task.kind.metrics() {
            let Some((value, interval)) = Evaluation::mean_over(&evaluations, *metric, STATISTICS_SEED) else {
                continue;
            };
            let mut row = ResultRow { learning_rate, ..recorder.row(&unit.made_of(), *metric, value, counts) };
            (row.low, row.high) = (interval.map(|interval| interval.low), interval.map(|interval| interval.high));
            row.validation = (*metric == task.kind.headline()).then_some(validation);
            if let [file] = files.as_slice() {
                row.predictions = Some(file.clone());
            }
            scores.push((*metric, value, interval.map(|interval| [interval.low, interval.high])));
            rows.push(row);
        }
        let weights: Vec<LayerWeights> = heads
            .iter()
            .filter_map(|(seed, trained)| {
                Some(LayerWeights {
                    run: unit.run.clone(),
                    task: task.name.clone(),
                    encoder: self.subject.encoder.to_owned(),
                    seed: (*seed)?,
                    layers: unit.layers.clone(),
                    weights: head.layer_weights(&trained.parameters)?,
                })
            })
            .collect();
        self.subject.results.append_layer_weights(&weights)?;
        // Rows last: a run that has rows is done.
        self.subject.results.append(&rows)?;
        Ok(UnitScores { learning_rate, scores, validation, trainings: trainings.into_inner() as usize })
    }

    fn recorder(&self) -> Recorder<'_> {
        Recorder {
            subject: &self.subject,
            head: self.protocol.head.name(),
            protocol: self.protocol.name.clone(),
            scoring: self.protocol.answers.scoring,
        }
    }
}

/// Tracks that training items are of.
fn train_targets_used(items: &TrackItems) -> usize {
    let mut tracks = items.track_of_item.clone();
    tracks.dedup();
    tracks.len()
}

/// The learning rate with the best mean validation score, and its heads with their seeds. A learning rate that broke a
/// training counts as the worst.
#[allow(clippy::type_complexity, reason = "a rate and its heads, taken apart at once")]
fn best_rate(
    protocol: &Protocol,
    trained: Vec<Result<Trained, TrainError>>,
) -> Result<(f64, Vec<(Option<u64>, Trained)>), TrainError> {
    let mut best: Option<(f64, f64, Vec<(Option<u64>, Trained)>)> = None;
    let mut failure = TrainError::Empty;
    let mut trained = trained.into_iter();
    for &rate in &protocol.learning_rates {
        let of_rate: Vec<_> = trained.by_ref().take(protocol.seeds.len()).collect();
        match of_rate.into_iter().collect::<Result<Vec<Trained>, TrainError>>() {
            Ok(heads) => {
                let score = heads.iter().map(|head| head.validation).sum::<f64>() / heads.len() as f64;
                if best.as_ref().is_none_or(|(best, ..)| score > *best) {
                    let seeds = protocol.seeds.iter().copied().map(Some);
                    best = Some((score, rate, seeds.zip(heads).collect()));
                }
            }
            Err(error) => failure = error,
        }
    }
    best.map(|(_, rate, heads)| (rate, heads)).ok_or(failure)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use rand::Rng;
    use serde_json::json;
    use solfa_eval::cache::{CacheDtype, CacheKey, CacheSink, FeatureCache, Kept};
    use solfa_eval::results::ResultFolder;
    use solfa_eval::store::EmbeddingSpace;
    use solfa_eval::task::{PredictionFile, PredictionRules, Task, TaskKind};
    use solfa_signal::extract::{FrameSink, StitchedLayer};
    use solfa_signal::frames::Pooling;

    use super::*;
    use crate::features::CachedFeatures;
    use crate::problem::Row;

    const CLIPS: Kept = Kept::ClipMeans { clip_seconds: 2.0, minimum_share: 0.5 };

    fn key(kept: Kept) -> CacheKey {
        let space = EmbeddingSpace {
            model: "fake".to_owned(),
            encoder_identity: "ab".repeat(32),
            weights_sha256: None,
            layers: vec![0, 1],
            layer_dims: vec![4, 4],
            frames_per_second: vec![10.0, 10.0],
            pooling: Pooling::None,
            window_seconds: Some(30.0),
            hop_seconds: Some(30.0),
            tail: "overlap".to_owned(),
            resampler: "sinc-hann".to_owned(),
            sample_rate: 24_000,
            dtype: "f32".to_owned(),
            numerics_version: 1,
            program_version: "0".to_owned(),
        };
        CacheKey { space, kept, dtype: CacheDtype::F32 }
    }

    /// A problem, and a cache in which layer 0 is noise and layer 1 tells what is asked.
    struct World {
        folder: tempfile::TempDir,
        problem: Problem,
        cache: FeatureCache,
        key: CacheKey,
        audio: Vec<Option<String>>,
    }

    impl World {
        fn subject<'run>(&'run self, results: &'run ResultFolder) -> Subject<'run> {
            Subject {
                problem: &self.problem,
                features: CachedFeatures { cache: &self.cache, key: &self.key, audio: &self.audio },
                encoder: "fake",
                results,
                time: "2026-11-21T10:00:00Z",
                program_version: "0",
            }
        }
    }

    /// `frames` gives, for a track's number, the label and the second layer's values at 10 frames a second.
    fn world(kind: TaskKind, kept: Kept, frames: impl Fn(usize) -> (serde_json::Value, Vec<[f32; 4]>)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path().join("cache"));
        let key = key(kept);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut rows, mut audio) = (Vec::new(), Vec::new());
        for track in 0..60 {
            let (label, values) = frames(track);
            let split = [Split::Train, Split::Train, Split::Validation, Split::Test][track % 4];
            let path = format!("{track}.wav");
            let record = serde_json::from_value(json!({"audio_path": path, "label": label})).unwrap();
            rows.push(Row { record, split, path: PathBuf::from(&path), place: format!("line {track}"), segment: None });
            let layer =
                |layer| StitchedLayer { layer, dim: 4, hop_samples: 2400, frames_per_second: 10.0, num_frames: 0 };
            let mut sink = CacheSink::new(&[layer(0), layer(1)], kept);
            for frame in &values {
                let noise: Vec<f32> = (0..4).map(|_| random.random_range(-1.0..1.0)).collect();
                sink.push(0, &noise).unwrap();
                let signal: Vec<f32> = frame.iter().map(|value| value + random.random_range(-0.3..0.3)).collect();
                sink.push(1, &signal).unwrap();
            }
            let hash = format!("{track:064x}");
            cache.write(&key, &hash, sink, values.len() as f64 / 10.0).unwrap();
            audio.push(Some(hash));
        }
        let problem = Problem::new(&Task::custom("fake", kind), "fake", &"cd".repeat(32), rows, &Split::ALL).unwrap();
        World { folder, problem, cache, key, audio }
    }

    fn classes() -> World {
        world(TaskKind::Class, CLIPS, |track| {
            let class = track / 4 % 3;
            let mut frame = [0.0; 4];
            frame[class] = 1.0;
            (json!(["a", "b", "c"][class]), vec![frame; 45])
        })
    }

    fn quick() -> Protocol {
        Protocol { learning_rates: vec![1e-2, 1e-1], max_epochs: 30, batch_size: 16, ..Protocol::linear() }
    }

    fn run(world: &World, protocol: &Protocol) -> Result<(Vec<Unit>, Vec<UnitOutcome>, ResultFolder), ScanError> {
        let results = ResultFolder::new(world.folder.path().join("results"));
        let scan = Scan { subject: world.subject(&results), protocol };
        let units = scan.units(&[0, 1])?;
        let outcomes = scan.run(&units, &())?;
        Ok((units, outcomes, results))
    }

    fn headline(outcome: &UnitOutcome) -> f64 {
        let UnitOutcome::Done(scores) = outcome else { panic!("not trained: {outcome:?}") };
        scores.scores[0].1
    }

    #[test]
    fn a_scan_finds_the_layer_that_knows() {
        let world = classes();
        let protocol = Protocol { layers: vec![LayerPlan::Each, LayerPlan::Weighted, LayerPlan::All], ..quick() };
        let (units, outcomes, results) = run(&world, &protocol).unwrap();
        let labels: Vec<&str> = units.iter().map(|unit| unit.label.as_str()).collect();
        assert_eq!(labels, ["0", "1", "weighted", "all"]);
        assert!(headline(&outcomes[0]) < 0.7, "{:?}", outcomes[0]);
        for outcome in &outcomes[1..] {
            assert!(headline(outcome) > 0.9, "{outcome:?}");
        }
        let (rows, broken) = results.rows().unwrap();
        assert!(broken.is_empty());
        assert_eq!(rows.len(), 4 * 2 * (3 + 1), "units, metrics, seeds and their mean");
        let means: Vec<&ResultRow> = rows.iter().filter(|row| row.seed.is_none() && row.is_headline).collect();
        assert_eq!(means.len(), 4);
        assert!(means.iter().all(|row| row.low.unwrap() <= row.value && row.value <= row.high.unwrap()));
        assert_eq!((means[0].num_train, means[0].num_validation, means[0].num_test), (30, 15, 15));
        let (weights, _) = results.layer_weights().unwrap();
        assert_eq!(weights.len(), 3);
        assert!(weights.iter().all(|weights| weights.weights[1] > 0.5), "{weights:?}");
    }

    #[test]
    fn every_number_can_be_computed_from_its_predictions() {
        let world = classes();
        let (_, _, results) = run(&world, &quick()).unwrap();
        let (rows, _) = results.rows().unwrap();
        let single: Vec<&ResultRow> = rows.iter().filter(|row| row.seed.is_some()).collect();
        assert!(!single.is_empty());
        for row in single {
            let path = results.path().join(row.predictions.as_ref().unwrap());
            let file = PredictionFile::read(&path).unwrap();
            file.check_data_set(&path, "fake", &row.dataset_sha256).unwrap();
            let evaluation = file.evaluate(&path).unwrap();
            let found = evaluation.values().into_iter().find(|(metric, _)| metric.name == row.metric).unwrap().1;
            assert_eq!(found, row.value, "{} of seed {:?}", row.metric, row.seed);
        }
    }

    #[test]
    fn what_is_in_the_results_is_not_done_again() {
        struct Counting(Mutex<(usize, usize)>);
        impl ScanObserver for Counting {
            fn trained(&self) {
                self.0.lock().unwrap().0 += 1;
            }
            fn finished(&self, _unit: &Unit, outcome: &UnitOutcome) {
                self.0.lock().unwrap().1 += usize::from(*outcome == UnitOutcome::Resumed);
            }
        }
        let world = classes();
        let protocol = Protocol { layers: vec![LayerPlan::Numbers(vec![1])], ..quick() };
        let (.., results) = run(&world, &protocol).unwrap();
        let before = results.rows().unwrap().0.len();
        let protocol = Protocol { layers: vec![LayerPlan::Each], ..quick() };
        let scan = Scan { subject: world.subject(&results), protocol: &protocol };
        let counting = Counting(Mutex::default());
        let units = scan.units(&[0, 1]).unwrap();
        scan.run(&units, &counting).unwrap();
        assert_eq!(
            *counting.0.lock().unwrap(),
            (6, 1),
            "two learning rates and three seeds for layer 0, none for layer 1"
        );
        assert_eq!(results.rows().unwrap().0.len(), 2 * before);
        let other = Protocol { max_epochs: 31, ..protocol.clone() };
        let scan = Scan { protocol: &other, ..scan };
        assert_ne!(scan.units(&[0, 1]).unwrap()[1].run, units[1].run, "another protocol is another run");
    }

    #[test]
    fn fewer_labels_are_drawn_several_times() {
        let world = classes();
        let protocol = Protocol {
            layers: vec![LayerPlan::Numbers(vec![1])],
            label_fractions: vec![0.1, 1.0],
            draws: 2,
            head: HeadKind::ClassMean,
            ..quick()
        };
        let (units, outcomes, results) = run(&world, &protocol).unwrap();
        let shares: Vec<(f64, u32)> = units.iter().map(|unit| (unit.fraction, unit.draw)).collect();
        assert_eq!(shares, [(0.1, 0), (0.1, 1), (1.0, 0)]);
        assert!(headline(&outcomes[2]) > 0.9);
        let used: Vec<u64> =
            results.rows().unwrap().0.iter().filter(|row| row.is_headline).map(|row| row.num_train).collect();
        assert_eq!(used, [3, 3, 30]);
    }

    #[test]
    fn recordings_that_could_not_be_encoded_are_left_out() {
        let mut world = classes();
        world.audio[3] = None;
        let protocol = Protocol { layers: vec![LayerPlan::Numbers(vec![1])], ..quick() };
        let (.., results) = run(&world, &protocol).unwrap();
        assert_eq!(results.rows().unwrap().0[0].num_test, 14);
        world.audio.fill(None);
        let other = Protocol { max_epochs: 5, ..protocol };
        assert!(run(&world, &other).unwrap_err().to_string().contains("`train`"));
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let world = classes();
        let protocol = Protocol { layers: vec![LayerPlan::Numbers(vec![7])], ..quick() };
        assert_eq!(run(&world, &protocol).unwrap_err().to_string(), "fake has no layer 7: it has [0, 1]");
        let protocol = Protocol { seeds: vec![], ..quick() };
        assert!(run(&world, &protocol).unwrap_err().to_string().contains("seeds"));
        world.cache.path(&world.key, "00");
        fs_err::remove_file(world.cache.path(&world.key, world.audio[0].as_ref().unwrap())).unwrap();
        assert!(run(&world, &quick()).unwrap_err().to_string().starts_with("0.wav"));
        assert!(Path::new(world.folder.path()).exists());
    }

    const FRAMES: Kept = Kept::Frames { maximum_per_second: 10.0 };

    #[test]
    fn chords_are_heard_in_frames() {
        let world = world(TaskKind::Chords, FRAMES, |track| {
            let names = ["C:maj", "A:min", "N"];
            let (first, second) = (track % 3, (track + 1) % 3);
            let label = json!([
                {"start_time": 0.0, "end_time": 3.0, "chord_str": names[first]},
                {"start_time": 3.0, "end_time": 6.0, "chord_str": names[second]},
            ]);
            let frame = |class: usize| std::array::from_fn(|place| f32::from(u8::from(place == class)));
            let mut frames = vec![frame(first); 30];
            frames.extend(vec![frame(second); 30]);
            (label, frames)
        });
        let (_, outcomes, _) = run(&world, &quick()).unwrap();
        assert!(headline(&outcomes[1]) > 0.95, "{:?}", outcomes[1]);
        assert!(headline(&outcomes[0]) < 0.7, "{:?}", outcomes[0]);
    }

    #[test]
    fn beats_are_heard_in_frames() {
        let kept = Kept::Frames { maximum_per_second: 10.0 };
        let world = world(TaskKind::Beats, kept, |track| {
            // 100 or 120 beats a minute at 10 frames a second.
            let period = 5 + track % 2;
            let frames = (0..200).map(|frame| {
                let (beat, bar) = (frame % period == 2, frame % (4 * period) == 2);
                [f32::from(u8::from(beat)), f32::from(u8::from(bar)), 0.0, 0.0]
            });
            let times =
                |step: usize| (2..200).step_by(step).map(|frame| (frame as f64 + 0.5) / 10.0).collect::<Vec<_>>();
            (json!({"beat": times(period), "downbeat": times(4 * period)}), frames.collect())
        });
        let protocol = Protocol { learning_rates: vec![1e-1], seeds: vec![0], frame_batch_size: 256, ..quick() };
        let (_, outcomes, _) = run(&world, &protocol).unwrap();
        let UnitOutcome::Done(scores) = &outcomes[1] else { panic!("{outcomes:?}") };
        // Validation goes by beats, so the best epoch may come before downbeats are sharp.
        assert!(scores.scores[0].1 > 0.9 && scores.scores[1].1 > 0.5, "{:?}", scores.scores);
        let rules = PredictionRules { pooled_beats: true, ..PredictionRules::default() };
        let pooled =
            Protocol { answers: crate::answers::AnswerRules { scoring: rules, ..Default::default() }, ..protocol };
        assert!(headline(&run(&world, &pooled).unwrap().1[1]) > 0.9);
    }

    #[test]
    fn other_tasks_run_end_to_end() {
        let on = |on: bool| f32::from(u8::from(on));
        let onsets = |track: usize| {
            let frames: Vec<[f32; 4]> =
                (0..100).map(|frame| [on(frame % (7 + track % 3) == 3), 0.0, 0.0, 0.0]).collect();
            let times: Vec<f64> = (0..100)
                .filter(|frame| frame % (7 + track % 3) == 3)
                .map(|frame| (frame as f64 + 0.5) / 10.0)
                .collect();
            (json!({"onset": times}), frames)
        };
        let melody = |track: usize| {
            let pitch = 60 + track % 3;
            let frame: [f32; 4] = std::array::from_fn(|place| on(place == track % 3));
            (
                json!({"notes": [{"onset": 0.0, "offset": 2.0, "pitch": pitch}]}),
                [vec![frame; 20], vec![[0.0; 4]; 20]].concat(),
            )
        };
        let structure = |track: usize| {
            let change = 100 + 10 * (track % 5);
            let label = json!([
                {"start_time": 0.0, "end_time": change as f64 / 10.0, "label": "verse"},
                {"start_time": change as f64 / 10.0, "end_time": 30.0, "label": "chorus"},
            ]);
            let frames = (0..300).map(|frame| [on(frame < change), on(frame >= change), on(frame == change), 0.0]);
            (label, frames.collect())
        };
        let numbers = |track: usize| {
            let value = (track % 7) as f32;
            (json!([value, -value]), vec![[value / 7.0, 0.0, 0.0, 0.0]; 45])
        };
        let tempo = |track: usize| {
            let index = track / 4 % 3;
            let frame: [f32; 4] = std::array::from_fn(|place| on(place == index));
            let tempo = [60.0, 90.0, 140.0][index];
            (json!({"tempo": tempo}), vec![frame; 45])
        };
        let tags = |track: usize| {
            let (a, b) = (track.is_multiple_of(3), track % 5 < 2);
            let names: Vec<&str> =
                [("a", a), ("b", b)].into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
            (json!(names), vec![[on(a), on(b), 0.0, 0.0]; 45])
        };
        let key = |track: usize| {
            let index = track / 4 % 2;
            (json!(["C major", "A minor"][index]), vec![[index as f32, 1.0 - index as f32, 0.0, 0.0]; 45])
        };
        let worlds = [
            world(TaskKind::Onsets, FRAMES, onsets),
            world(TaskKind::Melody, FRAMES, melody),
            world(TaskKind::Notes, FRAMES, melody),
            world(TaskKind::Structure, FRAMES, structure),
            world(TaskKind::Numbers, CLIPS, numbers),
            world(TaskKind::Tempo, CLIPS, tempo),
            world(TaskKind::Tags, CLIPS, tags),
            world(TaskKind::Key, CLIPS, key),
        ];
        let protocol =
            Protocol { learning_rates: vec![1e-1], seeds: vec![0], frame_batch_size: 128, max_epochs: 40, ..quick() };
        for world in worlds {
            let kind = world.problem.task.kind;
            let (_, outcomes, results) = run(&world, &protocol).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            let (noise, signal) = (headline(&outcomes[0]), headline(&outcomes[1]));
            assert!(signal > 0.8 && signal > noise, "{kind:?}: {signal} from what tells, {noise} from noise");
            assert!(!results.rows().unwrap().0.is_empty());
        }
    }
}
