//! The convolutional front end of MusicFM and MuQ: a spectrogram to a quarter or half of its frame rate.
//!
//! Won et al. 2023, "A Foundation Model for Music Informatics" (MusicFM), arXiv:2311.03318: two residual blocks of 3x3
//! convolutions over frequency and time, then a linear layer on all channels and bands of a time step.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

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
        let mut image = spectrogram.unsqueeze_dim::<4>(1);
        for block in &self.blocks {
            image = block.forward(image);
        }
        let [batch, channels, bands, frames] = image.dims();
        // [batch, channels, bands, frames] -> [batch, frames, channels x bands]
        self.projection.forward(image.permute([0, 3, 1, 2]).reshape([batch, frames, channels * bands]))
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
}
