//! MuQ's iterative refinement: the same prediction, of tokens that a first round's hidden states were quantised to.
//!
//! Zhu et al. 2025, arXiv:2501.01108: layer 9 of 13 of a trained MuQ, frozen; a residual quantiser of it; labels of windows
//! that follow each other, made once and kept with the run; and a network that begins anew.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use solfa_signal::encoder::sha256_hex;

use super::hidden_states::HiddenStates;
use super::masked_prediction::{MaskedPrediction, Tokens};
use super::mel_rvq::QuantizerFit;
use super::musicfm::published_mask;
use super::{ConfigError, Ground, MaskConfig, Method, PretrainError, RunConfig};
use crate::checkpoint::{EncoderConfig, HiddenRvqEncoderConfig, TensorSource, restore_module};
use crate::targets::stored::{ExpectedLabels, LabelDescription, LabelStore, write_labels};
use crate::targets::{ResidualVectorQuantizer, ResidualVectorQuantizerConfig};
use crate::train::{CheckpointFiles, RunFolder, TrainingObserver};

/// `[method]` of `muq-iter`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MuqIter {
    /// What is hidden.
    #[serde(default = "published_mask")]
    mask: MaskConfig,
    /// The model of the first round: a run, or a checkpoint.
    model: String,
    /// Its layer; 9 of 13 in MuQ.
    layer: usize,
    /// Stages of the quantiser; 8 in MuQ.
    num_codebooks: usize,
    /// Codes of each stage; 1024 in MuQ.
    num_codes: usize,
    /// Width of a code; 16 in MuQ.
    code_dim: usize,
    /// A run of `mel-rvq` on the same layer of the same model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantizer_from: Option<String>,
    /// How the quantiser is fitted where none is given.
    #[serde(default = "published_fit")]
    fit_quantizer: QuantizerFit,
    /// Labels that were made before, of the same tracks: then neither model nor quantiser is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels_from: Option<String>,
}

fn published_fit() -> QuantizerFit {
    QuantizerFit::published(8_100, 30.0)
}

impl Method for MuqIter {
    type Recipe = MaskedPrediction;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        if config.sampling.crop.windows.is_none() {
            let reason = "missing: labels are made window by window (windows = {}, or windows = { maximum = 10 })";
            return Err(ConfigError::Value { key: "sampling.crop.windows".into(), reason: reason.into() });
        }
        if !config.sampling.views.is_empty() {
            let reason = "expected none: labels are of the sound as it is";
            return Err(ConfigError::Value { key: "sampling.views".into(), reason: reason.into() });
        }
        let method = &config.method;
        super::masked_prediction::check(config, &method.mask, (method.num_codebooks, method.num_codes))
    }

    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<MaskedPrediction, PretrainError> {
        let method = &config.method;
        let sizes = (method.num_codebooks, method.num_codes);
        let labels = match &method.labels_from {
            Some(path) => {
                let labels = LabelStore::open(path.as_ref())?;
                labels.check(&ExpectedLabels { frames_per_window: None, teacher: None, ..expected(config, ground) })?;
                labels
            }
            None => made(config, ground, observer)?,
        };
        let window_samples = labels.description().window_samples(config.encoder.sample_rate());
        let hop_samples = window_samples as usize / labels.description().frames_per_window.max(1);
        let tokens = Tokens::Labels { labels, window_samples, hop_samples };
        MaskedPrediction::new(config, &method.mask, tokens, sizes)
    }
}

/// What labels of this run must be.
fn expected(config: &RunConfig<MuqIter>, ground: &Ground<'_>) -> ExpectedLabels {
    ExpectedLabels {
        data_sha256: Some(ground.collection.data_sha256()),
        num_tracks: Some(ground.collection.len()),
        window_seconds: Some(config.sampling.crop.seconds),
        frames_per_window: None,
        codes_per_codebook: Some(vec![config.method.num_codes; config.method.num_codebooks]),
        teacher: None,
    }
}

/// The labels of the run's folder, made if they are not there.
fn made(
    config: &RunConfig<MuqIter>,
    ground: &Ground<'_>,
    observer: &mut dyn TrainingObserver,
) -> Result<LabelStore, PretrainError> {
    let method = &config.method;
    let states = HiddenStates::open("method.model", &method.model, method.layer, ground.device)?;
    let rate = config.encoder.sample_rate();
    if states.sample_rate() != rate {
        let reason = format!("{} works at {} Hz, and the encoder at {rate} Hz", method.model, states.sample_rate());
        return Err(ConfigError::Value { key: "method.model".into(), reason }.into());
    }
    let MuqIter { num_codebooks, num_codes, code_dim, .. } = *method;
    let quantizer = ResidualVectorQuantizerConfig { input_dim: states.dim(), num_codebooks, num_codes, code_dim };
    let encoder = EncoderConfig::HiddenRvq(HiddenRvqEncoderConfig {
        model: method.model.clone(),
        layer: method.layer,
        sample_rate: rate,
        hop_samples: states.hop_samples(),
        quantizer: quantizer.clone(),
    });
    let quantizer = match &method.quantizer_from {
        Some(path) => given(path, &encoder, &quantizer, ground)?,
        None => method.fit_quantizer.run(encoder, config.seed, ground, observer)?,
    };
    let window_samples = (config.sampling.crop.seconds * f64::from(rate)).round() as usize;
    let codes_of = |samples: &solfa_signal::audio::Waveform| -> Result<Vec<u32>, String> {
        let frames = states.of(std::slice::from_ref(samples))?.swap_remove(0);
        let data = TensorData::new(frames.data().to_vec(), [1, frames.num_frames(), frames.dim()]);
        let codes = quantizer.quantize(Tensor::from_data(data, ground.device)).codes;
        Ok(codes.into_data().convert::<i64>().iter::<i64>().map(|code| code as u32).collect())
    };
    // A window's number of labels is found out with one.
    let silence = solfa_signal::audio::Waveform::new(vec![0.0; window_samples], rate);
    let wrong = |reason: String| ConfigError::Value { key: "method.model".into(), reason };
    let frames_per_window = codes_of(&silence).map_err(wrong)?.len() / num_codebooks;
    let description = LabelDescription {
        data_sha256: ground.collection.data_sha256(),
        window_seconds: config.sampling.crop.seconds,
        max_windows: config.sampling.crop.windows.as_ref().and_then(|windows| windows.maximum),
        frames_per_window,
        codes_per_codebook: vec![num_codes; num_codebooks],
        teacher: sha256_hex(format!("{} quantised by {}", states.identity(), identity(&quantizer))),
    };
    let path = ground.folder.path().join("labels.safetensors");
    let expected = ExpectedLabels {
        frames_per_window: Some(frames_per_window),
        teacher: Some(description.teacher.clone()),
        ..expected(config, ground)
    };
    if path.exists() {
        let labels = LabelStore::open(&path)?;
        labels.check(&expected)?;
        return Ok(labels);
    }
    let collection = ground.collection;
    observer.begins("labels", collection.len() as u64);
    write_labels(&path, &description, collection.len(), |writer| {
        for track in 0..collection.len() {
            let num_samples = collection.num_samples(track).unwrap_or(0);
            for window in 0..description.num_windows(num_samples, rate) {
                // A track that cannot be read here cannot be read by the sampler either, which takes another one.
                let start = window as u64 * window_samples as u64;
                let Ok(clip) = collection.source().read(track, start, window_samples) else { break };
                writer.push(track, &codes_of(&clip).map_err(wrong)?)?;
            }
            observer.advanced(track as u64 + 1);
            if observer.wants_to_stop() {
                return Err(PretrainError::Stopped);
            }
        }
        Ok(())
    })?;
    Ok(LabelStore::open(&path)?)
}

/// A quantiser of hidden states from its run.
fn given(
    path: &str,
    encoder: &EncoderConfig,
    sizes: &ResidualVectorQuantizerConfig,
    ground: &Ground<'_>,
) -> Result<ResidualVectorQuantizer, PretrainError> {
    let wrong = |reason: String| ConfigError::Value { key: "method.quantizer_from".to_owned(), reason };
    let folder = RunFolder::open(path.as_ref()).map_err(crate::train::TrainingError::from)?;
    let config = folder.read_config().map_err(crate::train::TrainingError::from)?;
    let found = config.get("encoder").cloned().and_then(|table| table.try_into::<EncoderConfig>().ok());
    if found.as_ref() != Some(encoder) {
        return Err(wrong(format!("{path}: expected a run of mel-rvq on {encoder:?}, found {found:?}")).into());
    }
    let (newest, _) =
        CheckpointFiles::new(folder.checkpoints_path(), 1).newest().map_err(crate::train::TrainingError::from)?;
    let Some(newest) = newest else { return Err(wrong(format!("{path}: the run has no checkpoint")).into()) };
    let tensors: &TensorSource = &newest.tensors;
    let quantizer = ResidualVectorQuantizer::new(sizes, ground.device).no_grad();
    Ok(restore_module(quantizer, "network.quantizer", tensors)?)
}

/// A hash of a quantiser's weights.
fn identity(quantizer: &ResidualVectorQuantizer) -> String {
    let mut bytes = String::new();
    for tensor in crate::checkpoint::module_tensors(quantizer, "") {
        if let crate::checkpoint::TensorValues::Tensor(values) = tensor.values {
            let values: Vec<u32> = values.into_data().iter::<f32>().map(f32::to_bits).collect();
            bytes += &format!("{} {values:x?}\n", tensor.name);
        }
    }
    sha256_hex(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_resume, log_of, mean, model_of, tiny, train_in};

    #[test]
    fn a_second_round_learns_what_the_first_one_holds() {
        let parent = tempfile::tempdir().unwrap();
        let (first, second) = (parent.path().join("first"), parent.path().join("second"));
        train_in(&first, &tiny("musicfm", &["training.steps=10"]), &mut ());
        let model = format!("method.model={}", first.display());
        let changes = [model.as_str(), "method.fit_quantizer.training.steps=10", "training.steps=30", "method.layer=2"];
        train_in(&second, &tiny("muq-iter", &changes), &mut ());
        let lines = log_of(&second);
        let (begin, end) = (mean(&lines[..5], |line| line.loss), mean(&lines[25..], |line| line.loss));
        assert!(end < begin - 0.2, "from {begin} to {end}");
        model_of(&second);
        assert!(second.join("labels.safetensors").is_file() && second.join("tokenizer/config.toml").is_file());
        // Labels are good for another run on the same tracks, and for none on others.
        let labels = format!("method.labels_from={}", second.join("labels.safetensors").display());
        train_in(&parent.path().join("third"), &tiny("muq-iter", &[&model, &labels, "training.steps=1"]), &mut ());
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        let parent = tempfile::tempdir().unwrap();
        train_in(parent.path(), &tiny("musicfm", &["training.steps=2"]), &mut ());
        let model = format!("method.model={}", parent.path().display());
        check_resume("muq-iter", &[&model, "method.layer=1", "method.fit_quantizer.training.steps=2"]);
    }
}
