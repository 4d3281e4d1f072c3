//! The loop: batches to losses to updates, with a log line for each step and checkpoints from which it goes on.
//!
//! A run that is broken off at any step and resumed gives the same bits as one that was not: batches and masks are functions
//! of seed and step, and a checkpoint holds the network and the optimiser.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    Adam, AdamConfig, AdamError, CheckpointFiles, CheckpointState, ClipOrigin, DivergenceError, DivergenceGuard,
    DivergenceLimits, EventFile, KEYS_THAT_MAY_CHANGE, LearningRateSchedule, Log, LogLine, NonFinite, Rates, RunError,
    RunFolder, Schedule, ScheduleError, SkippedCheckpoint, StepSeconds, config_sha256, save_batch,
};
use crate::checkpoint::{CheckpointError, NamedTensor, TensorValues, module_tensors, restore_module};
use crate::data::{Batch, Clip, DataError, Loader, SkippedTrack};
use crate::objective::{ObjectiveError, Terms};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The update that is being made, counted from 1.
    pub step: u64,
    /// Updates in all.
    pub steps: u64,
}

/// A method of pre-training: what learns, and what it is asked of a batch.
pub trait Recipe {
    /// What learns, with all else that a checkpoint must hold: teachers, centres, tokenizers.
    type Network: Module;
    /// What a batch leaves for after the update.
    type Carried;

    /// The network before training, on a device with gradients.
    fn network(&self, device: &Device) -> Self::Network;

    /// The loss of a batch, what else the log shows of it, and what [`updated`](Self::updated) is to know of it. What is
    /// drawn at random depends on the batch's step alone.
    ///
    /// # Errors
    /// Clips that the objective cannot be computed of.
    fn terms(
        &self,
        network: &Self::Network,
        batch: &Batch,
        moment: Moment,
        device: &Device,
    ) -> Result<(Terms, Self::Carried), ObjectiveError>;

    /// What follows an update, and is not learned by gradients: a teacher moves, codes are replaced. `carried` is what the
    /// update's batches left. After a step that was skipped it is not called.
    fn updated(&self, network: Self::Network, carried: Vec<Self::Carried>, moment: Moment) -> Self::Network {
        drop(carried);
        let _ = moment;
        network
    }

    /// Numbers for the log that are worth more of many batches than of one, since the last time that they were asked for:
    /// use of codes, signals of collapse.
    fn signals(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
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
    #[serde(default = "default_keep_checkpoints")]
    pub keep_checkpoints: usize,
    /// Updates from one line of the log with the method's signals to the next.
    #[serde(default = "default_signals_every")]
    pub signals_every: u64,
    /// Batches whose gradients make one update.
    #[serde(default = "default_accumulate")]
    pub accumulate: u64,
    /// Whether activations that are cheap to compute are computed again for the gradients instead of being kept.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// The learning rate of each update.
    pub learning_rate: LearningRateSchedule,
    /// The weight decay of each update; without it, the optimiser's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<Schedule>,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: AdamConfig,
    /// How many steps may be skipped because a number is not finite.
    #[serde(default)]
    pub divergence: DivergenceLimits,
}

fn default_keep_checkpoints() -> usize {
    2
}

fn default_signals_every() -> u64 {
    100
}

fn default_accumulate() -> u64 {
    1
}

impl TrainingConfig {
    /// Checks the numbers that have no meaning.
    fn check(&self) -> Result<(), TrainingError> {
        let at_least_1 = [
            ("steps", self.steps),
            ("checkpoint_every", self.checkpoint_every),
            ("signals_every", self.signals_every),
            ("accumulate", self.accumulate),
        ];
        for (name, found) in at_least_1 {
            if found == 0 {
                return Err(TrainingError::Setting { name, expected: "at least 1", found });
            }
        }
        self.learning_rate.check().map_err(|source| TrainingError::Schedule { name: "learning_rate", source })?;
        if let Some(weight_decay) = &self.weight_decay {
            weight_decay.check().map_err(|source| TrainingError::Schedule { name: "weight_decay", source })?;
        }
        Ok(())
    }
}

/// What a training tells while it runs.
pub trait TrainingObserver {
    /// A training of so many updates begins: the method's own, or that of something which it needs first.
    fn begins(&mut self, name: &str, steps: u64) {
        let _ = (name, steps);
    }
    /// Tracks that are not used, or could not be read when they were wanted.
    fn tracks_skipped(&mut self, tracks: &[SkippedTrack]) {
        let _ = tracks;
    }
    /// So many of the steps that [`begins`](Self::begins) told of are done, in what is no training.
    fn advanced(&mut self, done: u64) {
        let _ = done;
    }
    /// It goes on after `step` updates. Newer checkpoints that could not be used are named.
    fn resumed(&mut self, step: u64, skipped: &[SkippedCheckpoint]) {
        let _ = (step, skipped);
    }
    /// A step is done.
    fn stepped(&mut self, line: &LogLine) {
        let _ = line;
    }
    /// A checkpoint of the run after `step` updates is on the disk.
    fn saved(&mut self, step: u64) {
        let _ = step;
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
    /// A schedule cannot be used.
    #[error("{name}: {source}")]
    Schedule {
        /// Whose.
        name: &'static str,
        /// Why.
        source: ScheduleError,
    },
    /// No clips can be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The objective cannot be computed.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The run's folder cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run that was begun with other data.
    #[error(
        "{path}: the run was begun with other data: the hash of its tracks is {expected}, that of these is {found} (resume with \
         the same data, or begin another run)",
        path = path.display()
    )]
    OtherData {
        /// The run.
        path: PathBuf,
        /// Its hash.
        expected: String,
        /// What was found.
        found: String,
    },
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
    /// batches from a number on, counted from 0.
    ///
    /// # Errors
    /// [`TrainingError`]; what was done before is in the folder.
    pub fn run(
        &self,
        open: impl FnOnce(u64) -> Result<Loader, DataError>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<R::Network, TrainingError> {
        let config = self.config;
        config.check()?;
        let device = if config.gradient_checkpointing {
            self.device.clone().gradient_checkpointing()
        } else {
            self.device.clone()
        };
        let config_sha256 = config_sha256(&self.folder.read_config()?, &KEYS_THAT_MAY_CHANGE);
        let files = CheckpointFiles::new(self.folder.checkpoints_path(), config.keep_checkpoints);
        let mut standing = self.begin(&files, &device, observer)?;
        if standing.step >= config.steps {
            return Ok(standing.network);
        }
        let mut log = Log::open(&self.folder.log_path(), standing.step)?;
        let mut events = EventFile::create(self.folder.path(), standing.step + 1)?;
        let mut loader = open(standing.step * config.accumulate)?;
        loop {
            let line;
            (standing, line) = self.step(standing, &mut loader, &device, observer)?;
            let is_over = standing.step >= config.steps || observer.wants_to_stop();
            log.write(&line)?;
            events.write_scalars(line.step, &line.scalars())?;
            observer.stepped(&line);
            if is_over || standing.step.is_multiple_of(config.checkpoint_every) {
                log.sync()?;
                self.save(&files, &standing, &config_sha256)?;
                observer.saved(standing.step);
            }
            if is_over {
                return Ok(standing.network);
            }
        }
    }

    /// The start, or the newest checkpoint.
    fn begin(
        &self,
        files: &CheckpointFiles,
        device: &Device,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Standing<R::Network>, TrainingError> {
        device.seed(self.seed);
        let network = self.recipe.network(device);
        // Parameters are drawn when they are first asked for: now, in the order of the network.
        let mut adam = Adam::new(self.config.optimizer.clone(), &network)?;
        let guard = DivergenceGuard::new(self.config.divergence);
        let (found, skipped) = files.newest()?;
        let Some(found) = found else {
            return Ok(Standing { network, adam, guard, step: 0, loss: f64::NAN });
        };
        if let (Some(expected), Some(data)) = (&found.state.data_sha256, self.data_sha256)
            && expected != data
        {
            let path = self.folder.path().to_owned();
            return Err(TrainingError::OtherData { path, expected: expected.clone(), found: data.to_owned() });
        }
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
        loader: &mut Loader,
        device: &Device,
        observer: &mut dyn TrainingObserver,
    ) -> Result<(Standing<R::Network>, LogLine), TrainingError> {
        let Standing { mut network, mut adam, mut guard, step, .. } = standing;
        let moment = Moment { step: step + 1, steps: self.config.steps };
        let mut seconds = StepSeconds::default();
        let mut means = Means::default();
        let mut carried = Vec::new();
        let mut clips = Vec::new();
        let mut audio_samples = 0;
        let mut cause = None;
        for _ in 0..self.config.accumulate {
            let batch = loader.next_batch()?;
            seconds.data += batch.waited.as_secs_f64();
            for clip in batch.clips.iter().filter(|clip| !clip.replaced.is_empty()) {
                observer.tracks_skipped(&clip.replaced);
            }
            audio_samples += batch.clips.iter().flat_map(|clip| &clip.crops).map(Vec::len).sum::<usize>();
            // What the network draws is a function of seed and batch.
            device.seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(batch.step + 1));
            let start = Instant::now();
            let (Terms { loss, named }, left) = self.recipe.terms(&network, &batch, moment, device)?;
            let value = scalar(&loss);
            means.add(value, &named);
            seconds.forward += start.elapsed().as_secs_f64();
            cause = NonFinite::of_loss(value);
            clips = batch.clips;
            if cause.is_some() {
                break;
            }
            let start = Instant::now();
            let mut gradients = loss.backward();
            adam.accumulate(&network, &mut gradients);
            carried.push(left);
            seconds.backward += start.elapsed().as_secs_f64();
        }
        let learning_rate = self.config.learning_rate.at(moment.step);
        let mut gradient_norm = f64::NAN;
        if cause.is_none() {
            let start = Instant::now();
            let weight_decay = self.config.weight_decay.as_ref().map(|schedule| schedule.at(moment.step));
            let outcome;
            (network, outcome) = adam.step(network, Rates { learning_rate, weight_decay });
            gradient_norm = outcome.gradient_norm;
            cause = outcome.non_finite.map(NonFinite::Gradient);
            if cause.is_none() {
                network = self.recipe.updated(network, carried, moment);
            }
            seconds.optimizer = start.elapsed().as_secs_f64();
        }
        match &cause {
            None => guard.finite(),
            Some(cause) => {
                adam.discard();
                self.skipped(&mut guard, moment.step, cause, &clips)?;
            }
        }
        let Means { loss, mut terms, .. } = means.finish();
        if moment.step.is_multiple_of(self.config.signals_every) || moment.step == moment.steps {
            terms.extend(self.recipe.signals());
        }
        let line = LogLine {
            step: moment.step,
            loss,
            terms,
            learning_rate,
            gradient_norm,
            skipped: cause.is_some(),
            seconds,
            audio_seconds_per_second: audio_samples as f64
                / f64::from(self.sample_rate)
                / seconds.total().max(f64::MIN_POSITIVE),
        };
        Ok((Standing { network, adam, guard, step: moment.step, loss }, line))
    }

    /// Counts a step that was skipped. The batch is saved where there were too many.
    fn skipped(
        &self,
        guard: &mut DivergenceGuard,
        step: u64,
        cause: &NonFinite,
        clips: &[Clip],
    ) -> Result<(), TrainingError> {
        let origins: Vec<ClipOrigin> = clips.iter().flat_map(|clip| origins(clip, self.sample_rate)).collect();
        let save = || {
            let crops = clips.iter().enumerate().flat_map(|(number, clip)| {
                clip.crops.iter().enumerate().map(move |(crop, samples)| NamedTensor {
                    name: format!("clip_{number}_{crop}"),
                    shape: vec![samples.len()],
                    values: TensorValues::Floats(samples.as_slice().into()),
                })
            });
            save_batch(&self.folder.diverged_path(), step, cause, &origins, crops.collect())
        };
        Ok(guard.skipped(step, cause.clone(), &origins, save)?)
    }

    fn save(
        &self,
        files: &CheckpointFiles,
        standing: &Standing<R::Network>,
        config_sha256: &str,
    ) -> Result<(), TrainingError> {
        let mut tensors = module_tensors(&standing.network, "network");
        tensors.extend(standing.adam.tensors("optimizer"));
        let state = CheckpointState {
            step: standing.step,
            score: Some(standing.loss).filter(|loss| loss.is_finite()),
            extra: serde_json::to_value(&standing.guard).unwrap_or_default(),
            config_sha256: config_sha256.to_owned(),
            data_sha256: self.data_sha256.map(str::to_owned),
            ..CheckpointState::default()
        };
        files.save(&state, tensors)?;
        Ok(())
    }
}

/// The means of an update's batches.
#[derive(Default)]
struct Means {
    batches: f64,
    loss: f64,
    terms: BTreeMap<String, f64>,
}

impl Means {
    fn add(&mut self, loss: f64, named: &[(&'static str, Tensor<1>)]) {
        self.batches += 1.0;
        self.loss += loss;
        for (name, term) in named {
            *self.terms.entry((*name).to_owned()).or_default() += scalar(term);
        }
    }

    fn finish(mut self) -> Self {
        self.loss /= self.batches;
        self.terms.values_mut().for_each(|term| *term /= self.batches);
        self
    }
}

/// Where the crops of a clip come from.
fn origins(clip: &Clip, sample_rate: u32) -> impl Iterator<Item = ClipOrigin> + '_ {
    let seconds = move |start: u64| start as f64 / f64::from(sample_rate);
    clip.starts.iter().map(move |&start| ClipOrigin { track: clip.name.clone(), start_seconds: seconds(start) })
}

/// The number that a tensor holds.
fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}
