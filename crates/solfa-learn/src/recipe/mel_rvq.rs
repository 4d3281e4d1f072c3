//! Mel-RVQ: the residual quantiser of stacked mel frames whose codes MuQ predicts; or of a model's hidden states, whose codes
//! the next round predicts.
//!
//! Zhu et al. 2025, arXiv:2501.01108, sec. 3. Latents go to their codes, codes to their latents, and the sum of the stages to
//! the input; a code that nobody chose for a while takes the place of a latent.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use solfa_signal::audio::Waveform;
use toml::{Table, Value};

use super::hidden_states::HiddenStates;
use super::masking::first_crops;
use super::spectrogram_tokens::{SpectrogramTokens, TokenSpectrogramConfig};
use super::{ConfigError, Ground, Method, PretrainError, RunConfig, fit};
use crate::checkpoint::{EncoderConfig, HiddenRvqEncoderConfig, MelRvqEncoderConfig};
use crate::data::{Batch, SamplingConfig};
use crate::objective::{ObjectiveError, RvqConfig, RvqStage, Terms, rvq};
use crate::targets::{ResidualVectorQuantizer, ResidualVectorQuantizerConfig, StaleCodes, TrainedStage};
use crate::train::{
    AdamConfig, CodeCounts, Decay, LearningRateSchedule, Moment, Recipe, TrainingConfig, TrainingObserver,
};
use crate::views::{ClipSeed, CropConfig};

/// `[method]` of `mel-rvq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MelRvqMethod {
    /// The objective.
    #[serde(default)]
    objective: RvqConfig,
    /// Batches in a row after which a code that none of them chose is replaced.
    #[serde(default = "published_stale_batches")]
    stale_batches: u32,
}

fn published_stale_batches() -> u32 {
    100
}

/// How a quantiser is fitted that another recipe needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuantizerFit {
    /// The objective.
    #[serde(default)]
    objective: RvqConfig,
    /// Batches in a row after which a code that none of them chose is replaced.
    #[serde(default = "published_stale_batches")]
    stale_batches: u32,
    /// How batches are drawn.
    sampling: SamplingConfig,
    /// How it is trained.
    training: TrainingConfig,
}

impl QuantizerFit {
    /// As published: 4,000 updates for spectrograms, with clips of 5 s; 8,100 for hidden states, with clips of 30 s.
    pub(super) fn published(steps: u64, seconds: f64) -> Self {
        let crop = CropConfig { seconds, pair: None, windows: None };
        let sampling = SamplingConfig {
            clips_per_batch: 32,
            crop,
            views: Vec::new(),
            short_tracks: Default::default(),
            epoch_end: Default::default(),
        };
        let learning_rate = LearningRateSchedule { peak: 1e-4, warmup_steps: 0, warmup_from: 0.0, decay: Decay::None };
        let training = TrainingConfig {
            steps,
            checkpoint_every: 1000,
            keep_checkpoints: 1,
            signals_every: 100,
            accumulate: 1,
            gradient_checkpointing: false,
            learning_rate,
            weight_decay: None,
            optimizer: AdamConfig::default(),
            divergence: Default::default(),
        };
        Self { objective: RvqConfig::default(), stale_batches: published_stale_batches(), sampling, training }
    }

    /// Fits a quantiser in a run of its own within the run's folder, or takes it from there where that is done.
    ///
    /// # Errors
    /// [`PretrainError`], and that it was stopped.
    pub(super) fn run(
        &self,
        encoder: EncoderConfig,
        seed: u64,
        ground: &Ground<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<ResidualVectorQuantizer, PretrainError> {
        let Self { objective, stale_batches, sampling, training } = self.clone();
        let config = RunConfig {
            recipe: "mel-rvq".to_owned(),
            seed,
            encoder,
            method: MelRvqMethod { objective, stale_batches },
            sampling,
            training,
            loader: Default::default(),
        };
        Ok(fit(&config, "tokenizer", ground, observer)?.quantizer.no_grad())
    }
}

/// The method, ready for batches.
pub(super) struct MelRvq {
    sizes: ResidualVectorQuantizerConfig,
    source: Source,
    method: MelRvqMethod,
    seed: u64,
    counts: Mutex<CodeCounts>,
}

/// What is quantised.
enum Source {
    Spectrogram(Box<SpectrogramTokens>),
    Hidden(HiddenStates),
}

/// What learns, and for how long each of its codes was not chosen.
#[derive(Module, Debug)]
pub(super) struct MelRvqNetwork {
    quantizer: ResidualVectorQuantizer,
    stale: StaleCodes,
}

impl Method for MelRvqMethod {
    type Recipe = MelRvq;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        match &config.encoder {
            EncoderConfig::MelRvq(_) | EncoderConfig::HiddenRvq(_) => Ok(()),
            other => {
                let found = other.kind();
                Err(ConfigError::of(format!("encoder.kind: expected mel-rvq or hidden-rvq, found {found}")))
            }
        }
    }

    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<MelRvq, PretrainError> {
        let (source, sizes) = match &config.encoder {
            EncoderConfig::MelRvq(MelRvqEncoderConfig { mel, mel_mean, mel_deviation, fold, quantizer }) => {
                let (mel_mean, mel_deviation, fold) = (*mel_mean, *mel_deviation, *fold);
                let spectrogram = TokenSpectrogramConfig { mel: mel.clone(), mel_mean, mel_deviation, fold };
                (Source::Spectrogram(Box::new(SpectrogramTokens::new(&spectrogram)?)), quantizer.clone())
            }
            EncoderConfig::HiddenRvq(encoder) => {
                let states = HiddenStates::open("encoder.model", &encoder.model, encoder.layer, ground.device)?;
                check_model(encoder, &states)?;
                (Source::Hidden(states), encoder.quantizer.clone())
            }
            other => return Err(ConfigError::of(format!("encoder.kind: found {}", other.kind())).into()),
        };
        let counts = Mutex::new(CodeCounts::new(sizes.num_codebooks, sizes.num_codes));
        Ok(MelRvq { sizes, source, method: config.method.clone(), seed: config.seed, counts })
    }
}

/// Turns a configuration of `mel-rvq` into one for a layer of a model, as iterative refinement needs it. Sizes of the
/// quantiser stay, but for the width of its input.
///
/// # Errors
/// A model that cannot be opened or has no such layer; a configuration of another recipe.
pub fn of_hidden_states(table: &mut Table, model: &str, layer: usize, device: &Device) -> Result<(), PretrainError> {
    let states = HiddenStates::open("encoder.model", model, layer, device)?;
    let missing = || ConfigError::of("encoder.quantizer: missing; expected a configuration of the recipe mel-rvq");
    let encoder = table.get_mut("encoder").and_then(Value::as_table_mut).ok_or_else(missing)?;
    let mut quantizer = encoder.remove("quantizer").and_then(|value| value.as_table().cloned()).ok_or_else(missing)?;
    let number = |value: usize| Value::Integer(value as i64);
    quantizer.insert("input_dim".into(), number(states.dim()));
    let keys: [(&str, Value); 6] = [
        ("kind", Value::String("hidden-rvq".into())),
        ("model", Value::String(model.into())),
        ("layer", number(layer)),
        ("sample_rate", number(states.sample_rate() as usize)),
        ("hop_samples", number(states.hop_samples())),
        ("quantizer", Value::Table(quantizer)),
    ];
    *encoder = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(())
}

/// Whether a model is what the configuration says of it.
fn check_model(config: &HiddenRvqEncoderConfig, states: &HiddenStates) -> Result<(), ConfigError> {
    for (key, expected, found) in [
        ("sample_rate", states.sample_rate() as usize, config.sample_rate as usize),
        ("hop_samples", states.hop_samples(), config.hop_samples),
        ("quantizer.input_dim", states.dim(), config.quantizer.input_dim),
    ] {
        if expected != found {
            let reason = format!("expected {expected}, that of {}, found {found}", config.model);
            return Err(ConfigError::Value { key: format!("encoder.{key}"), reason });
        }
    }
    Ok(())
}

impl MelRvq {
    /// `[clips, frames, input_dim]`
    fn input(&self, batch: &Batch, device: &Device) -> Result<Tensor<3>, ObjectiveError> {
        match &self.source {
            Source::Spectrogram(spectrogram) => {
                let reason = || ObjectiveError::Target { reason: "there is no spectrogram".to_owned() };
                spectrogram.stacked(batch, device).ok_or_else(reason)
            }
            Source::Hidden(states) => {
                let rate = states.sample_rate();
                let clips: Vec<Waveform> = first_crops(batch).map(|samples| Waveform::new(samples, rate)).collect();
                let frames = states.of(&clips).map_err(|reason| ObjectiveError::Target { reason })?;
                let num_frames = frames.iter().map(|frames| frames.num_frames()).min().unwrap_or(0);
                let dim = states.dim();
                let mut values = Vec::with_capacity(frames.len() * num_frames * dim);
                frames.iter().for_each(|frames| values.extend_from_slice(frames.slice(0..num_frames)));
                Ok(Tensor::from_data(TensorData::new(values, [frames.len(), num_frames, dim]), device))
            }
        }
    }
}

impl Recipe for MelRvq {
    type Network = MelRvqNetwork;
    type Carried = Vec<TrainedStage>;

    fn network(&self, device: &Device) -> MelRvqNetwork {
        let stale = StaleCodes::new(&self.sizes, device);
        MelRvqNetwork { quantizer: ResidualVectorQuantizer::new(&self.sizes, device), stale }
    }

    fn terms(
        &self,
        network: &MelRvqNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, Vec<TrainedStage>), ObjectiveError> {
        let input = self.input(batch, device)?;
        let trained = network.quantizer.train_forward(input.clone());
        let stages: Vec<RvqStage> = trained
            .stages
            .iter()
            .map(|stage| RvqStage { latents: stage.latents.clone(), codes: stage.codes.clone() })
            .collect();
        let terms = rvq(input, trained.reconstruction, &stages, &self.method.objective)?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut carried = Vec::with_capacity(trained.stages.len());
        for (codebook, TrainedStage { latents, codes, numbers }) in trained.stages.into_iter().enumerate() {
            let chosen: Vec<i64> = numbers.clone().into_data().convert::<i64>().iter::<i64>().collect();
            // Codes come from a quantiser of this size.
            let _ = counts.add(codebook, &chosen);
            carried.push(TrainedStage { latents: latents.inner(), codes: codes.inner(), numbers });
        }
        Ok((terms, carried))
    }

    fn updated(&self, network: MelRvqNetwork, carried: Vec<Vec<TrainedStage>>, moment: Moment) -> MelRvqNetwork {
        let mut random = ClipSeed { seed: self.seed, step: moment.step, clip: 0 }.stream("stale codes");
        carried.iter().fold(network, |network, stages| {
            let MelRvqNetwork { quantizer, stale } = network;
            let tolerance = self.method.stale_batches;
            let (stale, quantizer, _) = stale.replace(quantizer, stages, tolerance, || random.unit());
            MelRvqNetwork { quantizer, stale }
        })
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        usage_signals(&self.counts)
    }
}

/// The share of codes that were used since the last time, and their perplexity, codebook by codebook.
pub(super) fn usage_signals(counts: &Mutex<CodeCounts>) -> BTreeMap<String, f64> {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let usage = counts.usage();
    counts.clear();
    let numbers = usage.iter().enumerate().flat_map(|(codebook, usage)| {
        let name = |what: &str| format!("{what}_{}", codebook + 1);
        [(name("code_usage"), usage.used_share), (name("code_perplexity"), usage.perplexity)]
    });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_learning, check_resume, log_of, tiny, train_in};
    use super::of_hidden_states;
    use crate::device::test_device;

    #[test]
    fn it_comes_to_say_the_spectrogram_by_its_codes() {
        check_learning("mel-rvq", 30, 0.2, "reconstruction");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("mel-rvq", &["method.stale_batches=1"]);
    }

    #[test]
    fn a_layer_of_a_model_can_be_quantised_too() {
        let parent = tempfile::tempdir().unwrap();
        let (model, path) = (parent.path().join("model"), parent.path().join("run"));
        train_in(&model, &tiny("musicfm", &["training.steps=1"]), &mut ());
        let mut table = tiny("mel-rvq", &["training.steps=3"]);
        let name = model.display().to_string();
        let error = of_hidden_states(&mut table, &name, 9, &test_device()).unwrap_err().to_string();
        assert!(error.ends_with("has layers 0 to 3, and layer 9 was asked for"), "{error}");
        of_hidden_states(&mut table, &name, 2, &test_device()).unwrap();
        train_in(&path, &table, &mut ());
        assert_eq!(log_of(&path).len(), 3);
        let error = crate::checkpoint::Checkpoint::open(&path).unwrap().load(&test_device()).err().unwrap().to_string();
        assert!(error.contains("is no encoder of sound"), "{error}");
    }
}
