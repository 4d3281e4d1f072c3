//! Attention of every frame to every frame, head by head: `softmax(scale Q K^T) V`.
//!
//! Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sec. 3.2.1. Keys and values of a head are packed
//! once. Then a strip of some queries at a time is multiplied with all keys, its scores become probabilities while they are
//! in the cache, and these are multiplied with the values; the scores of all queries never exist at the same time. At the
//! lengths of music clips a row fits into the cache, so its softmax is taken over the whole row and not in parts.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use std::f32::consts::LOG2_E;

use rayon::prelude::*;

use crate::memory::borrow;
use crate::product::{Arithmetic, LeftLayout, PANEL_COLUMNS, PanelProduct, extent, store_operand};
use crate::simd::{Operation, Simd, dispatch, exp2, store_count};

/// Queries of a task, about: enough to be worth a task, and few enough that many threads have work.
const TASK_FRAMES: usize = 128;
/// Panels of scores that are multiplied before they are looked at: in the first-level cache, and finished by then.
const GROUP_PANELS: usize = 4;
/// Rows of the highest strip that any kernel has.
const MOST_ROWS: usize = 32;
/// Lanes of the longest vector that there is.
const MOST_LANES: usize = 16;

/// Rows of queries, keys or values inside of wider rows: head `h` of frame `f` is
/// `values[f * row_pitch + h * head_dim ..][..head_dim]`.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// Where the rows lie; the first value of the first frame's first head comes first.
    pub values: &'a [f32],
    /// Values from one frame to the next.
    pub row_pitch: usize,
}

/// How much attends to how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Frames that attend, and that are attended to.
    pub num_frames: usize,
    /// Heads.
    pub num_heads: usize,
    /// Values of a frame in one head.
    pub head_dim: usize,
}

/// `softmax(scale Q K^T) V` of every head. Scores, softmax and sums are single precision; what is multiplied has the
/// precision of the arithmetic.
///
/// Nobody attends to frames whose `padding` is true: their weights are exactly 0, whatever their keys and values hold. If
/// that is so of all frames, everybody attends to all of them alike, as where all scores are replaced by the least number
/// before a softmax.
///
/// # Shapes
/// - queries, keys and values: [`Heads`] of `num_frames` frames
/// - padding: `[frames]`
/// - weights_out: `[heads, frames that attend, frames attended to]`, receives the softmax
/// - output: `[frames, heads * head_dim]`
///
/// # Panics
/// If the lengths do not fit, or if `scale` is not a positive number.
#[expect(clippy::too_many_arguments, reason = "three operands, four settings and two results")]
pub fn attend(
    arithmetic: Arithmetic,
    shape: AttentionShape,
    queries: Heads<'_>,
    keys: Heads<'_>,
    values: Heads<'_>,
    scale: f32,
    padding: Option<&[bool]>,
    weights_out: Option<&mut [f32]>,
    output: &mut [f32],
) {
    let AttentionShape { num_frames, num_heads, head_dim } = shape;
    let width = num_heads.saturating_mul(head_dim);
    assert_eq!(output.len(), num_frames.saturating_mul(width), "output of {shape:?}");
    if output.is_empty() {
        return;
    }
    for (name, heads) in [("queries", queries), ("keys", keys), ("values", values)] {
        let needed = extent(&[(num_frames, heads.row_pitch)], width);
        assert!(needed <= heads.values.len(), "{name} need {needed} values of {}", heads.values.len());
    }
    assert!(scale > 0.0 && scale.is_finite(), "scores are scaled by {scale}");
    if let Some(padding) = padding {
        assert_eq!(padding.len(), num_frames, "padding of {shape:?}");
    }
    if let Some(weights) = &weights_out {
        let needed = num_heads.saturating_mul(num_frames).saturating_mul(num_frames);
        assert_eq!(weights.len(), needed, "weights of {shape:?}");
    }

    // Keys of zeros give everybody the same score, which is what is wanted where nobody may be attended to.
    let is_all_padding = padding.is_some_and(|padding| padding.iter().all(|&is_padding| is_padding));
    let no_values = padding.filter(|_| !is_all_padding);
    let mut kept = borrow::<f32>(num_frames.next_multiple_of(PANEL_COLUMNS));
    for (frame, kept) in kept.iter_mut().enumerate() {
        let is_kept = frame < num_frames && no_values.is_none_or(|padding| !padding[frame]);
        *kept = if is_kept { 1.0 } else { 0.0 };
    }
    let mut whole_panels = borrow::<u8>(kept.len() / PANEL_COLUMNS);
    for (is_whole, kept) in whole_panels.iter_mut().zip(kept.chunks_exact(PANEL_COLUMNS)) {
        *is_whole = u8::from(kept.iter().all(|&kept| kept == 1.0));
    }
    let attention = Attention {
        product: PanelProduct::new(arithmetic),
        shape,
        queries,
        keys,
        values,
        scale,
        no_keys: padding,
        no_values,
        kept: Kept { frames: kept.as_chunks().0, whole_panels: &whole_panels },
        weights: weights_out.map(|weights| Shared(weights.as_mut_ptr())),
        output: Shared(output.as_mut_ptr()),
    };
    let num_tasks = num_frames.div_ceil(TASK_FRAMES);
    (0..num_heads).into_par_iter().for_each(|head| {
        let mut packed_keys = borrow::<u8>(attention.num_key_panels() * attention.key_panel_bytes());
        attention.pack_keys(head, &mut packed_keys);
        let mut packed_values = borrow::<u8>(attention.num_value_panels() * attention.value_panel_bytes());
        attention.pack_values(head, &mut packed_values);
        (0..num_tasks).into_par_iter().for_each(|task| {
            let (start, end) = (num_frames * task / num_tasks, num_frames * (task + 1) / num_tasks);
            attention.run(head, start, end - start, &packed_keys, &packed_values);
        });
    });
}

/// The first value of something of which every task writes values of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: tasks write rows of their own, of one head; what they belong to outlives them, because `attend` waits.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// One attention of all heads.
struct Attention<'a> {
    product: PanelProduct,
    shape: AttentionShape,
    queries: Heads<'a>,
    keys: Heads<'a>,
    values: Heads<'a>,
    scale: f32,
    /// Frames whose keys, and whose values, are taken for zeros.
    no_keys: Option<&'a [bool]>,
    no_values: Option<&'a [bool]>,
    kept: Kept<'a>,
    weights: Option<Shared>,
    output: Shared,
}

/// Who may be attended to.
#[derive(Clone, Copy)]
struct Kept<'a> {
    /// 1 for every frame that may be, 0 for the others and up to a whole panel.
    frames: &'a [[f32; PANEL_COLUMNS]],
    /// For every panel of frames, 1 where all of them may be.
    whole_panels: &'a [u8],
}

impl Attention<'_> {
    fn num_key_panels(&self) -> usize {
        self.shape.num_frames.div_ceil(PANEL_COLUMNS)
    }

    fn key_panel_bytes(&self) -> usize {
        self.product.panel_bytes(self.shape.head_dim)
    }

    fn num_value_panels(&self) -> usize {
        self.shape.head_dim.div_ceil(PANEL_COLUMNS)
    }

    fn value_panel_bytes(&self) -> usize {
        self.product.panel_bytes(self.shape.num_frames)
    }

    fn pack_keys(&self, head: usize, packed: &mut [u8]) {
        let AttentionShape { num_frames, head_dim, .. } = self.shape;
        let mut scratch = borrow::<u32>(self.product.scratch_len(head_dim));
        for (number, panel) in packed.chunks_exact_mut(self.key_panel_bytes()).enumerate() {
            let first = number * PANEL_COLUMNS;
            let count = PANEL_COLUMNS.min(num_frames - first);
            let source = &self.keys.values[first * self.keys.row_pitch + head * head_dim..];
            let leave_out = self.no_keys.map(|padding| &padding[first..first + count]);
            self.product.pack_columns(source, self.keys.row_pitch, count, head_dim, leave_out, &mut scratch, panel);
        }
    }

    fn pack_values(&self, head: usize, packed: &mut [u8]) {
        let AttentionShape { num_frames, head_dim, .. } = self.shape;
        for (number, panel) in packed.chunks_exact_mut(self.value_panel_bytes()).enumerate() {
            let first = number * PANEL_COLUMNS;
            let columns = PANEL_COLUMNS.min(head_dim - first);
            let source = &self.values.values[head * head_dim + first..];
            self.product.pack_inputs(source, self.values.row_pitch, num_frames, columns, self.no_values, panel);
        }
    }

    /// What some frames, from `first_frame` on, attend to in one head.
    fn run(&self, head: usize, first_frame: usize, count: usize, packed_keys: &[u8], packed_values: &[u8]) {
        let Self { product, shape: AttentionShape { num_frames, num_heads, head_dim }, queries, .. } = *self;
        let set = product.instruction_set();
        let query_layout = product.left_layout(count, head_dim);
        let mut left = borrow::<u8>(query_layout.num_bytes);
        let source = &queries.values[first_frame * queries.row_pitch + head * head_dim..];
        product.convert(source, queries.row_pitch, count, head_dim, &query_layout, &mut left);

        let panel_sums = product.strip_rows() * PANEL_COLUMNS;
        let mut scores = borrow::<f32>(self.num_key_panels() * panel_sums);
        let layout = product.left_layout(product.strip_rows(), num_frames);
        let mut probabilities = borrow::<u8>(layout.num_bytes);
        let mut sums = borrow::<f32>(self.num_value_panels() * panel_sums);
        let mut row_values = RowValues([0.0; MOST_ROWS * MOST_LANES]);
        let mut factors = [0.0; MOST_ROWS];
        let _begun = product.begin();
        for (first_row, rows) in product.strips(count) {
            row_values.0.fill(f32::NEG_INFINITY);
            for first_panel in (0..self.num_key_panels()).step_by(GROUP_PANELS) {
                let group = first_panel..(first_panel + GROUP_PANELS).min(self.num_key_panels());
                for panel in group.clone() {
                    let scores = &mut scores[panel * panel_sums..][..panel_sums];
                    let panel = &packed_keys[panel * self.key_panel_bytes()..];
                    product.multiply(&left, &query_layout, first_row, rows, head_dim, panel, scores);
                }
                let scores = &scores[group.start * panel_sums..group.end * panel_sums];
                let kept =
                    Kept { frames: &self.kept.frames[group.clone()], whole_panels: &self.kept.whole_panels[group] };
                dispatch(set, RowMaxima { scores, panel_sums, rows, kept, row_values: &mut row_values });
            }
            let is_watched = self.weights.is_some();
            let softmax = Softmax {
                scores: &mut scores,
                panel_sums,
                rows,
                kept: self.kept,
                scale: self.scale * LOG2_E,
                row_values: &mut row_values,
                factors: &mut factors,
                layout,
                probabilities: &mut probabilities,
                is_watched,
            };
            dispatch(set, softmax);
            let first_frame = first_frame + first_row;
            if let Some(Shared(weights)) = self.weights {
                // SAFETY: `attend` has checked the length; these rows of this head are this task's.
                let weights = unsafe { weights.add((head * num_frames + first_frame) * num_frames) };
                let (sums, columns, row_pitch) = (&*scores, num_frames, num_frames);
                dispatch(set, Scale { sums, panel_sums, rows, columns, factors, output: weights, row_pitch });
            }
            let panels = packed_values.chunks_exact(self.value_panel_bytes());
            for (panel, sums) in panels.zip(sums.chunks_exact_mut(panel_sums)) {
                product.multiply(&probabilities, &layout, 0, rows, num_frames, panel, sums);
            }
            let row_pitch = num_heads * head_dim;
            // SAFETY: `attend` has checked the length; these rows of this head are this task's.
            let output = unsafe { self.output.0.add(first_frame * row_pitch + head * head_dim) };
            dispatch(set, Scale { sums: &sums, panel_sums, rows, columns: head_dim, factors, output, row_pitch });
        }
    }
}

/// A vector for every row of a strip.
#[repr(align(64))]
struct RowValues([f32; MOST_ROWS * MOST_LANES]);

/// What scores become that do not count: below all others, and finite.
const NO_SCORE: f32 = f32::MAX;

/// Scores, of which those do not count that are not kept.
#[inline(always)]
unsafe fn kept_scores<S: Simd>(scores: S::Vector, kept: S::Vector) -> S::Vector {
    // SAFETY: the caller's.
    unsafe {
        let nothing = S::mul(S::sub(kept, S::splat(1.0)), S::splat(NO_SCORE));
        S::mul_add(scores, kept, nothing)
    }
}

/// Raises the largest score of every row to that of some panels.
struct RowMaxima<'a> {
    /// `[panel][row][column]`
    scores: &'a [f32],
    panel_sums: usize,
    rows: usize,
    kept: Kept<'a>,
    row_values: &'a mut RowValues,
}

impl Operation for RowMaxima<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { scores, panel_sums, rows, kept, row_values } = self;
        for row in 0..rows {
            // SAFETY: a row has 32 values in every panel, and a row's maximum as many as the longest vector.
            unsafe {
                let maximum = row_values.0.as_mut_ptr().add(row * MOST_LANES);
                let mut largest = S::load(maximum);
                for (number, scores) in scores.chunks_exact(panel_sums).enumerate() {
                    for column in (0..PANEL_COLUMNS).step_by(S::LANES) {
                        let mut score = S::load(scores.as_ptr().add(row * PANEL_COLUMNS + column));
                        if kept.whole_panels[number] == 0 {
                            score = kept_scores::<S>(score, S::load(kept.frames[number].as_ptr().add(column)));
                        }
                        largest = S::at_least(score, largest);
                    }
                }
                S::store(maximum, largest);
            }
        }
    }
}

/// Scores to what is proportional to probabilities, at most 1, as the left operand of a product; and to the factors that
/// make probabilities of them.
struct Softmax<'a> {
    /// `[panel][row][column]`
    scores: &'a mut [f32],
    panel_sums: usize,
    rows: usize,
    kept: Kept<'a>,
    /// Of scores, to exponents of 2.
    scale: f32,
    /// The largest scores of every row; sums of probabilities afterwards.
    row_values: &'a mut RowValues,
    factors: &'a mut [f32; MOST_ROWS],
    layout: LeftLayout,
    probabilities: &'a mut [u8],
    /// Whether the probabilities are also left in `scores`.
    is_watched: bool,
}

impl Operation for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { scores, panel_sums, rows, kept, row_values, factors, layout, probabilities, .. } = self;
        let row_values = row_values.0.as_mut_ptr();
        // SAFETY: there are `rows` rows of scores in every panel, with as many values in the operand's rows, and vectors for
        // `rows` rows.
        unsafe {
            let scale = S::splat(self.scale);
            let mut offsets = [0.0; MOST_ROWS];
            for (row, offset) in offsets.iter_mut().enumerate().take(rows) {
                let place = row_values.add(row * MOST_LANES);
                *offset = -S::largest(S::load(place)) * self.scale;
                S::store(place, S::splat(0.0));
            }
            for (number, scores) in scores.chunks_exact_mut(panel_sums).enumerate() {
                let is_whole = kept.whole_panels[number] == 1;
                let kept = &kept.frames[number];
                for (row, offset) in offsets.iter().enumerate().take(rows) {
                    let offset = S::splat(*offset);
                    let sum_place = row_values.add(row * MOST_LANES);
                    let mut sum = S::load(sum_place);
                    for column in (0..PANEL_COLUMNS).step_by(2 * S::LANES) {
                        let place = scores.as_mut_ptr().add(row * PANEL_COLUMNS + column);
                        let (mut first, mut second) = (S::load(place), S::load(place.add(S::LANES)));
                        if is_whole {
                            first = exp2::<S>(S::mul_add(first, scale, offset));
                            second = exp2::<S>(S::mul_add(second, scale, offset));
                        } else {
                            let first_kept = S::load(kept.as_ptr().add(column));
                            let second_kept = S::load(kept.as_ptr().add(column + S::LANES));
                            first = S::mul_add(kept_scores::<S>(first, first_kept), scale, offset);
                            second = S::mul_add(kept_scores::<S>(second, second_kept), scale, offset);
                            first = S::mul(exp2::<S>(first), first_kept);
                            second = S::mul(exp2::<S>(second), second_kept);
                        }
                        sum = S::add(sum, S::add(first, second));
                        if self.is_watched {
                            S::store(place, first);
                            S::store(place.add(S::LANES), second);
                        }
                        let row = probabilities.as_mut_ptr().add(row * layout.row_pitch);
                        store_operand::<S>(row, &layout, number * PANEL_COLUMNS + column, first, second);
                    }
                    S::store(sum_place, sum);
                }
            }
            for (row, factor) in factors.iter_mut().enumerate().take(rows) {
                *factor = 1.0 / S::sum(S::load(row_values.add(row * MOST_LANES)));
            }
        }
    }
}

/// Every row of a strip times its factor, to its place.
struct Scale<'a> {
    /// `[panel][row][column]`
    sums: &'a [f32],
    panel_sums: usize,
    rows: usize,
    columns: usize,
    factors: [f32; MOST_ROWS],
    output: *mut f32,
    row_pitch: usize,
}

impl Operation for Scale<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (row, factor) in self.factors.iter().enumerate().take(self.rows) {
            for (number, sums) in self.sums.chunks_exact(self.panel_sums).enumerate() {
                let first_column = number * PANEL_COLUMNS;
                let columns = PANEL_COLUMNS.min(self.columns.saturating_sub(first_column));
                for column in (0..columns).step_by(S::LANES) {
                    // SAFETY: the output has these columns of these rows; the sums have whole panels.
                    unsafe {
                        let sum = S::load(sums.as_ptr().add(row * PANEL_COLUMNS + column));
                        let place = self.output.add(row * self.row_pitch + first_column + column);
                        store_count::<S>(place, S::mul(sum, S::splat(*factor)), columns - column);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arithmetics, assert_near, noise, on_threads};
    use crate::{InstructionSet, Precision};

    /// What outputs of variance 1 may be off by.
    fn tolerance(arithmetic: Arithmetic) -> f32 {
        match (arithmetic.precision(), arithmetic.instruction_set()) {
            (Precision::Bf16, _) => 8e-2,
            (Precision::F32, InstructionSet::Amx) => 2e-4,
            (Precision::F32, _) => 2e-5,
        }
    }

    /// Attention as it is defined, in double precision: output and weights.
    fn composed(
        shape: AttentionShape,
        [queries, keys, values]: [Heads<'_>; 3],
        scale: f32,
        padding: Option<&[bool]>,
    ) -> (Vec<f32>, Vec<f32>) {
        let AttentionShape { num_frames, num_heads, head_dim } = shape;
        let row = |heads: Heads<'_>, frame: usize, head: usize| {
            let start = frame * heads.row_pitch + head * head_dim;
            heads.values[start..start + head_dim].iter().copied().map(f64::from).collect::<Vec<f64>>()
        };
        let mut output = vec![0.0; num_frames * num_heads * head_dim];
        let mut all_weights = Vec::new();
        for head in 0..num_heads {
            for frame in 0..num_frames {
                let query = row(queries, frame, head);
                let score = |seen: usize| match padding {
                    Some(padding) if padding[seen] => f64::from(f32::MIN),
                    _ => {
                        let products = query.iter().zip(row(keys, seen, head)).map(|(query, key)| query * key);
                        products.sum::<f64>() * f64::from(scale)
                    }
                };
                let scores: Vec<f64> = (0..num_frames).map(score).collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
                for (seen, score) in scores.iter().enumerate() {
                    let weight = (score - largest).exp() / sum;
                    all_weights.push(weight as f32);
                    for (column, value) in row(values, seen, head).into_iter().enumerate() {
                        output[(frame * num_heads + head) * head_dim + column] += weight * value;
                    }
                }
            }
        }
        (output.into_iter().map(|value: f64| value as f32).collect(), all_weights)
    }

    /// Queries, keys and values beside each other in the rows of one matrix, with something behind them.
    struct Projected {
        shape: AttentionShape,
        values: Vec<f32>,
    }

    impl Projected {
        fn new(num_frames: usize, num_heads: usize, head_dim: usize) -> Self {
            let shape = AttentionShape { num_frames, num_heads, head_dim };
            Self { shape, values: noise(num_frames * Self::pitch(shape), 1) }
        }

        fn pitch(shape: AttentionShape) -> usize {
            3 * shape.num_heads * shape.head_dim + 3
        }

        fn heads(&self) -> [Heads<'_>; 3] {
            let width = self.shape.num_heads * self.shape.head_dim;
            let row_pitch = Self::pitch(self.shape);
            [0, 1, 2].map(|number| Heads { values: &self.values[number * width..], row_pitch })
        }

        fn attend(
            &self,
            arithmetic: Arithmetic,
            scale: f32,
            padding: Option<&[bool]>,
            weights: Option<&mut [f32]>,
        ) -> Vec<f32> {
            let mut output = vec![f32::NAN; self.shape.num_frames * self.shape.num_heads * self.shape.head_dim];
            let [queries, keys, values] = self.heads();
            attend(arithmetic, self.shape, queries, keys, values, scale, padding, weights, &mut output);
            output
        }
    }

    #[test]
    fn odd_shapes_watched_and_unwatched() {
        for (num_frames, num_heads, head_dim) in
            [(1, 1, 1), (1, 3, 64), (7, 1, 5), (31, 2, 48), (33, 2, 80), (64, 1, 64), (131, 3, 64), (300, 1, 33)]
        {
            let projected = Projected::new(num_frames, num_heads, head_dim);
            // Larger than is usual, so that weights differ.
            let scale = 2.0 / (head_dim as f32).sqrt();
            let paddings = [
                vec![false; num_frames],
                (0..num_frames).map(|frame| frame >= num_frames.div_ceil(2)).collect(),
                (0..num_frames).map(|frame| frame % 3 == 1).collect(),
                vec![true; num_frames],
            ];
            for padding in [None, Some(&paddings[0]), Some(&paddings[1]), Some(&paddings[2]), Some(&paddings[3])] {
                let padding = padding.map(Vec::as_slice);
                let (expected, expected_weights) = composed(projected.shape, projected.heads(), scale, padding);
                for arithmetic in arithmetics() {
                    let name = format!("{num_frames}x{num_heads}x{head_dim}, {padding:?}, {arithmetic:?}");
                    let found = projected.attend(arithmetic, scale, padding, None);
                    assert_near(&name, &found, &expected, tolerance(arithmetic));
                    let mut weights = vec![f32::NAN; expected_weights.len()];
                    let watched = projected.attend(arithmetic, scale, padding, Some(&mut weights));
                    assert!(found == watched, "{name}: who looks on changes something");
                    for (index, (&weight, &expected)) in weights.iter().zip(&expected_weights).enumerate() {
                        assert_eq!(weight == 0.0, expected == 0.0, "{name}: weight {index}");
                        let is_near = (weight - expected).abs() <= tolerance(arithmetic) * expected.max(1e-4);
                        assert!(is_near, "{name}: weight {index}: expected {expected}, found {weight}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads() {
        let projected = Projected::new(300, 3, 40);
        for arithmetic in arithmetics() {
            let on = |threads: usize| on_threads(threads, || projected.attend(arithmetic, 0.3, None, None));
            assert!(on(1) == on(3), "{arithmetic:?}");
        }
    }

    #[test]
    fn long_rows() {
        // Only a few queries of the many are checked: the composed version is slow.
        let projected = Projected::new(9000, 1, 16);
        let frames = [0, 1, 4567, 8999];
        let pitch = Projected::pitch(projected.shape);
        for arithmetic in arithmetics() {
            let found = projected.attend(arithmetic, 0.5, None, None);
            let rows: Vec<f32> =
                frames.iter().flat_map(|frame| &found[frame * 16..(frame + 1) * 16]).copied().collect();
            let mut expected = Vec::new();
            for frame in frames {
                let [queries, keys, values] = projected.heads();
                let score = |seen: usize| -> f64 {
                    let query = &queries.values[frame * pitch..][..16];
                    let products = query.iter().zip(&keys.values[seen * pitch..][..16]);
                    0.5 * products.map(|(query, key)| f64::from(*query) * f64::from(*key)).sum::<f64>()
                };
                let weights: Vec<f64> = (0..9000).map(|seen| score(seen).exp()).collect();
                let sum: f64 = weights.iter().sum();
                expected.extend((0..16).map(|column| {
                    let value = |seen: usize| f64::from(values.values[seen * pitch + column]);
                    (weights.iter().enumerate().map(|(seen, weight)| weight * value(seen)).sum::<f64>() / sum) as f32
                }));
            }
            // Of 9000 values that cancel, a twentieth is left.
            assert_near(&format!("{arithmetic:?}"), &rows, &expected, 4.0 * tolerance(arithmetic));
        }
    }

    #[test]
    fn large_scores_overflow_nowhere() {
        let mut projected = Projected::new(50, 2, 24);
        projected.values.iter_mut().for_each(|value| *value *= 20.0);
        for arithmetic in arithmetics() {
            let mut weights = vec![f32::NAN; 2 * 50 * 50];
            let found = projected.attend(arithmetic, 3.0, None, Some(&mut weights));
            assert!(found.iter().chain(&weights).all(|value| value.is_finite()), "{arithmetic:?}");
            for row in weights.chunks(50) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{arithmetic:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so_in_what_sees_it() {
        let (num_frames, num_heads, head_dim) = (70, 2, 24);
        let width = num_heads * head_dim;
        let clean = Projected::new(num_frames, num_heads, head_dim);
        let pitch = Projected::pitch(clean.shape);
        let padding: Vec<bool> = (0..num_frames).map(|frame| frame == 40).collect();
        for arithmetic in arithmetics() {
            let damaged = |frame: usize, kind: usize, padding: Option<&[bool]>| {
                let mut values = clean.values.clone();
                // The second head's first value.
                values[frame * pitch + kind * width + head_dim] = f32::NAN;
                Projected { shape: clean.shape, values }.attend(arithmetic, 0.2, padding, None)
            };
            let check = |found: &[f32], name: &str, is_concerned: &dyn Fn(usize, usize) -> bool| {
                for (index, value) in found.iter().enumerate() {
                    let (frame, column) = (index / width, index % width);
                    assert_eq!(
                        value.is_nan(),
                        is_concerned(frame, column),
                        "{arithmetic:?}, {name}: {frame}, {column}"
                    );
                }
            };
            check(&damaged(7, 0, None), "query", &|frame, column| frame == 7 && column >= head_dim);
            check(&damaged(7, 1, None), "key", &|_, column| column >= head_dim);
            check(&damaged(7, 2, None), "value", &|_, column| column == head_dim);
            let whole = clean.attend(arithmetic, 0.2, Some(&padding), None);
            for kind in [1, 2] {
                assert!(damaged(40, kind, Some(&padding)) == whole, "{arithmetic:?}: padding is seen");
            }
        }
    }

    #[test]
    #[should_panic(expected = "keys need 12 values of 11")]
    fn keys_beyond_their_memory_are_refused() {
        let shape = AttentionShape { num_frames: 3, num_heads: 2, head_dim: 2 };
        let heads = |values| Heads { values, row_pitch: 4 };
        let arithmetic = Arithmetic::new(Precision::F32);
        let (whole, short) = (heads(&[0.0; 12]), heads(&[0.0; 11]));
        attend(arithmetic, shape, whole, short, whole, 1.0, None, None, &mut [0.0; 12]);
    }
}
