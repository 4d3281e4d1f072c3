//! MERT v2's network: a mel spectrogram, convolutional subsampling, and a conformer with rotary positions.
//!
//! `m-a-p/MERT-v2-30s` and `m-a-p/MERT-v2-FullSong` (2026): 632 million parameters, 24 layers, 25 frames per second.
//! The authors' own code was not at hand. The description comes from another native implementation of the FullSong
//! model, the crate `clap-cpp` 0.1.1, and the tests compare with that implementation and with PyTorch on random
//! weights. The released weights themselves could not be tried.
//!
//! The conformer is that of Gulati et al. 2020, arXiv:2005.08100, sec. 2, with these differences: GELU in place of
//! SiLU, layer norm in place of batch norm in the convolution module, rotary positions (Su et al. 2021,
//! arXiv:2104.09864), and no norm after the last layer, since every layer ends in one.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, PaddingConfig1d};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::conformer::PointwiseConv;
use super::{
    AttentionObserver, ConvNextSubsampling, ConvNextSubsamplingConfig, FeedForward, RotaryAngles, RotaryPositions,
    SelfAttention, gelu,
};

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mert2Config {
    /// The front end; its last stage is as wide as the layers.
    pub subsampling: ConvNextSubsamplingConfig,
    /// Width of every frame.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Attention heads; divides `hidden_size` into even widths.
    pub num_heads: usize,
    /// Inner width of the feed-forward halves.
    pub intermediate_size: usize,
    /// Taps of the depthwise convolution; odd, so that it is centred.
    pub depthwise_kernel: usize,
    /// Added to the variance in the layers' norms.
    pub layer_norm_epsilon: f64,
    /// Base of the rotary positions' wavelengths.
    pub rotary_base: f64,
}

/// A normalised mel spectrogram to all hidden states.
///
/// Attention, rotary positions and the front end's global response normalisation span the whole input, so a clip that
/// is padded gives other frames: there is no forward pass for clips of different lengths.
#[derive(Module, Debug)]
pub struct Mert2 {
    /// The front end.
    pub subsampling: ConvNextSubsampling,
    /// The layers.
    pub layers: Vec<Mert2Layer>,
    /// Positions of all layers.
    pub positions: RotaryPositions,
}

impl Mert2 {
    /// A network with random weights.
    pub fn new(config: &Mert2Config, device: &Device) -> Self {
        Self {
            subsampling: ConvNextSubsampling::new(&config.subsampling, device),
            layers: (0..config.num_layers).map(|_| Mert2Layer::new(config, device)).collect(),
            positions: RotaryPositions::new(config.hidden_size / config.num_heads, config.rotary_base, device),
        }
    }

    /// All hidden states: layer 0 is the front end's output, layer `i` the output of the `i`-th conformer layer. Layers
    /// beyond number `last_layer` are not computed.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, frames, mels]`, normalised
    /// - every hidden state: `[batch, frames / 4, hidden_size]`, rounded down
    pub fn forward(
        &self,
        spectrogram: Tensor<3>,
        last_layer: usize,
        mut observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        let mut hidden = self.subsampling.forward(spectrogram);
        let angles = self.positions.angles(hidden.dims()[1]);
        let mut hidden_states = vec![hidden.clone()];
        for (index, layer) in self.layers.iter().take(last_layer).enumerate() {
            hidden = layer.forward(hidden, &angles, index + 1, &mut observer);
            hidden_states.push(hidden.clone());
        }
        hidden_states
    }
}

/// Half a feed-forward, attention, convolution, half a feed-forward, norm.
#[derive(Module, Debug)]
pub struct Mert2Layer {
    feed_forward1_norm: LayerNorm,
    feed_forward1: FeedForward,
    attention_norm: LayerNorm,
    attention: SelfAttention,
    convolution: GeluConvolutionModule,
    feed_forward2_norm: LayerNorm,
    feed_forward2: FeedForward,
    final_norm: LayerNorm,
}

impl Mert2Layer {
    /// A layer with random weights.
    pub fn new(config: &Mert2Config, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(config.hidden_size).with_epsilon(config.layer_norm_epsilon).init(device);
        Self {
            feed_forward1_norm: norm(),
            feed_forward1: FeedForward::new(config.hidden_size, config.intermediate_size, device),
            attention_norm: norm(),
            attention: SelfAttention::new(config.hidden_size, config.num_heads, device),
            convolution: GeluConvolutionModule::new(config, device),
            feed_forward2_norm: norm(),
            feed_forward2: FeedForward::new(config.hidden_size, config.intermediate_size, device),
            final_norm: norm(),
        }
    }

    /// The work of layer number `number`.
    ///
    /// # Shapes
    /// - input and output: `[batch, frames, hidden_size]`
    pub fn forward(
        &self,
        input: Tensor<3>,
        angles: &RotaryAngles,
        number: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        let hidden = self.feed_forward1.forward(self.feed_forward1_norm.forward(input.clone())) * 0.5 + input;
        let normed = self.attention_norm.forward(hidden.clone());
        let hidden = self.attention.forward(normed, Some(angles), None, number, observer) + hidden;
        let hidden = self.convolution.forward(hidden.clone()) + hidden;
        let hidden = self.feed_forward2.forward(self.feed_forward2_norm.forward(hidden.clone())) * 0.5 + hidden;
        self.final_norm.forward(hidden)
    }
}

/// Layer norm, pointwise convolution with a gated linear unit, depthwise convolution, layer norm, GELU, pointwise
/// convolution; no biases in the convolutions.
#[derive(Module, Debug)]
struct GeluConvolutionModule {
    norm: LayerNorm,
    pointwise_in: PointwiseConv,
    depthwise: Conv1d,
    depthwise_norm: LayerNorm,
    pointwise_out: PointwiseConv,
}

impl GeluConvolutionModule {
    fn new(config: &Mert2Config, device: &Device) -> Self {
        let dim = config.hidden_size;
        let reach = config.depthwise_kernel / 2;
        let norm = || LayerNormConfig::new(dim).with_epsilon(config.layer_norm_epsilon).init(device);
        Self {
            norm: norm(),
            pointwise_in: PointwiseConv::new(dim, 2 * dim, device),
            depthwise: Conv1dConfig::new(dim, dim, config.depthwise_kernel)
                .with_groups(dim)
                .with_padding(PaddingConfig1d::Explicit(reach, reach))
                .with_bias(false)
                .init(device),
            depthwise_norm: norm(),
            pointwise_out: PointwiseConv::new(dim, dim, device),
        }
    }

    /// `[batch, frames, hidden_size]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let dim = input.dims()[2];
        let doubled = self.pointwise_in.forward(self.norm.forward(input));
        let gated = doubled.clone().narrow(2, 0, dim) * sigmoid(doubled.narrow(2, dim, dim));
        let convolved = self.depthwise.forward(gated.swap_dims(1, 2)).swap_dims(1, 2);
        self.pointwise_out.forward(gelu(self.depthwise_norm.forward(convolved)))
    }
}
