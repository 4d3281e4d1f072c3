//! MusicFM's released layout: a PyTorch Lightning checkpoint (`pretrained_msd.pt`, `pretrained_fma.pt`) and the
//! statistics of its training data (`msd_stats.json`, `fma_stats.json`).
//!
//! Won et al. 2023, arXiv:2311.03318. The release has no configuration: its sizes are the published ones, or those of a
//! `config.json` beside it.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fs_err as fs;
use serde::Deserialize;
use serde_json::Value;
use solfa_signal::features::MelConfig;

use super::json::read_object;
use super::mel_conformer::check_network;
use super::muq::{NETWORK, mel_statistics};
use super::source::list_names;
use super::stored_mel::StoredMel;
use super::strict::StrictLoader;
use super::{CheckpointError, KeyTable, MelConformerModel, TensorSource, folder_of, names_of};
use crate::model::{ConformerConfig, MelConformer, MelConformerConfig};
use crate::targets::{MelTokenizer, RandomProjectionQuantizer, RandomProjectionQuantizerConfig};

/// What the names of its tensors begin with.
pub(super) const PREFIX: &str = "model.";

/// Mel bands of the release.
const NUM_MELS: usize = 128;
/// Mel frames to one token.
pub(super) const FOLD: usize = 4;
/// Width of a code.
const CODE_DIM: usize = 16;

/// The sizes and statistics of a MusicFM.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MusicFmConfig {
    network: MelConformerConfig,
    mel_mean: f32,
    mel_deviation: f32,
}

/// `config.json`: every size that may differ from the release's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    conv_dim: usize,
    encoder_dim: usize,
    encoder_depth: usize,
    codebook_size: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    conv_depthwise_kernel_size: usize,
    /// Free text.
    #[serde(rename = "note")]
    _note: String,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            conv_dim: 512,
            encoder_dim: 1024,
            encoder_depth: 12,
            codebook_size: 4096,
            num_attention_heads: 16,
            intermediate_size: 4096,
            conv_depthwise_kernel_size: 31,
            _note: String::new(),
        }
    }
}

impl ConfigFile {
    fn network(&self) -> Result<MelConformerConfig, String> {
        let conformer = ConformerConfig {
            hidden_size: self.encoder_dim,
            num_layers: self.encoder_depth,
            num_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            depthwise_kernel: self.conv_depthwise_kernel_size,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        };
        let network = MelConformerConfig {
            num_mels: NUM_MELS,
            conv_channels: self.conv_dim,
            time_strides: [2, 2],
            conformer,
            num_logits: self.codebook_size,
        };
        check_network(&network, "").map(|()| network)
    }
}

/// What a reader makes of a configuration that is yet to be written.
pub(super) fn network_of_json(config: Value) -> Result<MelConformerConfig, String> {
    let file: ConfigFile = serde_json::from_value(config).map_err(|fault| fault.to_string())?;
    file.network()
}

/// The sizes of the quantiser that goes with a network.
pub(super) fn quantizer_of(network: &MelConformerConfig) -> RandomProjectionQuantizerConfig {
    RandomProjectionQuantizerConfig { input_dim: NUM_MELS * FOLD, num_codes: network.num_logits, code_dim: CODE_DIM }
}

impl MusicFmConfig {
    /// Reads what lies beside a `.pt` file.
    pub(super) fn find(weights: &Path) -> Result<Self, CheckpointError> {
        let config_path = weights.with_file_name("config.json");
        let file: ConfigFile =
            if config_path.is_file() { read_object(&config_path, "MusicFM's sizes")? } else { ConfigFile::default() };
        let network = file.network().map_err(|reason| CheckpointError::Config { path: config_path, reason })?;
        let statistics_path = find_statistics(weights)?;
        let statistics: serde_json::Map<String, Value> =
            read_object(&statistics_path, "statistics of mel spectrograms")?;
        let (mel_mean, mel_deviation) = mel_statistics(&statistics, "")
            .map_err(|reason| CheckpointError::Config { path: statistics_path, reason })?;
        Ok(Self { network, mel_mean, mel_deviation })
    }
}

/// `pretrained_X.pt` goes with `X_stats.json`; any other name with the one `*_stats.json` beside it.
fn find_statistics(weights: &Path) -> Result<PathBuf, CheckpointError> {
    let folder = folder_of(weights);
    let stem = weights.file_stem().unwrap_or_default().to_string_lossy();
    let data = stem.strip_prefix("pretrained_");
    if let Some(data) = data {
        let named = folder.join(format!("{data}_stats.json"));
        if named.is_file() {
            return Ok(named);
        }
    }
    let mut candidates: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|source| CheckpointError::Io { path: folder.to_owned(), source })?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_stats.json")))
        .filter(|path| path.is_file())
        .collect();
    candidates.sort();
    // The statistics of one release are wrong for the other, and would go unnoticed.
    let released = data.filter(|data| RELEASES.contains(data));
    match (candidates.as_slice(), released) {
        ([statistics], None) => Ok(statistics.clone()),
        (others, released) => {
            let expected =
                released.map_or("one file such as msd_stats.json".into(), |data| format!("{data}_stats.json"));
            let found = if others.is_empty() { list_names(folder) } else { names_of(others) };
            let reason = format!("expected the statistics of its training data beside it, {expected}, found {found}");
            Err(CheckpointError::Config { path: weights.to_owned(), reason })
        }
    }
}

/// The data that the two releases were trained on, as they are called in names of files.
const RELEASES: [&str; 2] = ["msd", "fma"];

pub(super) const RANDOM_PROJECTION: KeyTable = KeyTable {
    prefix: "model.quantizer_melspec_2048_0.",
    segments: &[("projection", "random_projection")],
    unused: &[],
};

/// The names of the spectrogram's window and filter bank.
pub(super) const STORED_WINDOW: &str = "model.preprocessor_melspec_2048.mel_stft.spectrogram.window";
pub(super) const STORED_FILTERS: &str = "model.preprocessor_melspec_2048.mel_stft.mel_scale.fb";

/// Builds the model from its tensors.
pub(super) fn load(
    config: &MusicFmConfig,
    source: &TensorSource,
    device: &Device,
) -> Result<MelConformerModel, CheckpointError> {
    let mut loader = StrictLoader::new(source);
    let network = loader.fill(MelConformer::new(&config.network, device), NETWORK);
    let quantizer = quantizer_of(&config.network);
    let tokenizer = loader.fill(RandomProjectionQuantizer::new(&quantizer, device), RANDOM_PROJECTION);
    let mel = StoredMel::take(&mut loader, MelConfig::muq(), STORED_WINDOW, STORED_FILTERS);
    loader.finish()?;
    let mel = mel.spectrogram(source)?;
    Ok(MelConformerModel {
        name: "musicfm",
        mel,
        mel_mean: config.mel_mean,
        mel_deviation: config.mel_deviation,
        network,
        config: config.network.clone(),
        fold: FOLD,
        tokenizer: Some(MelTokenizer::RandomProjection(tokenizer)),
        weights_sha256: source.sha256()?,
    })
}
