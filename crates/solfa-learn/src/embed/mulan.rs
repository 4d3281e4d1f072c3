//! MuQ-MuLan as two encoders: of sound, and of text.

use burn::tensor::Device;
use solfa_kernels::{Arithmetic, Precision};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, LayerSpec, Tail, sha256_hex};
use solfa_signal::features::MelSpectrogram;

use super::mel_conformer::{normalized_frames, normalized_mel};
use super::network::{HiddenState, Network, NetworkEncoder, planned_hidden_states};
use super::precision::{PrecisionError, identity_at};
use super::text::TextEncoder;
use crate::checkpoint::{MulanAudio, MulanModel};
use crate::device::is_cpu_without_autodiff;
use crate::model::{AttentionObserver, ConformerConfig, JointSpaceHead, MelConformer, MulanConfig};
use crate::plan::{MelConformerPlan, WeightsObserver};

/// Raised whenever one of the encoders starts to give other numbers for the same weights and the same waveform or text.
const NUMERICS_VERSION: u32 = 2;

impl MulanModel {
    /// Both encoders. They share nothing but the space that their vectors lie in, so nothing is loaded or kept twice.
    /// `clips_per_pass` is the largest number of clips in one pass where the device is not the processor; `arithmetic` is
    /// how the processor multiplies the audio tower; texts are always in single precision.
    ///
    /// # Errors
    /// [`PrecisionError`] where the device has no other than single precision.
    pub fn split(
        self,
        device: Device,
        clips_per_pass: usize,
        arithmetic: Arithmetic,
    ) -> Result<(NetworkEncoder<MulanAudioEncoder>, TextEncoder), PrecisionError> {
        let is_planned = is_cpu_without_autodiff(&device);
        if !is_planned {
            PrecisionError::check(arithmetic.precision(), || "muq-mulan".into())?;
        }
        let identity = self.joint_space_identity(arithmetic.precision());
        let Self { audio, text, config, weights_sha256, .. } = self;
        let text = TextEncoder::new(text, device.clone(), identity.clone());
        let MulanAudio { mel, mel_mean, mel_deviation, network, head, model_name: _ } = audio;
        let network = if is_planned {
            let arithmetic = arithmetic.for_width(config.audio_network.conformer.hidden_size);
            AudioNetwork::Plan(Box::new(MelConformerPlan::new(network, &config.audio_network, arithmetic)))
        } else {
            AudioNetwork::Module(Box::new(network))
        };
        let statistics = (mel_mean, mel_deviation);
        let audio = MulanAudioEncoder {
            network,
            mel,
            statistics,
            head,
            config,
            weights_sha256,
            joint_space_identity: identity,
        };
        Ok((NetworkEncoder::new(audio, device, clips_per_pass), text))
    }

    /// The encoder of texts alone. It computes in single precision; `precision` is that of the encoder of sound whose
    /// vectors its own are to be compared with.
    pub fn into_text_encoder(self, device: Device, precision: Precision) -> TextEncoder {
        let identity = self.joint_space_identity(precision);
        TextEncoder::new(self.text, device, identity)
    }

    fn joint_space_identity(&self, precision: Precision) -> String {
        let Self { audio, config, weights_sha256, .. } = self;
        let at_f32 = sha256_hex(format!(
            "muq-mulan {NUMERICS_VERSION}\nmel={}\nmean={}\ndeviation={}\nconfig={config:?}\nweights={weights_sha256}\n",
            audio.mel.spec().identity,
            audio.mel_mean,
            audio.mel_deviation,
        ));
        identity_at(precision, at_f32)
    }
}

/// The audio tower: a clip to one vector of length one.
///
/// A recording's vector is the mean of its clips' vectors, not normalised again, as the reference has it.
pub struct MulanAudioEncoder {
    network: AudioNetwork,
    mel: MelSpectrogram,
    statistics: (f32, f32),
    head: JointSpaceHead,
    config: MulanConfig,
    weights_sha256: String,
    joint_space_identity: String,
}

/// MuQ without its head.
enum AudioNetwork {
    /// On the processor.
    Plan(Box<MelConformerPlan>),
    /// On other devices.
    Module(Box<MelConformer>),
}

impl MulanAudioEncoder {
    /// What names the space that sound and text share: the same here, in [`TextEncoder::joint_space_identity`] and in
    /// [`EncoderSpec::identity`] for both encoders of one checkpoint, and another for any other checkpoint.
    pub fn joint_space_identity(&self) -> &str {
        &self.joint_space_identity
    }
}

impl Network for MulanAudioEncoder {
    fn encoder_spec(&self) -> EncoderSpec {
        let sample_rate = self.mel.spec().sample_rate;
        let clip_samples = self.config.clip_samples;
        EncoderSpec {
            name: "muq-mulan".into(),
            identity: self.joint_space_identity.clone(),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate,
            layers: vec![LayerSpec {
                name: "joint space".into(),
                dim: self.config.audio_head.latent_dim,
                hop_samples: clip_samples,
            }],
            minimum_samples: self.mel.spec().minimum_samples,
            maximum_samples: None,
            clip_samples: Some(clip_samples),
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            // The joint space is one vector a clip, with no layer of tokens behind it that could be shown: MuQ's own
            // maps are those of a MuQ checkpoint.
            attention_heads: None,
            context_samples: None,
            default_window_seconds: clip_samples as f64 / f64::from(sample_rate),
            // The reference fills the last clip up from the start of the recording.
            default_tail: Tail::Wrap,
        }
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        _last_layer: usize,
        _observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let layer = self.config.audio_layer;
        let frames = match &self.network {
            AudioNetwork::Plan(plan) => {
                let ConformerConfig { hidden_size, num_heads, .. } = self.config.audio_network.conformer;
                let run = |clip: &Waveform, watch: WeightsObserver<'_>| {
                    plan.hidden_states(&normalized_frames(&self.mel, self.statistics, clip), layer, watch)
                };
                planned_hidden_states(clips, hidden_size, num_heads, device, None, run).swap_remove(layer).frames
            }
            AudioNetwork::Module(network) => {
                let spectrogram = normalized_mel(&self.mel, self.statistics, clips, device);
                network.forward(spectrogram, None, layer, None).swap_remove(layer)
            }
        };
        let latents = self.head.forward(frames);
        // [clips, dim] -> [clips, 1, dim]
        vec![latents.unsqueeze_dim::<3>(1).into()]
    }
}
