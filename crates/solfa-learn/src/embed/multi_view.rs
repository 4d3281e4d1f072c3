//! The multi-view ResNet as an encoder of whole clips.
//!
//! The release's data loader divides every recording by its peak before it cuts it into clips, and the spectrogram is in
//! absolute decibels. A clip cannot know its recording's peak: the encoder takes clips as they are, and says
//! [`EncoderSpec::normalizes_peak`] to whoever cuts recordings.

use burn::tensor::{Device, Tensor};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, LayerSpec, Tail, sha256_hex};

use super::mel::{MelFrames, mel_of_clips};
use super::network::{HiddenState, Network};
use crate::checkpoint::{MULTI_VIEW_CLIP_SAMPLES, MultiViewModel};
use crate::model::AttentionObserver;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 1;

impl MultiViewModel {
    /// The network's input: decibels, without any normalisation.
    ///
    /// # Shapes
    /// - clips: all of 64,000 samples at 16 kHz
    /// - output: `[clips, mels, frames]`
    ///
    /// # Panics
    /// If the clips have different lengths, or are at another rate.
    pub fn mel_decibels(&self, clips: &[Waveform], device: &Device) -> Tensor<3> {
        mel_of_clips(&self.mel, clips, MelFrames::All, |_, decibels| decibels, device).swap_dims(1, 2)
    }
}

impl Network for MultiViewModel {
    fn encoder_spec(&self) -> EncoderSpec {
        let mel = self.mel.spec();
        let stages = (0..self.config.stage_depths.len())
            .map(|stage| (format!("stage {}", stage + 1), self.config.stage_dim(stage)));
        let layers = stages.chain([("embedding".into(), self.config.embedding_size)]);
        let identity = format!(
            "multi-view-resnet {NUMERICS_VERSION}\npeak=1\nmel={}\nconfig={:?}\nweights={}\n",
            mel.identity, self.config, self.weights_sha256
        );
        EncoderSpec {
            name: "multi-view-resnet".into(),
            identity: sha256_hex(identity),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate: mel.sample_rate,
            layers: layers.map(|(name, dim)| LayerSpec { name, dim, hop_samples: MULTI_VIEW_CLIP_SAMPLES }).collect(),
            minimum_samples: MULTI_VIEW_CLIP_SAMPLES,
            maximum_samples: None,
            clip_samples: Some(MULTI_VIEW_CLIP_SAMPLES),
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: true,
            // The pooling attends from one mean to the cells of a feature map: no map of frames to frames.
            attention_heads: None,
            context_samples: None,
            default_window_seconds: MULTI_VIEW_CLIP_SAMPLES as f64 / f64::from(mel.sample_rate),
            // The release embeds whole segments only, and leaves out what is left at the end.
            default_tail: Tail::Drop,
        }
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        _observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let layers = self.network.forward(self.mel_decibels(clips, device), last_layer);
        // [clips, dim] -> [clips, 1, dim]
        layers.into_iter().map(|vectors| vectors.unsqueeze_dim::<3>(1).into()).collect()
    }
}
