//! A residual quantiser of mel spectrograms as an encoder: its layers are what it knows after one stage, after two, and so
//! on. A probe of them says how much of a task is in how many codebooks.

use burn::tensor::{Device, Tensor};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, LayerSpec, Tail, sha256_hex};

use super::mel_conformer::normalized_mel;
use super::network::{HiddenState, Network};
use crate::checkpoint::MelRvqModel;
use crate::model::AttentionObserver;
use crate::targets::stack_frames;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 1;

/// Seconds of the clips that MuQ's quantiser was trained on.
const TRAINING_CLIP_SECONDS: f64 = 5.0;

impl MelRvqModel {
    /// Normalised frames, stacked.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    /// - output: `[clips, tokens, fold x mels]`
    fn stacked(&self, clips: &[Waveform], device: &Device) -> Tensor<3> {
        let statistics = (self.config.mel_mean, self.config.mel_deviation);
        stack_frames(normalized_mel(&self.mel, statistics, clips, device).swap_dims(1, 2), self.config.fold)
    }
}

impl Network for MelRvqModel {
    fn encoder_spec(&self) -> EncoderSpec {
        let mel = self.mel.spec();
        let config = &self.config;
        let hop_samples = mel.layers[0].hop_samples * config.fold;
        let names = (0..=config.quantizer.num_codebooks).map(|number| match number {
            0 => "spectrogram".to_owned(),
            number => format!("codebooks 1 to {number}"),
        });
        let layer = |name| LayerSpec { name, dim: config.quantizer.input_dim, hop_samples };
        let identity = format!(
            "mel-rvq {NUMERICS_VERSION}\nmel={}\nmean={}\ndeviation={}\nfold={}\nconfig={:?}\nweights={}\n",
            mel.identity, config.mel_mean, config.mel_deviation, config.fold, config.quantizer, self.weights_sha256
        );
        EncoderSpec {
            name: "mel-rvq".into(),
            identity: sha256_hex(identity),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate: mel.sample_rate,
            layers: names.map(layer).collect(),
            minimum_samples: mel.minimum_samples.max(hop_samples),
            maximum_samples: None,
            clip_samples: None,
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: None,
            context_samples: mel.context_samples,
            default_window_seconds: TRAINING_CLIP_SECONDS,
            default_tail: Tail::Overlap,
        }
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        _observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let stacked = self.stacked(clips, device);
        let mut layers = vec![stacked.clone().into()];
        layers.extend(self.quantizer.reconstructions(stacked).into_iter().take(last_layer).map(HiddenState::from));
        layers
    }
}
