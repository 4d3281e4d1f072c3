//! A run of the recipe `mulan`: both towers' heads and the audio tower are in its checkpoints, the text tower is not.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use sha2::{Digest, Sha256};
use solfa_signal::features::MelSpectrogram;

use super::config::LARGEST_FEED_FORWARD_MULTIPLE;
use super::{MulanAudio, MulanModel, MulanText};
use crate::checkpoint::run::Weights;
use crate::checkpoint::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_size};
use crate::checkpoint::text_model::{TextModel, TextModelRecord};
use crate::checkpoint::{CheckpointError, MelConformerEncoderConfig, TensorSource, to_hexadecimal};
use crate::model::{JointSpaceConfig, JointSpaceHead, MelConformer, MulanConfig, TowerTransformerConfig};

/// What a run's folder says of its joint space.
#[derive(Debug)]
pub(in crate::checkpoint) struct JointSpaceRun {
    joint_space: JointSpaceConfig,
    text_model: Option<PathBuf>,
    record: TextModelRecord,
    clip_seconds: f64,
}

impl JointSpaceRun {
    /// From the parts of a run's configuration, and the record in its folder.
    ///
    /// # Errors
    /// A record that is not there.
    pub(in crate::checkpoint) fn read(
        folder: &Path,
        joint_space: JointSpaceConfig,
        text_model: Option<PathBuf>,
        clip_seconds: f64,
    ) -> Result<Self, CheckpointError> {
        Ok(Self { joint_space, text_model, record: TextModelRecord::read(folder)?, clip_seconds })
    }

    /// Builds both towers; `run_sha256` names the numbers that the run's part of them has.
    ///
    /// # Errors
    /// A text model that is gone or another one now; tensors that do not fit.
    pub(in crate::checkpoint) fn load(
        &self,
        encoder: MelConformerEncoderConfig,
        source: &TensorSource,
        (weights, run_sha256): (Weights, &str),
        device: &Device,
    ) -> Result<MulanModel, CheckpointError> {
        let MelConformerEncoderConfig { mel, mel_mean, mel_deviation, network } = encoder;
        let TextModel { name, tokenizer, network: text_network, config: text_config, sha256: text_sha256 } =
            self.record.open(self.text_model.as_deref(), device)?;
        let clip_samples = (self.clip_seconds * f64::from(mel.stft.sample_rate)).round() as usize;
        let config = MulanConfig {
            clip_samples,
            audio_layer: network.conformer.num_layers,
            audio_head: self.joint_space.audio_head(network.conformer.hidden_size),
            audio_network: network,
            text_head: self.joint_space.text_head(text_config.hidden_size),
            text_network: text_config,
        };
        let mel = MelSpectrogram::new(mel)
            .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })?;
        let audio_network = MelConformer::new(&config.audio_network, device);
        let audio = MulanAudio {
            model_name: "muq".into(),
            mel,
            mel_mean,
            mel_deviation,
            network: weights.put(audio_network, "network.backbone.MelConformer", source)?,
            head: weights.put(JointSpaceHead::new(&config.audio_head, device), "network.audio_head", source)?,
        };
        let head = weights.put(JointSpaceHead::new(&config.text_head, device), "network.text_head", source)?;
        let scale = match weights {
            Weights::Stored => source.read_floats("network.log_scale")?.first().copied(),
            Weights::Drawn { .. } => None,
        };
        let scale = scale.map(|logarithm| f64::from(logarithm).exp());
        // As of several files: the text model's weights count like the run's.
        let weights_sha256 = to_hexadecimal(&Sha256::digest(format!("{run_sha256}\n{text_sha256}")));
        Ok(MulanModel {
            audio,
            text: MulanText { model_name: name, tokenizer, network: text_network, head },
            config,
            logit_scale: scale.filter(|scale| scale.is_finite() && *scale > 0.0),
            weights_sha256,
        })
    }
}

impl JointSpaceConfig {
    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// A sentence with the field's name, what was expected and what was found.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_size("latent_dim", self.latent_dim, LARGEST_WIDTH)?;
        for (tower, transformer) in [("audio", &self.audio), ("text", &self.text)] {
            let &TowerTransformerConfig { dim, num_layers, num_heads, head_dim, feed_forward_multiple } = transformer;
            if num_layers > LARGEST_DEPTH {
                return Err(format!("{tower}.num_layers: expected 0 to {LARGEST_DEPTH}, found {num_layers}"));
            }
            let multiple = "feed_forward_multiple";
            check_size("dim", dim, LARGEST_WIDTH)
                .and_then(|()| check_size("num_heads", num_heads, LARGEST_WIDTH))
                .and_then(|()| check_size("head_dim", head_dim, LARGEST_WIDTH / num_heads))
                .and_then(|()| check_size(multiple, feed_forward_multiple, LARGEST_FEED_FORWARD_MULTIPLE))
                .map_err(|reason| format!("{tower}.{reason}"))?;
            if dim * feed_forward_multiple < 2 {
                return Err(format!("{tower}.dim: expected 2 or more with {multiple} 1, found {dim}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_named() {
        assert_eq!(JointSpaceConfig::default().check(), Ok(()));
        let error = |change: fn(&mut JointSpaceConfig)| {
            let mut config = JointSpaceConfig::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(error(|config| config.latent_dim = 0).starts_with("latent_dim"));
        assert!(error(|config| config.text.num_layers = 1000).starts_with("text.num_layers: expected 0 to 256"));
        assert!(error(|config| config.audio.num_heads = 0).starts_with("audio.num_heads"));
        assert!(error(|config| config.audio.head_dim = 1 << 16).starts_with("audio.head_dim"));
    }
}
