//! Relative positions by convolution, added to the input of a transformer.
//!
//! Baevski et al. 2020, "wav2vec 2.0", arXiv:2006.11477, sec. 2: one wide grouped convolution, weight-normed, and GELU;
//! HuBERT and MERT have the same. data2vec (Baevski et al. 2022, arXiv:2202.03555) has several narrow ones on top of
//! each other, each with a layer norm, as Hugging Face's `Data2VecAudioPositionalConvEmbedding` does.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::nn::conv::Conv1dConfig;
use burn::tensor::module::{conv1d, layer_norm};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::gelu;
use crate::device::is_cpu_without_autodiff;

/// Which convolutions give the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PositionalConvolutionConfig {
    /// One with weight norm: wav2vec 2.0's, HuBERT's and MERT's.
    WeightNormed {
        /// Taps.
        kernel: usize,
        /// Groups of channels that do not see each other; divides the width.
        groups: usize,
    },
    /// Several, each with a layer norm without gain and bias: data2vec's.
    Stacked {
        /// Number of convolutions.
        num_layers: usize,
        /// Taps of each.
        kernel: usize,
        /// Groups of channels that do not see each other; divides the width.
        groups: usize,
    },
}

/// One convolution whose weight is a direction times a gain, and GELU.
///
/// Salimans and Kingma 2016, "Weight Normalization", arXiv:1602.07868, with one gain for every tap:
/// `weight[.., tap] = gain[tap] * direction[.., tap] / |direction[.., tap]|`.
#[derive(Module, Debug)]
pub struct WeightNormedPositions {
    /// `[1, 1, kernel]`
    gain: Param<Tensor<3>>,
    /// `[dim, dim / groups, kernel]`
    direction: Param<Tensor<3>>,
    /// `[dim]`
    pub(crate) bias: Param<Tensor<1>>,
}

impl WeightNormedPositions {
    /// A convolution with random weights, of gain 1.
    pub fn new(dim: usize, kernel: usize, groups: usize, device: &Device) -> Self {
        Self {
            gain: Initializer::Ones.init([1, 1, kernel], device),
            direction: grouped_weight(dim, kernel, groups, device),
            bias: Initializer::Zeros.init([dim], device),
        }
    }

    /// `[batch, frames, dim]` in and out.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        gelu(grouped_convolution(input, self.weight(), self.bias.val()))
    }

    /// `[dim, dim / groups, kernel]`: the directions at the length of their gains.
    pub(crate) fn weight(&self) -> Tensor<3> {
        let direction = self.direction.val();
        let lengths = direction.clone().square().sum_dim(0).sum_dim(1).sqrt();
        direction * (self.gain.val() / lengths)
    }
}

/// Convolutions on top of each other, each with layer norm and GELU.
#[derive(Module, Debug)]
pub struct StackedPositions {
    pub(crate) layers: Vec<StackedPositionsLayer>,
}

#[derive(Module, Debug)]
pub(crate) struct StackedPositionsLayer {
    pub(crate) conv: GroupedConvolution,
}

#[derive(Module, Debug)]
pub(crate) struct GroupedConvolution {
    /// `[dim, dim / groups, kernel]`
    pub(crate) weight: Param<Tensor<3>>,
    /// `[dim]`
    pub(crate) bias: Param<Tensor<1>>,
}

/// Added to the variance, as PyTorch does by default; the reference sets no other.
pub(crate) const STACKED_NORM_EPSILON: f64 = 1e-5;

impl StackedPositions {
    /// Convolutions with random weights.
    pub fn new(dim: usize, num_layers: usize, kernel: usize, groups: usize, device: &Device) -> Self {
        let layer = |_| StackedPositionsLayer {
            conv: GroupedConvolution {
                weight: grouped_weight(dim, kernel, groups, device),
                bias: Initializer::Zeros.init([dim], device),
            },
        };
        Self { layers: (0..num_layers).map(layer).collect() }
    }

    /// `[batch, frames, dim]` in and out.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let gain = Tensor::<1>::ones([input.dims()[2]], &input.device());
        self.layers.iter().fold(input, |hidden, StackedPositionsLayer { conv }| {
            let convolved = grouped_convolution(hidden, conv.weight.val(), conv.bias.val());
            gelu(layer_norm(convolved, gain.clone(), None, STACKED_NORM_EPSILON))
        })
    }
}

/// The weight of a grouped convolution from `dim` to `dim` channels, as PyTorch would initialise it.
fn grouped_weight(dim: usize, kernel: usize, groups: usize, device: &Device) -> Param<Tensor<3>> {
    Conv1dConfig::new(dim, dim, kernel).with_groups(groups).with_bias(false).init(device).weight
}

/// A grouped convolution of stride 1 that gives as many frames as it gets. A kernel of an even number of taps reaches
/// one frame further back than ahead, as in the reference, which pads alike on both sides and cuts the last frame.
///
/// # Shapes
/// - input and output: `[batch, frames, dim]`
/// - weight: `[dim, dim / groups, kernel]`
/// - bias: `[dim]`
fn grouped_convolution(input: Tensor<3>, weight: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    if is_cpu_without_autodiff(&input.device()) {
        multiply_windows(input, weight, bias)
    } else {
        convolve(input, weight, bias)
    }
}

/// [`grouped_convolution`] with every group's frames put in a row, so that its windows are overlapping stretches of
/// memory and the convolution is one matrix product for each group.
fn multiply_windows(input: Tensor<3>, weight: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    let [batch, frames, dim] = input.dims();
    let [_, group_dim, kernel] = weight.dims();
    let groups = dim / group_dim;
    let device = input.device();
    let zeros = |frames: usize| Tensor::<3>::zeros([batch, frames, dim], &device);
    let padded = Tensor::cat(vec![zeros(kernel / 2), input, zeros((kernel - 1) / 2)], 1);
    let padded_frames = frames + kernel - 1;
    // [batch, padded frames, dim] -> [batch, groups, padded frames x group_dim] -> [batch, groups, frames, window]
    let windows = padded
        .reshape([batch, padded_frames, groups, group_dim])
        .swap_dims(1, 2)
        .reshape([batch, groups, padded_frames * group_dim])
        .unfold::<4, _>(2, kernel * group_dim, group_dim);
    // [dim, group_dim, kernel] -> [1, groups, window, outputs of a group]
    let weight = weight.reshape([groups, group_dim, group_dim, kernel]).permute([0, 3, 2, 1]).reshape([
        1,
        groups,
        kernel * group_dim,
        group_dim,
    ]);
    let output = windows.matmul(weight).swap_dims(1, 2).reshape([batch, frames, dim]);
    output + bias.reshape([1, 1, dim])
}

/// [`grouped_convolution`] by the backend's own.
fn convolve(input: Tensor<3>, weight: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    let [_, frames, dim] = input.dims();
    let [_, group_dim, kernel] = weight.dims();
    let options = ConvOptions::new([1], [kernel / 2], [1], dim / group_dim);
    conv1d(input.swap_dims(1, 2), weight, Some(bias), options).narrow(2, 0, frames).swap_dims(1, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use burn::nn::PaddingConfig1d;
    use burn::tensor::Distribution;
    use solfa_signal::testing::assert_close;

    fn values(tensor: Tensor<3>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_product_of_windows_is_the_padded_convolution() {
        let device = test_device();
        for (frames, kernel, groups) in [(40, 7, 2), (40, 8, 4), (3, 16, 1), (1, 5, 8), (9, 1, 2)] {
            let conv = Conv1dConfig::new(8, 8, kernel)
                .with_groups(groups)
                .with_padding(PaddingConfig1d::Explicit(kernel / 2, kernel / 2))
                .init(&device);
            let input = Tensor::<3>::random([2, frames, 8], Distribution::Normal(0.0, 1.0), &device);
            let whole = conv.forward(input.clone().swap_dims(1, 2));
            assert_eq!(whole.dims()[2], frames + usize::from(kernel % 2 == 0));
            let expected = whole.narrow(2, 0, frames).swap_dims(1, 2);
            let (weight, bias) = (conv.weight.val(), conv.bias.as_ref().unwrap().val());
            for way in [multiply_windows, convolve] {
                let found = way(input.clone(), weight.clone(), bias.clone());
                assert_close("convolution", &values(found), &values(expected.clone()), 1e-5);
            }
        }
    }

    #[test]
    fn every_tap_has_the_length_of_its_gain() {
        let device = test_device();
        let gain = Tensor::<3>::from_floats([[[2.0, 10.0]]], &device);
        let positions = WeightNormedPositions {
            gain: Param::from_tensor(gain),
            // One channel: a tap's direction is a single number, of which only the sign is left.
            direction: Param::from_tensor(Tensor::from_floats([[[-0.3, 7.0]]], &device)),
            bias: Param::from_tensor(Tensor::from_floats([100.0], &device)),
        };
        let output = values(positions.forward(Tensor::from_floats([[[1.0], [2.0], [3.0]]], &device)));
        // An even kernel: the tap before, then the tap at the frame. GELU of numbers near 100 is the number.
        assert_eq!(output, [110.0, 100.0 - 2.0 + 20.0, 100.0 - 4.0 + 30.0]);
    }
}
