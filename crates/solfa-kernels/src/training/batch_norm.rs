//! Batch normalisation in training (Ioffe and Szegedy 2015): every channel by the mean and variance of the batch.

use rayon::prelude::*;

use super::ROWS_TOGETHER;

/// What a batch says of its channels.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel, the population's (divided by the number of rows).
    pub variance: Vec<f32>,
}

/// Sums over rows, part by part in a fixed order, of as many numbers a channel as `add` writes.
fn sums<const N: usize>(
    rows: usize,
    channels: usize,
    add: impl Fn(usize, usize, &mut [[f32; N]]) + Sync,
) -> Vec<[f64; N]> {
    let part = |number: usize| {
        let (first, last) = (number * ROWS_TOGETHER, ((number + 1) * ROWS_TOGETHER).min(rows));
        let mut sums = vec![[0.0_f32; N]; channels];
        add(first, last, &mut sums);
        sums
    };
    let parts: Vec<Vec<[f32; N]>> = (0..rows.div_ceil(ROWS_TOGETHER)).into_par_iter().map(part).collect();
    let mut total = vec![[0.0_f64; N]; channels];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
        }
    }
    total
}

/// Mean and variance of each channel over the rows of `[rows, channels]`.
pub fn batch_statistics(values: &[f32], channels: usize) -> BatchStatistics {
    let rows = values.len() / channels.max(1);
    let count = rows.max(1) as f64;
    let means = sums::<1>(rows, channels, |first, last, sums| {
        for row in values[first * channels..last * channels].chunks_exact(channels) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| sum[0] += value);
        }
    });
    let mean: Vec<f32> = means.iter().map(|[sum]| (sum / count) as f32).collect();
    // A second pass: the difference of two large sums would cancel.
    let variances = sums::<1>(rows, channels, |first, last, sums| {
        for row in values[first * channels..last * channels].chunks_exact(channels) {
            for ((sum, value), mean) in sums.iter_mut().zip(row).zip(&mean) {
                let difference = value - mean;
                sum[0] += difference * difference;
            }
        }
    });
    BatchStatistics { variance: variances.iter().map(|[sum]| (sum / count) as f32).collect(), mean }
}

/// Factor and shift of each channel: the norm is `x * factor + shift`.
fn affine(statistics: &BatchStatistics, gain: &[f32], bias: &[f32], epsilon: f32) -> Vec<[f32; 2]> {
    let channels = statistics.mean.iter().zip(&statistics.variance).zip(gain).zip(bias);
    let affine = |(((mean, variance), gain), bias): (((&f32, &f32), &f32), &f32)| {
        let factor = gain / (variance + epsilon).sqrt();
        [factor, bias - mean * factor]
    };
    channels.map(affine).collect()
}

/// Adds the norm of `[rows, channels]` to `output`, and gives `finish` every sum.
///
/// # Panics
/// If sizes do not fit.
pub fn batch_norm(
    values: &[f32],
    statistics: &BatchStatistics,
    gain: &[f32],
    bias: &[f32],
    epsilon: f32,
    output: &mut [f32],
    finish: impl Fn(f32) -> f32 + Sync,
) {
    let channels = gain.len();
    assert_eq!((values.len(), bias.len()), (output.len(), channels), "sizes of a batch norm");
    let affine = affine(statistics, gain, bias, epsilon);
    let together = ROWS_TOGETHER * channels.max(1);
    output.par_chunks_mut(together).zip(values.par_chunks(together)).for_each(|(output, values)| {
        for (output, values) in output.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
            for ((output, value), [factor, shift]) in output.iter_mut().zip(values).zip(&affine) {
                *output = finish(*output + value * factor + shift);
            }
        }
    });
}

/// The gradients of a batch norm with respect to its input, its gain and its bias.
///
/// # Shapes
/// - values, gradient and the first of the outputs: `[rows, channels]`
///
/// # Panics
/// If sizes do not fit.
pub fn batch_norm_gradient(
    values: &[f32],
    statistics: &BatchStatistics,
    gain: &[f32],
    epsilon: f32,
    gradient: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let channels = gain.len();
    assert_eq!(values.len(), gradient.len(), "sizes of a batch norm");
    let rows = values.len() / channels.max(1);
    let normed: Vec<[f32; 2]> = affine(statistics, &vec![1.0; channels], &vec![0.0; channels], epsilon);
    let totals = sums::<2>(rows, channels, |first, last, sums| {
        let range = first * channels..last * channels;
        let rows = values[range.clone()].chunks_exact(channels).zip(gradient[range].chunks_exact(channels));
        for (values, gradients) in rows {
            for (((sum, value), gradient), [factor, shift]) in sums.iter_mut().zip(values).zip(gradients).zip(&normed) {
                sum[0] += gradient;
                sum[1] += gradient * (value * factor + shift);
            }
        }
    });
    let to_bias: Vec<f32> = totals.iter().map(|[sum, _]| *sum as f32).collect();
    let to_gain: Vec<f32> = totals.iter().map(|[_, sum]| *sum as f32).collect();
    // dx = gain / deviation * (dy - mean(dy) - normed * mean(dy * normed)) = dy * a + x * b + c
    let count = rows.max(1) as f32;
    let coefficients: Vec<[f32; 3]> = (0..channels)
        .map(|channel| {
            let [factor, shift] = normed[channel];
            let scale = gain[channel] * factor;
            let (mean, slope) = (to_bias[channel] / count, to_gain[channel] / count);
            [scale, -scale * slope * factor, -scale * (mean + slope * shift)]
        })
        .collect();
    let mut to_values = vec![0.0; values.len()];
    let together = ROWS_TOGETHER * channels.max(1);
    let parts = to_values.par_chunks_mut(together).zip(values.par_chunks(together)).zip(gradient.par_chunks(together));
    parts.for_each(|((output, values), gradients)| {
        let rows = output.chunks_exact_mut(channels).zip(values.chunks_exact(channels));
        for ((output, values), gradients) in rows.zip(gradients.chunks_exact(channels)) {
            let pairs = output.iter_mut().zip(values).zip(gradients).zip(&coefficients);
            for (((output, value), gradient), [of_gradient, of_value, constant]) in pairs {
                *output = gradient * of_gradient + value * of_value + constant;
            }
        }
    });
    (to_values, to_gain, to_bias)
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
        batch_norm(&values, &statistics, &[1.0; 5], &[0.0; 5], EPSILON, &mut normed, |value| value);
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
        let (to_values, to_gain, to_bias) = batch_norm_gradient(&values, &statistics, &gain, EPSILON, &gradient);
        for (which, found) in [(0, &to_values), (1, &to_gain), (2, &to_bias)] {
            let expected: Vec<f32> = (0..found.len()).map(|place| slope(place, which)).collect();
            assert_near("gradient", found, &expected, 1e-3);
        }
    }

    #[test]
    fn sums_are_added_to_what_is_there() {
        let statistics = BatchStatistics { mean: vec![1.0], variance: vec![4.0 - EPSILON] };
        let mut output = vec![10.0, -20.0];
        batch_norm(&[3.0, 5.0], &statistics, &[2.0], &[0.5], EPSILON, &mut output, |sum| sum.max(0.0));
        assert_near("norm", &output, &[12.5, 0.0], 1e-5);
    }

    #[test]
    fn threads_change_no_bit() {
        let (values, gradient) = (noise(5000 * 6, 1), noise(5000 * 6, 2));
        let run = |threads| {
            on_threads(threads, || {
                let statistics = batch_statistics(&values, 6);
                let gradients = batch_norm_gradient(&values, &statistics, &[1.5; 6], EPSILON, &gradient);
                (statistics, gradients)
            })
        };
        assert_eq!(run(1), run(3));
    }
}
