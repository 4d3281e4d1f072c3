//! MuQ-MuLan's released layout: `config.json`, and the weights of both towers in one checkpoint.
//!
//! `OpenMuQ/MuQ-MuLan-large` and whatever the package `muq` saves. Zhu et al. 2025, arXiv:2501.01108. The sizes of the
//! towers are not in it: they stand in the configurations of the two models that it was made of, MuQ and XLM-RoBERTa,
//! which it names. Of those models only the configurations and the tokenizer are read, never the weights.

mod config;
mod named_model;
mod run;
mod tensors;

pub(super) use config::{LARGEST_FEED_FORWARD_MULTIPLE, MulanFile, SAMPLE_RATE, config_of_json};
pub(super) use run::JointSpaceRun;
pub(super) use tensors::{AUDIO_HEAD, AUDIO_NETWORK, TEXT_HEAD, TEXT_NETWORK, head_tensors};

use burn::tensor::Device;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use self::tensors::fill_head;
use super::strict::StrictLoader;
use super::{CheckpointError, KeyTable, TensorSource, TextTokenizer};
use crate::model::{JointSpaceHead, MelConformer, MulanConfig, XlmRoberta};

/// A text model and a music model that share a space.
pub struct MulanModel {
    /// Sound to the joint space.
    pub audio: MulanAudio,
    /// Text to the joint space.
    pub text: MulanText,
    /// Sizes, and what determines the vectors beside the weights.
    pub config: MulanConfig,
    /// What cosines were multiplied with in training, one over the temperature, for shares by softmax; none where the
    /// checkpoint does not say.
    pub logit_scale: Option<f64>,
    /// SHA-256 of the weight files, as in [`MelConformerModel::weights_sha256`](super::MelConformerModel).
    pub weights_sha256: String,
}

/// The audio tower: MuQ, of which one hidden state goes on to the joint space.
pub struct MulanAudio {
    /// The name of the MuQ that it was made of, as the checkpoint has it.
    pub model_name: String,
    /// The mel spectrogram that MuQ was trained on, in dB.
    pub mel: MelSpectrogram,
    /// Mean of MuQ's training data's mel spectrograms, in dB.
    pub mel_mean: f32,
    /// Standard deviation of the same, in dB.
    pub mel_deviation: f32,
    /// MuQ.
    pub network: MelConformer,
    /// From MuQ's hidden state to the joint space.
    pub head: JointSpaceHead,
}

/// The text tower: XLM-RoBERTa, of which the last hidden state goes on to the joint space.
pub struct MulanText {
    /// The name of the XLM-RoBERTa that it was made of, as the checkpoint has it.
    pub model_name: String,
    /// Text to tokens.
    pub tokenizer: TextTokenizer,
    /// XLM-RoBERTa.
    pub network: XlmRoberta,
    /// From XLM-RoBERTa's hidden state to the joint space.
    pub head: JointSpaceHead,
}

/// Builds both towers from their tensors.
pub(super) fn load(file: &MulanFile, source: &TensorSource, device: &Device) -> Result<MulanModel, CheckpointError> {
    let MulanFile { config, mel_mean, mel_deviation, text, text_folder, model_names: [audio_name, text_name] } = file;
    let (tokenizer_path, config_path) = (text_folder.join("tokenizer.json"), text_folder.join("config.json"));
    let tokenizer = TextTokenizer::read(&tokenizer_path, text, &config_path)?;
    let mut config = config.clone();
    for (head, tables) in [(&mut config.audio_head, AUDIO_HEAD), (&mut config.text_head, TEXT_HEAD)] {
        let name = format!("{}layers.0.0.norm.beta", tables.transformer);
        head.transformer.has_norm_biases = source.shape(&name).is_some();
    }
    let mut loader = StrictLoader::new(source);
    let audio_network = loader.fill(MelConformer::new(&config.audio_network, device), AUDIO_NETWORK);
    let audio_head = fill_head(&mut loader, JointSpaceHead::new(&config.audio_head, device), &AUDIO_HEAD);
    let text_network = loader.fill(XlmRoberta::new(&config.text_network, device), TEXT_NETWORK);
    let text_head = fill_head(&mut loader, JointSpaceHead::new(&config.text_head, device), &TEXT_HEAD);
    loader.finish()?;
    let mel = MelSpectrogram::new(MelConfig::muq())
        .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })?;
    Ok(MulanModel {
        audio: MulanAudio {
            model_name: audio_name.clone(),
            mel,
            mel_mean: *mel_mean,
            mel_deviation: *mel_deviation,
            network: audio_network,
            head: audio_head,
        },
        text: MulanText { model_name: text_name.clone(), tokenizer, network: text_network, head: text_head },
        config,
        logit_scale: logit_scale(source)?,
        weights_sha256: source.sha256()?,
    })
}

/// The text tower's network alone, and its tokenizer.
pub(super) fn load_text(
    file: &MulanFile,
    source: &TensorSource,
    device: &Device,
) -> Result<(XlmRoberta, TextTokenizer), CheckpointError> {
    const ALL_ELSE: &[(&str, &str)] = &[("mulan.*", "the audio tower, the heads and the loss")];
    let MulanFile { config, text, text_folder, .. } = file;
    let tokenizer = TextTokenizer::read(&text_folder.join("tokenizer.json"), text, &text_folder.join("config.json"))?;
    let mut loader = StrictLoader::new(source);
    let table = KeyTable { unused: ALL_ELSE, ..TEXT_NETWORK };
    let network = loader.fill(XlmRoberta::new(&config.text_network, device), table);
    loader.finish()?;
    Ok((network, tokenizer))
}

/// Where the contrastive loss keeps the logarithm of what it multiplies cosines with.
pub(super) const TEMPERATURE: &str = "mulan.contrast.temperatures";

fn logit_scale(source: &TensorSource) -> Result<Option<f64>, CheckpointError> {
    let is_one_number = source.shape(TEMPERATURE).is_some_and(|shape| shape.iter().all(|&size| size == 1));
    if !is_one_number || source.type_other_than_float(TEMPERATURE).is_some() {
        return Ok(None);
    }
    let values = source.read(TEMPERATURE)?.try_to_vec::<f32>().unwrap_or_default();
    let scale = values.first().map(|&logarithm| f64::from(logarithm).exp());
    Ok(scale.filter(|scale| scale.is_finite() && *scale > 0.0))
}
