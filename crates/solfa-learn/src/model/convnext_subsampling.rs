//! The convolutional front end of MERT v2: a spectrogram to a quarter of its frame rate.
//!
//! Woo et al. 2023, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", arXiv:2301.00808, sec.
//! 3, over time instead of an image: the bands are the first channels.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig1d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::gelu;

/// Sizes of the front end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNextSubsamplingConfig {
    /// Width of every stage. The first one is the number of bands; every stage after it halves the frame rate.
    pub channels: Vec<usize>,
    /// Blocks of every stage.
    pub depths: Vec<usize>,
    /// Added to the variance in all layer norms.
    pub layer_norm_epsilon: f64,
}

impl ConvNextSubsamplingConfig {
    /// Frames of the spectrogram that make one frame of the output: every stage but the first makes one of two.
    pub fn reduction(&self) -> usize {
        1 << self.channels.len().saturating_sub(1)
    }
}

/// Stages of ConvNeXt blocks.
#[derive(Module, Debug)]
pub struct ConvNextSubsampling {
    stages: Vec<ConvNextStage>,
}

impl ConvNextSubsampling {
    /// Stages with random weights.
    pub fn new(config: &ConvNextSubsamplingConfig, device: &Device) -> Self {
        let epsilon = config.layer_norm_epsilon;
        let stage = |(index, (&channels, &depth)): (usize, (&usize, &usize))| ConvNextStage {
            downsampling: index
                .checked_sub(1)
                .map(|before| Downsampling::new(config.channels[before], channels, epsilon, device)),
            blocks: (0..depth).map(|_| ConvNextBlock::new(channels, epsilon, device)).collect(),
        };
        Self { stages: config.channels.iter().zip(&config.depths).enumerate().map(stage).collect() }
    }

    /// # Shapes
    /// - spectrogram: `[batch, frames, channels of the first stage]`
    /// - output: `[batch, frames / reduction, channels of the last stage]`, rounded down: an odd last frame of a
    ///   stage is dropped
    pub fn forward(&self, spectrogram: Tensor<3>) -> Tensor<3> {
        let mut hidden = spectrogram;
        for ConvNextStage { downsampling, blocks } in &self.stages {
            if let Some(downsampling) = downsampling {
                hidden = downsampling.forward(hidden);
            }
            for block in blocks {
                hidden = block.forward(hidden);
            }
        }
        hidden
    }
}

/// Blocks of one width at one frame rate.
#[derive(Module, Debug)]
struct ConvNextStage {
    downsampling: Option<Downsampling>,
    blocks: Vec<ConvNextBlock>,
}

/// Layer norm, and a convolution that makes one frame of two.
#[derive(Module, Debug)]
struct Downsampling {
    norm: LayerNorm,
    convolution: Conv1d,
}

impl Downsampling {
    fn new(input_channels: usize, output_channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            norm: LayerNormConfig::new(input_channels).with_epsilon(epsilon).init(device),
            convolution: Conv1dConfig::new(input_channels, output_channels, 2).with_stride(2).init(device),
        }
    }

    /// `[batch, frames, input_channels]` -> `[batch, frames / 2, output_channels]`.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        self.convolution.forward(self.norm.forward(input).swap_dims(1, 2)).swap_dims(1, 2)
    }
}

/// Depthwise convolution, layer norm, Linear, GELU, global response normalisation, Linear; a residual around it all.
#[derive(Module, Debug)]
pub struct ConvNextBlock {
    depthwise: Conv1d,
    depthwise_norm: LayerNorm,
    expand: Linear,
    response_norm: GlobalResponseNorm,
    contract: Linear,
}

impl ConvNextBlock {
    /// Taps of the depthwise convolution.
    const KERNEL: usize = 7;
    /// Inner width, as a multiple of the outer one.
    const EXPANSION: usize = 4;

    /// A block with random weights.
    pub fn new(channels: usize, layer_norm_epsilon: f64, device: &Device) -> Self {
        let reach = Self::KERNEL / 2;
        let inner = Self::EXPANSION * channels;
        Self {
            depthwise: Conv1dConfig::new(channels, channels, Self::KERNEL)
                .with_groups(channels)
                .with_padding(PaddingConfig1d::Explicit(reach, reach))
                .init(device),
            depthwise_norm: LayerNormConfig::new(channels).with_epsilon(layer_norm_epsilon).init(device),
            expand: LinearConfig::new(channels, inner).init(device),
            response_norm: GlobalResponseNorm::new(inner, device),
            contract: LinearConfig::new(inner, channels).init(device),
        }
    }

    /// # Shapes
    /// - input and output: `[batch, frames, channels]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let convolved = self.depthwise.forward(input.clone().swap_dims(1, 2)).swap_dims(1, 2);
        let expanded = gelu(self.expand.forward(self.depthwise_norm.forward(convolved)));
        self.contract.forward(self.response_norm.forward(expanded)) + input
    }
}

/// Scales every channel by how strong it is over the whole clip, compared with the other channels.
///
/// arXiv:2301.00808, sec. 3.1. What it makes of one frame depends on every frame of the clip.
#[derive(Module, Debug)]
pub struct GlobalResponseNorm {
    /// `[1, 1, channels]`
    gain: Param<Tensor<3>>,
    /// `[1, 1, channels]`
    bias: Param<Tensor<3>>,
}

impl GlobalResponseNorm {
    /// Added to the mean over channels.
    const EPSILON: f64 = 1e-6;

    /// Gain and bias zero, as published: then it changes nothing.
    pub fn new(channels: usize, device: &Device) -> Self {
        let zeros = || Initializer::Zeros.init([1, 1, channels], device);
        Self { gain: zeros(), bias: zeros() }
    }

    /// `gain * input * length / (mean of lengths) + bias + input`, where a channel's length is its L2 norm over frames
    /// and the mean is over channels.
    ///
    /// # Shapes
    /// - input and output: `[batch, frames, channels]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let lengths = input.clone().square().sum_dim(1).sqrt();
        let responses = lengths.clone() / (lengths.mean_dim(2) + Self::EPSILON);
        input.clone() * (responses * self.gain.val()) + self.bias.val() + input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn a_channel_is_scaled_by_its_share_of_the_length() {
        let device = test_device();
        let norm = GlobalResponseNorm {
            gain: Param::from_tensor(Tensor::from_floats([[[2.0, 10.0]]], &device)),
            bias: Param::from_tensor(Tensor::from_floats([[[0.0, 0.5]]], &device)),
        };
        // Lengths over the two frames are 5 and 15, their mean is 10.
        let output: Vec<f32> =
            norm.forward(Tensor::from_floats([[[3.0, 9.0], [4.0, -12.0]]], &device)).into_data().try_to_vec().unwrap();
        let expected = [2.0 * 1.5 + 3.0, 10.0 * 13.5 + 0.5 + 9.0, 2.0 * 2.0 + 4.0, -10.0 * 18.0 + 0.5 - 12.0];
        for (found, expected) in output.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
        }
    }

    #[test]
    fn every_length_is_halved_and_rounded_down_at_every_stage_but_the_first() {
        let device = test_device();
        let config =
            ConvNextSubsamplingConfig { channels: vec![3, 4, 6], depths: vec![1, 1, 1], layer_norm_epsilon: 1e-6 };
        let subsampling = ConvNextSubsampling::new(&config, &device);
        for frames in 4..14 {
            let output = subsampling.forward(Tensor::ones([1, frames, 3], &device));
            assert_eq!(output.dims(), [1, frames / 4, 6]);
        }
    }
}
