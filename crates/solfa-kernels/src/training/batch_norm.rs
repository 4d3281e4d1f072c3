//! Batch normalisation in training (Ioffe and Szegedy 2015): every channel by the mean and variance of the batch.
//!
//! The loops over rows are plain; the compiler makes vectors of each instruction set of them.
#![allow(unsafe_code, reason = "`Operation::run` is unsafe to call: nothing unsafe is done in it")]

use rayon::prelude::*;

use super::ROWS_TOGETHER;
use super::convolution::with_border;
use crate::instruction_set::InstructionSet;
use crate::memory::Borrowed;
use crate::simd::{Operation, Simd, dispatch};

/// What a batch says of its channels.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel, the population's (divided by the number of rows).
    pub variance: Vec<f32>,
}

/// A batch norm: what it found, and what it learned.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// Of the batch.
    pub statistics: &'a BatchStatistics,
    /// Of each channel.
    pub gain: &'a [f32],
    /// Of each channel.
    pub shift: &'a [f32],
    /// Added to variances.
    pub epsilon: f32,
}

impl BatchNorm<'_> {
    fn channels(&self, values: &[f32]) -> usize {
        let channels = self.gain.len();
        let sizes = [self.shift.len(), self.statistics.mean.len(), self.statistics.variance.len()];
        assert!(channels > 0 && sizes == [channels; 3], "{channels} channels of a batch norm: {sizes:?}");
        assert!(values.len().is_multiple_of(channels), "{} values of {channels} channels", values.len());
        channels
    }

    /// The norm is `x * factor + shift`.
    fn affine(&self) -> Affine {
        let BatchStatistics { mean, variance } = self.statistics;
        let factor: Vec<f32> =
            self.gain.iter().zip(variance).map(|(gain, variance)| gain / (variance + self.epsilon).sqrt()).collect();
        let shift = self.shift.iter().zip(mean).zip(&factor).map(|((shift, mean), factor)| shift - mean * factor);
        Affine { shift: shift.collect(), factor }
    }
}

/// A factor and a shift for every channel.
struct Affine {
    factor: Vec<f32>,
    shift: Vec<f32>,
}

fn relu(value: f32) -> f32 {
    // What is no number stays what it is.
    if value < 0.0 { 0.0 } else { value }
}

/// Mean and variance of each channel over the rows of `[rows, channels]`.
///
/// Every part of the rows is passed over twice while it lies in the cache, its squares taken around its own mean, and parts
/// are put together after Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample Variance".
///
/// # Panics
/// If the length is no whole number of rows.
pub fn batch_statistics(values: &[f32], channels: usize) -> BatchStatistics {
    assert!(channels > 0 && values.len().is_multiple_of(channels), "{} values of {channels} channels", values.len());
    let rows = values.len() / channels;
    let set = InstructionSet::best();
    let moments = |rows: &[f32]| ((rows.len() / channels) as f64, dispatch(set, Moments { rows, channels }));
    let parts: Vec<(f64, BatchStatistics)> = values.par_chunks(ROWS_TOGETHER * channels).map(moments).collect();
    let count = rows.max(1) as f64;
    let mut found = BatchStatistics { mean: vec![0.0; channels], variance: vec![0.0; channels] };
    for channel in 0..channels {
        let sum: f64 = parts.iter().map(|(rows, part)| rows * f64::from(part.mean[channel])).sum();
        let mean = sum / count;
        let squares = parts.iter().map(|(rows, part)| {
            let off = f64::from(part.mean[channel]) - mean;
            f64::from(part.variance[channel]) + rows * off * off
        });
        found.mean[channel] = mean as f32;
        found.variance[channel] = (squares.sum::<f64>() / count) as f32;
    }
    found
}

/// Of some rows the mean, and the sum of squares around it.
struct Moments<'a> {
    rows: &'a [f32],
    channels: usize,
}

impl Operation for Moments<'_> {
    type Output = BatchStatistics;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> BatchStatistics {
        let Self { rows, channels } = self;
        let count = (rows.len() / channels).max(1) as f32;
        let (mut mean, mut variance) = (vec![0.0_f32; channels], vec![0.0_f32; channels]);
        for row in rows.chunks_exact(channels) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= count);
        for row in rows.chunks_exact(channels) {
            for ((sum, value), mean) in variance.iter_mut().zip(row).zip(&mean) {
                let difference = value - mean;
                *sum += difference * difference;
            }
        }
        BatchStatistics { mean, variance }
    }
}

/// The norm of `[rows, channels]` into `output`.
///
/// # Panics
/// If sizes do not fit.
pub fn batch_norm(norm: BatchNorm<'_>, values: &[f32], output: &mut [f32]) {
    let channels = norm.channels(values);
    assert_eq!(values.len(), output.len(), "sizes of a batch norm");
    let (set, affine) = (InstructionSet::best(), norm.affine());
    let together = ROWS_TOGETHER * channels;
    output.par_chunks_mut(together).zip(values.par_chunks(together)).for_each(|(output, values)| {
        dispatch(set, NormRows { affine: &affine, values, output, is_rectified: false });
    });
}

/// The norm of images, what is below 0 made 0, with a border of zeros around each.
///
/// # Shapes
/// - values: `[clips, times, bands, channels]`
/// - output: `[clips, times + 2, bands + 2, channels]`
///
/// # Panics
/// If sizes do not fit.
pub fn batch_norm_relu_padded(norm: BatchNorm<'_>, values: &[f32], extents: [usize; 2]) -> Borrowed<f32> {
    let channels = norm.channels(values);
    let (set, affine) = (InstructionSet::best(), norm.affine());
    with_border(values, extents, channels, |values, output| {
        dispatch(set, NormRows { affine: &affine, values, output, is_rectified: true });
    })
}

struct NormRows<'a> {
    affine: &'a Affine,
    values: &'a [f32],
    output: &'a mut [f32],
    is_rectified: bool,
}

impl Operation for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Affine { factor, shift } = self.affine;
        let channels = factor.len();
        for (output, values) in self.output.chunks_exact_mut(channels).zip(self.values.chunks_exact(channels)) {
            let row = output.iter_mut().zip(values).zip(factor.iter().zip(shift));
            if self.is_rectified {
                row.for_each(|((output, value), (factor, shift))| *output = relu(value * factor + shift));
            } else {
                row.for_each(|((output, value), (factor, shift))| *output = value * factor + shift);
            }
        }
    }
}

/// The sum of two norms, what is below 0 made 0, into `output`.
///
/// # Shapes
/// - both values and output: `[rows, channels]`
///
/// # Panics
/// If sizes do not fit.
pub fn batch_norm_sum_relu(left: (BatchNorm<'_>, &[f32]), right: (BatchNorm<'_>, &[f32]), output: &mut [f32]) {
    let channels = left.0.channels(left.1);
    assert_eq!(right.0.channels(right.1), channels, "channels of a sum");
    assert_eq!([left.1.len(), right.1.len()], [output.len(); 2], "sizes of a sum");
    let (set, affines) = (InstructionSet::best(), [left.0.affine(), right.0.affine()]);
    let together = ROWS_TOGETHER * channels;
    let parts = output.par_chunks_mut(together).zip(left.1.par_chunks(together)).zip(right.1.par_chunks(together));
    parts.for_each(|((output, left), right)| {
        dispatch(set, SumRows { affines: &affines, values: [left, right], output })
    });
}

struct SumRows<'a> {
    affines: &'a [Affine; 2],
    values: [&'a [f32]; 2],
    output: &'a mut [f32],
}

impl Operation for SumRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let [first, second] = self.affines;
        let channels = first.factor.len();
        let [left, right] = self.values.map(|values| values.chunks_exact(channels));
        for ((output, left), right) in self.output.chunks_exact_mut(channels).zip(left).zip(right) {
            for channel in 0..channels {
                let left = left[channel] * first.factor[channel] + first.shift[channel];
                output[channel] = relu(left + (right[channel] * second.factor[channel] + second.shift[channel]));
            }
        }
    }
}

/// Turns the gradient of a batch norm into that of its input, in place, and gives those of its gain and its shift. If the
/// norm `is_rectified`, `gradient` is that of what became 0 below 0.
///
/// # Shapes
/// - values and gradient: `[rows, channels]`
///
/// # Panics
/// If sizes do not fit.
pub fn batch_norm_gradient(
    norm: BatchNorm<'_>,
    values: &[f32],
    is_rectified: bool,
    gradient: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let channels = norm.channels(values);
    assert_eq!(values.len(), gradient.len(), "sizes of a batch norm");
    let set = InstructionSet::best();
    let gate = is_rectified.then(|| norm.affine());
    let unscaled = BatchNorm { gain: &vec![1.0; channels], shift: &vec![0.0; channels], ..norm }.affine();
    let together = ROWS_TOGETHER * channels;
    let parts: Vec<[Vec<f32>; 2]> = gradient
        .par_chunks_mut(together)
        .zip(values.par_chunks(together))
        .map(|(gradient, values)| {
            dispatch(set, GradientSums { gate: gate.as_ref(), unscaled: &unscaled, values, gradient })
        })
        .collect();
    let total =
        |which: usize, channel: usize| parts.iter().map(|part| f64::from(part[which][channel])).sum::<f64>() as f32;
    let to_shift: Vec<f32> = (0..channels).map(|channel| total(0, channel)).collect();
    let to_gain: Vec<f32> = (0..channels).map(|channel| total(1, channel)).collect();
    // dx = gain / deviation * (dy - mean(dy) - normed * mean(dy * normed)) = dy * a + x * b + c
    let count = (values.len() / channels).max(1) as f32;
    let mut coefficients = [(); 3].map(|()| vec![0.0; channels]);
    for channel in 0..channels {
        let (factor, shift) = (unscaled.factor[channel], unscaled.shift[channel]);
        let scale = norm.gain[channel] * factor;
        let (mean, slope) = (to_shift[channel] / count, to_gain[channel] / count);
        coefficients[0][channel] = scale;
        coefficients[1][channel] = -scale * slope * factor;
        coefficients[2][channel] = -scale * (mean + slope * shift);
    }
    gradient.par_chunks_mut(together).zip(values.par_chunks(together)).for_each(|(gradient, values)| {
        dispatch(set, GradientRows { coefficients: &coefficients, values, gradient });
    });
    (to_gain, to_shift)
}

/// Of some rows the sums of gradients, and of gradients times what the norm without gain and shift gives. Gradients that do
/// not pass the gate become 0.
struct GradientSums<'a> {
    gate: Option<&'a Affine>,
    unscaled: &'a Affine,
    values: &'a [f32],
    gradient: &'a mut [f32],
}

impl Operation for GradientSums<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> [Vec<f32>; 2] {
        let Affine { factor, shift } = self.unscaled;
        let channels = factor.len();
        let (mut sums, mut slopes) = (vec![0.0_f32; channels], vec![0.0_f32; channels]);
        for (gradient, values) in self.gradient.chunks_exact_mut(channels).zip(self.values.chunks_exact(channels)) {
            if let Some(Affine { factor, shift }) = self.gate {
                for ((gradient, value), (factor, shift)) in
                    gradient.iter_mut().zip(values).zip(factor.iter().zip(shift))
                {
                    *gradient = if value * factor + shift > 0.0 { *gradient } else { 0.0 };
                }
            }
            sums.iter_mut().zip(&*gradient).for_each(|(sum, gradient)| *sum += gradient);
            let rows = gradient.iter().zip(values).zip(factor.iter().zip(shift));
            for (slope, ((gradient, value), (factor, shift))) in slopes.iter_mut().zip(rows) {
                *slope += gradient * (value * factor + shift);
            }
        }
        [sums, slopes]
    }
}

struct GradientRows<'a> {
    /// Of the gradient, of the value, and a constant: for every channel.
    coefficients: &'a [Vec<f32>; 3],
    values: &'a [f32],
    gradient: &'a mut [f32],
}

impl Operation for GradientRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let [of_gradient, of_value, constant] = self.coefficients;
        let channels = constant.len();
        for (gradient, values) in self.gradient.chunks_exact_mut(channels).zip(self.values.chunks_exact(channels)) {
            let of_both = of_gradient.iter().zip(of_value).zip(constant);
            for ((gradient, value), ((of_gradient, of_value), constant)) in gradient.iter_mut().zip(values).zip(of_both)
            {
                *gradient = *gradient * of_gradient + value * of_value + constant;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_near, noise, on_threads};

    const EPSILON: f32 = 1e-5;

    #[test]
    fn channels_have_mean_0_and_variance_1() {
        let values: Vec<f32> =
            noise(3000 * 5, 1).iter().enumerate().map(|(place, value)| value * 2.0 + (place % 5) as f32).collect();
        let statistics = batch_statistics(&values, 5);
        let mut normed = vec![0.0; values.len()];
        let norm = BatchNorm { statistics: &statistics, gain: &[1.0; 5], shift: &[0.0; 5], epsilon: EPSILON };
        batch_norm(norm, &values, &mut normed);
        let again = batch_statistics(&normed, 5);
        assert!(again.mean.iter().all(|mean| mean.abs() < 1e-5), "{:?}", again.mean);
        assert!(again.variance.iter().all(|variance| (variance - 1.0).abs() < 1e-4), "{:?}", again.variance);
    }

    /// Against differences of the norm itself, in double precision.
    #[test]
    fn gradients_are_slopes() {
        const ROWS: usize = 7;
        const CHANNELS: usize = 3;
        let (values, gradient) = (noise(ROWS * CHANNELS, 1), noise(ROWS * CHANNELS, 2));
        let (gain, bias) = (noise(CHANNELS, 3), noise(CHANNELS, 4));
        let objective = |values: &[f64], gain: &[f64], bias: &[f64]| {
            let mut sum = 0.0;
            for channel in 0..CHANNELS {
                let column: Vec<f64> = values.iter().skip(channel).step_by(CHANNELS).copied().collect();
                let mean = column.iter().sum::<f64>() / ROWS as f64;
                let variance = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / ROWS as f64;
                for (row, value) in column.iter().enumerate() {
                    let normed = (value - mean) / (variance + f64::from(EPSILON)).sqrt();
                    sum += f64::from(gradient[row * CHANNELS + channel]) * (normed * gain[channel] + bias[channel]);
                }
            }
            sum
        };
        let double = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        let (x, g, b) = (double(&values), double(&gain), double(&bias));
        let slope = |place: usize, which: usize| {
            let at = |step: f64| {
                let mut parts = [x.clone(), g.clone(), b.clone()];
                parts[which][place] += step;
                objective(&parts[0], &parts[1], &parts[2])
            };
            ((at(1e-5) - at(-1e-5)) / 2e-5) as f32
        };
        let statistics = batch_statistics(&values, CHANNELS);
        let norm = BatchNorm { statistics: &statistics, gain: &gain, shift: &bias, epsilon: EPSILON };
        let mut to_values = gradient.clone();
        let (to_gain, to_bias) = batch_norm_gradient(norm, &values, false, &mut to_values);
        for (which, found) in [(0, &to_values), (1, &to_gain), (2, &to_bias)] {
            let expected: Vec<f32> = (0..found.len()).map(|place| slope(place, which)).collect();
            assert_near("gradient", found, &expected, 1e-3);
        }
    }

    #[test]
    fn what_is_below_0_becomes_0_and_passes_nothing_back() {
        let (rows, channels) = (6, 5);
        let (values, others, gradient) =
            (noise(rows * channels, 1), noise(rows * channels, 5), noise(rows * channels, 2));
        let (gain, shift) = (noise(channels, 3), noise(channels, 4));
        let statistics = batch_statistics(&values, channels);
        let norm = BatchNorm { statistics: &statistics, gain: &gain, shift: &shift, epsilon: EPSILON };
        let mut normed = vec![0.0; values.len()];
        batch_norm(norm, &values, &mut normed);
        let rectified: Vec<f32> = normed.iter().map(|value| value.max(0.0)).collect();
        let bordered = batch_norm_relu_padded(norm, &values, [2, 3]);
        assert_eq!(*bordered, *super::super::padded(&rectified, [2, 3], channels));

        let mut other_normed = vec![0.0; values.len()];
        batch_norm(norm, &others, &mut other_normed);
        let sums: Vec<f32> = normed.iter().zip(&other_normed).map(|(left, right)| (left + right).max(0.0)).collect();
        let mut found = vec![0.0; values.len()];
        batch_norm_sum_relu((norm, &values), (norm, &others), &mut found);
        assert_near("sum", &found, &sums, 1e-6);

        let passed = gradient.iter().zip(&normed).map(|(&gradient, &normed)| if normed > 0.0 { gradient } else { 0.0 });
        let mut expected: Vec<f32> = passed.collect();
        let of_parameters = batch_norm_gradient(norm, &values, false, &mut expected);
        let mut found = gradient.clone();
        assert_eq!(batch_norm_gradient(norm, &values, true, &mut found), of_parameters);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let statistics = BatchStatistics { mean: vec![0.0], variance: vec![1.0] };
        let norm = BatchNorm { statistics: &statistics, gain: &[1.0], shift: &[0.0], epsilon: EPSILON };
        let mut found = vec![0.0; 2];
        batch_norm_sum_relu((norm, &[f32::NAN, -1.0]), (norm, &[0.0, 0.0]), &mut found);
        assert!(found[0].is_nan() && found[1] == 0.0);
    }

    #[test]
    fn threads_change_no_bit() {
        let (values, gradient) = (noise(5000 * 6, 1), noise(5000 * 6, 2));
        let run = |threads| {
            on_threads(threads, || {
                let statistics = batch_statistics(&values, 6);
                let norm = BatchNorm { statistics: &statistics, gain: &[1.5; 6], shift: &[0.5; 6], epsilon: EPSILON };
                let mut to_values = gradient.clone();
                let gradients = batch_norm_gradient(norm, &values, true, &mut to_values);
                (statistics, gradients, to_values)
            })
        };
        assert_eq!(run(1), run(3));
    }
}
