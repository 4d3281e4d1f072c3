//! What a backbone is shown of clips, in training as in inference.

use burn::tensor::{Device, Tensor, TensorData};
use solfa_signal::audio::Waveform;
use solfa_signal::features::{Cqt, MelConfig, MelSpectrogram};

use super::mel::{MelFrames, mel_of_clips};
use super::mel_conformer::normalized_mel;
use super::waveform_transformer::waveform_inputs;
use crate::checkpoint::EncoderConfig;
use crate::model::BackboneInput;

/// Makes the input of an encoder's network.
pub struct EncoderInput {
    kind: Kind,
    sample_rate: u32,
}

enum Kind {
    /// Decibels by mean and deviation, without the last frame.
    Conformer(MelSpectrogram, (f32, f32)),
    /// Samples, perhaps normalised, and a constant-Q transform.
    Waveform { is_normalized: bool, cqt: Option<Cqt> },
    /// Decibels as they are.
    Resnet(MelSpectrogram),
    /// Decibels by mean and deviation.
    Vit1d(MelSpectrogram, (f32, f32)),
}

impl EncoderInput {
    /// The input of an encoder; of a quantiser, that of a conformer with its spectrogram.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &EncoderConfig) -> Result<Self, String> {
        config.check()?;
        let mel = |config: &MelConfig| MelSpectrogram::new(config.clone()).map_err(|error| error.to_string());
        let kind = match config {
            EncoderConfig::MelConformer(config) => {
                Kind::Conformer(mel(&config.mel)?, (config.mel_mean, config.mel_deviation))
            }
            EncoderConfig::MelRvq(config) => {
                Kind::Conformer(mel(&config.mel)?, (config.mel_mean, config.mel_deviation))
            }
            EncoderConfig::HiddenRvq(_) => {
                return Err("encoder.kind: hidden-rvq sees hidden states, and no sound".to_owned());
            }
            EncoderConfig::WaveformTransformer(config) => Kind::Waveform {
                is_normalized: config.is_normalized,
                cqt: config.cqt.clone().map(Cqt::new).transpose().map_err(|error| error.to_string())?,
            },
            EncoderConfig::Resnet(_) => Kind::Resnet(mel(&MelConfig::multi_view())?),
            EncoderConfig::Vit1d(config) => Kind::Vit1d(mel(&config.mel)?, (config.mel_mean, config.mel_deviation)),
        };
        Ok(Self { kind, sample_rate: config.sample_rate() })
    }

    /// Samples per second of the clips.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The input of a batch. The multi-view study divides a recording by its peak; a clip cannot know that and is taken as
    /// it is.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    ///
    /// # Panics
    /// If the clips have different lengths or are too short for a frame.
    pub fn of(&self, clips: impl Iterator<Item = Vec<f32>>, device: &Device) -> BackboneInput {
        let clips: Vec<Waveform> = clips.map(|samples| Waveform::new(samples, self.sample_rate)).collect();
        match &self.kind {
            Kind::Conformer(mel, statistics) => {
                BackboneInput::Spectrogram(normalized_mel(mel, *statistics, &clips, device))
            }
            Kind::Waveform { is_normalized, cqt } => {
                let (samples, extra_features) = waveform_inputs(&clips, *is_normalized, cqt.as_ref(), device);
                BackboneInput::Waveform { samples, extra_features: extra_features.map(Box::new) }
            }
            Kind::Resnet(mel) => {
                let decibels = mel_of_clips(mel, &clips, MelFrames::All, |_, decibels| decibels, device);
                BackboneInput::Spectrogram(decibels.swap_dims(1, 2))
            }
            Kind::Vit1d(mel, (mean, deviation)) => {
                let scaled = |_, value: f32| (value - mean) / deviation;
                let frames = mel_of_clips(mel, &clips, MelFrames::All, scaled, device);
                BackboneInput::Spectrogram(frames.swap_dims(1, 2))
            }
        }
    }

    /// The normalised spectrogram that tokens are made of; none for an encoder of waveforms.
    ///
    /// # Shapes
    /// - output: `[clips, mels, frames]`
    pub fn spectrogram(&self, clips: impl Iterator<Item = Vec<f32>>, device: &Device) -> Option<Tensor<3>> {
        match self.of(clips, device) {
            BackboneInput::Spectrogram(spectrogram) => Some(spectrogram),
            BackboneInput::Waveform { .. } => None,
        }
    }
}

/// Samples of clips as one tensor: `[clips, samples]`.
pub(super) fn stacked_samples(clips: &[Waveform], device: &Device) -> Tensor<2> {
    let num_samples = clips.first().map_or(0, Waveform::num_samples);
    let samples: Vec<f32> = clips.iter().flat_map(|clip| clip.samples().iter().copied()).collect();
    Tensor::from_data(TensorData::new(samples, [clips.len(), num_samples]), device)
}
