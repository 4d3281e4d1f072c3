//! The convolutions over the waveform, see [`crate::model::WaveformFrontend`].
//!
//! A clip is worked through in stretches of time, so that memory does not grow with it: the first convolution alone gives
//! 300 MB for half a minute. Every stretch computes the few frames that it shares with its neighbour anew. The norm over a
//! whole clip, which some models have after the first convolution, stands in the way of that; its means and variances are
//! found beforehand ([`ChannelNormedConvolution`]).

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::memory::{Borrowed, borrow};
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Windows, multiply};
use solfa_kernels::{Arithmetic, InstructionSet, Precision};

use super::{Norm, values};
use crate::model::{CHANNEL_NORM_EPSILON, ChannelNorm, WaveformFrontend};

/// Frames of the last convolution that are computed together, by one thread as a rule: so many that the products of the
/// last convolutions have rows enough, so few that the outputs of the first ones stay near the processor. Of 16, 32, 64 and
/// 128, this and 32 were the fastest on two cores, by a few percent.
const STRETCH_FRAMES: usize = 64;

/// Added to the variance by norms over a frame, as PyTorch does by default.
const FRAME_NORM_EPSILON: f64 = 1e-5;

/// Strided convolutions with packed weights.
pub(super) struct FrontendPlan {
    /// The first convolution, where it has a norm over the whole clip.
    channel_normed: Option<ChannelNormedConvolution>,
    /// All others.
    convolutions: Vec<StridedConvolutionPlan>,
    set: InstructionSet,
}

/// Convolution, norm of frames where there is one, GELU.
struct StridedConvolutionPlan {
    kernel: usize,
    stride: usize,
    input_channels: usize,
    weights: PackedMatrix,
    bias: Option<Vec<f32>>,
    norm: Option<Norm>,
}

impl FrontendPlan {
    pub(super) fn new(module: WaveformFrontend, arithmetic: Arithmetic) -> Self {
        // The first convolution has a hundredth of the work, and what it rounds away may be all that a channel has: a
        // high-pass filter cancels most of the waveform, and a norm brings the rest back up.
        let first =
            Arithmetic::with_instructions(arithmetic.instruction_set().min(InstructionSet::Avx512), Precision::F32);
        let mut channel_normed = None;
        let mut convolutions = Vec::with_capacity(module.convolutions.len());
        for (number, convolution) in module.convolutions.into_iter().enumerate() {
            let arithmetic = if number == 0 { first } else { arithmetic };
            let (weight, stride) = (convolution.conv.weight.into_value(), convolution.conv.stride);
            match convolution.channel_norm {
                Some(norm) => {
                    channel_normed = Some(ChannelNormedConvolution::new(weight, stride, norm, arithmetic));
                }
                None => {
                    let bias = convolution.conv.bias.map(|bias| values(bias.into_value()));
                    let norm = convolution.frame_norm.map(|norm| Norm::new(norm, FRAME_NORM_EPSILON));
                    convolutions.push(StridedConvolutionPlan::new(weight, stride, bias, norm, arithmetic));
                }
            }
        }
        Self { channel_normed, convolutions, set: arithmetic.instruction_set() }
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.convolutions.iter().map(|convolution| convolution.weights.num_bytes()).sum()
    }

    /// `[samples]` -> `[frames, channels]`.
    pub(super) fn forward(&self, waveform: &[f32]) -> Borrowed<f32> {
        self.in_stretches(waveform, STRETCH_FRAMES)
    }

    fn in_stretches(&self, waveform: &[f32], stretch_frames: usize) -> Borrowed<f32> {
        let first = self.channel_normed.as_ref().map(|convolution| convolution.for_clip(waveform));
        let convolutions: Vec<&StridedConvolutionPlan> = first.iter().chain(&self.convolutions).collect();
        let num_frames = convolutions.iter().fold(waveform.len(), |frames, convolution| convolution.num_frames(frames));
        let channels = convolutions.last().map_or(1, |convolution| convolution.weights.columns());
        let mut output = borrow::<f32>(num_frames * channels);
        output.par_chunks_mut(stretch_frames * channels).enumerate().for_each(|(number, output)| {
            let first_frame = number * stretch_frames;
            let behind = first_frame + output.len() / channels;
            let samples = convolutions.iter().rev().fold(first_frame..behind, |frames, convolution| {
                frames.start * convolution.stride..(frames.end - 1) * convolution.stride + convolution.kernel
            });
            self.stretch(&convolutions, &waveform[samples], output);
        });
        output
    }

    /// All convolutions, one after the other.
    fn stretch(&self, convolutions: &[&StridedConvolutionPlan], samples: &[f32], output: &mut [f32]) {
        let Some((last, others)) = convolutions.split_last() else {
            output.copy_from_slice(samples);
            return;
        };
        let mut frames: Option<Borrowed<f32>> = None;
        for convolution in others {
            let input = frames.as_deref().unwrap_or(samples);
            let num_frames = convolution.num_frames(input.len() / convolution.input_channels);
            let mut output = borrow::<f32>(num_frames * convolution.weights.columns());
            convolution.forward(self.set, input, &mut output);
            frames = Some(output);
        }
        last.forward(self.set, frames.as_deref().unwrap_or(samples), output);
    }
}

impl StridedConvolutionPlan {
    /// `weight` is `[output, input, kernel]`.
    fn new(
        weight: Tensor<3>,
        stride: usize,
        bias: Option<Vec<f32>>,
        norm: Option<Norm>,
        arithmetic: Arithmetic,
    ) -> Self {
        let [channels, input_channels, kernel] = weight.dims();
        let weight = values(weight);
        let weights = PackedMatrix::pack(arithmetic, 1, kernel * input_channels, channels, |input, column| {
            let (tap, channel) = (input / input_channels, input % input_channels);
            weight[(column * input_channels + channel) * kernel + tap]
        });
        Self { kernel, stride, input_channels, weights, bias, norm }
    }

    fn num_frames(&self, input_frames: usize) -> usize {
        input_frames.checked_sub(self.kernel).map_or(0, |rest| rest / self.stride + 1)
    }

    /// `[frames, input channels]` -> `[frames, channels]`.
    fn forward(&self, set: InstructionSet, input: &[f32], output: &mut [f32]) {
        let channels = self.weights.columns();
        let windows = Windows::frames(
            input,
            output.len() / channels,
            self.stride * self.input_channels,
            self.kernel * self.input_channels,
        );
        let activation = if self.norm.is_some() { Activation::None } else { Activation::Gelu };
        let epilogue = Epilogue { bias: self.bias.as_deref(), activation, ..Epilogue::default() };
        multiply(&windows, &self.weights, &epilogue, output, Placement { group_pitch: 0, row_pitch: channels });
        if let Some(norm) = &self.norm {
            norm.apply_in_place(set, output, Activation::Gelu);
        }
    }
}

/// A convolution over samples and the norm of its channels over the whole clip.
///
/// The convolution is linear, so the means and variances of its channels follow from those of the windows that it sees:
/// `weight . mean(window)` and `weight^T covariance(window) weight`. That is ten taps instead of hundreds of channels, in
/// double precision; then the norm is a matter of the convolution's weights and bias.
struct ChannelNormedConvolution {
    /// `[channels, kernel]`; a bias would be taken away again by the norm.
    weight: Vec<f32>,
    kernel: usize,
    stride: usize,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    arithmetic: Arithmetic,
}

impl ChannelNormedConvolution {
    /// `weight` is `[channels, 1, kernel]`.
    fn new(weight: Tensor<3>, stride: usize, norm: ChannelNorm, arithmetic: Arithmetic) -> Self {
        let [_, _, kernel] = weight.dims();
        Self {
            weight: values(weight),
            kernel,
            stride,
            gamma: values(norm.gamma.into_value()),
            beta: values(norm.beta.into_value()),
            arithmetic,
        }
    }

    /// The convolution that gives the normed channels of this waveform.
    fn for_clip(&self, waveform: &[f32]) -> StridedConvolutionPlan {
        let statistics = WindowStatistics::new(waveform, self.kernel, self.stride);
        let mut weight = borrow::<f32>(self.weight.len());
        let mut bias = Vec::with_capacity(self.gamma.len());
        let channels = self.weight.chunks_exact(self.kernel).zip(weight.chunks_exact_mut(self.kernel));
        for ((taps, scaled), (&gamma, &beta)) in channels.zip(self.gamma.iter().zip(&self.beta)) {
            let (mean, variance) = statistics.of_filter(taps);
            let factor = f64::from(gamma) / (variance + CHANNEL_NORM_EPSILON).sqrt();
            for (scaled, &tap) in scaled.iter_mut().zip(taps) {
                *scaled = (f64::from(tap) * factor) as f32;
            }
            bias.push((f64::from(beta) - mean * factor) as f32);
        }
        let kernel = self.kernel;
        let weights =
            PackedMatrix::pack(self.arithmetic, 1, kernel, bias.len(), |tap, column| weight[column * kernel + tap]);
        StridedConvolutionPlan { kernel, stride: self.stride, input_channels: 1, weights, bias: Some(bias), norm: None }
    }
}

/// Means and covariances of the values at each place of a window that moves over a waveform.
struct WindowStatistics {
    /// `[kernel]`
    means: Vec<f64>,
    /// `[kernel, kernel]`, of which the places above the diagonal are not used.
    covariances: Vec<f64>,
}

impl WindowStatistics {
    fn new(waveform: &[f32], kernel: usize, stride: usize) -> Self {
        let windows = |first: usize| waveform[first * stride..].windows(kernel).step_by(stride);
        let num_windows = windows(0).len();
        let means = sums_over_windows(num_windows, kernel, |first, count, sums| {
            for window in windows(first).take(count) {
                for (sum, &value) in sums.iter_mut().zip(window) {
                    *sum += f64::from(value);
                }
            }
        });
        let covariances = sums_over_windows(num_windows, kernel * kernel, |first, count, sums| {
            let mut centred = vec![0.0; kernel];
            for window in windows(first).take(count) {
                for ((centred, &value), mean) in centred.iter_mut().zip(window).zip(&means) {
                    *centred = f64::from(value) - mean;
                }
                for (place, sums) in sums.chunks_exact_mut(kernel).enumerate() {
                    let factor = centred[place];
                    for (sum, other) in sums[..=place].iter_mut().zip(&centred) {
                        *sum += factor * other;
                    }
                }
            }
        });
        Self { means, covariances }
    }

    /// Mean and variance of what a filter of these taps gives.
    fn of_filter(&self, taps: &[f32]) -> (f64, f64) {
        let mean = taps.iter().zip(&self.means).map(|(&tap, mean)| f64::from(tap) * mean).sum();
        let rows = self.covariances.chunks_exact(taps.len()).zip(taps).enumerate();
        let variance = rows.map(|(place, (covariances, &tap))| {
            let before: f64 =
                taps[..place].iter().zip(covariances).map(|(&other, value)| f64::from(other) * value).sum();
            f64::from(tap) * (2.0 * before + f64::from(tap) * covariances[place])
        });
        (mean, variance.sum::<f64>().max(0.0))
    }
}

/// The mean of `size` sums over all windows. `add` adds those of some windows, given by the first and their number. They
/// are added in blocks of a fixed size, and then the blocks in order: the same bits on any number of threads.
fn sums_over_windows(num_windows: usize, size: usize, add: impl Fn(usize, usize, &mut [f64]) + Sync) -> Vec<f64> {
    const BLOCK: usize = 4096;
    let blocks: Vec<Vec<f64>> = (0..num_windows.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let mut sums = vec![0.0; size];
            add(block * BLOCK, BLOCK.min(num_windows - block * BLOCK), &mut sums);
            sums
        })
        .collect();
    let mut means = vec![0.0; size];
    for block in blocks {
        means.iter_mut().zip(block).for_each(|(mean, sum)| *mean += sum);
    }
    means.iter_mut().for_each(|mean| *mean /= num_windows as f64);
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use crate::model::{ConvolutionSize, FrontendNorm, WaveformFrontendConfig};
    use crate::plan::testing::{disturbed, noise};
    use solfa_signal::testing::assert_golden;

    #[test]
    fn stretches_of_any_length_give_the_same_bits() {
        let convolution = |channels, kernel, stride| ConvolutionSize { channels, kernel, stride };
        for norm in [FrontendNorm::ChannelsOfFirstLayer, FrontendNorm::FramesOfEveryLayer] {
            let config = WaveformFrontendConfig {
                convolutions: vec![convolution(33, 10, 5), convolution(40, 3, 2), convolution(7, 2, 2)],
                has_bias: true,
                norm,
            };
            let module = disturbed(WaveformFrontend::new(&config, &test_device()));
            let waveform = noise(3011, 1);
            for arithmetic in Arithmetic::available(Precision::F32).chain(Arithmetic::available(Precision::Bf16)) {
                let plan = FrontendPlan::new(module.clone(), arithmetic);
                let whole = plan.in_stretches(&waveform, 1000).to_vec();
                assert_eq!(whole.len(), config.num_frames(waveform.len()) * 7);
                for stretch_frames in [1, 13, 149] {
                    let found = plan.in_stretches(&waveform, stretch_frames);
                    assert!(found[..] == whole[..], "{arithmetic:?}, {norm:?}: stretches of {stretch_frames}");
                }
            }
        }
    }

    /// A filter that takes away nearly all of a low tone, whose rest the norm brings up.
    #[test]
    fn what_a_filter_leaves_of_a_loud_tone_is_exact() {
        let (kernel, stride) = (10, 5);
        let tone = (0..30_000).map(|sample| 3.0 + (f64::from(sample) * 0.002).sin());
        let waveform: Vec<f32> =
            tone.zip(noise(30_000, 1)).map(|(tone, hiss)| (tone + 1e-3 * f64::from(hiss)) as f32).collect();
        let taps = [0.3, -0.7, 0.4, 0.1, -0.2, 0.1, 0.0, 0.2, -0.5, 0.3f32];
        let windows = waveform.windows(kernel).step_by(stride);
        let filtered: Vec<f64> = windows
            .map(|window| window.iter().zip(&taps).map(|(&value, &tap)| f64::from(value) * f64::from(tap)).sum())
            .collect();
        let mean = filtered.iter().sum::<f64>() / filtered.len() as f64;
        let variance = filtered.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / filtered.len() as f64;
        assert!(variance < 1e-5, "the filter leaves {variance:e}");
        let deviation = (variance + CHANNEL_NORM_EPSILON).sqrt();
        let expected: Vec<f32> = filtered.iter().map(|value| (2.0 * (value - mean) / deviation + 6.0) as f32).collect();
        for arithmetic in Arithmetic::available(Precision::F32) {
            let first =
                Arithmetic::with_instructions(arithmetic.instruction_set().min(InstructionSet::Avx512), Precision::F32);
            let convolution = ChannelNormedConvolution {
                weight: taps.to_vec(),
                kernel,
                stride,
                gamma: vec![2.0],
                // Far enough to the right that GELU changes nothing.
                beta: vec![6.0],
                arithmetic: first,
            };
            let mut found = vec![0.0; expected.len()];
            convolution.for_clip(&waveform).forward(arithmetic.instruction_set(), &waveform, &mut found);
            let (near, expected): (Vec<f32>, Vec<f32>) =
                found.iter().zip(&expected).filter(|(_, expected)| **expected > 5.5).unzip();
            assert!(near.len() > 1000);
            assert_golden(&format!("{arithmetic:?}"), &near, &expected, 1e-4);
        }
    }
}
