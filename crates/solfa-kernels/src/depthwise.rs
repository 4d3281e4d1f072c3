//! Convolutions over time of every channel on its own, as in a conformer's convolution module (Gulati et al. 2020,
//! arXiv:2005.08100).
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use rayon::prelude::*;

use crate::elementwise::{check_activation, with_activation};
use crate::instruction_set::InstructionSet;
use crate::product::Activation;
use crate::simd::{Function, Operation, Simd, dispatch, load_count, store_count};

/// Frames whose sums are in registers at the same time.
const STRIP_FRAMES: usize = 8;
/// Frames of a task: with what they see of their neighbours, they stay in a core's own cache.
const TASK_FRAMES: usize = 4 * STRIP_FRAMES;

/// A convolution over time of every channel on its own, centred, with zeros beyond both ends; then a bias (for example a
/// folded batch norm) and an activation.
///
/// # Shapes
/// - input and output: `[frames, channels]`
/// - weights: `[taps, channels]`, where `taps` is odd
/// - bias: `[channels]`
///
/// # Panics
/// If `taps` is even, if the lengths do not fit, and at [`Activation::GatedSigmoid`].
pub fn depthwise(
    set: InstructionSet,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    taps: usize,
    activation: Activation,
    output: &mut [f32],
) {
    check_activation(activation);
    assert!(taps % 2 == 1, "{taps} taps have no centre");
    assert_eq!(input.len(), output.len(), "the output is as long as the input");
    if input.is_empty() {
        return;
    }
    let channels = bias.len();
    assert!(channels > 0 && input.len().is_multiple_of(channels), "{} values, {channels} channels", input.len());
    assert_eq!(weights.len(), taps.saturating_mul(channels), "a weight for every tap of every channel");
    output.par_chunks_mut(TASK_FRAMES * channels).enumerate().for_each(|(number, output)| {
        let first_frame = number * TASK_FRAMES;
        dispatch(set, Depthwise { input, weights, bias, taps, activation, first_frame, output });
    });
}

struct Depthwise<'a> {
    /// All frames.
    input: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    taps: usize,
    activation: Activation,
    /// The first frame of the output's stretch.
    first_frame: usize,
    output: &'a mut [f32],
}

impl Operation for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: `depthwise` has checked all lengths.
        unsafe { with_activation!(S, self.activation, self.frames) }
    }
}

impl Depthwise<'_> {
    #[inline(always)]
    unsafe fn frames<S: Simd, F: Function>(&mut self) {
        let channels = self.bias.len();
        let num_frames = self.input.len() / channels;
        let reach = self.taps / 2;
        let behind = self.first_frame + self.output.len() / channels;
        let mut channel = 0;
        while channel < channels {
            let mut frame = self.first_frame;
            while frame < behind {
                let is_inside =
                    frame >= reach && frame + STRIP_FRAMES + reach <= num_frames && frame + STRIP_FRAMES <= behind;
                // SAFETY: all frames that the strips see and write exist, and so do the channels.
                unsafe {
                    if is_inside {
                        self.strip::<S, F, STRIP_FRAMES>(frame, channel, 0..self.taps);
                        frame += STRIP_FRAMES;
                    } else {
                        let taps = reach.saturating_sub(frame)..self.taps.min(num_frames + reach - frame);
                        self.strip::<S, F, 1>(frame, channel, taps);
                        frame += 1;
                    }
                }
            }
            channel += S::LANES;
        }
    }

    /// Some frames of the channels that a vector holds.
    ///
    /// # Safety
    /// All of these taps lie within the input for all of these frames, and the frames within the output.
    #[inline(always)]
    unsafe fn strip<S: Simd, F: Function, const FRAMES: usize>(
        &mut self,
        frame: usize,
        channel: usize,
        taps: std::ops::Range<usize>,
    ) {
        let channels = self.bias.len();
        let count = (channels - channel).min(S::LANES);
        // SAFETY: the caller's; vectors touch `count` channels.
        unsafe {
            let mut sums = [load_count::<S>(self.bias.as_ptr().add(channel), count); FRAMES];
            let first = frame + taps.start - self.taps / 2;
            let mut input = self.input.as_ptr().add(first * channels + channel);
            let mut weights = self.weights.as_ptr().add(taps.start * channels + channel);
            if count == S::LANES {
                for _ in taps {
                    let weight = S::load(weights);
                    for (offset, sum) in sums.iter_mut().enumerate() {
                        *sum = S::mul_add(S::load(input.add(offset * channels)), weight, *sum);
                    }
                    input = input.wrapping_add(channels);
                    weights = weights.wrapping_add(channels);
                }
            } else {
                for _ in taps {
                    let weight = S::load_first(weights, count);
                    for (offset, sum) in sums.iter_mut().enumerate() {
                        *sum = S::mul_add(S::load_first(input.add(offset * channels), count), weight, *sum);
                    }
                    input = input.wrapping_add(channels);
                    weights = weights.wrapping_add(channels);
                }
            }
            let output = self.output.as_mut_ptr().add((frame - self.first_frame) * channels + channel);
            for (offset, sum) in sums.into_iter().enumerate() {
                store_count::<S>(output.add(offset * channels), F::of::<S>(sum), count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{activated, assert_near, instruction_sets, noise, on_threads};

    /// The convolution as it is defined, in double precision.
    fn composed(input: &[f32], weights: &[f32], bias: &[f32], taps: usize, activation: Activation) -> Vec<f32> {
        let channels = bias.len();
        let num_frames = input.len() / channels;
        let value = |frame: usize, channel: usize| {
            let sum: f64 = (0..taps)
                .filter_map(|tap| {
                    let seen = (frame + tap).checked_sub(taps / 2).filter(|&seen| seen < num_frames)?;
                    Some(f64::from(input[seen * channels + channel]) * f64::from(weights[tap * channels + channel]))
                })
                .sum();
            activated(activation, sum + f64::from(bias[channel])) as f32
        };
        (0..num_frames).flat_map(|frame| (0..channels).map(move |channel| value(frame, channel))).collect()
    }

    #[test]
    fn odd_shapes() {
        for set in instruction_sets() {
            for (num_frames, channels, taps) in
                [(1, 1, 1), (1, 5, 31), (7, 16, 3), (7, 33, 31), (16, 17, 15), (100, 40, 31), (131, 1024, 5)]
            {
                let input = noise(num_frames * channels, 1);
                let weights = noise(taps * channels, 2);
                let bias = noise(channels, 3);
                for activation in [Activation::None, Activation::Relu, Activation::Silu, Activation::Gelu] {
                    let expected = composed(&input, &weights, &bias, taps, activation);
                    let mut found = vec![f32::NAN; input.len()];
                    depthwise(set, &input, &weights, &bias, taps, activation, &mut found);
                    let name = format!("{}, {num_frames}x{channels}, {taps} taps, {activation:?}", set.name());
                    assert_near(&name, &found, &expected, 2e-6);
                }
            }
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads_and_whatever_follows() {
        let (num_frames, channels, taps) = (301, 37, 31);
        let input = noise(num_frames * channels, 1);
        let weights = noise(taps * channels, 2);
        let bias = noise(channels, 3);
        for set in instruction_sets() {
            let convolved = |input: &[f32], threads: usize| {
                let mut output = vec![0.0; input.len()];
                on_threads(threads, || {
                    depthwise(set, input, &weights, &bias, taps, Activation::Silu, &mut output);
                });
                output
            };
            let whole = convolved(&input, 1);
            assert!(whole == convolved(&input, 3), "{}", set.name());
            let part = convolved(&input[..100 * channels], 1);
            assert!(whole[..85 * channels] == part[..85 * channels], "{}", set.name());
        }
    }

    #[test]
    #[should_panic(expected = "4 taps have no centre")]
    fn an_even_number_of_taps_is_refused() {
        depthwise(InstructionSet::Plain, &[0.0; 4], &[0.0; 4], &[0.0; 1], 4, Activation::None, &mut [0.0; 4]);
    }
}
