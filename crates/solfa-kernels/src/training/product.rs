//! Products of matrices within slices, and the gradient of a linear layer's weights, whose left side is transposed.
#![allow(unsafe_code, reason = "gemm takes pointers: every one is into a slice that was checked to be long enough")]

use rayon::prelude::*;

use super::ROWS_TOGETHER;
use crate::product::extent;

/// A matrix within a slice: a value is `row_pitch` from the one in the next row, and `column_pitch` from the next column's.
/// Rows may overlap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_pitch: usize,
    pub(super) column_pitch: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of values that lie side by side, `row_pitch` from one row to the next.
    pub(super) fn of_rows(values: &'a [f32], rows: usize, columns: usize, row_pitch: usize) -> Self {
        Self { values, rows, columns, row_pitch, column_pitch: 1 }
    }

    /// The same with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_pitch: self.column_pitch,
            column_pitch: self.row_pitch,
            ..self
        }
    }
}

/// `left right` into `output`, or added to it, `[left.rows, right.columns]`.
///
/// # Panics
/// If sizes do not fit.
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>, output: &mut [f32], is_added: bool) {
    assert_eq!(left.columns, right.rows, "what is summed over");
    assert_eq!(output.len(), left.rows * right.columns, "a value for each row and column");
    if output.is_empty() || left.columns == 0 {
        if !is_added {
            output.fill(0.0);
        }
        return;
    }
    for matrix in [left, right] {
        let pitches = [(matrix.rows, matrix.row_pitch), (matrix.columns, matrix.column_pitch)];
        let needed = extent(&pitches, 1);
        assert!(needed <= matrix.values.len(), "{needed} values of {}", matrix.values.len());
    }
    // SAFETY: all values of both sides lie in their slices, as was just checked, and the output has a value for each row and
    // column, row-major; it is borrowed exclusively.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            output.as_mut_ptr(),
            1,
            right.columns as isize,
            is_added,
            left.values.as_ptr(),
            left.column_pitch as isize,
            left.row_pitch as isize,
            right.values.as_ptr(),
            right.column_pitch as isize,
            right.row_pitch as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Adds `left^T right` to `output`: for a linear layer, its input transposed times the gradient of its output is the gradient
/// of its weights.
///
/// # Shapes
/// - left: `[rows, inputs]`
/// - right: `[rows, outputs]`
/// - output: `[inputs, outputs]`
///
/// # Panics
/// If sizes do not fit.
pub fn add_transposed_product(left: &[f32], right: &[f32], inputs: usize, outputs: usize, output: &mut [f32]) {
    let num_rows = left.len() / inputs.max(1);
    assert_eq!((num_rows * inputs, num_rows * outputs), (left.len(), right.len()), "as many rows on both sides");
    assert_eq!(output.len(), inputs * outputs, "a value for each pair of columns");
    // Threads share the output by its rows, the columns of the left side: every value is added up by one of them.
    let stripe = inputs.div_ceil(STRIPES).next_multiple_of(16);
    output.par_chunks_mut(stripe * outputs.max(1)).enumerate().for_each(|(number, output)| {
        let first = number * stripe;
        let columns = stripe.min(inputs - first);
        let left = Matrix::of_rows(left.get(first..).unwrap_or_default(), num_rows, columns, inputs);
        product(left.transposed(), Matrix::of_rows(right, num_rows, outputs, outputs), output, true);
    });
}

/// Parts that an output is cut into.
const STRIPES: usize = 8;

/// The sum of each column of `[rows, columns]`: the gradient of a bias.
pub fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let sums = |rows: &[f32]| {
        let mut sums = vec![0.0_f32; columns];
        for row in rows.chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        sums
    };
    let parts: Vec<Vec<f32>> = values.par_chunks(ROWS_TOGETHER * columns.max(1)).map(sums).collect();
    let mut total = vec![0.0_f32; columns];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_near, noise, on_threads};

    #[test]
    fn the_definition() {
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 2, 5), (70, 40, 33), (1300, 64, 17)] {
            let (left, right) = (noise(rows * inputs, 1), noise(rows * outputs, 2));
            let mut expected = noise(inputs * outputs, 3);
            let mut found = expected.clone();
            for row in 0..rows {
                for input in 0..inputs {
                    for output in 0..outputs {
                        expected[input * outputs + output] +=
                            left[row * inputs + input] * right[row * outputs + output];
                    }
                }
            }
            add_transposed_product(&left, &right, inputs, outputs, &mut found);
            assert_near("product", &found, &expected, 1e-5);
            let sums: Vec<f32> =
                (0..outputs).map(|output| right.iter().skip(output).step_by(outputs).sum::<f32>()).collect();
            assert_near("sums", &column_sums(&right, outputs), &sums, 1e-4);
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let (left, right) = (noise(5000 * 48, 1), noise(5000 * 32, 2));
        let product = |threads| {
            on_threads(threads, || {
                let mut output = vec![0.0; 48 * 32];
                add_transposed_product(&left, &right, 48, 32, &mut output);
                (output, column_sums(&right, 32))
            })
        };
        assert_eq!(product(1), product(3));
    }
}
