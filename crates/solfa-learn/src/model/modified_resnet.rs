//! The residual network of the multi-view encoders: a mel spectrogram of one length to one vector.
//!
//! Meseguer-Brocal et al. 2024, "An Experimental Comparison of Multi-View Self-Supervised Methods for Music Tagging",
//! arXiv:2404.09177, sec. 3. It is the modified ResNet of Radford et al. 2021 (CLIP), arXiv:2103.00020, sec. 2.4: a stem
//! of three convolutions, strides by average pooling, so that nothing aliases, and attention pooling at the end.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AttentionPooling, AttentionPoolingConfig};

/// What a stage's width is multiplied by at the end of each of its blocks.
const EXPANSION: usize = 4;

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModifiedResNetConfig {
    /// Bands of the spectrogram.
    pub num_mels: usize,
    /// Frames of the spectrogram.
    pub num_frames: usize,
    /// Channels of the stem; even. The stages have 4, 8, 16 and 32 times as many.
    pub width: usize,
    /// Blocks of the four stages.
    pub stage_depths: [usize; 4],
    /// Heads of the attention pooling; divides `32 width`.
    pub num_heads: usize,
    /// Width of the embedding.
    pub embedding_size: usize,
}

impl ModifiedResNetConfig {
    /// The network of the paper: 2.8 million parameters, for clips of 4 s.
    pub fn paper() -> Self {
        Self {
            num_mels: 128,
            num_frames: 126,
            width: 16,
            stage_depths: [3, 4, 6, 3],
            num_heads: 8,
            embedding_size: 1024,
        }
    }

    /// Channels at the end of a stage, counted from 0.
    pub fn stage_dim(&self, stage: usize) -> usize {
        EXPANSION * (self.width << stage)
    }

    /// Cells of the last stage's feature map. The stem divides by 4 (first rounding up, then down), the last three
    /// stages by 2 each.
    pub fn num_cells(&self) -> usize {
        let after_strides = |size: usize| size.div_ceil(2) / 2 / 8;
        after_strides(self.num_mels) * after_strides(self.num_frames)
    }
}

/// Stem, four stages, attention pooling.
#[derive(Module, Debug)]
pub struct ModifiedResNet {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    conv3: Conv2d,
    norm3: BatchNorm,
    pool: AvgPool2d,
    stage1: Vec<Bottleneck>,
    stage2: Vec<Bottleneck>,
    stage3: Vec<Bottleneck>,
    stage4: Vec<Bottleneck>,
    pooling: AttentionPooling,
}

impl ModifiedResNet {
    /// The number of the embedding among the layers.
    pub const EMBEDDING_LAYER: usize = 4;

    /// A network with random weights.
    pub fn new(config: &ModifiedResNetConfig, device: &Device) -> Self {
        let half = config.width / 2;
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let stage = |stage: usize| {
            let output_channels = config.stage_dim(stage);
            let input_channels = if stage == 0 { config.width } else { config.stage_dim(stage - 1) };
            (0..config.stage_depths[stage])
                .map(|block| match block {
                    0 => Bottleneck::new(input_channels, output_channels, if stage == 0 { 1 } else { 2 }, device),
                    _ => Bottleneck::new(output_channels, output_channels, 1, device),
                })
                .collect::<Vec<_>>()
        };
        let pooling = AttentionPoolingConfig {
            num_cells: config.num_cells(),
            dim: config.stage_dim(3),
            num_heads: config.num_heads,
            output_dim: config.embedding_size,
        };
        Self {
            conv1: conv3x3(1, half, 2, device),
            norm1: norm(half),
            conv2: conv3x3(half, half, 1, device),
            norm2: norm(half),
            conv3: conv3x3(half, config.width, 1, device),
            norm3: norm(config.width),
            pool: AvgPool2dConfig::new([2, 2]).init(),
            stage1: stage(0),
            stage2: stage(1),
            stage3: stage(2),
            stage4: stage(3),
            pooling: AttentionPooling::new(&pooling, device),
        }
    }

    /// One vector a clip for every layer up to number `last_layer`: 0 to 3 are the stages, each the mean of its feature
    /// map over frequency and time, and 4 is the embedding. Layers beyond `last_layer` are not computed.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, mels, frames]`, of the configuration's size
    /// - output, layer by layer: `[batch, dim]`
    pub fn forward(&self, spectrogram: Tensor<3>, last_layer: usize) -> Vec<Tensor<2>> {
        let image = spectrogram.unsqueeze_dim::<4>(1);
        let image = relu(self.norm1.forward(self.conv1.forward(image)));
        let image = relu(self.norm2.forward(self.conv2.forward(image)));
        let image = relu(self.norm3.forward(self.conv3.forward(image)));
        let mut image = self.pool.forward(image);
        let stages = [&self.stage1, &self.stage2, &self.stage3, &self.stage4];
        let mut outputs = Vec::with_capacity(last_layer + 1);
        for stage in stages.iter().take(last_layer + 1) {
            image = stage.iter().fold(image, |image, block| block.forward(image));
            // [batch, channels, bands, frames] -> [batch, channels]
            outputs.push(image.clone().flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2));
        }
        if last_layer >= stages.len() {
            outputs.push(self.pooling.forward(image));
        }
        outputs
    }
}

/// A 3x3 convolution without bias that keeps the size of the image, divided by the stride and rounded up.
fn conv3x3(input_channels: usize, output_channels: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([input_channels, output_channels], [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .init(device)
}

/// A 1x1 convolution without bias.
fn conv1x1(input_channels: usize, output_channels: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([input_channels, output_channels], [1, 1]).with_bias(false).init(device)
}

/// A residual block that narrows to a quarter of its channels, convolves, and widens again.
#[derive(Module, Debug)]
struct Bottleneck {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    /// Absent where the stride is 1.
    pool: Option<AvgPool2d>,
    conv3: Conv2d,
    norm3: BatchNorm,
    /// Absent where the input can be added as it is.
    shortcut: Option<Shortcut>,
}

/// The input of a block at the width of its output.
#[derive(Module, Debug)]
struct Shortcut {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Bottleneck {
    fn new(input_channels: usize, output_channels: usize, stride: usize, device: &Device) -> Self {
        let channels = output_channels / EXPANSION;
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let is_changed = stride > 1 || input_channels != output_channels;
        Self {
            conv1: conv1x1(input_channels, channels, device),
            norm1: norm(channels),
            conv2: conv3x3(channels, channels, 1, device),
            norm2: norm(channels),
            pool: (stride > 1).then(|| AvgPool2dConfig::new([stride, stride]).init()),
            conv3: conv1x1(channels, output_channels, device),
            norm3: norm(output_channels),
            shortcut: is_changed.then(|| Shortcut {
                conv: conv1x1(input_channels, output_channels, device),
                norm: norm(output_channels),
            }),
        }
    }

    /// `[batch, channels, bands, frames]` in and out, bands and frames divided by the stride and rounded down.
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let pool = |image: Tensor<4>| match &self.pool {
            Some(pool) => pool.forward(image),
            None => image,
        };
        let hidden = relu(self.norm1.forward(self.conv1.forward(input.clone())));
        let hidden = pool(relu(self.norm2.forward(self.conv2.forward(hidden))));
        let hidden = self.norm3.forward(self.conv3.forward(hidden));
        let shortcut = match &self.shortcut {
            Some(Shortcut { conv, norm }) => norm.forward(conv.forward(pool(input))),
            None => input,
        };
        relu(hidden + shortcut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn the_network_of_the_paper_has_its_parameters_and_layers() {
        let config = ModifiedResNetConfig::paper();
        assert_eq!(config.num_cells(), 12);
        let network = ModifiedResNet::new(&config, &test_device());
        // Burn counts running means and variances among the parameters; the published 2,800,392 leaves them out.
        let normed_channels = 32 + 352 + 896 + 2560 + 2816;
        assert_eq!(network.num_params(), 2_800_392 + 2 * normed_channels);
        let outputs = network.forward(Tensor::ones([2, 128, 126], &test_device()), 4);
        let dims: Vec<_> = outputs.iter().map(Tensor::dims).collect();
        assert_eq!(dims, [[2, 64], [2, 128], [2, 256], [2, 512], [2, 1024]]);
        assert_eq!(network.forward(Tensor::ones([1, 128, 126], &test_device()), 1).len(), 2);
    }
}
