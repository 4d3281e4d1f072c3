//! The convolutional front end of wav2vec 2.0, HuBERT and data2vec: a waveform to frames.
//!
//! Baevski et al. 2020, "wav2vec 2.0", arXiv:2006.11477, sec. 2, "Feature encoder": seven strided convolutions without
//! padding, each followed by GELU. Norms are either one per channel over the whole clip, in the first layer only
//! (`feat_extract_norm: "group"` in Hugging Face's configurations), or one per frame in every layer (`"layer"`).
//!
//! Frames are kept as rows `[frames, channels]`. The windows that a convolution sees are then stretches of memory that
//! overlap, so on the processor a strided convolution is one matrix product of a view, and nothing is gathered first.

use burn::module::{Module, Param};
use burn::nn::conv::Conv1dConfig;
use burn::nn::{Initializer, LayerNorm, LayerNormConfig};
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::gelu;
use crate::device::is_cpu_without_autodiff;

/// Sizes of a front end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveformFrontendConfig {
    /// The convolutions, in order.
    pub convolutions: Vec<ConvolutionSize>,
    /// Whether the convolutions have a bias.
    pub has_bias: bool,
    /// What is normalised.
    pub norm: FrontendNorm,
}

/// One convolution over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvolutionSize {
    /// Channels that it gives.
    pub channels: usize,
    /// Taps.
    pub kernel: usize,
    /// Frames of its input from one frame of its output to the next.
    pub stride: usize,
}

/// Where a front end normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrontendNorm {
    /// After the first convolution, every channel by its mean and variance over the whole clip. So a frame depends on
    /// all of its clip, and a mask cannot undo padding.
    ChannelsOfFirstLayer,
    /// After every convolution, every frame by its mean and variance over the channels.
    FramesOfEveryLayer,
}

impl WaveformFrontendConfig {
    /// Samples from one frame to the next.
    pub fn hop_samples(&self) -> usize {
        self.convolutions.iter().map(|convolution| convolution.stride).product()
    }

    /// Samples that one frame sees: the shortest clip that gives a frame.
    pub fn receptive_samples(&self) -> usize {
        let mut hop_samples = 1;
        let mut receptive_samples = 1;
        for convolution in &self.convolutions {
            receptive_samples += (convolution.kernel - 1) * hop_samples;
            hop_samples *= convolution.stride;
        }
        receptive_samples
    }

    /// Frames of a clip.
    pub fn num_frames(&self, num_samples: usize) -> usize {
        match num_samples.checked_sub(self.receptive_samples()) {
            Some(rest) => rest / self.hop_samples() + 1,
            None => 0,
        }
    }

    /// Width of a frame.
    pub fn dim(&self) -> usize {
        self.convolutions.last().map_or(1, |convolution| convolution.channels)
    }
}

/// Strided convolutions over a waveform.
#[derive(Module, Debug)]
pub struct WaveformFrontend {
    pub(crate) convolutions: Vec<NormedConvolution>,
}

impl WaveformFrontend {
    /// A front end with random weights.
    pub fn new(config: &WaveformFrontendConfig, device: &Device) -> Self {
        let mut input_channels = 1;
        let convolutions = config.convolutions.iter().enumerate().map(|(number, size)| {
            let convolution = NormedConvolution::new(config, number, input_channels, device);
            input_channels = size.channels;
            convolution
        });
        Self { convolutions: convolutions.collect() }
    }

    /// # Shapes
    /// - waveform: `[batch, samples]`
    /// - output: `[batch, frames, channels]`
    pub fn forward(&self, waveform: Tensor<2>) -> Tensor<3> {
        let frames = waveform.unsqueeze_dim::<3>(2);
        self.convolutions.iter().fold(frames, |frames, convolution| convolution.forward(frames))
    }
}

/// Convolution, norm, GELU.
#[derive(Module, Debug)]
pub(crate) struct NormedConvolution {
    pub(crate) conv: StridedConvolution,
    pub(crate) channel_norm: Option<ChannelNorm>,
    pub(crate) frame_norm: Option<LayerNorm>,
}

impl NormedConvolution {
    fn new(config: &WaveformFrontendConfig, number: usize, input_channels: usize, device: &Device) -> Self {
        let ConvolutionSize { channels, kernel, stride } = config.convolutions[number];
        let weights = Conv1dConfig::new(input_channels, channels, kernel).with_bias(config.has_bias).init(device);
        let has_channel_norm = number == 0 && config.norm == FrontendNorm::ChannelsOfFirstLayer;
        let has_frame_norm = config.norm == FrontendNorm::FramesOfEveryLayer;
        Self {
            conv: StridedConvolution { weight: weights.weight, bias: weights.bias, stride },
            channel_norm: has_channel_norm.then(|| ChannelNorm::new(channels, device)),
            frame_norm: has_frame_norm.then(|| LayerNormConfig::new(channels).init(device)),
        }
    }

    /// `[batch, frames, channels]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let mut frames = self.conv.forward(input);
        if let Some(norm) = &self.channel_norm {
            frames = norm.forward(frames);
        }
        if let Some(norm) = &self.frame_norm {
            frames = norm.forward(frames);
        }
        gelu(frames)
    }
}

/// A convolution without padding, on frames as rows.
#[derive(Module, Debug)]
pub(crate) struct StridedConvolution {
    /// `[output, input, kernel]`
    pub(crate) weight: Param<Tensor<3>>,
    /// `[output]`
    pub(crate) bias: Option<Param<Tensor<1>>>,
    pub(crate) stride: usize,
}

impl StridedConvolution {
    /// `[batch, frames, input]` -> `[batch, (frames - kernel) / stride + 1, output]`.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        if is_cpu_without_autodiff(&input.device()) { self.multiply_windows(input) } else { self.convolve(input) }
    }

    /// As one matrix product of overlapping windows.
    fn multiply_windows(&self, input: Tensor<3>) -> Tensor<3> {
        let weight = self.weight.val();
        let [output_dim, input_dim, kernel] = weight.dims();
        let [batch, frames, _] = input.dims();
        let samples = input.reshape([batch, frames * input_dim]);
        let windows = samples.unfold::<3, _>(1, kernel * input_dim, self.stride * input_dim);
        // [output, input, kernel] -> [1, kernel x input, output], in the order of a window's values.
        let weight = weight.permute([2, 1, 0]).reshape([1, kernel * input_dim, output_dim]);
        let output = windows.matmul(weight);
        match &self.bias {
            Some(bias) => output + bias.val().reshape([1, 1, output_dim]),
            None => output,
        }
    }

    /// By the backend's own convolution.
    fn convolve(&self, input: Tensor<3>) -> Tensor<3> {
        let bias = self.bias.as_ref().map(Param::val);
        let options = ConvOptions::new([self.stride], [0], [1], 1);
        conv1d(input.swap_dims(1, 2), self.weight.val(), bias, options).swap_dims(1, 2)
    }
}

/// Every channel by its mean and variance over time, times a learned gain, plus a learned bias: a group norm with as
/// many groups as channels.
#[derive(Module, Debug)]
pub(crate) struct ChannelNorm {
    /// `[channels]`
    pub(crate) gamma: Param<Tensor<1>>,
    /// `[channels]`
    pub(crate) beta: Param<Tensor<1>>,
}

/// Added to the variance, as PyTorch does by default; the reference sets no other.
pub(crate) const CHANNEL_NORM_EPSILON: f64 = 1e-5;

impl ChannelNorm {
    fn new(channels: usize, device: &Device) -> Self {
        Self { gamma: Initializer::Ones.init([channels], device), beta: Initializer::Zeros.init([channels], device) }
    }

    /// `[batch, frames, channels]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let channels = input.dims()[2];
        let centred = input.clone() - mean_over_frames(input);
        let variance = mean_over_frames(centred.clone().square());
        let scale = self.gamma.val().reshape([1, 1, channels]) / (variance + CHANNEL_NORM_EPSILON).sqrt();
        centred * scale + self.beta.val().reshape([1, 1, channels])
    }
}

/// `[batch, frames, channels]` -> `[batch, 1, channels]`. A clip has a hundred thousand frames here, too many to add up
/// one after the other in single precision: they are added in blocks, and then the blocks.
fn mean_over_frames(frames: Tensor<3>) -> Tensor<3> {
    const BLOCK_FRAMES: usize = 256;
    let [batch, num_frames, channels] = frames.dims();
    let num_blocks = num_frames / BLOCK_FRAMES;
    let in_blocks = num_blocks * BLOCK_FRAMES;
    if num_blocks == 0 {
        return frames.mean_dim(1);
    }
    let blocks = frames.clone().narrow(1, 0, in_blocks).reshape([batch, num_blocks, BLOCK_FRAMES, channels]);
    let mut sum = blocks.sum_dim(2).reshape([batch, num_blocks, channels]).sum_dim(1);
    if in_blocks < num_frames {
        sum = sum + frames.narrow(1, in_blocks, num_frames - in_blocks).sum_dim(1);
    }
    sum / num_frames as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use burn::nn::conv::Conv1d;
    use burn::nn::{GroupNormConfig, PaddingConfig1d};
    use burn::tensor::Distribution;
    use solfa_signal::testing::assert_close;

    fn values(tensor: Tensor<3>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    /// wav2vec 2.0's.
    fn published() -> WaveformFrontendConfig {
        let sizes = [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)];
        WaveformFrontendConfig {
            convolutions: sizes.map(|(kernel, stride)| ConvolutionSize { channels: 4, kernel, stride }).to_vec(),
            has_bias: true,
            norm: FrontendNorm::FramesOfEveryLayer,
        }
    }

    #[test]
    fn frames_are_counted_as_the_convolutions_give_them() {
        let config = published();
        assert_eq!((config.hop_samples(), config.receptive_samples(), config.dim()), (320, 400, 4));
        assert_eq!(config.num_frames(399), 0);
        let device = test_device();
        let frontend = WaveformFrontend::new(&config, &device);
        for num_samples in [400, 719, 720, 16_000, 16_079, 16_080] {
            let frames = frontend.forward(Tensor::ones([1, num_samples], &device));
            assert_eq!(frames.dims(), [1, config.num_frames(num_samples), 4], "{num_samples}");
        }
    }

    #[test]
    fn a_product_of_windows_is_the_convolution() {
        let device = test_device();
        for (kernel, stride) in [(10, 5), (3, 2), (2, 2), (1, 1), (2, 3)] {
            let conv: Conv1d =
                Conv1dConfig::new(6, 8, kernel).with_stride(stride).with_padding(PaddingConfig1d::Valid).init(&device);
            let input = Tensor::<3>::random([2, 57, 6], Distribution::Normal(0.0, 1.0), &device);
            let expected = conv.forward(input.clone().swap_dims(1, 2)).swap_dims(1, 2);
            let ours = StridedConvolution { weight: conv.weight, bias: conv.bias, stride };
            for found in [ours.multiply_windows(input.clone()), ours.convolve(input)] {
                assert_close("convolution", &values(found), &values(expected.clone()), 1e-5);
            }
        }
    }

    #[test]
    fn a_channel_norm_is_a_group_norm_of_single_channels() {
        let device = test_device();
        for frames in [1, 5, 256, 700] {
            let input = Tensor::<3>::random([2, frames, 6], Distribution::Normal(3.0, 2.0), &device);
            let mut reference = GroupNormConfig::new(6, 6).init(&device);
            let random = || Param::from_tensor(Tensor::<1>::random([6], Distribution::Normal(1.0, 0.5), &device));
            (reference.gamma, reference.beta) = (Some(random()), Some(random()));
            let norm = ChannelNorm { gamma: reference.gamma.clone().unwrap(), beta: reference.beta.clone().unwrap() };
            let expected = reference.forward(input.clone().swap_dims(1, 2)).swap_dims(1, 2);
            assert_close("norm", &values(norm.forward(input)), &values(expected), 1e-5);
        }
    }
}
