//! MERT v2 as an encoder.

use burn::tensor::{Device, Tensor};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, Tail, sha256_hex};

use super::mel::{MelFrames, mel_of_clips};
use super::network::{HiddenState, Network, layer_specs};
use crate::checkpoint::Mert2Model;
use crate::model::AttentionObserver;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 1;

impl Mert2Model {
    /// The network's input: decibels normalised band by band, without the last frame of the centred spectrogram.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    /// - output: `[clips, samples / hop, mels]`, rounded down
    ///
    /// # Panics
    /// If the clips have different lengths, are too short or at another rate.
    pub fn normalized_mel(&self, clips: &[Waveform], device: &Device) -> Tensor<3> {
        let normalized = |band: usize, value: f32| (value - self.mel_mean[band]) / self.mel_deviation[band];
        mel_of_clips(&self.mel, clips, MelFrames::WithoutLast, normalized, device)
    }
}

impl Network for Mert2Model {
    /// The default window is the length that the model was trained on: 30 s, or as much as 360 s for FullSong. Such a
    /// window is 9,000 frames that all attend to each other. The time of that grows with their square; the memory does
    /// not, unless the attention maps are asked for, which take 5 GB a layer there. A smaller window is cheaper.
    fn encoder_spec(&self) -> EncoderSpec {
        let mel = self.mel.spec();
        let config = &self.config;
        let hop_samples = config.subsampling.reduction() * mel.layers[0].hop_samples;
        let layers = layer_specs("subsampling", "conformer layer", config.num_layers, config.hidden_size, hop_samples);
        let identity = format!(
            "mert2 {NUMERICS_VERSION}\nmel={}\nconfig={config:?}\nweights={}\n",
            mel.identity, self.weights_sha256
        );
        EncoderSpec {
            name: "mert2".into(),
            identity: sha256_hex(identity),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate: mel.sample_rate,
            layers,
            minimum_samples: mel.minimum_samples.max(hop_samples),
            maximum_samples: None,
            clip_samples: None,
            // The strided convolutions drop frames that are no whole group of four: exactly the rest of the division.
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: Some(config.num_heads),
            context_samples: None,
            default_window_seconds: self.context_seconds,
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
        let hidden_states = self.network.forward(self.normalized_mel(clips, device), last_layer, observer);
        hidden_states.into_iter().map(HiddenState::from).collect()
    }
}
