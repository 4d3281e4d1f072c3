//! The loop: batches to losses to updates, with a log line for each step and checkpoints from which it goes on.
//!
//! A run that is broken off at any step and resumed gives the same bits as one that was not: batches and masks are functions
//! of seed and step, and a checkpoint holds the network and the optimiser.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    Adam, AdamConfig, AdamError, CheckpointFiles, CheckpointState, ClipOrigin, DivergenceError, DivergenceGuard,
    DivergenceLimits, KEYS_THAT_MAY_CHANGE, LearningRateSchedule, Log, LogLine, NonFinite, Rates, RunError, RunFolder,
    ScheduleError, SkippedCheckpoint, StepSeconds, config_sha256, save_batch,
};
use crate::checkpoint::{CheckpointError, NamedTensor, TensorValues, module_tensors, restore_module};
use crate::data::{Batch, Clip, DataError, Loader};
use crate::objective::{ObjectiveError, Terms};

/// A method of pre-training: what learns, and what it is asked of a batch.
pub trait Recipe {
    /// What learns.
    type Network: Module;

    /// The network before training, on a device with gradients.
    fn network(&self, device: &Device) -> Self::Network;

    /// The loss of a batch, and what else the log shows of it. What is drawn at random depends on the batch's step alone.
    ///
    /// # Errors
    /// Clips that the objective cannot be computed of.
    fn terms(&self, network: &Self::Network, batch: &Batch, device: &Device) -> Result<Terms, ObjectiveError>;
}

/// How a network is trained, whatever the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Updates in all.
    pub steps: u64,
    /// Updates from one checkpoint to the next.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept besides the best one.
    pub keep_checkpoints: usize,
    /// The learning rate of each update.
    pub learning_rate: LearningRateSchedule,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: AdamConfig,
    /// How many steps may be skipped because a number is not finite.
    #[serde(default)]
    pub divergence: DivergenceLimits,
}

/// What a training tells while it runs.
pub trait TrainingObserver {
    /// It goes on after `step` updates. Newer checkpoints that could not be used are named.
    fn resumed(&mut self, step: u64, skipped: &[SkippedCheckpoint]) {
        let _ = (step, skipped);
    }
    /// A step is done.
    fn stepped(&mut self, line: &LogLine) {
        let _ = line;
    }
    /// Whether the run is to end after this step, with a checkpoint.
    fn wants_to_stop(&mut self) -> bool {
        false
    }
}

/// Says nothing.
impl TrainingObserver for () {}

/// Why a training ended.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A setting that cannot be used.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: u64,
    },
    /// The optimiser's settings cannot be used, or it does not fit the network.
    #[error(transparent)]
    Optimizer(#[from] AdamError),
    /// The learning rate's schedule cannot be used.
    #[error("learning_rate: {0}")]
    Schedule(#[from] ScheduleError),
    /// No clips can be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The objective cannot be computed.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The run's folder cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint does not fit, or the log cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Too many steps were not finite.
    #[error(transparent)]
    Diverged(#[from] Box<DivergenceError>),
}

/// A network, a method, and where its run is kept.
pub struct Trainer<'run, R: Recipe> {
    /// The method.
    pub recipe: &'run R,
    /// How it is trained.
    pub config: &'run TrainingConfig,
    /// Where the run is kept.
    pub folder: &'run RunFolder,
    /// Where it learns: a device with gradients.
    pub device: &'run Device,
    /// Decides everything that is drawn inside the network.
    pub seed: u64,
    /// A hash of what the run learns from.
    pub data_sha256: Option<&'run str>,
    /// Samples per second of the clips.
    pub sample_rate: u32,
}

/// Where a training stands.
struct Standing<N> {
    network: N,
    adam: Adam,
    guard: DivergenceGuard,
    step: u64,
    loss: f64,
}

impl<R: Recipe> Trainer<'_, R> {
    /// Trains from the newest checkpoint of the folder on, or from the start where there is none. `open` begins to read
    /// batches from a step on, counted from 0.
    ///
    /// # Errors
    /// [`TrainingError`]; what was done before is in the folder.
    pub fn run(
        &self,
        open: impl FnOnce(u64) -> Result<Loader, DataError>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<R::Network, TrainingError> {
        let config = self.config;
        for (name, found) in [("steps", config.steps), ("checkpoint_every", config.checkpoint_every)] {
            if found == 0 {
                return Err(TrainingError::Setting { name, expected: "at least 1", found });
            }
        }
        config.learning_rate.check()?;
        let files = CheckpointFiles::new(self.folder.checkpoints_path(), config.keep_checkpoints);
        let mut standing = self.begin(&files, observer)?;
        let mut log = Log::open(&self.folder.log_path(), standing.step)?;
        let mut loader = open(standing.step)?;
        while standing.step < config.steps {
            let batch = loader.next_batch()?;
            let line;
            (standing, line) = self.step(standing, &batch)?;
            log.write(&line)?;
            observer.stepped(&line);
            let is_over = standing.step >= config.steps || observer.wants_to_stop();
            if is_over || standing.step.is_multiple_of(config.checkpoint_every) {
                log.sync()?;
                self.save(&files, &standing)?;
            }
            if is_over {
                break;
            }
        }
        Ok(standing.network)
    }

    /// The start, or the newest checkpoint.
    fn begin(
        &self,
        files: &CheckpointFiles,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Standing<R::Network>, TrainingError> {
        self.device.seed(self.seed);
        let network = self.recipe.network(self.device);
        let mut adam = Adam::new(self.config.optimizer.clone(), &network)?;
        let guard = DivergenceGuard::new(self.config.divergence);
        let (found, skipped) = files.newest()?;
        let Some(found) = found else {
            // Parameters are drawn when they are first asked for: now, in the order of the network.
            drop(module_tensors(&network, "network"));
            return Ok(Standing { network, adam, guard, step: 0, loss: f64::NAN });
        };
        let network = restore_module(network, "network", &found.tensors)?;
        adam.restore(&found.tensors, "optimizer")?;
        let guard = serde_json::from_value::<DivergenceGuard>(found.state.extra.clone())
            .map_or(guard, |kept| kept.with_limits(self.config.divergence));
        observer.resumed(found.state.step, &skipped);
        let loss = found.state.score.unwrap_or(f64::NAN);
        Ok(Standing { network, adam, guard, step: found.state.step, loss })
    }

    fn step(
        &self,
        standing: Standing<R::Network>,
        batch: &Batch,
    ) -> Result<(Standing<R::Network>, LogLine), TrainingError> {
        let Standing { network, mut adam, mut guard, step, .. } = standing;
        let step = step + 1;
        let mut seconds = StepSeconds { data: batch.waited.as_secs_f64(), ..StepSeconds::default() };
        // What the network draws is a function of seed and step.
        self.device.seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(step));
        let start = Instant::now();
        let Terms { loss, named } = self.recipe.terms(&network, batch, self.device)?;
        let value = scalar(&loss);
        seconds.forward = start.elapsed().as_secs_f64();
        let learning_rate = self.config.learning_rate.at(step);
        let mut cause = NonFinite::of_loss(value);
        let (mut network, mut gradient_norm) = (network, f64::NAN);
        if cause.is_none() {
            let start = Instant::now();
            let mut gradients = loss.backward();
            seconds.backward = start.elapsed().as_secs_f64();
            let start = Instant::now();
            adam.accumulate(&network, &mut gradients);
            drop(gradients);
            let outcome;
            (network, outcome) = adam.step(network, Rates { learning_rate, weight_decay: None });
            seconds.optimizer = start.elapsed().as_secs_f64();
            gradient_norm = outcome.gradient_norm;
            cause = outcome.non_finite.map(NonFinite::Gradient);
        }
        match &cause {
            None => guard.finite(),
            Some(cause) => {
                adam.discard();
                let clips: Vec<ClipOrigin> =
                    batch.clips.iter().flat_map(|clip| origins(clip, self.sample_rate)).collect();
                let save = || {
                    let crops = batch.clips.iter().enumerate().flat_map(|(number, clip)| {
                        clip.crops.iter().enumerate().map(move |(crop, samples)| NamedTensor {
                            name: format!("clip_{number}_{crop}"),
                            shape: vec![samples.len()],
                            values: TensorValues::Floats(samples.as_slice().into()),
                        })
                    });
                    save_batch(&self.folder.diverged_path(), step, cause, &clips, crops.collect())
                };
                guard.skipped(step, cause.clone(), &clips, save)?;
            }
        }
        let samples: usize = batch.clips.iter().flat_map(|clip| &clip.crops).map(Vec::len).sum();
        let audio_seconds = samples as f64 / f64::from(self.sample_rate);
        let line = LogLine {
            step,
            loss: value,
            terms: named.iter().map(|(name, term)| ((*name).to_owned(), scalar(term))).collect(),
            learning_rate,
            gradient_norm,
            skipped: cause.is_some(),
            seconds,
            audio_seconds_per_second: audio_seconds / seconds.total().max(f64::MIN_POSITIVE),
        };
        Ok((Standing { network, adam, guard, step, loss: value }, line))
    }

    fn save(&self, files: &CheckpointFiles, standing: &Standing<R::Network>) -> Result<(), TrainingError> {
        let mut tensors = module_tensors(&standing.network, "network");
        tensors.extend(standing.adam.tensors("optimizer"));
        let state = CheckpointState {
            step: standing.step,
            score: Some(standing.loss).filter(|loss| loss.is_finite()),
            extra: serde_json::to_value(&standing.guard).unwrap_or_default(),
            config_sha256: config_sha256(&self.folder.read_config()?, &KEYS_THAT_MAY_CHANGE),
            data_sha256: self.data_sha256.map(str::to_owned),
            ..CheckpointState::default()
        };
        files.save(&state, tensors)?;
        Ok(())
    }
}

/// Where the crops of a clip come from.
fn origins(clip: &Clip, sample_rate: u32) -> impl Iterator<Item = ClipOrigin> + '_ {
    let seconds = move |start: u64| start as f64 / f64::from(sample_rate);
    clip.starts.iter().map(move |&start| ClipOrigin { track: clip.name.clone(), start_seconds: seconds(start) })
}

/// The number that a tensor holds.
fn scalar(tensor: &Tensor<1>) -> f64 {
    let values = tensor.clone().into_data().convert::<f32>();
    values.iter::<f32>().next().map_or(f64::NAN, f64::from)
}
