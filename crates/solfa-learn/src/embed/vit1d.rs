//! ViT-1D as an encoder of frames with a class token.

use burn::tensor::{Device, Tensor};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, Tail, sha256_hex};

use super::mel::{MelFrames, mel_of_clips};
use super::network::{HiddenState, Network, layer_specs};
use crate::checkpoint::Vit1dModel;
use crate::model::AttentionObserver;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 1;

/// Seconds of the clips that the method trains on.
const TRAINING_CLIP_SECONDS: f64 = 4.0;

impl Vit1dModel {
    /// The network's input: the normalised spectrogram.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    /// - output: `[clips, frames, mels]`
    ///
    /// # Panics
    /// If the clips have different lengths, are too short or at another rate.
    pub fn normalized_mel(&self, clips: &[Waveform], device: &Device) -> Tensor<3> {
        let (mean, deviation) = (self.config.mel_mean, self.config.mel_deviation);
        mel_of_clips(&self.mel, clips, MelFrames::All, |_, value| (value - mean) / deviation, device)
    }

    /// The training clips' length, or that of the longest clip where it is shorter: whole frames.
    fn default_window_seconds(&self) -> f64 {
        let mel = &self.config.mel.stft;
        let longest = self.config.maximum_samples().map_or(f64::INFINITY, |samples| {
            let whole_frames = (samples / mel.hop_samples * mel.hop_samples).max(self.mel.spec().minimum_samples);
            whole_frames as f64 / f64::from(mel.sample_rate)
        });
        TRAINING_CLIP_SECONDS.min(longest)
    }
}

impl Network for Vit1dModel {
    fn encoder_spec(&self) -> EncoderSpec {
        let mel = self.mel.spec();
        let config = &self.config;
        let layers = layer_specs(
            "input",
            "block",
            config.network.num_layers,
            config.network.hidden_size,
            mel.layers[0].hop_samples,
        );
        let identity = format!(
            "vit1d {NUMERICS_VERSION}\nmel={}\nmean={}\ndeviation={}\nconfig={:?}\nweights={}\n",
            mel.identity, config.mel_mean, config.mel_deviation, config.network, self.weights_sha256
        );
        EncoderSpec {
            name: "vit1d".into(),
            identity: sha256_hex(identity),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate: mel.sample_rate,
            layers,
            minimum_samples: mel.minimum_samples,
            maximum_samples: config.maximum_samples(),
            clip_samples: None,
            edge_samples: 0,
            has_class_token: true,
            normalizes_peak: false,
            attention_heads: Some(config.network.num_heads),
            context_samples: None,
            default_window_seconds: self.default_window_seconds(),
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
        let layers = self.network.forward(self.normalized_mel(clips, device), last_layer, observer);
        layers
            .into_iter()
            .map(|tokens| {
                let num_frames = tokens.dims()[1] - 1;
                // [clips, 1, dim] -> [clips, dim]
                let class_token = tokens.clone().narrow(1, 0, 1).squeeze_dim::<2>(1);
                HiddenState { frames: tokens.narrow(1, 1, num_frames), class_token: Some(class_token) }
            })
            .collect()
    }
}
