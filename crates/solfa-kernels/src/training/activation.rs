//! Activations whose gradients are wanted, and those gradients.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use rayon::prelude::*;

use crate::elementwise::{TASK_VALUES, activate};
use crate::instruction_set::InstructionSet;
use crate::product::Activation;
use crate::simd::{Function, GeluSlope, Operation, SiluSlope, Simd, dispatch, load_count, sigmoid, store_count};

/// An activation of every value.
///
/// # Panics
/// At [`Activation::GatedSigmoid`], which needs two values: see [`gated`].
pub fn activation(values: &[f32], activation: Activation) -> Vec<f32> {
    let mut output = values.to_vec();
    activate(InstructionSet::best(), &mut output, activation);
    output
}

/// Multiplies every gradient by the slope of an activation at its value: what reaches the activation's input.
///
/// # Panics
/// If the lengths differ, and for activations other than none, SiLU and GELU.
pub fn activation_gradient(values: &[f32], activation: Activation, gradient: &mut [f32]) {
    assert_eq!(values.len(), gradient.len(), "a gradient for every value");
    match activation {
        Activation::None => {}
        Activation::Silu => multiply_by::<SiluSlope>(values, gradient),
        Activation::Gelu => multiply_by::<GeluSlope>(values, gradient),
        Activation::Relu | Activation::GatedSigmoid => panic!("{activation:?} has no slope here"),
    }
}

fn multiply_by<F: Function + Send + Sync>(values: &[f32], gradient: &mut [f32]) {
    let set = InstructionSet::best();
    gradient.par_chunks_mut(TASK_VALUES).zip(values.par_chunks(TASK_VALUES)).for_each(|(gradient, values)| {
        dispatch(set, MultiplyBy { values, gradient, slope: std::marker::PhantomData::<F> });
    });
}

struct MultiplyBy<'a, F> {
    values: &'a [f32],
    gradient: &'a mut [f32],
    slope: std::marker::PhantomData<F>,
}

impl<F: Function> Operation for MultiplyBy<'_, F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { values, gradient, .. } = self;
        let length = gradient.len().min(values.len());
        for first in (0..length).step_by(S::LANES) {
            let count = (length - first).min(S::LANES);
            // SAFETY: `count` values are left of both slices.
            unsafe {
                let place = gradient.as_mut_ptr().add(first);
                let slope = F::of::<S>(load_count::<S>(values.as_ptr().add(first), count));
                store_count::<S>(place, S::mul(load_count::<S>(place, count), slope), count);
            }
        }
    }
}

/// Gated linear units (Dauphin et al. 2017, arXiv:1612.08083): the first half of every row times the sigmoid of the second.
///
/// # Shapes
/// - doubled: `[rows, 2 * width]`
/// - output: `[rows, width]`
///
/// # Panics
/// If the length is no whole number of rows.
pub fn gated(doubled: &[f32], width: usize) -> Vec<f32> {
    let rows = rows_of(doubled, width);
    let mut output = vec![0.0; rows * width];
    let together = rows_of_task(width);
    let set = InstructionSet::best();
    output.par_chunks_mut(together * width).zip(doubled.par_chunks(together * 2 * width)).for_each(
        |(output, doubled)| {
            dispatch(set, Gate { doubled, width, output });
        },
    );
    output
}

/// The gradient of [`gated`] with respect to both halves.
///
/// # Shapes
/// - doubled and output: `[rows, 2 * width]`
/// - gradient: `[rows, width]`
///
/// # Panics
/// If sizes do not fit.
pub fn gated_gradient(doubled: &[f32], width: usize, gradient: &[f32]) -> Vec<f32> {
    let rows = rows_of(doubled, width);
    assert_eq!(gradient.len(), rows * width, "a gradient for every gated value");
    let mut output = vec![0.0; doubled.len()];
    let together = rows_of_task(width);
    let set = InstructionSet::best();
    output
        .par_chunks_mut(together * 2 * width)
        .zip(doubled.par_chunks(together * 2 * width))
        .zip(gradient.par_chunks(together * width))
        .for_each(|((output, doubled), gradient)| {
            dispatch(set, GateGradient { doubled, width, gradient, output });
        });
    output
}

fn rows_of(doubled: &[f32], width: usize) -> usize {
    assert!(width > 0 && doubled.len().is_multiple_of(2 * width), "{} values, gates of {width}", doubled.len());
    doubled.len() / (2 * width)
}

fn rows_of_task(width: usize) -> usize {
    TASK_VALUES.div_ceil(2 * width)
}

struct Gate<'a> {
    doubled: &'a [f32],
    width: usize,
    output: &'a mut [f32],
}

impl Operation for Gate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { doubled, width, output } = self;
        for (row, output) in doubled.chunks_exact(2 * width).zip(output.chunks_exact_mut(width)) {
            for first in (0..width).step_by(S::LANES) {
                let count = (width - first).min(S::LANES);
                // SAFETY: `count` values are left of both halves and of the output's row.
                unsafe {
                    let value = load_count::<S>(row.as_ptr().add(first), count);
                    let gate = sigmoid::<S>(load_count::<S>(row.as_ptr().add(width + first), count));
                    store_count::<S>(output.as_mut_ptr().add(first), S::mul(value, gate), count);
                }
            }
        }
    }
}

struct GateGradient<'a> {
    doubled: &'a [f32],
    width: usize,
    gradient: &'a [f32],
    output: &'a mut [f32],
}

impl Operation for GateGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { doubled, width, gradient, output } = self;
        let rows = doubled.chunks_exact(2 * width).zip(output.chunks_exact_mut(2 * width));
        for ((row, output), gradient) in rows.zip(gradient.chunks_exact(width)) {
            for first in (0..width).step_by(S::LANES) {
                let count = (width - first).min(S::LANES);
                // SAFETY: `count` values are left of both halves of both rows, and of the gradient's row.
                unsafe {
                    let value = load_count::<S>(row.as_ptr().add(first), count);
                    let gate = sigmoid::<S>(load_count::<S>(row.as_ptr().add(width + first), count));
                    let to_value = S::mul(load_count::<S>(gradient.as_ptr().add(first), count), gate);
                    // The sigmoid's slope is gate (1 - gate).
                    let to_gate = S::mul(S::mul(to_value, value), S::sub(S::splat(1.0), gate));
                    store_count::<S>(output.as_mut_ptr().add(first), to_value, count);
                    store_count::<S>(output.as_mut_ptr().add(width + first), to_gate, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{activated, assert_near, noise};

    const STEP: f64 = 1e-4;

    #[test]
    fn gradients_are_slopes() {
        for kind in [Activation::None, Activation::Silu, Activation::Gelu] {
            for len in [1, 7, 16, 1001] {
                let mut values: Vec<f32> = noise(len, 1).iter().map(|value| value * 4.0).collect();
                values[0] = 0.0;
                let incoming = noise(len, 2);
                let slope = |value: f32, incoming: f32| {
                    let at = |step: f64| activated(kind, f64::from(value) + step);
                    incoming * ((at(STEP) - at(-STEP)) / (2.0 * STEP)) as f32
                };
                let expected: Vec<f32> = values.iter().zip(&incoming).map(|(&v, &g)| slope(v, g)).collect();
                let mut found = incoming.clone();
                activation_gradient(&values, kind, &mut found);
                assert_near(&format!("{kind:?}, {len}"), &found, &expected, 1e-5);
                let expected: Vec<f32> = values.iter().map(|&v| activated(kind, f64::from(v)) as f32).collect();
                assert_near("value", &activation(&values, kind), &expected, 1e-6);
            }
        }
    }

    #[test]
    fn far_from_zero_slopes_are_0_and_1() {
        for kind in [Activation::Silu, Activation::Gelu] {
            let mut found = vec![1.0; 6];
            activation_gradient(&[-1e30, -200.0, -40.0, 40.0, 200.0, 1e30], kind, &mut found);
            assert_near("slopes", &found, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 1e-6);
        }
    }

    #[test]
    fn gates_and_their_gradients() {
        for (rows, width) in [(1, 1), (3, 5), (7, 16), (900, 33)] {
            let (doubled, gradient) = (noise(rows * 2 * width, 1), noise(rows * width, 2));
            let (mut expected, mut to_doubled) = (vec![0.0; rows * width], vec![0.0; rows * 2 * width]);
            for row in 0..rows {
                for place in 0..width {
                    let (value, gate) = (row * 2 * width + place, (row * 2 + 1) * width + place);
                    let sigmoid = 1.0 / (1.0 + (-f64::from(doubled[gate])).exp());
                    let incoming = f64::from(gradient[row * width + place]);
                    let input = f64::from(doubled[value]);
                    expected[row * width + place] = (input * sigmoid) as f32;
                    to_doubled[value] = (incoming * sigmoid) as f32;
                    to_doubled[gate] = (incoming * input * sigmoid * (1.0 - sigmoid)) as f32;
                }
            }
            assert_near("gated", &gated(&doubled, width), &expected, 1e-6);
            assert_near("gradient", &gated_gradient(&doubled, width, &gradient), &to_doubled, 1e-6);
        }
    }
}
