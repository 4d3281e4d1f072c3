//! Layer normalisation (Ba, Kiros and Hinton 2016) and its gradient.

use rayon::prelude::*;

use super::ROWS_TOGETHER;
use crate::instruction_set::InstructionSet;
use crate::norm;

/// Rows that one task takes: fixed, so that sums do not depend on threads.
const ROWS: usize = ROWS_TOGETHER / 16;

/// A row's mean and the reciprocal of its deviation.
fn moments(row: &[f32], epsilon: f32) -> [f32; 2] {
    let count = row.len().max(1) as f32;
    let mean = row.iter().sum::<f32>() / count;
    let variance = row.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / count;
    [mean, 1.0 / (variance + epsilon).sqrt()]
}

/// Every row by its own mean and variance, times a gain, plus a shift.
///
/// # Shapes
/// - values and output: `[rows, gain.len()]`
///
/// # Panics
/// If sizes do not fit.
pub fn layer_norm(values: &[f32], gain: &[f32], shift: &[f32], epsilon: f32) -> Vec<f32> {
    let mut output = vec![0.0; values.len()];
    norm::layer_norm(InstructionSet::best(), values, gain, shift, epsilon, &mut output);
    output
}

/// Adds the gradient with respect to the input to `output`, and gives those with respect to gain and shift.
///
/// # Shapes
/// - values, gradient and output: `[rows, gain.len()]`
///
/// # Panics
/// If sizes do not fit.
pub fn layer_norm_gradient(
    values: &[f32],
    gain: &[f32],
    epsilon: f32,
    gradient: &[f32],
    output: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let width = gain.len();
    assert!(width > 0 && values.len().is_multiple_of(width), "sizes of a layer norm");
    assert_eq!((values.len(), values.len()), (gradient.len(), output.len()), "sizes of a layer norm");
    let parts: Vec<(Vec<f32>, Vec<f32>)> = output
        .par_chunks_mut(ROWS * width)
        .zip(values.par_chunks(ROWS * width))
        .zip(gradient.par_chunks(ROWS * width))
        .map(|((output, values), gradient)| {
            let (mut to_gain, mut to_shift) = (vec![0.0_f32; width], vec![0.0_f32; width]);
            let rows = output.chunks_exact_mut(width).zip(values.chunks_exact(width)).zip(gradient.chunks_exact(width));
            for ((output, row), gradient) in rows {
                let [mean, scale] = moments(row, epsilon);
                let (mut sum, mut slope) = (0.0_f32, 0.0_f32);
                for (place, (value, gradient)) in row.iter().zip(gradient).enumerate() {
                    let normed = (value - mean) * scale;
                    to_gain[place] += gradient * normed;
                    to_shift[place] += gradient;
                    let scaled = gradient * gain[place];
                    sum += scaled;
                    slope += scaled * normed;
                }
                let (sum, slope) = (sum / width as f32, slope / width as f32);
                for (((output, value), gradient), gain) in output.iter_mut().zip(row).zip(gradient).zip(gain) {
                    let normed = (value - mean) * scale;
                    *output += scale * (gradient * gain - sum - normed * slope);
                }
            }
            (to_gain, to_shift)
        })
        .collect();
    let (mut to_gain, mut to_shift) = (vec![0.0_f32; width], vec![0.0_f32; width]);
    for (gain, shift) in parts {
        to_gain.iter_mut().zip(gain).for_each(|(total, part)| *total += part);
        to_shift.iter_mut().zip(shift).for_each(|(total, part)| *total += part);
    }
    (to_gain, to_shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_near, noise, on_threads};

    const EPSILON: f32 = 1e-5;

    /// Against differences in double precision.
    #[test]
    fn gradients_are_slopes() {
        const ROWS: usize = 3;
        const WIDTH: usize = 5;
        let (values, gradient) = (noise(ROWS * WIDTH, 1), noise(ROWS * WIDTH, 2));
        let (gain, shift) = (noise(WIDTH, 3), noise(WIDTH, 4));
        let objective = |values: &[f64], gain: &[f64], shift: &[f64]| {
            let mut sum = 0.0;
            for (row, weights) in values.chunks_exact(WIDTH).zip(gradient.chunks_exact(WIDTH)) {
                let mean = row.iter().sum::<f64>() / WIDTH as f64;
                let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / WIDTH as f64;
                for (place, value) in row.iter().enumerate() {
                    let normed = (value - mean) / (variance + f64::from(EPSILON)).sqrt();
                    sum += f64::from(weights[place]) * (normed * gain[place] + shift[place]);
                }
            }
            sum
        };
        let double = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        let parts = [double(&values), double(&gain), double(&shift)];
        let slope = |place: usize, which: usize| {
            let at = |step: f64| {
                let mut parts = parts.clone();
                parts[which][place] += step;
                objective(&parts[0], &parts[1], &parts[2])
            };
            ((at(1e-5) - at(-1e-5)) / 2e-5) as f32
        };
        let mut to_values = vec![0.0; values.len()];
        let (to_gain, to_shift) = layer_norm_gradient(&values, &gain, EPSILON, &gradient, &mut to_values);
        for (which, found) in [(0, &to_values), (1, &to_gain), (2, &to_shift)] {
            let expected: Vec<f32> = (0..found.len()).map(|place| slope(place, which)).collect();
            assert_near("gradient", found, &expected, 1e-3);
        }
        let mut added = vec![1.0; values.len()];
        layer_norm_gradient(&values, &gain, EPSILON, &gradient, &mut added);
        let expected: Vec<f32> = to_values.iter().map(|value| value + 1.0).collect();
        assert_near("added", &added, &expected, 1e-6);
    }

    #[test]
    fn threads_change_no_bit() {
        let (values, gradient) = (noise(500 * 24, 1), noise(500 * 24, 2));
        let run = |threads| {
            on_threads(threads, || {
                let mut output = vec![0.0; values.len()];
                let rest = layer_norm_gradient(&values, &[1.5; 24], EPSILON, &gradient, &mut output);
                (output, rest)
            })
        };
        assert_eq!(run(1), run(3));
    }
}
