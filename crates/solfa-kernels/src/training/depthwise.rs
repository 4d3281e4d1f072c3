//! Convolutions over time of every channel on its own, and their gradients.

use rayon::prelude::*;

use crate::depthwise::depthwise;
use crate::instruction_set::InstructionSet;
use crate::product::Activation;

/// The sizes of a convolution of every channel on its own, centred, with zeros beyond both ends of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Frames of a clip.
    pub frames: usize,
    /// Channels.
    pub channels: usize,
    /// Taps, an odd number.
    pub taps: usize,
}

impl DepthwiseShape {
    fn check(&self, values: &[f32]) {
        let Self { frames, channels, taps } = *self;
        let clip = frames * channels;
        assert!(clip > 0 && values.len().is_multiple_of(clip) && taps % 2 == 1, "{} values of {self:?}", values.len());
    }

    /// The convolution with the weight of `tap` of `channel`, clip by clip.
    fn convolve(&self, input: &[f32], weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let Self { frames, channels, taps } = *self;
        self.check(input);
        let weights: Vec<f32> = (0..taps)
            .flat_map(|tap| (0..channels).map(move |channel| (tap, channel)))
            .map(|(t, c)| weight(t, c))
            .collect();
        let bias = vec![0.0; channels];
        let mut output = vec![0.0; input.len()];
        for (output, input) in output.chunks_exact_mut(frames * channels).zip(input.chunks_exact(frames * channels)) {
            depthwise(InstructionSet::best(), input, &weights, &bias, taps, Activation::None, output);
        }
        output
    }
}

/// The convolution, without a bias.
///
/// # Shapes
/// - input and output: `[clips, frames, channels]`
/// - weights: `[channels, taps]`, as a network keeps them
///
/// # Panics
/// If sizes do not fit.
pub fn depthwise_convolution(shape: &DepthwiseShape, input: &[f32], weights: &[f32]) -> Vec<f32> {
    assert_eq!(weights.len(), shape.channels * shape.taps, "weights of {shape:?}");
    shape.convolve(input, |tap, channel| weights[channel * shape.taps + tap])
}

/// The gradient with respect to the input: the convolution with the taps turned round.
///
/// # Shapes
/// - gradient and output: `[clips, frames, channels]`
/// - weights: as for [`depthwise_convolution`]
///
/// # Panics
/// If sizes do not fit.
pub fn depthwise_input_gradient(shape: &DepthwiseShape, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
    assert_eq!(weights.len(), shape.channels * shape.taps, "weights of {shape:?}");
    shape.convolve(gradient, |tap, channel| weights[(channel + 1) * shape.taps - 1 - tap])
}

/// The gradient with respect to the weights.
///
/// # Shapes
/// - input and gradient: `[clips, frames, channels]`
/// - output: `[channels, taps]`
///
/// # Panics
/// If sizes do not fit.
pub fn depthwise_weight_gradient(shape: &DepthwiseShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let DepthwiseShape { frames, channels, taps } = *shape;
    shape.check(input);
    assert_eq!(input.len(), gradient.len(), "a gradient for every value");
    let reach = taps / 2;
    let clip = frames * channels;
    let of_tap = |tap: usize| {
        let mut total = vec![0.0_f32; channels];
        let mut sums = vec![0.0_f32; channels];
        // The frames of the output that see a frame of the input by this tap.
        let (first, behind) = (reach.saturating_sub(tap), frames.min((frames + reach).saturating_sub(tap)));
        if first >= behind {
            return total;
        }
        for (input, gradient) in input.chunks_exact(clip).zip(gradient.chunks_exact(clip)) {
            sums.fill(0.0);
            let seen = &input[(first + tap - reach) * channels..];
            let rows = gradient[first * channels..behind * channels].chunks_exact(channels);
            for (gradient, input) in rows.zip(seen.chunks_exact(channels)) {
                for ((sum, gradient), input) in sums.iter_mut().zip(gradient).zip(input) {
                    *sum += gradient * input;
                }
            }
            total.iter_mut().zip(&sums).for_each(|(total, sum)| *total += sum);
        }
        total
    };
    let of_taps: Vec<Vec<f32>> = (0..taps).into_par_iter().map(of_tap).collect();
    (0..channels).flat_map(|channel| of_taps.iter().map(move |sums| sums[channel])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_near, noise};

    #[test]
    fn convolution_and_gradients_are_as_defined() {
        for (clips, frames, channels, taps) in
            [(1, 1, 1, 1), (2, 1, 3, 31), (2, 7, 5, 3), (1, 9, 33, 31), (3, 40, 16, 5)]
        {
            let shape = DepthwiseShape { frames, channels, taps };
            let size = clips * frames * channels;
            let (input, weights, gradient) = (noise(size, 1), noise(channels * taps, 2), noise(size, 3));
            let (mut expected, mut to_input, mut to_weights) =
                (vec![0.0; size], vec![0.0; size], vec![0.0; channels * taps]);
            for place in 0..size {
                let (channel, frame) = (place % channels, place / channels % frames);
                for tap in 0..taps {
                    let Some(seen) = (frame + tap).checked_sub(taps / 2).filter(|&seen| seen < frames) else {
                        continue;
                    };
                    let from = place - frame * channels + seen * channels;
                    expected[place] += input[from] * weights[channel * taps + tap];
                    to_input[from] += gradient[place] * weights[channel * taps + tap];
                    to_weights[channel * taps + tap] += gradient[place] * input[from];
                }
            }
            assert_near("convolution", &depthwise_convolution(&shape, &input, &weights), &expected, 1e-5);
            assert_near("input", &depthwise_input_gradient(&shape, &gradient, &weights), &to_input, 1e-5);
            assert_near("weights", &depthwise_weight_gradient(&shape, &input, &gradient), &to_weights, 1e-5);
        }
    }
}
