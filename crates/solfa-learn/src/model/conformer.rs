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

use super::{
    AttentionObserver, RotaryAngles, RotaryPositions, RotarySelfAttention, layer_norm, update_running_statistics,
};
use crate::ops::{self, ConvolutionModuleParameters, FeedForwardParameters};

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
        let (norm, epsilon) = (&self.attention_norm, INNER_NORM_EPSILON);
        let hidden = self.attention.forward_with_residual(norm, epsilon, hidden, angles, padding, number, observer);
        let hidden = self.convolution.forward_with_residual(hidden);
        let hidden = half_feed_forward(&self.feed_forward2_norm, &self.feed_forward2, hidden);
        layer_norm(&self.final_norm, INNER_NORM_EPSILON, hidden)
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

    /// `input + module(input)`, `[batch, frames, hidden_size]` in and out; in training on the processor, one operation.
    fn forward_with_residual(&self, input: Tensor<3>) -> Tensor<3> {
        let Some(shift) = &self.norm.beta else { return self.forward(input.clone()) + input };
        if !ops::are_available(&input.device()) || !self.batch_norm.training.is_enabled() {
            return self.forward(input.clone()) + input;
        }
        let parameters = ConvolutionModuleParameters {
            gain: self.norm.gamma.val(),
            shift: shift.val(),
            pointwise_in: self.pointwise_in.weight(),
            depthwise: self.depthwise.weight.val(),
            batch_gain: self.batch_norm.gamma.val(),
            batch_shift: self.batch_norm.beta.val(),
            pointwise_out: self.pointwise_out.weight(),
            epsilon: INNER_NORM_EPSILON,
            batch_epsilon: self.batch_norm.epsilon,
        };
        let (output, statistics) = ops::convolution_module(input, parameters);
        update_running_statistics(&self.batch_norm, statistics);
        output
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
    use burn::module::ModuleVisitor;
    use burn::tensor::{Distribution, TensorData};
    use solfa_signal::testing::assert_close;

    use super::*;

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().convert::<f32>().iter::<f32>().collect()
    }

    fn config() -> ConformerConfig {
        ConformerConfig {
            hidden_size: 8,
            num_layers: 1,
            num_heads: 2,
            intermediate_size: 20,
            depthwise_kernel: 5,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        }
    }

    /// The output, the gradients of the input and of all parameters, and running statistics.
    fn everything(layer: &ConformerLayer, input: &Tensor<3>, output: Tensor<3>) -> Vec<(String, Vec<f32>)> {
        struct Gathering<'a> {
            gradients: &'a burn::tensor::Gradients,
            path: Vec<String>,
            all: Vec<(String, Vec<f32>)>,
        }
        impl ModuleVisitor for Gathering<'_> {
            fn enter_module(&mut self, name: &str, _container_type: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container_type: &str) {
                self.path.pop();
            }

            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                let (name, tensor) = (self.path.join("."), parameter.val());
                let count = tensor.shape().num_elements();
                if let Some(gradient) = tensor.grad(self.gradients) {
                    self.all.push((name, values(gradient.reshape([count]))));
                } else if name.contains("running") {
                    self.all.push((name, values(tensor.inner().reshape([count]))));
                }
            }
        }
        let weights = (0..output.shape().num_elements()).map(|place| (place as f32 * 0.7).sin()).collect::<Vec<f32>>();
        let weights: Tensor<3> = Tensor::from_data(TensorData::new(weights, output.dims()), &output.device());
        let outputs = values(output.clone().inner().flatten(0, 2));
        let gradients = (output * weights).sum().backward();
        let mut all = vec![("output".to_owned(), outputs)];
        all.push(("input".to_owned(), values(input.grad(&gradients).unwrap().flatten(0, 2))));
        crate::checkpoint::settle_running_statistics(layer);
        let mut gathering = Gathering { gradients: &gradients, path: Vec::new(), all };
        layer.visit(&mut gathering);
        gathering.all
    }

    /// Outputs and all gradients of the operations of the parts of a layer, beside those of Burn's operations.
    #[test]
    fn parts_in_training_are_their_compositions() {
        let device = Device::flex().autodiff();
        for (batch, frames) in [(3, 1), (2, 7), (3, 41)] {
            device.seed(5);
            let input: Tensor<3> =
                Tensor::random([batch, frames, 8], Distribution::Normal(0.0, 2.0), &device).require_grad();
            type Part = fn(&ConformerLayer, Tensor<3>, &RotaryAngles) -> Tensor<3>;
            let parts: [(&str, usize, Part, Part); 3] = [
                (
                    "feed-forward",
                    7,
                    |layer, input, _| half_feed_forward(&layer.feed_forward1_norm, &layer.feed_forward1, input),
                    |layer, input, _| {
                        let normed = layer.feed_forward1_norm.forward(input.clone());
                        layer.feed_forward1.forward(normed) * 0.5 + input
                    },
                ),
                (
                    "attention",
                    11,
                    |layer, input, angles| {
                        let norm = &layer.attention_norm;
                        layer.attention.forward_with_residual(
                            norm,
                            INNER_NORM_EPSILON,
                            input,
                            angles,
                            None,
                            1,
                            &mut None,
                        )
                    },
                    |layer, input, angles| {
                        let normed = layer.attention_norm.forward(input.clone());
                        layer.attention.forward(normed, angles, None, 1, &mut None) + input
                    },
                ),
                (
                    "convolution",
                    10,
                    |layer, input, _| layer.convolution.forward_with_residual(input),
                    |layer, input, _| layer.convolution.forward(input.clone()) + input,
                ),
            ];
            for (name, count, found, expected) in parts {
                let layer = ConformerLayer::new(&config(), &device);
                let run = |part: Part| {
                    let norm = &layer.convolution.batch_norm;
                    norm.running_mean.update(Tensor::zeros([8], &device));
                    norm.running_var.update(Tensor::ones([8], &device));
                    let angles = RotaryPositions::new(4, 10_000.0, &device).angles(frames);
                    everything(&layer, &input, part(&layer, input.clone(), &angles))
                };
                let (found, expected) = (run(found), run(expected));
                let names = |all: &[(String, Vec<f32>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
                assert_eq!(names(&found), names(&expected), "{name}");
                assert!(found.len() > count, "{name}: {:?}", names(&found));
                let whole = root_mean_square(expected.iter().skip(1).flat_map(|(_, values)| values));
                for ((of, found), (_, expected)) in found.iter().zip(&expected) {
                    let what = format!("{name}, {batch}x{frames}: {of}");
                    if root_mean_square(expected) < 1e-4 * whole {
                        // A gradient that is 0 but for rounding, as that of the keys' bias.
                        assert!(root_mean_square(found) < 1e-4 * whole, "{what}: {found:?}");
                    } else {
                        // The statistics of three rows are almost those of each.
                        assert_close(&what, found, expected, if frames == 1 { 1e-3 } else { 1e-4 });
                    }
                }
            }
        }
    }

    fn root_mean_square<'a>(values: impl IntoIterator<Item = &'a f32>) -> f32 {
        let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, count), value| (sum + value * value, count + 1));
        (sum / count.max(1) as f32).sqrt()
    }

    #[test]
    fn padding_and_onlookers_take_the_composition() {
        let device = Device::flex().autodiff();
        let layer = ConformerLayer::new(&config(), &device);
        let input: Tensor<3> = Tensor::random([2, 6, 8], Distribution::Normal(0.0, 2.0), &device);
        let angles = RotaryPositions::new(4, 10_000.0, &device).angles(6);
        let run = |padding: Option<&Tensor<2, Bool>>, observer: &mut AttentionObserver<'_>| {
            let (attention, norm) = (&layer.attention, &layer.attention_norm);
            let epsilon = INNER_NORM_EPSILON;
            let output = attention.forward_with_residual(norm, epsilon, input.clone(), &angles, padding, 1, observer);
            values(output.flatten(0, 2))
        };
        let alone = run(None, &mut None);
        let mut seen = 0;
        let mut observer = |_: usize, _: Tensor<4>| seen += 1;
        assert_close("watched", &run(None, &mut Some(&mut observer)), &alone, 1e-5);
        assert_eq!(seen, 1);
        let padding = Tensor::from_data([[false; 6], [false, false, false, true, true, true]], &device);
        let padded = run(Some(&padding), &mut None);
        assert_close("without padding", &padded[..48], &alone[..48], 1e-5);
        assert!(padded[48..].iter().zip(&alone[48..]).any(|(padded, alone)| (padded - alone).abs() > 1e-3));
    }
}
