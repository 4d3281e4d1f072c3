//! The gradient of attention.
//!
//! Scores are computed again, some queries at a time, so that nothing of the size of all scores is kept between the passes
//! (Dao et al. 2022, "FlashAttention", arXiv:2205.14135, sec. 3.1 and algorithm 4).
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use rayon::prelude::*;

use super::product::{Matrix, product};
use crate::attention::AttentionShape;
use crate::instruction_set::InstructionSet;
use crate::simd::{Operation, Simd, dispatch, exp, load_count, store_count};

/// Queries whose scores exist at the same time.
const QUERIES_TOGETHER: usize = 128;

/// Gradients with respect to queries, keys and values.
///
/// # Shapes
/// - each: `[clips, frames, heads * head_dim]`
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionGradients {
    /// With respect to the queries.
    pub queries: Vec<f32>,
    /// With respect to the keys.
    pub keys: Vec<f32>,
    /// With respect to the values.
    pub values: Vec<f32>,
}

/// The gradients of `softmax(scale Q K^T) V`, of every clip and head; see [`attend`](crate::attention::attend).
///
/// # Shapes
/// - queries, keys, values and gradient: `[clips, frames, heads * head_dim]`; `gradient` is that of the output
///
/// # Panics
/// If the lengths do not fit.
pub fn attention_gradient(
    shape: AttentionShape,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    scale: f32,
    gradient: &[f32],
) -> AttentionGradients {
    let AttentionShape { num_frames, num_heads, head_dim } = shape;
    let width = num_heads * head_dim;
    let clip = num_frames * width;
    assert!(clip > 0 && queries.len().is_multiple_of(clip), "{} queries of {shape:?}", queries.len());
    for other in [keys, values, gradient] {
        assert_eq!(other.len(), queries.len(), "as many of all in {shape:?}");
    }
    let clips = queries.len() / clip;
    let of_head = |number: usize| {
        let first = number / num_heads * clip + number % num_heads * head_dim;
        let rows = |values| Rows { values: values_from(values, first, clip), frames: num_frames, width, head_dim };
        head_gradient(rows(queries), rows(keys), rows(values), scale, rows(gradient))
    };
    let heads: Vec<[Vec<f32>; 3]> = (0..clips * num_heads).into_par_iter().map(of_head).collect();
    let gathered = |which: usize| {
        let mut output = vec![0.0; queries.len()];
        output.par_chunks_mut(clip).zip(heads.par_chunks(num_heads)).for_each(|(output, heads)| {
            for (frame, row) in output.chunks_exact_mut(width).enumerate() {
                for (head, values) in row.chunks_exact_mut(head_dim).zip(heads) {
                    head.copy_from_slice(&values[which][frame * head_dim..][..head_dim]);
                }
            }
        });
        output
    };
    AttentionGradients { queries: gathered(0), keys: gathered(1), values: gathered(2) }
}

/// What is left of a clip from a head's first value on.
fn values_from(values: &[f32], first: usize, clip: usize) -> &[f32] {
    &values[first..(first / clip + 1) * clip]
}

/// The rows of one head of one clip.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    frames: usize,
    width: usize,
    head_dim: usize,
}

impl<'a> Rows<'a> {
    /// Some frames as a matrix `[frames, head_dim]`.
    fn matrix(&self, first: usize, count: usize) -> Matrix<'a> {
        Matrix::of_rows(&self.values[first * self.width..], count, self.head_dim, self.width)
    }
}

/// Gradients of queries, keys and values of one head: `[frames, head_dim]` each.
fn head_gradient(queries: Rows<'_>, keys: Rows<'_>, values: Rows<'_>, scale: f32, gradient: Rows<'_>) -> [Vec<f32>; 3] {
    let Rows { frames, head_dim, .. } = queries;
    let (all_keys, all_values) = (keys.matrix(0, frames), values.matrix(0, frames));
    let mut to_queries = vec![0.0; frames * head_dim];
    let (mut to_keys, mut to_values) = (to_queries.clone(), to_queries.clone());
    let most = QUERIES_TOGETHER.min(frames);
    let (mut weights, mut slopes) = (vec![0.0; most * frames], vec![0.0; most * frames]);
    for (first, to_queries) in
        (0..frames).step_by(QUERIES_TOGETHER).zip(to_queries.chunks_mut(QUERIES_TOGETHER * head_dim))
    {
        let count = QUERIES_TOGETHER.min(frames - first);
        let (weights, slopes) = (&mut weights[..count * frames], &mut slopes[..count * frames]);
        let (queries, gradient) = (queries.matrix(first, count), gradient.matrix(first, count));
        product(queries, all_keys.transposed(), weights, false);
        product(gradient, all_values.transposed(), slopes, false);
        dispatch(InstructionSet::best(), ScoreGradient { weights, slopes, frames, scale });
        let rows = |values| Matrix::of_rows(values, count, frames, frames);
        product(rows(weights).transposed(), gradient, &mut to_values, true);
        product(rows(slopes), all_keys, to_queries, false);
        product(rows(slopes).transposed(), queries, &mut to_keys, true);
    }
    [to_queries, to_keys, to_values]
}

/// Of rows of scores, the softmax; of rows of the softmax's gradient, that of the scores before they were scaled.
struct ScoreGradient<'a> {
    /// Scores without their scale; the softmax afterwards.
    weights: &'a mut [f32],
    /// Gradients of the softmax; of the scores afterwards.
    slopes: &'a mut [f32],
    /// Values of a row.
    frames: usize,
    scale: f32,
}

impl Operation for ScoreGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { weights, slopes, frames, scale } = self;
        for (weights, slopes) in weights.chunks_exact_mut(frames).zip(slopes.chunks_exact_mut(frames)) {
            let whole = frames - frames % S::LANES;
            let mut largest = weights[whole..].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // SAFETY: vectors lie within the row, whose two slices are `frames` long; a last one touches what is left.
            unsafe {
                if whole > 0 {
                    let mut vector = S::load(weights.as_ptr());
                    for first in (S::LANES..whole).step_by(S::LANES) {
                        vector = S::at_least(S::load(weights.as_ptr().add(first)), vector);
                    }
                    largest = largest.max(S::largest(vector));
                }
                let (factor, offset) = (S::splat(scale), S::splat(-largest * scale));
                let (mut sum, mut slope) = (S::splat(0.0), S::splat(0.0));
                for first in (0..frames).step_by(S::LANES) {
                    let count = (frames - first).min(S::LANES);
                    let place = weights.as_mut_ptr().add(first);
                    let weight = exp::<S>(S::mul_add(load_count::<S>(place, count), factor, offset));
                    store_count::<S>(place, weight, count);
                    // Beyond the row's end there are no weights.
                    let weight = load_count::<S>(place, count);
                    sum = S::add(sum, weight);
                    slope = S::mul_add(weight, load_count::<S>(slopes.as_ptr().add(first), count), slope);
                }
                let share = 1.0 / S::sum(sum);
                let mean = S::splat(S::sum(slope) * share);
                let share = S::splat(share);
                for first in (0..frames).step_by(S::LANES) {
                    let count = (frames - first).min(S::LANES);
                    let (place, slope) = (weights.as_mut_ptr().add(first), slopes.as_mut_ptr().add(first));
                    let weight = S::mul(load_count::<S>(place, count), share);
                    store_count::<S>(place, weight, count);
                    let to_score = S::mul(S::mul(S::sub(load_count::<S>(slope, count), mean), weight), factor);
                    store_count::<S>(slope, to_score, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_near, noise, on_threads};

    /// `sum(gradient * attention)`, and gradients as the formulas have them, in double precision.
    fn composed(shape: AttentionShape, clips: usize, parts: [&[f32]; 4], scale: f32) -> AttentionGradients {
        let AttentionShape { num_frames, num_heads, head_dim } = shape;
        let width = num_heads * head_dim;
        let [queries, keys, values, gradient] = parts;
        let mut found = [(); 3].map(|()| vec![0.0_f64; queries.len()]);
        for (clip, head) in (0..clips).flat_map(|clip| (0..num_heads).map(move |head| (clip, head))) {
            let at = |frame: usize, place: usize| (clip * num_frames + frame) * width + head * head_dim + place;
            let dot = |left: &[f32], row: usize, right: &[f32], column: usize| {
                let pairs = (0..head_dim).map(|place| (left[at(row, place)], right[at(column, place)]));
                pairs.map(|(left, right)| f64::from(left) * f64::from(right)).sum::<f64>()
            };
            for row in 0..num_frames {
                let scores: Vec<f64> =
                    (0..num_frames).map(|column| (dot(queries, row, keys, column) * f64::from(scale)).exp()).collect();
                let sum: f64 = scores.iter().sum();
                let weights: Vec<f64> = scores.iter().map(|score| score / sum).collect();
                let slopes: Vec<f64> = (0..num_frames).map(|column| dot(gradient, row, values, column)).collect();
                let mean: f64 = weights.iter().zip(&slopes).map(|(weight, slope)| weight * slope).sum();
                for column in 0..num_frames {
                    let to_score = weights[column] * (slopes[column] - mean) * f64::from(scale);
                    for place in 0..head_dim {
                        found[0][at(row, place)] += to_score * f64::from(keys[at(column, place)]);
                        found[1][at(column, place)] += to_score * f64::from(queries[at(row, place)]);
                        found[2][at(column, place)] += weights[column] * f64::from(gradient[at(row, place)]);
                    }
                }
            }
        }
        let [queries, keys, values] = found.map(|values| values.iter().map(|&value| value as f32).collect());
        AttentionGradients { queries, keys, values }
    }

    #[test]
    fn odd_shapes() {
        for (clips, num_frames, num_heads, head_dim) in [(1, 1, 1, 1), (2, 1, 3, 4), (1, 7, 2, 5), (2, 300, 3, 17)] {
            let shape = AttentionShape { num_frames, num_heads, head_dim };
            let size = clips * num_frames * num_heads * head_dim;
            let parts = [1, 2, 3, 4].map(|seed| noise(size, seed));
            let [queries, keys, values, gradient] = parts.each_ref().map(|part| &part[..]);
            let expected = composed(shape, clips, [queries, keys, values, gradient], 0.7);
            let found = attention_gradient(shape, queries, keys, values, 0.7, gradient);
            assert_near("queries", &found.queries, &expected.queries, 2e-5);
            assert_near("keys", &found.keys, &expected.keys, 2e-5);
            assert_near("values", &found.values, &expected.values, 2e-5);
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let shape = AttentionShape { num_frames: 150, num_heads: 2, head_dim: 8 };
        let [queries, keys, values, gradient] = [1, 2, 3, 4].map(|seed| noise(2 * 150 * 16, seed));
        let run = |threads| on_threads(threads, || attention_gradient(shape, &queries, &keys, &values, 0.5, &gradient));
        assert_eq!(run(1), run(3));
    }
}
