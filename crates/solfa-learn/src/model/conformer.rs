//! The conformer of MusicFM and MuQ.
//!
//! Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition", arXiv:2005.08100, sec. 2,
//! as Hugging Face's `Wav2Vec2ConformerEncoder` has it: macaron feed-forward halves, SiLU, batch norm in the
//! convolution module, rotary positions, and one layer norm after the last layer.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig1d};
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::module::linear;
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AttentionObserver, RotaryAngles, RotaryPositions, RotarySelfAttention};
use crate::ops::{self, FeedForwardParameters};

/// Sizes of a conformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformerConfig {
    /// Width of every frame.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_heads: usize,
    /// Inner width of the feed-forward halves.
    pub intermediate_size: usize,
    /// Taps of the depthwise convolution; odd, so that it is centred.
    pub depthwise_kernel: usize,
    /// Added to the variance in the final layer norm. The norms inside the layers always use 1e-5.
    pub layer_norm_epsilon: f64,
    /// Base of the rotary positions' wavelengths.
    pub rotary_base: f64,
}

/// Added to the variance in the norms inside the layers: PyTorch's default, which the reference leaves as it is.
pub(crate) const INNER_NORM_EPSILON: f64 = 1e-5;

/// Layers, and the norm after the last of them.
#[derive(Module, Debug)]
pub struct Conformer {
    pub(crate) layers: Vec<ConformerLayer>,
    pub(crate) norm: LayerNorm,
    pub(crate) positions: RotaryPositions,
}

impl Conformer {
    /// A conformer with random weights.
    pub fn new(config: &ConformerConfig, device: &Device) -> Self {
        Self {
            layers: (0..config.num_layers).map(|_| ConformerLayer::new(config, device)).collect(),
            norm: LayerNormConfig::new(config.hidden_size).with_epsilon(config.layer_norm_epsilon).init(device),
            positions: RotaryPositions::new(config.hidden_size / config.num_heads, config.rotary_base, device),
        }
    }

    /// The input of the first layer, then the output of every layer up to number `last_layer`; the output of the very
    /// last layer is normed. Layers beyond `last_layer` are not computed.
    ///
    /// Frames of padding are set to zero before the first layer and nobody attends to them. The convolution modules
    /// still see those zeros and what earlier layers made of them, as in the reference.
    ///
    /// # Shapes
    /// - input and every output: `[batch, frames, hidden_size]`
    /// - padding: `[batch, frames]`, true where a frame is padding
    pub fn forward(
        &self,
        input: Tensor<3>,
        padding: Option<Tensor<2, Bool>>,
        last_layer: usize,
        mut observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        let angles = self.positions.angles(input.dims()[1]);
        let mut hidden = match &padding {
            Some(padding) => input.mask_fill(padding.clone().unsqueeze_dim::<3>(2), 0.0),
            None => input,
        };
        let mut hidden_states = Vec::with_capacity(self.layers.len() + 1);
        for (index, layer) in self.layers.iter().take(last_layer).enumerate() {
            hidden_states.push(hidden.clone());
            hidden = layer.forward(hidden, &angles, padding.as_ref(), index + 1, &mut observer);
        }
        let is_whole = last_layer >= self.layers.len();
        hidden_states.push(if is_whole { self.norm.forward(hidden) } else { hidden });
        hidden_states
    }
}

/// Half a feed-forward, attention, convolution, half a feed-forward, norm.
#[derive(Module, Debug)]
pub struct ConformerLayer {
    pub(crate) feed_forward1_norm: LayerNorm,
    pub(crate) feed_forward1: ConformerFeedForward,
    pub(crate) attention_norm: LayerNorm,
    pub(crate) attention: RotarySelfAttention,
    pub(crate) convolution: ConvolutionModule,
    pub(crate) feed_forward2_norm: LayerNorm,
    pub(crate) feed_forward2: ConformerFeedForward,
    pub(crate) final_norm: LayerNorm,
}

impl ConformerLayer {
    /// A layer with random weights.
    pub fn new(config: &ConformerConfig, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(config.hidden_size).with_epsilon(INNER_NORM_EPSILON).init(device);
        Self {
            feed_forward1_norm: norm(),
            feed_forward1: ConformerFeedForward::new(config, device),
            attention_norm: norm(),
            attention: RotarySelfAttention::new(config.hidden_size, config.num_heads, device),
            convolution: ConvolutionModule::new(config, device),
            feed_forward2_norm: norm(),
            feed_forward2: ConformerFeedForward::new(config, device),
            final_norm: norm(),
        }
    }

    /// The work of layer number `number`.
    ///
    /// # Shapes
    /// - input and output: `[batch, frames, hidden_size]`
    /// - padding: `[batch, frames]`
    pub fn forward(
        &self,
        input: Tensor<3>,
        angles: &RotaryAngles,
        padding: Option<&Tensor<2, Bool>>,
        number: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        let hidden = half_feed_forward(&self.feed_forward1_norm, &self.feed_forward1, input);
        let normed = self.attention_norm.forward(hidden.clone());
        let hidden = self.attention.forward(normed, angles, padding, number, observer) + hidden;
        let hidden = self.convolution.forward(hidden.clone()) + hidden;
        let hidden = half_feed_forward(&self.feed_forward2_norm, &self.feed_forward2, hidden);
        self.final_norm.forward(hidden)
    }
}

/// `input + feed_forward(norm(input)) / 2`; in training on the processor, one operation.
fn half_feed_forward(norm: &LayerNorm, feed_forward: &ConformerFeedForward, input: Tensor<3>) -> Tensor<3> {
    let ConformerFeedForward { expand, contract } = feed_forward;
    let parameters = (norm.beta.as_ref(), expand.bias.as_ref(), contract.bias.as_ref());
    if let (true, (Some(shift), Some(expand_bias), Some(contract_bias))) =
        (ops::are_available(&input.device()), parameters)
    {
        let parameters = FeedForwardParameters {
            gain: norm.gamma.val(),
            shift: shift.val(),
            expand: expand.weight.val(),
            expand_bias: expand_bias.val(),
            contract: contract.weight.val(),
            contract_bias: contract_bias.val(),
            epsilon: INNER_NORM_EPSILON,
        };
        return ops::half_feed_forward(input, parameters);
    }
    feed_forward.forward(norm.forward(input.clone())) * 0.5 + input
}

/// Linear, SiLU, Linear.
#[derive(Module, Debug)]
pub(crate) struct ConformerFeedForward {
    pub(crate) expand: Linear,
    pub(crate) contract: Linear,
}

impl ConformerFeedForward {
    fn new(config: &ConformerConfig, device: &Device) -> Self {
        Self {
            expand: LinearConfig::new(config.hidden_size, config.intermediate_size).init(device),
            contract: LinearConfig::new(config.intermediate_size, config.hidden_size).init(device),
        }
    }

    /// `[batch, frames, hidden_size]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        self.contract.forward(silu(self.expand.forward(input)))
    }
}

/// Layer norm, pointwise convolution with a gated linear unit, depthwise convolution, batch norm, SiLU, pointwise
/// convolution; no biases in the convolutions.
#[derive(Module, Debug)]
pub(crate) struct ConvolutionModule {
    pub(crate) norm: LayerNorm,
    pub(crate) pointwise_in: PointwiseConv,
    pub(crate) depthwise: Conv1d,
    pub(crate) batch_norm: BatchNorm,
    pub(crate) pointwise_out: PointwiseConv,
}

impl ConvolutionModule {
    fn new(config: &ConformerConfig, device: &Device) -> Self {
        let dim = config.hidden_size;
        let reach = config.depthwise_kernel / 2;
        Self {
            norm: LayerNormConfig::new(dim).with_epsilon(INNER_NORM_EPSILON).init(device),
            pointwise_in: PointwiseConv::new(dim, 2 * dim, device),
            depthwise: Conv1dConfig::new(dim, dim, config.depthwise_kernel)
                .with_groups(dim)
                .with_padding(PaddingConfig1d::Explicit(reach, reach))
                .with_bias(false)
                .init(device),
            batch_norm: BatchNormConfig::new(dim).init(device),
            pointwise_out: PointwiseConv::new(dim, dim, device),
        }
    }

    /// `[batch, frames, hidden_size]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let dim = input.dims()[2];
        let doubled = self.pointwise_in.forward(self.norm.forward(input));
        let gated = doubled.clone().narrow(2, 0, dim) * sigmoid(doubled.narrow(2, dim, dim));
        // [batch, frames, dim] -> [batch, dim, frames]
        let convolved = self.batch_norm.forward(self.depthwise.forward(gated.swap_dims(1, 2)));
        self.pointwise_out.forward(silu(convolved).swap_dims(1, 2))
    }
}

/// A convolution of one tap without bias: a linear layer that keeps its weight in the convolution's shape.
#[derive(Module, Debug)]
pub(crate) struct PointwiseConv {
    /// `[output, input, 1]`
    weight: Param<Tensor<3>>,
}

impl PointwiseConv {
    pub(super) fn new(input_dim: usize, output_dim: usize, device: &Device) -> Self {
        Self { weight: Conv1dConfig::new(input_dim, output_dim, 1).with_bias(false).init(device).weight }
    }

    /// `[output, input, 1]`
    pub(crate) fn weight(&self) -> Tensor<3> {
        self.weight.val()
    }

    /// `[batch, frames, input]` -> `[batch, frames, output]`.
    pub(super) fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let weight = self.weight.val();
        let [output_dim, input_dim, _] = weight.dims();
        linear(input, weight.reshape([output_dim, input_dim]).transpose(), None)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};
    use solfa_signal::testing::assert_close;

    use super::*;

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().convert::<f32>().iter::<f32>().collect()
    }

    /// The output and every gradient of the one operation, beside those of Burn's operations.
    #[test]
    fn feed_forward_in_training_is_the_composition() {
        let device = Device::flex().autodiff();
        device.seed(5);
        let config = ConformerConfig {
            hidden_size: 8,
            num_layers: 1,
            num_heads: 2,
            intermediate_size: 20,
            depthwise_kernel: 3,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        };
        let layer = ConformerLayer::new(&config, &device);
        let (norm, feed_forward) = (&layer.feed_forward1_norm, &layer.feed_forward1);
        let input: Tensor<3> = Tensor::random([2, 7, 8], Distribution::Normal(0.0, 2.0), &device).require_grad();
        let run = |output: Tensor<3>| {
            let weights = (0..2 * 7 * 8).map(|place| (place as f32 * 0.7).sin()).collect::<Vec<f32>>();
            let weights: Tensor<3> = Tensor::from_data(TensorData::new(weights, [2, 7, 8]), &device);
            let outputs = values(output.clone().inner().flatten(0, 2));
            let gradients = (output * weights).sum().backward();
            let vector = |parameter: &Param<Tensor<1>>| values(parameter.val().grad(&gradients).unwrap());
            let matrix = |parameter: &Param<Tensor<2>>| values(parameter.val().grad(&gradients).unwrap().flatten(0, 1));
            [
                outputs,
                values(input.grad(&gradients).unwrap().flatten(0, 2)),
                vector(&norm.gamma),
                vector(norm.beta.as_ref().unwrap()),
                matrix(&feed_forward.expand.weight),
                vector(feed_forward.expand.bias.as_ref().unwrap()),
                matrix(&feed_forward.contract.weight),
                vector(feed_forward.contract.bias.as_ref().unwrap()),
            ]
        };
        let expected = run(feed_forward.forward(norm.forward(input.clone())) * 0.5 + input.clone());
        let found = run(half_feed_forward(norm, feed_forward, input.clone()));
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_close(&format!("number {number}"), found, expected, 1e-5);
        }
    }
}
