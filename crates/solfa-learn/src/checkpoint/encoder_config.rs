//! What an encoder that is trained here sees of a sound, and the sizes of its network: `[encoder]` in a run's configuration.

use serde::{Deserialize, Serialize};
use solfa_signal::encoder::Encoder;
use solfa_signal::features::{CqtConfig, MelConfig, MelSpectrogram};

use super::mel_conformer::check_network;
use super::multi_view::{CLIP_SAMPLES, check_resnet};
use super::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_positive, check_sample_rate, check_size};
use super::vit1d::Vit1dEncoderConfig;
use super::waveform_transformer::check_waveform_transformer;
use crate::model::{BackboneConfig, MelConformerConfig, ModifiedResNetConfig, WaveformTransformerConfig};
use crate::targets::ResidualVectorQuantizerConfig;

/// Far above any published front end: a larger number in a file is damage.
const LARGEST_FOLD: usize = 1 << 10;

/// The encoder of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a run")]
pub enum EncoderConfig {
    /// MuQ's and MusicFM's network.
    MelConformer(MelConformerEncoderConfig),
    /// HuBERT's, data2vec's and MERT's.
    WaveformTransformer(WaveformTransformerEncoderConfig),
    /// The multi-view study's.
    Resnet(ResnetEncoderConfig),
    /// A transformer of spectrogram frames with a class token.
    Vit1d(Vit1dEncoderConfig),
    /// A residual vector quantiser of stacked spectrogram frames.
    MelRvq(MelRvqEncoderConfig),
    /// The same of another model's hidden states: a tokenizer for the next round of training, and no encoder of sound.
    HiddenRvq(HiddenRvqEncoderConfig),
}

/// A conformer of mel spectrograms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConformerEncoderConfig {
    /// The spectrogram, in decibels; MuQ's without it.
    #[serde(default = "MelConfig::muq")]
    pub mel: MelConfig,
    /// Mean of the training data's spectrograms, in decibels.
    pub mel_mean: f32,
    /// Standard deviation of the training data's spectrograms, in decibels.
    pub mel_deviation: f32,
    /// The network.
    pub network: MelConformerConfig,
}

/// A transformer of waveforms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveformTransformerEncoderConfig {
    /// Sample rate that it works at, in Hz.
    pub sample_rate: u32,
    /// Whether every clip is brought to mean 0 and variance 1 first.
    pub is_normalized: bool,
    /// The constant-Q transform that is put beside the convolutions' frames; `network.extra_dim` is its number of bins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cqt: Option<CqtConfig>,
    /// The network.
    pub network: WaveformTransformerConfig,
}

/// A residual network of spectrograms of 4 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResnetEncoderConfig {
    /// The network; it sees the multi-view study's spectrogram.
    pub network: ModifiedResNetConfig,
}

/// A quantiser of mel spectrograms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelRvqEncoderConfig {
    /// The spectrogram, in decibels; MuQ's without it.
    #[serde(default = "MelConfig::muq")]
    pub mel: MelConfig,
    /// Mean of the training data's spectrograms, in decibels.
    pub mel_mean: f32,
    /// Standard deviation of the training data's spectrograms, in decibels.
    pub mel_deviation: f32,
    /// Consecutive frames that make one token.
    pub fold: usize,
    /// The quantiser, of `fold` frames of all bands.
    pub quantizer: ResidualVectorQuantizerConfig,
}

/// A quantiser of hidden states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenRvqEncoderConfig {
    /// The model: a folder or file that `embed` takes.
    pub model: String,
    /// The layer; 0 is the input of the first.
    pub layer: usize,
    /// The model's sample rate, in Hz.
    pub sample_rate: u32,
    /// Samples from one of the model's frames to the next.
    pub hop_samples: usize,
    /// The quantiser, of the model's frames.
    pub quantizer: ResidualVectorQuantizerConfig,
}

impl EncoderConfig {
    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MelConformer(_) => "mel-conformer",
            Self::WaveformTransformer(_) => "waveform-transformer",
            Self::Resnet(_) => "resnet",
            Self::Vit1d(_) => "vit1d",
            Self::MelRvq(_) => "mel-rvq",
            Self::HiddenRvq(_) => "hidden-rvq",
        }
    }

    /// Samples per second of the clips that it is shown.
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::MelConformer(config) => config.mel.stft.sample_rate,
            Self::WaveformTransformer(config) => config.sample_rate,
            Self::Resnet(_) => MelConfig::multi_view().stft.sample_rate,
            Self::Vit1d(config) => config.mel.stft.sample_rate,
            Self::MelRvq(config) => config.mel.stft.sample_rate,
            Self::HiddenRvq(config) => config.sample_rate,
        }
    }

    /// The network; none for a quantiser.
    pub fn backbone(&self) -> Option<BackboneConfig> {
        match self {
            Self::MelConformer(config) => Some(BackboneConfig::MelConformer(config.network.clone())),
            Self::WaveformTransformer(config) => Some(BackboneConfig::WaveformTransformer(config.network.clone())),
            Self::Resnet(config) => Some(BackboneConfig::Resnet(config.network.clone())),
            Self::Vit1d(config) => Some(BackboneConfig::Vit1d(config.network.clone())),
            Self::MelRvq(_) | Self::HiddenRvq(_) => None,
        }
    }

    /// Samples from one frame to the next; of a whole clip, for a network without frames.
    pub fn hop_samples(&self) -> usize {
        match self {
            Self::MelConformer(config) => {
                config.mel.stft.hop_samples * config.network.time_strides.iter().product::<usize>()
            }
            Self::WaveformTransformer(config) => config.network.frontend.hop_samples(),
            Self::Resnet(_) => CLIP_SAMPLES,
            Self::Vit1d(config) => config.mel.stft.hop_samples,
            Self::MelRvq(config) => config.mel.stft.hop_samples * config.fold,
            Self::HiddenRvq(config) => config.hop_samples,
        }
    }

    /// Frames that the network gives a clip.
    pub fn num_frames(&self, num_samples: usize) -> usize {
        match self {
            // Each block of the front end has a centred convolution, which begins a frame for every stride begun.
            Self::MelConformer(config) => {
                let mel_frames = num_samples / config.mel.stft.hop_samples;
                config.network.time_strides.iter().fold(mel_frames, |frames, &stride| frames.div_ceil(stride))
            }
            Self::WaveformTransformer(config) => config.network.frontend.num_frames(num_samples),
            Self::Resnet(_) => num_samples / CLIP_SAMPLES,
            Self::Vit1d(config) => num_samples / config.mel.stft.hop_samples + 1,
            Self::MelRvq(config) => num_samples / config.mel.stft.hop_samples / config.fold,
            Self::HiddenRvq(config) => num_samples / config.hop_samples,
        }
    }

    /// Refuses what no network can be made of.
    ///
    /// # Errors
    /// A sentence with the field's name, what was expected and what was found.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::MelConformer(MelConformerEncoderConfig { mel, mel_mean, mel_deviation, network }) => {
                check_mel(mel, *mel_mean, *mel_deviation)?;
                check_size("network.num_mels", network.num_mels, usize::MAX)?;
                if network.num_mels != mel.num_mels || !network.num_mels.is_multiple_of(4) {
                    let expected = format!("mel.num_mels, {}, a multiple of 4", mel.num_mels);
                    return Err(format!("network.num_mels: expected {expected}, found {}", network.num_mels));
                }
                for stride in network.time_strides {
                    check_size("network.time_strides", stride, LARGEST_FOLD)?;
                }
                check_network(network, "")
            }
            Self::WaveformTransformer(WaveformTransformerEncoderConfig { sample_rate, cqt, network, .. }) => {
                check_sample_rate("sample_rate", *sample_rate)?;
                let num_bins = cqt.as_ref().map_or(0, |cqt| cqt.num_bins);
                if network.extra_dim != num_bins {
                    let expected = format!("the bins of cqt, {num_bins}");
                    return Err(format!("network.extra_dim: expected {expected}, found {}", network.extra_dim));
                }
                if let Some(cqt) = cqt {
                    solfa_signal::features::Cqt::new(cqt.clone()).map_err(|error| format!("cqt.{error}"))?;
                }
                check_waveform_transformer(network)
            }
            Self::Resnet(ResnetEncoderConfig { network }) => check_resnet(network),
            Self::Vit1d(config) => config.check().map(drop),
            Self::MelRvq(MelRvqEncoderConfig { mel, mel_mean, mel_deviation, fold, quantizer }) => {
                check_mel(mel, *mel_mean, *mel_deviation)?;
                check_size("fold", *fold, LARGEST_FOLD)?;
                let (input_dim, expected) = (quantizer.input_dim, mel.num_mels * fold);
                if input_dim != expected {
                    return Err(format!(
                        "quantizer.input_dim: expected num_mels times fold, {expected}, found {input_dim}"
                    ));
                }
                check_quantizer(quantizer)
            }
            Self::HiddenRvq(HiddenRvqEncoderConfig { model: _, layer: _, sample_rate, hop_samples, quantizer }) => {
                check_sample_rate("sample_rate", *sample_rate)?;
                check_size("hop_samples", *hop_samples, LARGEST_FOLD * LARGEST_FOLD)?;
                check_quantizer(quantizer)
            }
        }
        .map_err(|reason| format!("encoder.{reason}"))
    }
}

fn check_quantizer(quantizer: &ResidualVectorQuantizerConfig) -> Result<(), String> {
    let ResidualVectorQuantizerConfig { input_dim, num_codebooks, num_codes, code_dim } = quantizer;
    check_size("quantizer.input_dim", *input_dim, LARGEST_WIDTH)?;
    check_size("quantizer.num_codebooks", *num_codebooks, LARGEST_DEPTH)?;
    check_size("quantizer.num_codes", *num_codes, LARGEST_WIDTH)?;
    check_size("quantizer.code_dim", *code_dim, LARGEST_WIDTH)
}

fn check_mel(mel: &MelConfig, mean: f32, deviation: f32) -> Result<(), String> {
    let spectrogram = MelSpectrogram::new(mel.clone()).map_err(|error| format!("mel.{error}"))?;
    debug_assert_eq!(spectrogram.spec().sample_rate, mel.stft.sample_rate);
    if !mean.is_finite() {
        return Err(format!("mel_mean: expected a number, found {mean}"));
    }
    check_positive("mel_deviation", deviation)
}
