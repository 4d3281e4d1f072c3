//! Checkpoints of ViT-1D in the project's own format: a folder with `config.json` and `model.safetensors`.
//!
//! The configuration has every size and the statistics of the training data. The weights are 32-bit floats under the
//! names of the modules; those of linear layers are `[output, input]`, as PyTorch has them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use solfa_signal::encoder::Encoder;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::save::{CheckpointFolder, named_tensors};
use super::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_heads, check_positive, check_rotary_heads, check_size};
use super::strict::StrictLoader;
use super::{CheckpointError, KeyTable, TensorSource, json};
use crate::model::{Vit1d, Vit1dConfig, Vit1dPositions};

/// `model_type` in the configuration.
pub(super) const MODEL_TYPE: &str = "solfa-vit1d";

/// Far above any clip that attention could compare all frames of: a larger number in a file is damage.
const LARGEST_CLIP_FRAMES: usize = 1 << 20;

/// What a ViT-1D encoder is made of: what it sees, and the network's sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vit1dEncoderConfig {
    /// The spectrogram; the multi-view study's without it.
    #[serde(default = "MelConfig::multi_view")]
    pub mel: MelConfig,
    /// Mean of the training data's spectrograms.
    pub mel_mean: f32,
    /// Standard deviation of the training data's spectrograms.
    pub mel_deviation: f32,
    /// The network.
    pub network: Vit1dConfig,
}

/// A ViT-1D encoder: what it sees, and the network.
pub struct Vit1dModel {
    /// The spectrogram that it was trained on.
    pub mel: MelSpectrogram,
    /// The network.
    pub network: Vit1d,
    /// What both are made of.
    pub config: Vit1dEncoderConfig,
    /// SHA-256 of the weight files.
    pub weights_sha256: String,
}

/// `config.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    model_type: String,
    #[serde(deserialize_with = "json::object")]
    mel: MelConfig,
    mel_mean: f32,
    mel_deviation: f32,
    #[serde(deserialize_with = "json::object")]
    network: Vit1dConfig,
}

impl Vit1dEncoderConfig {
    /// Reads `config.json`.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let ConfigFile { model_type: _, mel, mel_mean, mel_deviation, network } =
            json::read_object(path, "a ViT-1D's configuration")?;
        let config = Self { mel, mel_mean, mel_deviation, network };
        config.check().map_err(|reason| CheckpointError::Config { path: path.to_owned(), reason })?;
        Ok(config)
    }

    /// The spectrogram.
    ///
    /// # Errors
    /// What is wrong with any part of the configuration.
    pub(super) fn check(&self) -> Result<MelSpectrogram, String> {
        let Vit1dEncoderConfig { mel, mel_mean, mel_deviation, network } = self;
        let expect = |holds: bool, name: &str, expected: &str, found: &dyn std::fmt::Display| {
            if holds { Ok(()) } else { Err(format!("{name}: expected {expected}, found {found}")) }
        };
        expect(mel_mean.is_finite(), "mel_mean", "a number", mel_mean)?;
        check_positive("mel_deviation", *mel_deviation)?;
        let Vit1dConfig { num_mels, hidden_size, num_layers, num_heads, intermediate_size, norm_epsilon, .. } = network;
        let num_bands = format!("mel.num_mels, {}", mel.num_mels);
        expect(*num_mels == mel.num_mels, "network.num_mels", &num_bands, num_mels)?;
        check_size("network.num_mels", *num_mels, LARGEST_WIDTH)?;
        check_size("network.hidden_size", *hidden_size, LARGEST_WIDTH)?;
        check_size("network.num_layers", *num_layers, LARGEST_DEPTH)?;
        check_size("network.num_heads", *num_heads, LARGEST_WIDTH)?;
        check_size("network.intermediate_size", *intermediate_size, LARGEST_WIDTH)?;
        check_heads("network.num_heads", *num_heads, ("hidden_size", *hidden_size))?;
        check_positive("network.norm_epsilon", *norm_epsilon)?;
        match network.positions {
            Vit1dPositions::Learned { maximum_frames } => {
                check_size("network.positions.maximum_frames", maximum_frames, LARGEST_CLIP_FRAMES)?;
            }
            Vit1dPositions::Rotary { base } => {
                check_positive("network.positions.base", base)?;
                check_rotary_heads("network.num_heads", *num_heads, ("hidden_size", *hidden_size))?;
            }
        }
        let mel = MelSpectrogram::new(mel.clone()).map_err(|error| format!("mel.{error}"))?;
        if let Vit1dPositions::Learned { maximum_frames } = network.positions {
            let (maximum, minimum) = (self.maximum_samples().unwrap_or(usize::MAX), mel.spec().minimum_samples);
            let expected = format!("the frames of a clip of {minimum} samples, the shortest");
            expect(maximum >= minimum, "network.positions.maximum_frames", &expected, &maximum_frames)?;
        }
        Ok(mel)
    }

    /// Samples of the longest clip, where positions are learned: one more would begin another frame.
    pub fn maximum_samples(&self) -> Option<usize> {
        match self.network.positions {
            Vit1dPositions::Learned { maximum_frames } => {
                Some(maximum_frames.saturating_mul(self.mel.stft.hop_samples).saturating_sub(1))
            }
            Vit1dPositions::Rotary { .. } => None,
        }
    }
}

/// Parameters of norms have PyTorch's names, and which kind of norm or feed-forward it is stands in the configuration.
const NETWORK: KeyTable = KeyTable {
    prefix: "",
    segments: &[("gamma", "weight"), ("beta", "bias"), ("LayerNorm", ""), ("RmsNorm", ""), ("Gelu", ""), ("Gated", "")],
    unused: &[],
};

/// Writes a network and what it is made of to a folder, which [`super::Checkpoint::open`] then reads. A checkpoint that
/// is there already is replaced.
///
/// # Errors
/// A configuration that would not be read again, or a file that cannot be written.
pub fn save_vit1d(folder: &Path, config: &Vit1dEncoderConfig, network: &Vit1d) -> Result<(), CheckpointError> {
    write(folder, config, network).map(|_| ())
}

/// The same, telling the names of the files.
pub(super) fn write(
    folder: &Path,
    config: &Vit1dEncoderConfig,
    network: &Vit1d,
) -> Result<Vec<PathBuf>, CheckpointError> {
    let config_error = |reason| CheckpointError::Config { path: folder.join("config.json"), reason };
    config.check().map_err(config_error)?;
    let Vit1dEncoderConfig { mel, mel_mean, mel_deviation, network: sizes } = config.clone();
    let file = ConfigFile { model_type: MODEL_TYPE.into(), mel, mel_mean, mel_deviation, network: sizes };
    let mut files = CheckpointFolder::begin(folder)?;
    files.safetensors("model.safetensors", named_tensors(network, NETWORK))?;
    files.json("config.json", &file)?;
    files.commit()
}

/// Builds the model from its tensors.
pub(super) fn load(
    config: &Vit1dEncoderConfig,
    source: &TensorSource,
    device: &Device,
) -> Result<Vit1dModel, CheckpointError> {
    let mel = config.check().map_err(|reason| CheckpointError::Config { path: source.files()[0].clone(), reason })?;
    let mut loader = StrictLoader::new(source);
    let network = loader.fill(Vit1d::new(&config.network, device), NETWORK);
    loader.finish()?;
    Ok(Vit1dModel { mel, network, config: config.clone(), weights_sha256: source.sha256()? })
}
