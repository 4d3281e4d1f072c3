//! MERT v2's released layout: Hugging Face's `config.json` (`model_type` is `mert2`) and safetensors.
//!
//! `m-a-p/MERT-v2-30s` and `m-a-p/MERT-v2-FullSong` (2026). Fields and names are those that another native
//! implementation reads, the crate `clap-cpp` 0.1.1; the released files themselves could not be tried. They may have a
//! prefix before all names, and are read with any. The field `variant` is not read: nothing is known to depend on it
//! but the length of the clips, which is a field of its own.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;
use serde_json::Value;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::json::read_object;
use super::sizes::{
    LARGEST_DEPTH, LARGEST_WIDTH, check_odd_taps, check_positive, check_rotary_heads, check_sample_rate, check_size,
};
use super::stored_mel::StoredMel;
use super::strict::StrictLoader;
use super::{CheckpointError, KeyTable, TensorSource};
use crate::model::{ConvNextSubsamplingConfig, Mert2, Mert2Config, RotaryPositions};

/// What two halvings of the frame rate make of the spectrogram's hop.
pub(super) const SUBSAMPLING: usize = 4;
/// The smallest deviation that a band is divided by.
const SMALLEST_DEVIATION: f32 = 1e-5;
/// Length of the clips of the 30s model, which a configuration without `context_seconds` is taken for.
const DEFAULT_CONTEXT_SECONDS: f64 = 30.0;
/// Far above any published model's context: a larger number in a file is damage.
const LARGEST_CONTEXT_SECONDS: f64 = 86_400.0;

/// A model of the MERT v2 family: what it sees, and the network.
pub struct Mert2Model {
    /// The mel spectrogram that it was trained on, in dB, with the window and filter bank that the file stores.
    pub mel: MelSpectrogram,
    /// Mean of every band in the training data, in dB.
    pub mel_mean: Vec<f32>,
    /// Standard deviation of every band in the training data, in dB; at least 1e-5.
    pub mel_deviation: Vec<f32>,
    /// The network.
    pub network: Mert2,
    /// The network's sizes.
    pub config: Mert2Config,
    /// Length of the clips that it was trained on, in seconds.
    pub context_seconds: f64,
    /// SHA-256 of the weight files: for one file, the hash that the Hugging Face hub shows for it.
    pub weights_sha256: String,
    /// What was taken for granted or left out: see [`LoadedModel::notes`](super::LoadedModel::notes).
    pub notes: Vec<String>,
}

/// What `config.json` says, as far as it determines the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mert2Settings {
    pub(super) network: Mert2Config,
    pub(super) mel: MelConfig,
    pub(super) context_seconds: f64,
    has_context: bool,
}

/// The file itself: the fields that a forward pass depends on, and those that follow from others and can be checked.
#[derive(Debug, Deserialize)]
struct ConfigFile {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_mel_bins: usize,
    sampling_rate: usize,
    n_fft: usize,
    win_length: Option<usize>,
    hop_length: usize,
    minimum_input_samples: Option<usize>,
    inputs_to_logits_ratio: Option<usize>,
    subsampling_channels: Vec<usize>,
    subsampling_depths: Vec<usize>,
    conv_depthwise_kernel_size: usize,
    layer_norm_eps: f64,
    subsampling_layer_norm_eps: f64,
    rotary_embedding_base: f64,
    context_seconds: Option<f64>,
}

impl Mert2Settings {
    /// Reads `config.json`.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        Self::resolve(read_object(path, "MERT v2's configuration")?)
            .map_err(|reason| CheckpointError::Config { path: path.to_owned(), reason })
    }

    /// What a reader makes of a configuration that is yet to be written.
    pub(super) fn of_json(config: Value) -> Result<Self, String> {
        serde_json::from_value(config).map_err(|fault| fault.to_string()).and_then(Self::resolve)
    }

    fn resolve(file: ConfigFile) -> Result<Self, String> {
        let sample_rate = check_front_end(&file)?;
        check_size("hidden_size", file.hidden_size, LARGEST_WIDTH)?;
        check_size("intermediate_size", file.intermediate_size, LARGEST_WIDTH)?;
        check_size("num_hidden_layers", file.num_hidden_layers, LARGEST_DEPTH)?;
        check_size("num_attention_heads", file.num_attention_heads, LARGEST_WIDTH)?;
        check_rotary_heads("num_attention_heads", file.num_attention_heads, ("hidden_size", file.hidden_size))?;
        check_subsampling(&file)?;
        let kernel = file.conv_depthwise_kernel_size;
        check_odd_taps("conv_depthwise_kernel_size", kernel)?;
        check_positive("layer_norm_eps", file.layer_norm_eps)?;
        check_positive("subsampling_layer_norm_eps", file.subsampling_layer_norm_eps)?;
        check_positive("rotary_embedding_base", file.rotary_embedding_base)?;
        let context_seconds = file.context_seconds.unwrap_or(DEFAULT_CONTEXT_SECONDS);
        if !(1.0..=LARGEST_CONTEXT_SECONDS).contains(&context_seconds) {
            return Err(format!("context_seconds: expected 1 to {LARGEST_CONTEXT_SECONDS}, found {context_seconds}"));
        }
        // The window and the bands are stored, so the edges and the scale of bands have no effect.
        let mut mel = MelConfig::muq();
        mel.stft.sample_rate = sample_rate;
        mel.stft.fft_samples = file.n_fft;
        mel.stft.window_samples = file.n_fft;
        mel.stft.hop_samples = file.hop_length;
        mel.num_mels = file.num_mel_bins;
        let network = Mert2Config {
            subsampling: ConvNextSubsamplingConfig {
                channels: file.subsampling_channels,
                depths: file.subsampling_depths,
                layer_norm_epsilon: file.subsampling_layer_norm_eps,
            },
            hidden_size: file.hidden_size,
            num_layers: file.num_hidden_layers,
            num_heads: file.num_attention_heads,
            intermediate_size: file.intermediate_size,
            depthwise_kernel: kernel,
            layer_norm_epsilon: file.layer_norm_eps,
            rotary_base: file.rotary_embedding_base,
        };
        Ok(Self { network, mel, context_seconds, has_context: file.context_seconds.is_some() })
    }
}

/// Checks what concerns the spectrogram, and gives the sample rate in Hz.
fn check_front_end(file: &ConfigFile) -> Result<u32, String> {
    check_size("num_mel_bins", file.num_mel_bins, LARGEST_WIDTH)?;
    let sample_rate = check_sample_rate("sampling_rate", file.sampling_rate)?;
    check_size("n_fft", file.n_fft, LARGEST_WIDTH)?;
    check_size("hop_length", file.hop_length, LARGEST_WIDTH)?;
    if !file.n_fft.is_power_of_two() {
        return Err(format!("n_fft: expected a power of two, found {}", file.n_fft));
    }
    for (name, found, expected, why) in [
        ("win_length", file.win_length, file.n_fft, "n_fft"),
        ("minimum_input_samples", file.minimum_input_samples, file.n_fft / 2 + 1, "n_fft / 2 + 1"),
        ("inputs_to_logits_ratio", file.inputs_to_logits_ratio, SUBSAMPLING * file.hop_length, "4 times hop_length"),
    ] {
        if let Some(found) = found.filter(|&found| found != expected) {
            return Err(format!("{name}: expected {expected}, which is {why}, found {found}"));
        }
    }
    Ok(sample_rate)
}

/// Checks what concerns the three stages of the subsampling.
fn check_subsampling(file: &ConfigFile) -> Result<(), String> {
    let ConfigFile { subsampling_channels: channels, subsampling_depths: depths, .. } = file;
    let [first, _, last] = channels[..] else {
        return Err(format!("subsampling_channels: expected 3 stages, found {}", channels.len()));
    };
    if depths.len() != channels.len() {
        return Err(format!("subsampling_depths: expected 3 stages, found {}", depths.len()));
    }
    for &size in channels {
        check_size("subsampling_channels", size, LARGEST_WIDTH)?;
    }
    for &size in depths {
        check_size("subsampling_depths", size, LARGEST_DEPTH)?;
    }
    for (place, found, expected, name) in
        [("first", first, file.num_mel_bins, "num_mel_bins"), ("last", last, file.hidden_size, "hidden_size")]
    {
        if found != expected {
            return Err(format!(
                "subsampling_channels: expected {expected} as the {place} one, which is {name}, found {found}"
            ));
        }
    }
    Ok(())
}

/// The names of the front end's tensors: numbers are places in sequences whose other members have no tensors.
pub(super) const FRONT_END: KeyTable = KeyTable {
    prefix: "",
    segments: &[
        ("stages", "subsampling_module"),
        ("downsampling", "resampling_layer"),
        ("norm", "0"),
        ("convolution", "2"),
        ("blocks", "convnext_layers"),
        ("depthwise", "depthwise_block.1"),
        ("depthwise_norm", "pointwise_block.0"),
        ("expand", "pointwise_block.1"),
        ("response_norm", "pointwise_block.3"),
        ("gain", "weight"),
        ("contract", "pointwise_block.4"),
        ("gamma", "weight"),
        ("beta", "bias"),
    ],
    unused: &[],
};

pub(super) const LAYERS: KeyTable = KeyTable {
    prefix: "layers.",
    segments: &[
        ("feed_forward1_norm", "ffn1_layer_norm"),
        ("feed_forward1", "ffn1"),
        ("feed_forward2_norm", "ffn2_layer_norm"),
        ("feed_forward2", "ffn2"),
        ("expand", "w_1"),
        ("contract", "w_2"),
        ("attention_norm", "attn_layer_norm"),
        ("attention", "attn"),
        ("query", "query_proj"),
        ("key", "key_proj"),
        ("value", "value_proj"),
        ("output", "out_proj"),
        ("convolution", "conv_module"),
        ("norm", "layer_norm"),
        ("pointwise_in", "conv_block.1"),
        ("depthwise", "conv_block.3"),
        ("depthwise_norm", "conv_block.4.1"),
        ("pointwise_out", "conv_block.6"),
        ("final_norm", "final_layer_norm"),
        ("gamma", "weight"),
        ("beta", "bias"),
    ],
    unused: &[],
};

pub(super) const STORED_MEAN: &str = "feature_extractor.mel_mean";
pub(super) const STORED_DEVIATION: &str = "feature_extractor.mel_std";
pub(super) const STORED_WINDOW: &str = "feature_extractor.spectrogram.window";
pub(super) const STORED_FILTERS: &str = "feature_extractor.mel_scale.fb";
/// How the rotary frequencies end that a file may store, once or in every layer; the released files are not known to.
pub(super) const STORED_FREQUENCIES: &str = ".inv_freq";

/// Builds the model from its tensors.
pub(super) fn load(
    settings: &Mert2Settings,
    source: &TensorSource,
    device: &Device,
) -> Result<Mert2Model, CheckpointError> {
    let Mert2Settings { network: config, mel: mel_config, context_seconds, has_context } = settings;
    let wrong = |reason: String| CheckpointError::Config { path: source.files()[0].clone(), reason };
    let root = root_of(source);
    let mut loader = StrictLoader::below(source, root.clone());
    let mut network = Mert2::new(config, device);
    network.subsampling = loader.fill(network.subsampling, FRONT_END);
    network.layers = loader.fill(network.layers, LAYERS);
    let num_mels = mel_config.num_mels;
    let mean = loader.take(STORED_MEAN, &[num_mels]);
    let deviation = loader.take(STORED_DEVIATION, &[num_mels]);
    let mel = StoredMel::take(&mut loader, mel_config.clone(), STORED_WINDOW, STORED_FILTERS);
    let stored_frequencies: Vec<(&str, Option<Vec<f32>>)> = source
        .shapes()
        .filter_map(|(name, _)| name.strip_prefix(root.as_str()))
        .filter(|name| name.ends_with(STORED_FREQUENCIES))
        .map(|name| (name, loader.take(name, &[config.hidden_size / config.num_heads / 2])))
        .collect();
    let outside = loader.finish()?;
    let mut notes = Vec::new();
    if !has_context {
        notes.push(format!("the configuration names no context_seconds: windows are {context_seconds} s long"));
    }
    if let Some(first) = outside.first() {
        let count = outside.len();
        notes.push(format!("{count} tensors are not below `{root}` and are not used, such as {first}"));
    }
    let [mean, deviation] = [mean, deviation].map(Option::unwrap_or_default);
    for (name, values) in [(STORED_MEAN, &mean), (STORED_DEVIATION, &deviation)] {
        if let Some(band) = values.iter().position(|value| !value.is_finite()) {
            return Err(wrong(format!("{root}{name}: expected finite numbers, found {} in band {band}", values[band])));
        }
    }
    if let Some((first_name, first)) = stored_frequencies.first() {
        if let Some((name, _)) = stored_frequencies.iter().find(|(_, frequencies)| frequencies != first) {
            return Err(wrong(format!("{root}{name}: expected the values of {root}{first_name}, found others")));
        }
        network.positions = RotaryPositions::from_stored(first.clone().unwrap_or_default(), device);
    }
    Ok(Mert2Model {
        mel: mel.spectrogram(source)?,
        mel_mean: mean,
        mel_deviation: deviation.into_iter().map(|value| value.max(SMALLEST_DEVIATION)).collect(),
        network,
        config: config.clone(),
        context_seconds: *context_seconds,
        weights_sha256: source.sha256()?,
        notes,
    })
}

/// What stands before all names, found by one that every file has; empty where that is missing, which loading says.
fn root_of(source: &TensorSource) -> String {
    let roots = source.shapes().filter_map(|(name, _)| name.strip_suffix(STORED_MEAN));
    roots.filter(|root| root.is_empty() || root.ends_with('.')).min_by_key(|root| root.len()).unwrap_or("").to_owned()
}
