//! A layer as an orthonormal basis of what its items do, which is where canonical correlation starts from.

use faer::{Mat, Side};

use super::{Matrix, SimilarityError};

/// What of a layer takes part in canonical correlation. Both limits regularise: directions of small variance are mostly
/// noise, and with nearly as many of them as items every correlation is near 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truncation {
    /// Principal directions are kept, largest first, until they have this share of the variance: 1 keeps all, and 0.99 is
    /// SVCCA's.
    pub variance: f64,
    /// Directions whose singular value is at most this share of the largest are left out: what is left of them is
    /// rounding.
    pub tolerance: f64,
    /// Ridge: this share of the largest variance is added to that of every direction. 0 is plain canonical correlation.
    pub ridge: f64,
}

impl Default for Truncation {
    /// All that is above the rounding of 32-bit floats, without a ridge.
    fn default() -> Self {
        Self { variance: 1.0, tolerance: 1e-6, ridge: 0.0 }
    }
}

impl Truncation {
    /// SVCCA's: the directions that have 99 % of the variance.
    pub fn svcca() -> Self {
        Self { variance: 0.99, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), SimilarityError> {
        let setting =
            |what, expected, value: f64| SimilarityError::Setting { what, expected, found: value.to_string() };
        if !(self.variance > 0.0 && self.variance <= 1.0) {
            return Err(setting("the share of the variance", "a number above 0 and at most 1", self.variance));
        }
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(setting("the tolerance", "a number from 0 to below 1", self.tolerance));
        }
        if !(self.ridge >= 0.0 && self.ridge.is_finite()) {
            return Err(setting("the ridge", "a number not below 0", self.ridge));
        }
        Ok(())
    }

    /// How many directions are kept of singular values in descending order.
    pub(super) fn rank(&self, singular_values: &[f64]) -> usize {
        let largest = singular_values.first().copied().unwrap_or(0.0);
        let numerical = singular_values.iter().take_while(|&&value| value > self.tolerance * largest).count();
        if self.variance >= 1.0 {
            return numerical;
        }
        let total: f64 = singular_values.iter().map(|value| value * value).sum();
        let mut kept = 0.0;
        let needed = singular_values.iter().position(|value| {
            kept += value * value;
            kept >= self.variance * total
        });
        needed.map_or(numerical, |position| (position + 1).min(numerical))
    }

    /// By how much the ridge shrinks each direction that is kept; 1 without a ridge.
    pub(super) fn shrinkage(&self, singular_values: &[f64]) -> Vec<f64> {
        let largest = singular_values.first().copied().unwrap_or(0.0);
        let ridge = self.ridge * largest * largest;
        singular_values.iter().map(|value| value / (value * value + ridge).sqrt()).collect()
    }
}

/// A layer decomposed once, to be compared with many.
#[derive(Debug)]
pub struct WhitenedLayer {
    /// `[items, rank]`: orthonormal columns, each times its shrinkage.
    pub(super) basis: Mat<f64>,
    /// `[rank, dim]`: the layer is the basis times this, as far as it is kept.
    pub(super) loadings: Mat<f64>,
}

impl WhitenedLayer {
    /// Centres and decomposes a layer.
    ///
    /// # Errors
    ///
    /// Fewer than three items, a layer that is the same for all items, a [`Truncation`] out of range.
    pub fn new(layer: Matrix<'_>, truncation: &Truncation) -> Result<Self, SimilarityError> {
        truncation.check()?;
        let (items, dim) = (layer.items(), layer.dim());
        if items < 3 {
            return Err(SimilarityError::TooFewItems { what: "canonical correlation", expected: 3, found: items });
        }
        let decomposition = layer.centred()?.thin_svd().map_err(|_| SimilarityError::NoConvergence { items, dim })?;
        let singular_values: Vec<f64> = decomposition.S().column_vector().iter().copied().collect();
        let rank = truncation.rank(&singular_values);
        let shrinkage = truncation.shrinkage(&singular_values[..rank]);
        let (left, right) = (decomposition.U(), decomposition.V());
        Ok(Self {
            basis: Mat::from_fn(items, rank, |item, column| left[(item, column)] * shrinkage[column]),
            loadings: Mat::from_fn(rank, dim, |row, column| {
                shrinkage[row] * singular_values[row] * right[(column, row)]
            }),
        })
    }

    /// Number of directions that are kept.
    pub fn rank(&self) -> usize {
        self.basis.ncols()
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.basis.nrows()
    }
}

/// Eigenvalues of a covariance in descending order, as singular values, with their vectors in columns.
pub(super) fn principal_directions(
    covariance: &Mat<f64>,
    items: usize,
) -> Result<(Vec<f64>, Mat<f64>), SimilarityError> {
    let dim = covariance.nrows();
    let decomposition =
        covariance.self_adjoint_eigen(Side::Lower).map_err(|_| SimilarityError::NoConvergence { items, dim })?;
    let ascending: Vec<f64> = decomposition.S().column_vector().iter().copied().collect();
    let vectors = decomposition.U();
    let singular_values = ascending.iter().rev().map(|value| value.max(0.0).sqrt()).collect();
    Ok((singular_values, Mat::from_fn(dim, dim, |row, column| vectors[(row, dim - 1 - column)])))
}

#[cfg(test)]
pub(in crate::similarity) mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Independent values that are nearly normal: sums of twelve uniform ones.
    pub(in crate::similarity) fn noise(items: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..items * dim).map(|_| (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0).collect()
    }

    /// An orthogonal matrix, row-major.
    pub(in crate::similarity) fn rotation(dim: usize, seed: u64) -> Vec<f32> {
        let values = noise(dim, dim, seed);
        let q = Mat::from_fn(dim, dim, |row, column| f64::from(values[row * dim + column])).qr().compute_Q();
        (0..dim * dim).map(|index| q[(index / dim, index % dim)] as f32).collect()
    }

    /// The product of `[items, dim]` with `[dim, out]`.
    pub(in crate::similarity) fn times(values: &[f32], dim: usize, map: &[f32]) -> Vec<f32> {
        let out = map.len() / dim;
        let product =
            |row: &[f32], column: usize| row.iter().zip(map[column..].iter().step_by(out)).map(|(a, b)| a * b).sum();
        values.chunks(dim).flat_map(|row| (0..out).map(move |column| product(row, column))).collect()
    }

    #[test]
    fn a_rank_is_what_is_left_of_both_limits() {
        let values = [10.0, 3.0, 1.0, 1e-9];
        assert_eq!(Truncation::default().rank(&values), 3);
        assert_eq!(Truncation::svcca().rank(&values), 2);
        assert_eq!(Truncation { variance: 0.5, ..Truncation::default() }.rank(&values), 1);
        assert_eq!(Truncation::default().shrinkage(&values), [1.0; 4]);
        let ridge = Truncation { ridge: 0.09, ..Truncation::default() };
        assert!((ridge.shrinkage(&values)[1] - 0.5_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn basis_times_loadings_is_the_layer() {
        let x = noise(20, 4, 3);
        let matrix = Matrix::new(&x, 20, 4).unwrap();
        let layer = WhitenedLayer::new(matrix, &Truncation::default()).unwrap();
        let difference = &layer.basis * &layer.loadings - matrix.centred().unwrap();
        assert_eq!((layer.rank(), layer.items()), (4, 20));
        assert!(difference.norm_max() < 1e-12);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let x = noise(20, 4, 3);
        for truncation in [
            Truncation { variance: 0.0, ..Truncation::default() },
            Truncation { variance: f64::NAN, ..Truncation::default() },
            Truncation { tolerance: 1.0, ..Truncation::default() },
            Truncation { ridge: -1.0, ..Truncation::default() },
        ] {
            let error = WhitenedLayer::new(Matrix::new(&x, 20, 4).unwrap(), &truncation).unwrap_err();
            assert!(matches!(error, SimilarityError::Setting { .. }), "{error}");
        }
    }
}
