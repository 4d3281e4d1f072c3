//! MuQ-MuLan's way from a tower's hidden states to the joint space of sound and text.
//!
//! Zhu et al. 2025 (MuQ), arXiv:2501.01108, sec. 3, after Huang et al. 2022 (MuLan), arXiv:2208.12415.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{MelConformerConfig, QueryKeyNormTransformer, QueryKeyNormTransformerConfig, XlmRobertaConfig};

/// Sizes of both towers, and what determines their vectors beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MulanConfig {
    /// Samples of the clips that the audio tower takes, at its sample rate.
    pub clip_samples: usize,
    /// The audio tower's network.
    pub audio_network: MelConformerConfig,
    /// The hidden state of the audio network that goes on: 0 is its front end.
    pub audio_layer: usize,
    /// From the audio network to the joint space.
    pub audio_head: JointSpaceHeadConfig,
    /// The text tower's network, of which the last hidden state goes on.
    pub text_network: XlmRobertaConfig,
    /// From the text network to the joint space; as wide as the audio head at its end.
    pub text_head: JointSpaceHeadConfig,
}

/// Sizes of a [`JointSpaceHead`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointSpaceHeadConfig {
    /// Width of the network's hidden states.
    pub input_dim: usize,
    /// Whether a linear layer leads from the hidden states to the transformer. Without one, both are equally wide.
    pub has_projection: bool,
    /// The transformer.
    pub transformer: QueryKeyNormTransformerConfig,
    /// Width of the joint space.
    pub latent_dim: usize,
}

/// The joint space of a training, and the way of both towers to it. Without settings, MuQ-MuLan's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JointSpaceConfig {
    /// Width of the joint space.
    pub latent_dim: usize,
    /// On top of the audio tower.
    pub audio: TowerTransformerConfig,
    /// On top of the text tower.
    pub text: TowerTransformerConfig,
}

/// The transformer between a tower and the joint space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TowerTransformerConfig {
    /// Width of every position.
    pub dim: usize,
    /// Number of layers; none makes it the identity.
    pub num_layers: usize,
    /// Attention heads; need not divide `dim`.
    pub num_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// What two thirds of `dim` are multiplied by for the inner width of the feed-forward modules.
    pub feed_forward_multiple: usize,
}

impl Default for JointSpaceConfig {
    fn default() -> Self {
        let transformer = |num_layers| TowerTransformerConfig {
            dim: 768,
            num_layers,
            num_heads: 8,
            head_dim: 64,
            feed_forward_multiple: 4,
        };
        Self { latent_dim: 512, audio: transformer(0), text: transformer(8) }
    }
}

impl JointSpaceConfig {
    /// The head on an audio tower of this width. It always has a projection.
    pub fn audio_head(&self, input_dim: usize) -> JointSpaceHeadConfig {
        self.audio.head(input_dim, true, self.latent_dim)
    }

    /// The head on a text tower of this width. It has a projection where that changes the width.
    pub fn text_head(&self, input_dim: usize) -> JointSpaceHeadConfig {
        self.text.head(input_dim, input_dim != self.text.dim, self.latent_dim)
    }
}

impl TowerTransformerConfig {
    fn head(&self, input_dim: usize, has_projection: bool, latent_dim: usize) -> JointSpaceHeadConfig {
        let &Self { dim, num_layers, num_heads, head_dim, feed_forward_multiple } = self;
        let intermediate_size = dim * feed_forward_multiple * 2 / 3;
        let transformer = QueryKeyNormTransformerConfig {
            dim,
            num_layers,
            num_heads,
            head_dim,
            intermediate_size,
            has_norm_biases: false,
        };
        JointSpaceHeadConfig { input_dim, has_projection, transformer, latent_dim }
    }
}

/// Hidden states to one vector of length one: projection, transformer, mean over time, projection, L2 norm.
#[derive(Module, Debug)]
pub struct JointSpaceHead {
    pub(crate) projection: Option<Linear>,
    pub(crate) transformer: QueryKeyNormTransformer,
    pub(crate) to_latents: Linear,
}

impl JointSpaceHead {
    /// A head with random weights.
    pub fn new(config: &JointSpaceHeadConfig, device: &Device) -> Self {
        let dim = config.transformer.dim;
        Self {
            projection: config.has_projection.then(|| LinearConfig::new(config.input_dim, dim).init(device)),
            transformer: QueryKeyNormTransformer::new(&config.transformer, device),
            to_latents: LinearConfig::new(dim, config.latent_dim).init(device),
        }
    }

    /// One vector for every item of the batch. All positions count alike, those of padding too: the reference masks
    /// none of them.
    ///
    /// # Shapes
    /// - hidden_states: `[batch, positions, input_dim]`
    /// - output: `[batch, latent_dim]`
    pub fn forward(&self, hidden_states: Tensor<3>) -> Tensor<2> {
        let projected = match &self.projection {
            Some(projection) => projection.forward(hidden_states),
            None => hidden_states,
        };
        let [batch, _, dim] = projected.dims();
        let mean = self.transformer.forward(projected).mean_dim(1).reshape([batch, dim]);
        l2_normalize(self.to_latents.forward(mean))
    }
}

/// The vectors of the last dimension at length one; a vector of zeros stays as it is.
pub(super) fn l2_normalize<const D: usize>(vectors: Tensor<D>) -> Tensor<D> {
    /// Below this length a vector is divided by it instead; fixed by the reference.
    const SHORTEST: f64 = 1e-12;
    let length = (vectors.clone() * vectors.clone()).sum_dim(D - 1).sqrt().clamp_min(SHORTEST);
    vectors / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn the_published_heads_have_a_projection_where_the_package_has_one() {
        let published = JointSpaceConfig::default();
        let (audio, text) = (published.audio_head(1024), published.text_head(768));
        assert!(audio.has_projection && !text.has_projection && published.text_head(1024).has_projection);
        assert_eq!((audio.transformer.num_layers, text.transformer.num_layers), (0, 8));
        assert_eq!((text.transformer.intermediate_size, text.latent_dim), (2048, 512));
    }

    #[test]
    fn lengths_are_one_and_zeros_stay_zeros() {
        let vectors = Tensor::<2>::from_data([[3.0, -4.0], [0.0, 0.0]], &test_device());
        let found = l2_normalize(vectors).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(found, [0.6, -0.8, 0.0, 0.0]);
    }
}
