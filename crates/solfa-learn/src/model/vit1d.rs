//! ViT-1D: a transformer whose tokens are the frames of a mel spectrogram, each with all of its bands.
//!
//! "Emergent musical properties of a transformer under contrastive self-supervised learning", arXiv:2506.23873, fig. 1:
//! one frame is one patch, and a class token is a learned vector plus the mean of the input tokens. That paper's sizes
//! are not published; those of [`Vit1dConfig::paper`] follow from what is: a ViT-Tiny (Touvron et al. 2021,
//! arXiv:2012.12877, table 1) on 126 frames. A later paper of the group (CoJEPA) turns to rotary positions, RMS norm and
//! a gated feed-forward, and gives its size: [`Vit1dConfig::rotary`]. Dosovitskiy et al. 2021, arXiv:2010.11929, is the
//! vision transformer itself, whose norms stand before attention and feed-forward.

use burn::module::{Initializer, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AttentionObserver, FeedForward, GatedFeedForward, RotaryAngles, RotaryPositions, SelfAttention};

/// Deviation of the class token and of learned positions before training, as in ViT.
const INITIAL_DEVIATION: f64 = 0.02;

/// Sizes and kinds of the network's parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vit1dConfig {
    /// Bands of the spectrogram: the width of a patch.
    pub num_mels: usize,
    /// Width of every token.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Attention heads; divides `hidden_size`, into even widths where positions are rotary.
    pub num_heads: usize,
    /// Inner width of the feed-forward.
    pub intermediate_size: usize,
    /// How tokens know where they are.
    pub positions: Vit1dPositions,
    /// The norm before attention, before the feed-forward, and after the last block.
    pub norm: Vit1dNorm,
    /// Added to the variance or the mean square in every norm.
    pub norm_epsilon: f64,
    /// What stands between the projections of the feed-forward.
    pub feed_forward: Vit1dFeedForward,
}

/// How tokens know where they are. The class token is at position 0 and the first frame at position 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Vit1dPositions {
    /// A learned vector is added to the token of every position, so clips have a longest length.
    Learned {
        /// Frames of the longest clip.
        maximum_frames: usize,
    },
    /// Queries and keys are rotated.
    Rotary {
        /// Base of the wavelengths.
        base: f64,
    },
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vit1dNorm {
    /// Mean 0 and variance 1, then a scale and a shift.
    LayerNorm,
    /// Mean square 1, then a scale.
    RmsNorm,
}

/// Which feed-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vit1dFeedForward {
    /// Two projections with a GELU between them.
    Gelu,
    /// [`GatedFeedForward`].
    Gated,
}

impl Vit1dConfig {
    /// ViT-Tiny with learned positions for clips of 4 s: 5.4 million parameters.
    pub fn paper() -> Self {
        Self {
            num_mels: 128,
            hidden_size: 192,
            num_layers: 12,
            num_heads: 3,
            intermediate_size: 768,
            positions: Vit1dPositions::Learned { maximum_frames: 126 },
            norm: Vit1dNorm::LayerNorm,
            norm_epsilon: 1e-6,
            feed_forward: Vit1dFeedForward::Gelu,
        }
    }

    /// The same with rotary positions, RMS norm and a gated feed-forward: 7.1 million parameters. That published figure
    /// fixes the gated inner width, 768 as in the plain one and not two thirds of it.
    pub fn rotary() -> Self {
        Self {
            positions: Vit1dPositions::Rotary { base: 10_000.0 },
            norm: Vit1dNorm::RmsNorm,
            feed_forward: Vit1dFeedForward::Gated,
            ..Self::paper()
        }
    }
}

/// Projection of frames, class token, positions, blocks, and a norm after the last of them.
#[derive(Module, Debug)]
pub struct Vit1d {
    projection: Linear,
    /// `[hidden_size]`
    class_token: Param<Tensor<1>>,
    /// `[1 + maximum_frames, hidden_size]`, where positions are learned.
    learned_positions: Option<Param<Tensor<2>>>,
    /// Where they are rotary.
    rotary_positions: Option<RotaryPositions>,
    blocks: Vec<Block>,
    final_norm: Norm,
}

impl Vit1d {
    /// A network with random weights.
    pub fn new(config: &Vit1dConfig, device: &Device) -> Self {
        let hidden_size = config.hidden_size;
        let small = Initializer::Normal { mean: 0.0, std: INITIAL_DEVIATION };
        let (learned_positions, rotary_positions) = match config.positions {
            Vit1dPositions::Learned { maximum_frames } => {
                (Some(small.init([1 + maximum_frames, hidden_size], device)), None)
            }
            Vit1dPositions::Rotary { base } => {
                (None, Some(RotaryPositions::new(hidden_size / config.num_heads, base, device)))
            }
        };
        Self {
            projection: LinearConfig::new(config.num_mels, hidden_size).init(device),
            class_token: small.init([hidden_size], device),
            learned_positions,
            rotary_positions,
            blocks: (0..config.num_layers).map(|_| Block::new(config, device)).collect(),
            final_norm: Norm::new(config, device),
        }
    }

    /// All hidden states up to layer number `last_layer`: layer 0 is the input of the first block, layer `i` the output
    /// of the `i`-th block, the last one normed. Layers beyond `last_layer` are not computed.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, frames, mels]`, normalised
    /// - every hidden state: `[batch, 1 + frames, hidden_size]`, the class token first
    ///
    /// # Panics
    /// If there are more frames than learned positions.
    pub fn forward(
        &self,
        spectrogram: Tensor<3>,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        self.forward_frames(self.projection.forward(spectrogram), last_layer, observer)
    }

    /// All hidden states, where `hide` may change the projected frames before the class token is made of them.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, frames, mels]`, normalised
    /// - what `hide` is given and gives: `[batch, frames, hidden_size]`
    /// - every hidden state: `[batch, 1 + frames, hidden_size]`, the class token first
    ///
    /// # Panics
    /// If there are more frames than learned positions.
    pub fn forward_hiding(&self, spectrogram: Tensor<3>, hide: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Vec<Tensor<3>> {
        self.forward_frames(hide(self.projection.forward(spectrogram)), usize::MAX, None)
    }

    fn forward_frames(
        &self,
        frames: Tensor<3>,
        last_layer: usize,
        mut observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        let class_token = self.class_token.val().reshape([1, 1, -1]) + frames.clone().mean_dim(1);
        let mut hidden = Tensor::cat(vec![class_token, frames], 1);
        let num_tokens = hidden.dims()[1];
        if let Some(positions) = &self.learned_positions {
            hidden = hidden + positions.val().narrow(0, 0, num_tokens).unsqueeze::<3>();
        }
        let angles = self.rotary_positions.as_ref().map(|positions| positions.angles(num_tokens));
        let mut hidden_states = Vec::with_capacity(self.blocks.len() + 1);
        for (index, block) in self.blocks.iter().take(last_layer).enumerate() {
            hidden_states.push(hidden.clone());
            hidden = block.forward(hidden, angles.as_ref(), index + 1, &mut observer);
        }
        let is_whole = last_layer >= self.blocks.len();
        hidden_states.push(if is_whole { self.final_norm.forward(hidden) } else { hidden });
        hidden_states
    }
}

/// Attention and feed-forward, each after a norm and added to what came in.
#[derive(Module, Debug)]
struct Block {
    attention_norm: Norm,
    attention: SelfAttention,
    feed_forward_norm: Norm,
    feed_forward: BlockFeedForward,
}

impl Block {
    fn new(config: &Vit1dConfig, device: &Device) -> Self {
        Self {
            attention_norm: Norm::new(config, device),
            attention: SelfAttention::new(config.hidden_size, config.num_heads, device),
            feed_forward_norm: Norm::new(config, device),
            feed_forward: BlockFeedForward::new(config, device),
        }
    }

    /// `[batch, tokens, hidden_size]` in and out; the work of layer number `number`.
    fn forward(
        &self,
        input: Tensor<3>,
        angles: Option<&RotaryAngles>,
        number: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        let normed = self.attention_norm.forward(input.clone());
        let hidden = input + self.attention.forward(normed, angles, None, number, observer);
        hidden.clone() + self.feed_forward.forward(self.feed_forward_norm.forward(hidden))
    }
}

#[derive(Module, Debug)]
enum Norm {
    LayerNorm(LayerNorm),
    RmsNorm(RmsNorm),
}

impl Norm {
    fn new(config: &Vit1dConfig, device: &Device) -> Self {
        let (dim, epsilon) = (config.hidden_size, config.norm_epsilon);
        match config.norm {
            Vit1dNorm::LayerNorm => Self::LayerNorm(LayerNormConfig::new(dim).with_epsilon(epsilon).init(device)),
            Vit1dNorm::RmsNorm => Self::RmsNorm(RmsNormConfig::new(dim).with_epsilon(epsilon).init(device)),
        }
    }

    /// `[batch, tokens, dim]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        match self {
            Self::LayerNorm(norm) => norm.forward(input),
            Self::RmsNorm(norm) => norm.forward(input),
        }
    }
}

#[derive(Module, Debug)]
enum BlockFeedForward {
    Gelu(FeedForward),
    Gated(GatedFeedForward),
}

impl BlockFeedForward {
    fn new(config: &Vit1dConfig, device: &Device) -> Self {
        let (hidden_size, intermediate_size) = (config.hidden_size, config.intermediate_size);
        match config.feed_forward {
            Vit1dFeedForward::Gelu => Self::Gelu(FeedForward::new(hidden_size, intermediate_size, device)),
            Vit1dFeedForward::Gated => Self::Gated(GatedFeedForward::new(hidden_size, intermediate_size, device)),
        }
    }

    /// `[batch, tokens, hidden_size]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu(feed_forward) => feed_forward.forward(input),
            Self::Gated(feed_forward) => feed_forward.forward(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    /// The frequencies of rotary positions are counted by Burn and are no parameters that are trained.
    #[test]
    fn both_networks_have_their_expected_sizes() {
        let paper = Vit1d::new(&Vit1dConfig::paper(), &test_device()).num_params();
        let rotary = Vit1d::new(&Vit1dConfig::rotary(), &test_device()).num_params() - 32;
        // 5.3 to 5.5 million are inferred from a comparison with MERT; 7.1 million are printed in CoJEPA.
        assert_eq!((paper, rotary), (5_388_096, 7_137_600));
    }

    #[test]
    fn the_class_token_begins_as_the_mean_of_the_frames_and_a_learned_vector() {
        let device = test_device();
        let config = Vit1dConfig { hidden_size: 8, num_layers: 1, num_heads: 2, ..Vit1dConfig::rotary() };
        let network = Vit1d::new(&config, &device);
        let spectrogram = Tensor::random([2, 5, 128], burn::tensor::Distribution::Normal(0.0, 1.0), &device);
        let input = network.forward(spectrogram, 0, None).remove(0);
        let class_token = input.clone().narrow(1, 0, 1);
        let expected = input.narrow(1, 1, 5).mean_dim(1) + network.class_token.val().reshape([1, 1, 8]);
        assert!((class_token - expected).abs().max().into_scalar::<f32>() < 1e-6);
    }
}
