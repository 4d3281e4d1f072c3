//! Vectors of many items as one matrix.

use faer::{Mat, MatRef};

use super::SimilarityError;

/// Vectors of many items, one row each, somewhere in memory: `[items, dim]`, row-major. Every value is finite.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'values> {
    values: &'values [f32],
    items: usize,
    dim: usize,
}

impl<'values> Matrix<'values> {
    /// Looks at `values` as `[items, dim]`.
    ///
    /// # Errors
    ///
    /// [`SimilarityError::Shape`] where the product is another number or zero, [`SimilarityError::NotFinite`] at the
    /// first NaN or infinity.
    pub fn new(values: &'values [f32], items: usize, dim: usize) -> Result<Self, SimilarityError> {
        let expected = items.checked_mul(dim).filter(|&expected| expected > 0).unwrap_or(usize::MAX);
        if values.len() != expected {
            return Err(SimilarityError::Shape { items, dim, expected, found: values.len() });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let (item, dimension) = (index / dim, index % dim);
            return Err(SimilarityError::NotFinite { item, dimension, value: f64::from(values[index]) });
        }
        Ok(Self { values, items, dim })
    }

    /// Number of rows.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Number of columns.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The vector of one item.
    pub fn row(&self, item: usize) -> &'values [f32] {
        &self.values[item * self.dim..(item + 1) * self.dim]
    }

    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = &'values [f32]> {
        self.values.chunks_exact(self.dim)
    }

    /// Some consecutive rows.
    pub fn part(&self, items: std::ops::Range<usize>) -> Self {
        let values = &self.values[items.start * self.dim..items.end * self.dim];
        Self { values, items: items.len(), dim: self.dim }
    }

    /// The mean of each column.
    pub(super) fn means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.dim];
        for row in self.rows() {
            for (mean, &value) in means.iter_mut().zip(row) {
                *mean += f64::from(value);
            }
        }
        means.iter_mut().for_each(|mean| *mean /= self.items as f64);
        means
    }

    /// The values less `shift`, in double precision.
    pub(super) fn shifted(&self, shift: &[f64]) -> Mat<f64> {
        Mat::from_fn(self.items, self.dim, |item, column| {
            f64::from(self.values[item * self.dim + column]) - shift[column]
        })
    }

    /// The values less the mean of their column, as fractions of the largest, so that no square overflows.
    ///
    /// # Errors
    ///
    /// [`SimilarityError::Constant`] where nothing is left.
    pub(super) fn centred(&self) -> Result<Mat<f64>, SimilarityError> {
        let mut centred = self.shifted(&self.means());
        let largest = centred.norm_max();
        let size = self.values.iter().fold(0.0_f64, |size, &value| size.max(f64::from(value).abs()));
        // What rounding leaves of a constant column is no variation.
        if largest <= size * self.items as f64 * f64::EPSILON {
            return Err(SimilarityError::Constant);
        }
        centred *= faer::Scale(1.0 / largest);
        Ok(centred)
    }
}

/// That two layers have the same number of items, and enough of them.
pub(super) fn same_items(
    a: &Matrix<'_>,
    b: &Matrix<'_>,
    what: &'static str,
    expected: usize,
) -> Result<usize, SimilarityError> {
    if a.items != b.items {
        return Err(SimilarityError::ItemsDiffer { a: a.items, b: b.items });
    }
    if a.items < expected {
        return Err(SimilarityError::TooFewItems { what, expected, found: a.items });
    }
    Ok(a.items)
}

/// The sum of the products of two matrices' elements.
pub(super) fn inner_product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    let column = |column: usize| -> f64 { a.col(column).iter().zip(b.col(column).iter()).map(|(a, b)| a * b).sum() };
    (0..a.ncols()).map(column).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_values_are_checked() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let matrix = Matrix::new(&values, 3, 2).unwrap();
        assert_eq!((matrix.row(1), matrix.part(1..3).row(1)), (&values[2..4], &values[4..]));
        assert_eq!(matrix.means(), [3.0, 4.0]);
        for (items, dim) in [(2, 2), (0, 0), (0, 3), (usize::MAX, 2)] {
            assert!(matches!(Matrix::new(&values, items, dim), Err(SimilarityError::Shape { .. })));
        }
        let error = Matrix::new(&[1.0, 2.0, f32::NAN], 1, 3).unwrap_err();
        assert!(error.to_string().starts_with("item 0, dimension 2 is NaN"), "{error}");
    }

    #[test]
    fn a_constant_layer_has_nothing_to_compare() {
        let constant = Matrix::new(&[0.1, 7.3, 0.1, 7.3, 0.1, 7.3], 3, 2).unwrap();
        assert_eq!(constant.centred().unwrap_err(), SimilarityError::Constant);
    }
}
