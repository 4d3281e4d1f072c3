//! Normalisation of frames, and of channels over time.
//!
//! Ba, Kiros and Hinton 2016, "Layer Normalization", arXiv:1607.06450. The norm of every channel over all frames is what
//! group norm (Wu and He 2018, arXiv:1803.08494) is where every channel is a group.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use rayon::prelude::*;

use crate::elementwise::{TASK_VALUES, check_activation, with_activation};
use crate::instruction_set::InstructionSet;
use crate::memory::borrow;
use crate::product::Activation;
use crate::simd::{Function, Operation, Simd, dispatch, load_count, store_count};

/// Layer norm of every row: `(x - mean) / sqrt(variance + epsilon) * gamma + beta`.
///
/// # Shapes
/// - input and output: `[frames, width]`
/// - gamma and beta: `[width]`
///
/// # Panics
/// If the lengths do not fit.
pub fn layer_norm(set: InstructionSet, input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, output: &mut [f32]) {
    assert_eq!(input.len(), output.len(), "the output is as long as the input");
    if input.is_empty() {
        return;
    }
    let width = check_width(input.len(), gamma, beta);
    let task_values = TASK_VALUES.div_ceil(width) * width;
    output.par_chunks_mut(task_values).zip(input.par_chunks(task_values)).for_each(|(output, input)| {
        let input = Some(input);
        dispatch(set, LayerNorm { input, gamma, beta, epsilon, activation: Activation::None, output });
    });
}

/// Layer norm of every row in place, then an activation.
///
/// # Shapes
/// - frames: `[frames, width]`
/// - gamma and beta: `[width]`
///
/// # Panics
/// If the lengths do not fit, and at [`Activation::GatedSigmoid`].
pub fn layer_norm_in_place(
    set: InstructionSet,
    frames: &mut [f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    activation: Activation,
) {
    check_activation(activation);
    if frames.is_empty() {
        return;
    }
    let width = check_width(frames.len(), gamma, beta);
    let task_values = TASK_VALUES.div_ceil(width) * width;
    frames.par_chunks_mut(task_values).for_each(|output| {
        dispatch(set, LayerNorm { input: None, gamma, beta, epsilon, activation, output });
    });
}

/// The width of frames that hold `len` values.
fn check_width(len: usize, gamma: &[f32], beta: &[f32]) -> usize {
    let width = gamma.len();
    assert_eq!(beta.len(), width, "a beta for every gamma");
    assert!(width > 0 && len.is_multiple_of(width), "{len} values are not frames of {width}");
    width
}

struct LayerNorm<'a> {
    /// As long as the output, which is normalised in place where there is none.
    input: Option<&'a [f32]>,
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
    activation: Activation,
    output: &'a mut [f32],
}

impl Operation for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the public functions above have checked all lengths.
        unsafe { with_activation!(S, self.activation, self.rows) }
    }
}

impl LayerNorm<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, F: Function>(&mut self) {
        let width = self.gamma.len();
        for (number, output) in self.output.chunks_exact_mut(width).enumerate() {
            let output = output.as_mut_ptr();
            let input = match self.input {
                Some(input) => input[number * width..(number + 1) * width].as_ptr(),
                None => output.cast_const(),
            };
            // SAFETY: `width` values are valid behind each of the four pointers. Where input and output are the same, a
            // vector is read before it is written.
            unsafe {
                let mean = row_sum::<S>(input, width, |value| value) / width as f32;
                let mean = S::splat(mean);
                let squares = row_sum::<S>(input, width, |value| {
                    let difference = S::sub(value, mean);
                    S::mul(difference, difference)
                });
                let scale = S::splat(1.0 / (squares / width as f32 + self.epsilon).sqrt());
                let mut column = 0;
                while column < width {
                    let count = (width - column).min(S::LANES);
                    let gamma = load_count::<S>(self.gamma.as_ptr().add(column), count);
                    let beta = load_count::<S>(self.beta.as_ptr().add(column), count);
                    let value = S::sub(load_count::<S>(input.add(column), count), mean);
                    let value = F::of::<S>(S::mul_add(S::mul(value, scale), gamma, beta));
                    store_count::<S>(output.add(column), value, count);
                    column += count;
                }
            }
        }
    }
}

/// The sum of a function of every value: in four vectors, and a fifth for what does not fill one.
///
/// # Safety
/// As for [`Simd`]; `width` values are valid.
#[inline(always)]
unsafe fn row_sum<S: Simd>(row: *const f32, width: usize, function: impl Fn(S::Vector) -> S::Vector) -> f32 {
    const VECTORS: usize = 4;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [S::splat(0.0); VECTORS];
        let mut column = 0;
        while column + VECTORS * S::LANES <= width {
            for (vector, sum) in sums.iter_mut().enumerate() {
                *sum = S::add(*sum, function(S::load(row.add(column + vector * S::LANES))));
            }
            column += VECTORS * S::LANES;
        }
        while column + S::LANES <= width {
            sums[0] = S::add(sums[0], function(S::load(row.add(column))));
            column += S::LANES;
        }
        let mut sum = S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
        if column < width {
            // Beyond the row, a vector holds zeros, of which the function may make something.
            let mut rest = [0.0; 64];
            let count = width - column;
            S::store_first(rest.as_mut_ptr(), function(S::load_first(row.add(column), count)), count);
            sum += S::sum(S::load_first(rest.as_ptr(), count));
        }
        sum
    }
}

/// Frames of a block of [`channel_norm_in_place`]: few enough that single precision adds them up exactly enough.
const BLOCK_FRAMES: usize = 256;

/// Every channel by its own mean and variance over all frames, times gamma plus beta, then an activation; in place.
///
/// The mean of every block of some hundred frames, and the squares around it, are taken while the block is in the cache,
/// and put together in double precision. So a recording is read twice rather than three times, and a hundred thousand
/// frames lose no precision.
///
/// # Shapes
/// - frames: `[frames, channels]`
/// - gamma and beta: `[channels]`
///
/// # Panics
/// If the lengths do not fit, and at [`Activation::GatedSigmoid`].
pub fn channel_norm_in_place(
    set: InstructionSet,
    frames: &mut [f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    activation: Activation,
) {
    check_activation(activation);
    if frames.is_empty() {
        return;
    }
    let width = check_width(frames.len(), gamma, beta);
    let num_frames = frames.len() / width;
    // The division into blocks decides the sums' bits, so it must not depend on the number of threads.
    let block_values = (4 * TASK_VALUES / width).clamp(1, BLOCK_FRAMES) * width;
    let num_blocks = frames.len().div_ceil(block_values);
    let mut statistics = borrow::<f32>(num_blocks * 3 * width);
    statistics.par_chunks_exact_mut(3 * width).zip(frames.par_chunks(block_values)).for_each(|(statistics, frames)| {
        let (means, rest) = statistics.split_at_mut(width);
        let (differences, squares) = rest.split_at_mut(width);
        dispatch(set, BlockStatistics { frames, means, differences, squares });
    });

    let mut whole = borrow::<ChannelNorm>(width);
    whole.par_iter_mut().enumerate().with_min_len(64).for_each(|(channel, norm)| {
        let blocks = statistics.chunks_exact(3 * width).zip(frames.chunks(block_values)).map(|(statistics, frames)| {
            let [mean, difference, squares] = [0, 1, 2].map(|kind| f64::from(statistics[kind * width + channel]));
            let count = (frames.len() / width) as f64;
            (count, mean + difference / count, squares - difference * difference / count)
        });
        let sum: f64 = blocks.clone().map(|(count, mean, _)| count * mean).sum();
        let mean = sum / num_frames as f64;
        let squares: f64 = blocks.map(|(count, part, squares)| squares + count * (part - mean).powi(2)).sum();
        let scale = f64::from(gamma[channel]) / (squares / num_frames as f64 + f64::from(epsilon)).sqrt();
        // What the mean loses when it is rounded comes back with beta.
        let rounded = mean as f32;
        let shift = f64::from(beta[channel]) + (f64::from(rounded) - mean) * scale;
        *norm = ChannelNorm { mean: rounded, scale: scale as f32, shift: shift as f32 };
    });
    let [means, scales, shifts] = &mut [0; 3].map(|_: i32| borrow::<f32>(width));
    for (channel, norm) in whole.iter().enumerate() {
        (means[channel], scales[channel], shifts[channel]) = (norm.mean, norm.scale, norm.shift);
    }

    let (means, scales, shifts) = (&**means, &**scales, &**shifts);
    frames
        .par_chunks_mut(block_values)
        .for_each(|frames| dispatch(set, ApplyChannelNorm { frames, means, scales, shifts, activation }));
}

/// A channel's values become `(x - mean) * scale + shift`.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct ChannelNorm {
    mean: f32,
    scale: f32,
    shift: f32,
}

/// Of every channel of a block, the mean as far as single precision has it, and the sums of the differences from it and
/// of their squares.
struct BlockStatistics<'a> {
    frames: &'a [f32],
    means: &'a mut [f32],
    differences: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Operation for BlockStatistics<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { frames, means, differences, squares } = self;
        let width = means.len();
        let num_frames = frames.len() / width;
        let mut channel = 0;
        while channel < width {
            let channels = (width - channel).min(STRIP_VECTORS * S::LANES);
            // SAFETY: frames and statistics all have `width` values, of which `channels` are left.
            unsafe {
                let frames = frames.as_ptr().add(channel);
                let statistics =
                    [&mut *means, &mut *differences, &mut *squares].map(|values| values.as_mut_ptr().add(channel));
                if channels == STRIP_VECTORS * S::LANES {
                    strip_statistics::<S, STRIP_VECTORS>(frames, num_frames, width, channels, statistics);
                    channel += channels;
                } else {
                    strip_statistics::<S, 1>(frames, num_frames, width, channels.min(S::LANES), statistics);
                    channel += channels.min(S::LANES);
                }
            }
        }
    }
}

/// Vectors of channels whose sums are in registers at the same time.
const STRIP_VECTORS: usize = 4;

/// Statistics of up to as many channels as fill the vectors: means, differences and squares.
///
/// # Safety
/// As for [`Simd`]; the channels are valid in all frames and in the statistics, and they fill all vectors but the last.
#[inline(always)]
unsafe fn strip_statistics<S: Simd, const VECTORS: usize>(
    frames: *const f32,
    num_frames: usize,
    width: usize,
    channels: usize,
    statistics: [*mut f32; 3],
) {
    // SAFETY: the caller's.
    unsafe {
        let last = channels - (VECTORS - 1) * S::LANES;
        let mut sums = [S::splat(0.0); VECTORS];
        for frame in 0..num_frames {
            let frame = frames.add(frame * width);
            for (vector, sum) in sums.iter_mut().enumerate() {
                let count = if vector + 1 < VECTORS { S::LANES } else { last };
                *sum = S::add(*sum, load_count::<S>(frame.add(vector * S::LANES), count));
            }
        }
        let means = sums.map(|sum| S::div(sum, S::splat(num_frames as f32)));
        let mut differences = [S::splat(0.0); VECTORS];
        let mut squares = [S::splat(0.0); VECTORS];
        for frame in 0..num_frames {
            let frame = frames.add(frame * width);
            for vector in 0..VECTORS {
                let count = if vector + 1 < VECTORS { S::LANES } else { last };
                let difference = S::sub(load_count::<S>(frame.add(vector * S::LANES), count), means[vector]);
                differences[vector] = S::add(differences[vector], difference);
                squares[vector] = S::mul_add(difference, difference, squares[vector]);
            }
        }
        for (pointer, vectors) in statistics.into_iter().zip([means, differences, squares]) {
            for (vector, value) in vectors.into_iter().enumerate() {
                let count = if vector + 1 < VECTORS { S::LANES } else { last };
                store_count::<S>(pointer.add(vector * S::LANES), value, count);
            }
        }
    }
}

struct ApplyChannelNorm<'a> {
    frames: &'a mut [f32],
    means: &'a [f32],
    scales: &'a [f32],
    shifts: &'a [f32],
    activation: Activation,
}

impl Operation for ApplyChannelNorm<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: means, scales and shifts are as long as a frame is wide.
        unsafe { with_activation!(S, self.activation, self.rows) }
    }
}

impl ApplyChannelNorm<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, F: Function>(&mut self) {
        let width = self.means.len();
        for frame in self.frames.chunks_exact_mut(width) {
            let mut column = 0;
            while column < width {
                let count = (width - column).min(S::LANES);
                // SAFETY: as in `run`, for `count` values.
                unsafe {
                    let place = frame.as_mut_ptr().add(column);
                    let load = |values: &[f32]| load_count::<S>(values.as_ptr().add(column), count);
                    let value = S::sub(load_count::<S>(place, count), load(self.means));
                    let value = F::of::<S>(S::mul_add(value, load(self.scales), load(self.shifts)));
                    store_count::<S>(place, value, count);
                }
                column += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{activated, assert_near, instruction_sets, noise, on_threads};

    const EPSILON: f32 = 1e-5;
    const ACTIVATIONS: [Activation; 4] = [Activation::None, Activation::Relu, Activation::Silu, Activation::Gelu];

    fn normed(values: &[f64], gamma: impl Fn(usize) -> f32, beta: impl Fn(usize) -> f32) -> Vec<f64> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
        let place =
            |(index, value): (usize, &f64)| (value - mean) * scale * f64::from(gamma(index)) + f64::from(beta(index));
        values.iter().enumerate().map(place).collect()
    }

    /// Layer norm as it is defined, in double precision.
    fn composed_rows(frames: &[f32], gamma: &[f32], beta: &[f32], activation: Activation) -> Vec<f32> {
        let rows = frames.chunks(gamma.len()).map(|row| row.iter().copied().map(f64::from).collect::<Vec<f64>>());
        let normed = rows.flat_map(|row| normed(&row, |index| gamma[index], |index| beta[index]));
        normed.map(|value| activated(activation, value) as f32).collect()
    }

    fn composed_channels(frames: &[f32], gamma: &[f32], beta: &[f32], activation: Activation) -> Vec<f32> {
        let width = gamma.len();
        let mut output = vec![0.0; frames.len()];
        for channel in 0..width {
            let values: Vec<f64> = frames[channel..].iter().step_by(width).copied().map(f64::from).collect();
            let found = normed(&values, |_| gamma[channel], |_| beta[channel]);
            for (frame, value) in found.into_iter().enumerate() {
                output[frame * width + channel] = activated(activation, value) as f32;
            }
        }
        output
    }

    /// Numbers with another mean in every column.
    fn shifted_noise(num_frames: usize, width: usize, shift: f32) -> Vec<f32> {
        let mut frames = noise(num_frames * width, 1);
        frames.iter_mut().enumerate().for_each(|(index, value)| *value += shift * ((index % width) % 3) as f32);
        frames
    }

    #[test]
    fn rows_of_odd_widths() {
        for set in instruction_sets() {
            for (num_frames, width) in [(1, 1), (1, 64), (7, 5), (3, 17), (50, 80), (9, 1000), (40, 1024)] {
                let frames = shifted_noise(num_frames, width, 3.0);
                let (gamma, beta) = (noise(width, 2), noise(width, 3));
                let name = format!("{}, {num_frames}x{width}", set.name());
                let expected = composed_rows(&frames, &gamma, &beta, Activation::None);
                let mut output = vec![f32::NAN; frames.len()];
                layer_norm(set, &frames, &gamma, &beta, EPSILON, &mut output);
                assert_near(&name, &output, &expected, 2e-6);
                for activation in ACTIVATIONS {
                    let expected = composed_rows(&frames, &gamma, &beta, activation);
                    let mut found = frames.clone();
                    layer_norm_in_place(set, &mut found, &gamma, &beta, EPSILON, activation);
                    assert_near(&format!("{name}, {activation:?}"), &found, &expected, 2e-6);
                }
            }
        }
    }

    #[test]
    fn channels_of_odd_numbers() {
        for set in instruction_sets() {
            for (num_frames, width) in [(1, 3), (2, 1), (7, 5), (1000, 17), (300, 80), (700, 512)] {
                let frames = shifted_noise(num_frames, width, 3.0);
                let (gamma, beta) = (noise(width, 2), noise(width, 3));
                for activation in ACTIVATIONS {
                    let expected = composed_channels(&frames, &gamma, &beta, activation);
                    let mut found = frames.clone();
                    channel_norm_in_place(set, &mut found, &gamma, &beta, EPSILON, activation);
                    let name = format!("{}, {num_frames}x{width}, {activation:?}", set.name());
                    assert_near(&name, &found, &expected, 3e-6);
                }
            }
        }
    }

    #[test]
    fn many_frames_far_from_zero_lose_nothing() {
        let (num_frames, width) = (200_003, 3);
        let frames = shifted_noise(num_frames, width, 100.0);
        let (gamma, beta) = (vec![1.0; width], vec![0.0; width]);
        let expected = composed_channels(&frames, &gamma, &beta, Activation::None);
        for set in instruction_sets() {
            let mut found = frames.clone();
            channel_norm_in_place(set, &mut found, &gamma, &beta, EPSILON, Activation::None);
            assert_near(set.name(), &found, &expected, 2e-6);
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads() {
        let (num_frames, width) = (5000, 40);
        let frames = shifted_noise(num_frames, width, 1.0);
        let (gamma, beta) = (noise(width, 2), noise(width, 3));
        for set in instruction_sets() {
            let norm = |threads: usize| {
                let mut found = frames.clone();
                on_threads(threads, || {
                    channel_norm_in_place(set, &mut found, &gamma, &beta, EPSILON, Activation::Gelu);
                    layer_norm_in_place(set, &mut found, &gamma, &beta, EPSILON, Activation::Silu);
                });
                found
            };
            assert!(norm(1) == norm(3), "{}", set.name());
        }
    }

    #[test]
    fn what_is_not_a_number_stays_in_its_row() {
        let width = 21;
        let mut frames = noise(5 * width, 1);
        frames[2 * width + 20] = f32::NAN;
        for set in instruction_sets() {
            let mut output = vec![0.0; frames.len()];
            layer_norm(set, &frames, &vec![1.0; width], &vec![0.0; width], EPSILON, &mut output);
            for (row, values) in output.chunks(width).enumerate() {
                assert!(values.iter().all(|value| value.is_nan() == (row == 2)), "{}: row {row}", set.name());
            }
            let mut output = frames.clone();
            channel_norm_in_place(set, &mut output, &vec![1.0; width], &vec![0.0; width], EPSILON, Activation::None);
            let is_right = |(index, value): (usize, &f32)| value.is_nan() == (index % width == 20);
            assert!(output.iter().enumerate().all(is_right), "{}", set.name());
        }
    }

    #[test]
    #[should_panic(expected = "7 values are not frames of 3")]
    fn frames_of_another_width_are_refused() {
        layer_norm(InstructionSet::Plain, &[0.0; 7], &[0.0; 3], &[0.0; 3], EPSILON, &mut [0.0; 7]);
    }
}
