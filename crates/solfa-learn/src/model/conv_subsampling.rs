//! The convolutional front end of MusicFM and MuQ: a spectrogram to a quarter or half of its frame rate.
//!
//! Won et al. 2023, "A Foundation Model for Music Informatics" (MusicFM), arXiv:2311.03318: two residual blocks of 3x3
//! convolutions over frequency and time, then a linear layer on all channels and bands of a time step.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::{linear_layer, update_running_statistics};
use crate::ops::{self, BlockNorm, BlockParameters, residual_block};

/// Two residual blocks and a projection.
#[derive(Module, Debug)]
pub struct Conv2dSubsampling {
    pub(crate) blocks: Vec<ResidualConvBlock>,
    pub(crate) projection: Linear,
}

impl Conv2dSubsampling {
    /// Blocks of `channels` channels, each with stride 2 over frequency and `time_strides[block]` over time, on
    /// spectrograms of `num_mels` bands (a multiple of 4).
    pub fn new(channels: usize, num_mels: usize, time_strides: [usize; 2], output_dim: usize, device: &Device) -> Self {
        Self {
            blocks: vec![
                ResidualConvBlock::new(1, channels, [2, time_strides[0]], device),
                ResidualConvBlock::new(channels, channels, [2, time_strides[1]], device),
            ],
            projection: LinearConfig::new(channels * (num_mels / 4), output_dim).init(device),
        }
    }

    /// # Shapes
    /// - spectrogram: `[batch, mels, frames]`
    /// - output: `[batch, frames / time strides, output_dim]`, the division rounded up at every stride
    pub fn forward(&self, spectrogram: Tensor<3>) -> Tensor<3> {
        if ops::are_available(&spectrogram.device()) && self.blocks.iter().all(ResidualConvBlock::is_training) {
            return self.forward_training(spectrogram);
        }
        let mut image = spectrogram.unsqueeze_dim::<4>(1);
        for block in &self.blocks {
            image = block.forward(image);
        }
        let [batch, channels, bands, frames] = image.dims();
        // [batch, channels, bands, frames] -> [batch, frames, channels x bands]
        self.projection.forward(image.permute([0, 3, 1, 2]).reshape([batch, frames, channels * bands]))
    }
}

impl Conv2dSubsampling {
    /// The same in training on the processor, each block as one operation on images whose channels come last.
    fn forward_training(&self, spectrogram: Tensor<3>) -> Tensor<3> {
        // [batch, mels, frames] -> [batch, frames, mels, 1]
        let mut image = spectrogram.swap_dims(1, 2).unsqueeze_dim::<4>(3);
        for block in &self.blocks {
            image = block.forward_training(image);
        }
        let [batch, frames, bands, channels] = image.dims();
        // [batch, frames, bands, channels] -> [batch, frames, channels x bands]
        linear_layer(&self.projection, image.swap_dims(2, 3).reshape([batch, frames, channels * bands]))
    }
}

/// Two 3x3 convolutions with batch norm, the first one strided, beside a strided 3x3 convolution with batch norm.
#[derive(Module, Debug)]
pub struct ResidualConvBlock {
    pub(crate) conv1: Conv2d,
    pub(crate) norm1: BatchNorm,
    pub(crate) conv2: Conv2d,
    pub(crate) norm2: BatchNorm,
    pub(crate) shortcut_conv: Conv2d,
    pub(crate) shortcut_norm: BatchNorm,
}

impl ResidualConvBlock {
    /// A block with stride `[frequency, time]`.
    pub fn new(input_channels: usize, output_channels: usize, stride: [usize; 2], device: &Device) -> Self {
        let conv = |input: usize, stride: [usize; 2]| {
            Conv2dConfig::new([input, output_channels], [3, 3])
                .with_stride(stride)
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        let norm = || BatchNormConfig::new(output_channels).init(device);
        Self {
            conv1: conv(input_channels, stride),
            norm1: norm(),
            conv2: conv(output_channels, [1, 1]),
            norm2: norm(),
            shortcut_conv: conv(input_channels, stride),
            shortcut_norm: norm(),
        }
    }

    /// # Shapes
    /// - input: `[batch, input_channels, bands, frames]`
    /// - output: `[batch, output_channels, bands / stride, frames / stride]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = self.shortcut_norm.forward(self.shortcut_conv.forward(input.clone()));
        let hidden = relu(self.norm1.forward(self.conv1.forward(input)));
        relu(self.norm2.forward(self.conv2.forward(hidden)) + shortcut)
    }

    /// Whether the norms go by the batch.
    fn is_training(&self) -> bool {
        [&self.norm1, &self.norm2, &self.shortcut_norm].iter().all(|norm| norm.training.is_enabled())
    }

    /// # Shapes
    /// - images: `[batch, frames, bands, input_channels]`
    /// - output: `[batch, frames / stride, bands / stride, output_channels]`, rounded up
    fn forward_training(&self, images: Tensor<4>) -> Tensor<4> {
        let layers =
            [(&self.conv1, &self.norm1), (&self.conv2, &self.norm2), (&self.shortcut_conv, &self.shortcut_norm)];
        let device = images.device();
        let convolutions = layers.map(|(conv, norm)| {
            let weight = conv.weight.val();
            let outputs = weight.dims()[0];
            BlockNorm {
                bias: conv.bias.as_ref().map_or_else(|| Tensor::zeros([outputs], &device), |bias| bias.val()),
                weight,
                gain: norm.gamma.val(),
                shift: norm.beta.val(),
            }
        });
        let [over_bands, over_time] = self.conv1.stride;
        let parameters =
            BlockParameters { convolutions, strides: [over_time, over_bands], epsilon: self.norm1.epsilon };
        let (output, statistics) = residual_block(images, parameters);
        for ((_, norm), seen) in layers.iter().zip(statistics) {
            update_running_statistics(norm, seen);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};
    use solfa_signal::testing::assert_close;

    use super::*;

    /// Every gradient and the running statistics of the one operation, beside those of Burn's operations.
    #[test]
    fn training_on_the_processor_is_the_composition() {
        let device = Device::flex().autodiff();
        for time_strides in [[2, 2], [2, 1]] {
            device.seed(3);
            let network = Conv2dSubsampling::new(6, 16, time_strides, 5, &device);
            let spectrogram: Tensor<3> =
                Tensor::random([3, 16, 21], Distribution::Normal(0.0, 1.0), &device).require_grad();
            let composed = |spectrogram: Tensor<3>| {
                let mut image = spectrogram.unsqueeze_dim::<4>(1);
                for block in &network.blocks {
                    image = block.forward(image);
                }
                let [batch, channels, bands, frames] = image.dims();
                network.projection.forward(image.permute([0, 3, 1, 2]).reshape([batch, frames, channels * bands]))
            };
            let values = |tensor: Tensor<1>| tensor.into_data().convert::<f32>().iter::<f32>().collect::<Vec<f32>>();
            let run = |output: Tensor<3>| {
                let outputs = values(output.clone().inner().flatten(0, 2));
                let weights = {
                    let count = outputs.len();
                    let weights = (0..count).map(|place| (place as f32 * 0.7).sin()).collect::<Vec<f32>>();
                    Tensor::<1>::from_data(TensorData::new(weights, [count]), &device).reshape(output.dims())
                };
                let gradients = (output * weights).sum().backward();
                let mut all = vec![("outputs", outputs)];
                all.push(("spectrogram", values(spectrogram.grad(&gradients).unwrap().flatten(0, 2))));
                for block in &network.blocks {
                    for (name, conv, norm) in [
                        ("first", &block.conv1, &block.norm1),
                        ("second", &block.conv2, &block.norm2),
                        ("beside", &block.shortcut_conv, &block.shortcut_norm),
                    ] {
                        all.push((name, values(conv.weight.val().grad(&gradients).unwrap().flatten(0, 3))));
                        all.push((name, values(norm.gamma.val().grad(&gradients).unwrap())));
                        all.push((name, values(norm.beta.val().grad(&gradients).unwrap())));
                        all.push((name, values(norm.running_mean.value_sync().inner())));
                        all.push((name, values(norm.running_var.value_sync().inner())));
                    }
                }
                all
            };
            let expected = run(composed(spectrogram.clone()));
            for norm in network.blocks.iter().flat_map(|block| [&block.norm1, &block.norm2, &block.shortcut_norm]) {
                norm.running_mean.update(Tensor::zeros([6], &device));
                norm.running_var.update(Tensor::ones([6], &device));
            }
            let found = run(network.forward_training(spectrogram.clone()));
            for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                assert_close(name, found, expected, 1e-4);
            }
        }
    }
}
