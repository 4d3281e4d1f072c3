//! A linear layer whose weight is a direction times a length.
//!
//! Salimans and Kingma 2016, "Weight Normalization", arXiv:1602.07868, sec. 2: `weight = gain * direction / |direction|`
//! with one gain per output. Kept in the shape of a convolution of one tap, which is how the released quantisers have it.

use burn::module::{Module, Param};
use burn::nn::conv::Conv1dConfig;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

/// A weight-normed convolution of one tap, with bias.
#[derive(Module, Debug)]
pub struct WeightNormLinear {
    /// `[output, 1, 1]`
    gain: Param<Tensor<3>>,
    /// `[output, input, 1]`
    direction: Param<Tensor<3>>,
    /// `[output]`
    bias: Param<Tensor<1>>,
}

impl WeightNormLinear {
    /// A layer with random weights, initialised as the convolution would be.
    pub fn new(input_dim: usize, output_dim: usize, device: &Device) -> Self {
        let direction = Conv1dConfig::new(input_dim, output_dim, 1).with_bias(false).init(device).weight;
        // The gain starts as the direction's length, so that the layer starts as the plain one.
        let gain = Param::from_tensor(row_lengths(direction.val()).detach());
        Self { gain, direction, bias: Param::from_tensor(Tensor::zeros([output_dim], device)) }
    }

    /// Width of the input and of the output.
    pub(crate) fn dims(&self) -> [usize; 2] {
        let [output, input, _] = self.direction.dims();
        [input, output]
    }

    /// # Shapes
    /// - input: `[batch, frames, input]`
    /// - output: `[batch, frames, output]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let direction = self.direction.val();
        let [output_dim, input_dim, _] = direction.dims();
        let weight = direction.clone() / row_lengths(direction) * self.gain.val();
        linear(input, weight.reshape([output_dim, input_dim]).transpose(), Some(self.bias.val()))
    }
}

/// `[output, input, 1]` -> `[output, 1, 1]`: the L2 norm over the inputs.
fn row_lengths(direction: Tensor<3>) -> Tensor<3> {
    direction.square().sum_dim(1).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn the_weight_is_the_gain_along_the_direction() {
        let device = test_device();
        let layer = WeightNormLinear {
            gain: Param::from_tensor(Tensor::from_floats([[[10.0]]], &device)),
            direction: Param::from_tensor(Tensor::from_floats([[[3.0], [4.0]]], &device)),
            bias: Param::from_tensor(Tensor::from_floats([1.0], &device)),
        };
        let output: Vec<f32> =
            layer.forward(Tensor::from_floats([[[1.0, 2.0]]], &device)).into_data().try_to_vec().unwrap();
        // 10 * (3 * 1 + 4 * 2) / 5 + 1
        assert_eq!(output, [23.0]);
    }
}
