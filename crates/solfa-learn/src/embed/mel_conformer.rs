//! MusicFM and MuQ as encoders.

use burn::tensor::{Device, Tensor};
use solfa_kernels::Arithmetic;
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, Tail, sha256_hex};
use solfa_signal::features::MelSpectrogram;

use super::mel::{MelFrames, mel_of_clips};
use super::network::{HiddenState, Network, layer_specs, planned_hidden_states};
use super::precision::identity_at;
use crate::checkpoint::MelConformerModel;
use crate::model::{AttentionObserver, ConformerConfig, MelConformerConfig};
use crate::plan::MelConformerPlan;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 2;

/// Seconds of the clips that both models were trained on.
const TRAINING_CLIP_SECONDS: f64 = 30.0;

impl MelConformerModel {
    /// The network's input: normalised decibels, without the last frame of the centred spectrogram.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    /// - output: `[clips, mels, frames]`
    ///
    /// # Panics
    /// If the clips have different lengths, are too short or at another rate.
    pub fn normalized_mel(&self, clips: &[Waveform], device: &Device) -> Tensor<3> {
        normalized_mel(&self.mel, (self.mel_mean, self.mel_deviation), clips, device)
    }
}

/// See [`MelConformerModel::normalized_mel`]; `statistics` are the mean and the standard deviation.
pub(super) fn normalized_mel(
    mel: &MelSpectrogram,
    statistics: (f32, f32),
    clips: &[Waveform],
    device: &Device,
) -> Tensor<3> {
    mel_of_clips(mel, clips, MelFrames::WithoutLast, |_, value| scaled(statistics, value), device).swap_dims(1, 2)
}

/// The spectrogram of one clip as a plan reads it: `[frames, mels]`.
pub(super) fn normalized_frames(mel: &MelSpectrogram, statistics: (f32, f32), clip: &Waveform) -> Vec<f32> {
    let frames = mel.compute(clip);
    let without_last = frames.slice(0..frames.num_frames() - 1);
    without_last.iter().map(|&value| scaled(statistics, value)).collect()
}

/// Decibels to the scale that the network was trained on.
pub(super) fn normalized(model: &MelConformerModel, decibels: &[f32]) -> impl Iterator<Item = f32> {
    let statistics = (model.mel_mean, model.mel_deviation);
    decibels.iter().map(move |&value| scaled(statistics, value))
}

fn scaled((mean, deviation): (f32, f32), value: f32) -> f32 {
    (value - mean) / deviation
}

impl Network for MelConformerModel {
    fn encoder_spec(&self) -> EncoderSpec {
        let mel = self.mel.spec();
        let config = &self.config;
        let hop_samples = mel.layers[0].hop_samples * config.time_strides.iter().product::<usize>();
        let layers = layer_specs(
            "front end",
            "conformer layer",
            config.conformer.num_layers,
            config.conformer.hidden_size,
            hop_samples,
        );
        let identity = format!(
            "{} {NUMERICS_VERSION}\nmel={}\nmean={}\ndeviation={}\nconfig={config:?}\nweights={}\n",
            self.name, mel.identity, self.mel_mean, self.mel_deviation, self.weights_sha256
        );
        EncoderSpec {
            name: self.name.into(),
            identity: sha256_hex(identity),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate: mel.sample_rate,
            layers,
            minimum_samples: mel.minimum_samples,
            maximum_samples: None,
            clip_samples: None,
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: Some(config.conformer.num_heads),
            context_samples: None,
            default_window_seconds: TRAINING_CLIP_SECONDS,
            default_tail: Tail::Overlap,
        }
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let hidden_states = self.network.forward(self.normalized_mel(clips, device), None, last_layer, observer);
        hidden_states.into_iter().map(HiddenState::from).collect()
    }
}

/// The same on the processor, by a plan: the network's weights are packed and the tokenizer is left behind.
pub struct PlannedMelConformer {
    plan: MelConformerPlan,
    mel: MelSpectrogram,
    statistics: (f32, f32),
    config: MelConformerConfig,
    spec: EncoderSpec,
}

impl MelConformerModel {
    /// Takes the model apart for the processor.
    pub fn into_plan(self, arithmetic: Arithmetic) -> PlannedMelConformer {
        let mut spec = self.encoder_spec();
        spec.identity = identity_at(arithmetic.precision(), spec.identity);
        let Self { mel, mel_mean, mel_deviation, network, config, .. } = self;
        let plan = MelConformerPlan::new(network, &config, arithmetic.for_width(config.conformer.hidden_size));
        PlannedMelConformer { plan, mel, statistics: (mel_mean, mel_deviation), config, spec }
    }
}

impl Network for PlannedMelConformer {
    fn encoder_spec(&self) -> EncoderSpec {
        self.spec.clone()
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let ConformerConfig { hidden_size, num_heads, .. } = self.config.conformer;
        planned_hidden_states(clips, hidden_size, num_heads, device, observer, |clip, watch| {
            self.plan.hidden_states(&normalized_frames(&self.mel, self.statistics, clip), last_layer, watch)
        })
    }
}
