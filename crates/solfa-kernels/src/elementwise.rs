//! Passes over activations that nothing else could do on its way.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use rayon::prelude::*;

use crate::instruction_set::InstructionSet;
use crate::product::Activation;
use crate::simd::{Function, Operation, Simd, dispatch, load_count, store_count};

/// Values of a task: a fraction of what a core's own cache holds.
pub(crate) const TASK_VALUES: usize = 16 * 1024;

/// Calls a method that is generic over the set and a [`Function`](crate::simd::Function), with the one that an
/// [`Activation`] stands for: the choice is made outside of its loops.
macro_rules! with_activation {
    ($simd:ty, $activation:expr, $owner:ident.$method:ident) => {
        match $activation {
            $crate::product::Activation::None => $owner.$method::<$simd, $crate::simd::Identity>(),
            $crate::product::Activation::Relu => $owner.$method::<$simd, $crate::simd::Relu>(),
            $crate::product::Activation::Silu => $owner.$method::<$simd, $crate::simd::Silu>(),
            $crate::product::Activation::Gelu => $owner.$method::<$simd, $crate::simd::Gelu>(),
            $crate::product::Activation::GatedSigmoid => unreachable!("refused by `check_activation`"),
        }
    };
}
pub(crate) use with_activation;

/// # Panics
/// If the activation is not a function of one value.
pub(crate) fn check_activation(activation: Activation) {
    assert!(activation != Activation::GatedSigmoid, "gates belong to products with weights that were packed for them");
}

/// An activation of every value, in place.
///
/// # Panics
/// At [`Activation::GatedSigmoid`], which needs two values.
pub fn activate(set: InstructionSet, values: &mut [f32], activation: Activation) {
    check_activation(activation);
    if activation != Activation::None {
        values.par_chunks_mut(TASK_VALUES).for_each(|values| dispatch(set, Activate { values, activation }));
    }
}

struct Activate<'a> {
    values: &'a mut [f32],
    activation: Activation,
}

impl Operation for Activate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the vectors lie within the slice; the instructions are those that `dispatch` was asked for.
        unsafe { with_activation!(S, self.activation, self.all) }
    }
}

impl Activate<'_> {
    #[inline(always)]
    unsafe fn all<S: Simd, F: Function>(&mut self) {
        let mut vectors = self.values.chunks_exact_mut(S::LANES);
        // SAFETY: as in `run`.
        unsafe {
            for values in &mut vectors {
                S::store(values.as_mut_ptr(), F::of::<S>(S::load(values.as_ptr())));
            }
            let rest = vectors.into_remainder();
            S::store_first(rest.as_mut_ptr(), F::of::<S>(S::load_first(rest.as_ptr(), rest.len())), rest.len());
        }
    }
}

/// `target += scale * source`
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled(set: InstructionSet, target: &mut [f32], source: &[f32], scale: f32) {
    assert_eq!(target.len(), source.len(), "what is added is as long as what it is added to");
    target
        .par_chunks_mut(TASK_VALUES)
        .zip(source.par_chunks(TASK_VALUES))
        .for_each(|(target, source)| dispatch(set, AddScaled { target, source, scale }));
}

struct AddScaled<'a> {
    target: &'a mut [f32],
    source: &'a [f32],
    scale: f32,
}

impl Operation for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut targets = self.target.chunks_exact_mut(S::LANES);
        let sources = self.source.chunks_exact(S::LANES);
        let source_rest = sources.remainder();
        // SAFETY: the vectors lie within slices of equal length.
        unsafe {
            let scale = S::splat(self.scale);
            for (target, source) in (&mut targets).zip(sources) {
                let sum = S::mul_add(S::load(source.as_ptr()), scale, S::load(target.as_ptr()));
                S::store(target.as_mut_ptr(), sum);
            }
            let rest = targets.into_remainder();
            let count = rest.len();
            let source = S::load_first(source_rest.as_ptr(), count);
            let sum = S::mul_add(source, scale, S::load_first(rest.as_ptr(), count));
            S::store_first(rest.as_mut_ptr(), sum, count);
        }
    }
}

/// Rotary positions, in the layout of halves: with `h = head_dim / 2`, the pair `(a, b) = (x[i], x[i + h])` of every head
/// becomes `(a cos_i - b sin_i, b cos_i + a sin_i)`. Su et al. 2021, "RoFormer", arXiv:2104.09864, sec. 3.4.2.
///
/// # Shapes
/// - input and output: `[frames, heads * head_dim]`
/// - cosine and sine: `[frames, head_dim / 2]`
///
/// # Panics
/// If `head_dim` is odd or zero, or if the lengths do not fit.
pub fn rotate(set: InstructionSet, input: &[f32], cosine: &[f32], sine: &[f32], head_dim: usize, output: &mut [f32]) {
    assert!(head_dim > 0 && head_dim.is_multiple_of(2), "a head of {head_dim} values has no halves");
    assert_eq!(input.len(), output.len(), "the output is as long as the input");
    assert_eq!(cosine.len(), sine.len(), "a sine for every cosine");
    let half = head_dim / 2;
    let num_frames = cosine.len() / half;
    if input.is_empty() {
        return;
    }
    assert!(num_frames > 0 && cosine.len() == num_frames * half, "{} cosines of {half} a frame", cosine.len());
    let width = input.len() / num_frames;
    assert!(
        input.len() == num_frames * width && width.is_multiple_of(head_dim),
        "{} values are not {num_frames} frames of heads of {head_dim}",
        input.len()
    );
    let frames = TASK_VALUES.div_ceil(width);
    output
        .par_chunks_mut(frames * width)
        .zip(input.par_chunks(frames * width))
        .zip(cosine.par_chunks(frames * half).zip(sine.par_chunks(frames * half)))
        .for_each(|((output, input), (cosine, sine))| {
            dispatch(set, Rotate { input, cosine, sine, half, width, output });
        });
}

struct Rotate<'a> {
    input: &'a [f32],
    cosine: &'a [f32],
    sine: &'a [f32],
    half: usize,
    width: usize,
    output: &'a mut [f32],
}

impl Operation for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { input, cosine, sine, half, width, output } = self;
        let frames = input.chunks_exact(width).zip(output.chunks_exact_mut(width));
        let angles = cosine.chunks_exact(half).zip(sine.chunks_exact(half));
        for ((input, output), (cosine, sine)) in frames.zip(angles) {
            for (input, output) in input.chunks_exact(2 * half).zip(output.chunks_exact_mut(2 * half)) {
                let (first, second) = input.split_at(half);
                let (first_out, second_out) = output.split_at_mut(half);
                let mut index = 0;
                while index < half {
                    let count = (half - index).min(S::LANES);
                    // SAFETY: all six slices have `half` values, and `count` are left of them.
                    unsafe {
                        let load = |values: &[f32]| load_count::<S>(values.as_ptr().add(index), count);
                        let (a, b, cosine, sine) = (load(first), load(second), load(cosine), load(sine));
                        let rotated = S::sub(S::mul(a, cosine), S::mul(b, sine));
                        store_count::<S>(first_out.as_mut_ptr().add(index), rotated, count);
                        let rotated = S::mul_add(b, cosine, S::mul(a, sine));
                        store_count::<S>(second_out.as_mut_ptr().add(index), rotated, count);
                    }
                    index += count;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{activated, assert_near, instruction_sets, noise};

    const LENGTHS: [usize; 6] = [0, 1, 7, 16, 1000, 2 * TASK_VALUES + 13];

    #[test]
    fn activations() {
        for set in instruction_sets() {
            for len in LENGTHS {
                let values = noise(len, 1);
                for activation in [Activation::None, Activation::Relu, Activation::Silu, Activation::Gelu] {
                    let expected: Vec<f32> =
                        values.iter().map(|&value| activated(activation, f64::from(value)) as f32).collect();
                    let mut found = values.clone();
                    activate(set, &mut found, activation);
                    assert_near(&format!("{}, {activation:?}, {len}", set.name()), &found, &expected, 1e-6);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "gates belong to products")]
    fn a_gate_has_two_values() {
        activate(InstructionSet::Plain, &mut [1.0], Activation::GatedSigmoid);
    }

    #[test]
    fn scaled_sums() {
        for set in instruction_sets() {
            for len in LENGTHS {
                let (mut target, source) = (noise(len, 1), noise(len, 2));
                let expected: Vec<f32> =
                    target.iter().zip(&source).map(|(target, source)| target + 0.5 * source).collect();
                add_scaled(set, &mut target, &source, 0.5);
                assert_near(&format!("{}, {len}", set.name()), &target, &expected, 1e-6);
            }
        }
    }

    #[test]
    fn rotations_of_odd_heads() {
        for set in instruction_sets() {
            for (num_frames, num_heads, head_dim) in [(1, 1, 2), (7, 3, 10), (5, 2, 64), (33, 12, 64), (700, 1, 80)] {
                let half = head_dim / 2;
                let input = noise(num_frames * num_heads * head_dim, 1);
                let angles = noise(num_frames * half, 2);
                let cosine: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
                let sine: Vec<f32> = angles.iter().map(|angle| angle.sin()).collect();
                let mut expected = vec![0.0; input.len()];
                for (start, values) in input.chunks(head_dim).enumerate() {
                    let frame = start / num_heads;
                    for i in 0..half {
                        let (a, b) = (f64::from(values[i]), f64::from(values[i + half]));
                        let cosine = f64::from(cosine[frame * half + i]);
                        let sine = f64::from(sine[frame * half + i]);
                        expected[start * head_dim + i] = (a * cosine - b * sine) as f32;
                        expected[start * head_dim + i + half] = (b * cosine + a * sine) as f32;
                    }
                }
                let mut found = vec![f32::NAN; input.len()];
                rotate(set, &input, &cosine, &sine, head_dim, &mut found);
                let name = format!("{}, {num_frames} frames, {num_heads} heads of {head_dim}", set.name());
                assert_near(&name, &found, &expected, 1e-6);
            }
        }
    }

    #[test]
    #[should_panic(expected = "not 3 frames of heads of 4")]
    fn frames_without_whole_heads_are_refused() {
        rotate(InstructionSet::Plain, &[0.0; 18], &[0.0; 6], &[0.0; 6], 4, &mut [0.0; 18]);
    }
}
