//! Canonical correlations of two layers.
//!
//! Hotelling: Relations between two sets of variates, Biometrika 1936; by orthonormal bases as in Björck, Golub: Numerical
//! methods for computing angles between linear subspaces, 1973. With `X = U_x S_x V_xᵀ` and `Y = U_y S_y V_yᵀ` centred, the
//! correlations are the singular values of `U_xᵀ U_y`.
//!
//! With `n` items, spaces of ranks `r_x` and `r_y` lie in `n - 1` dimensions. So `r_x + r_y - (n - 1)` correlations, where
//! that is positive, are 1 whatever the layers are ([`CanonicalCorrelations::num_forced`]), and independent layers have a
//! mean squared correlation of `max(r_x, r_y) / (n - 1)` ([`CanonicalCorrelations::chance_mean_square`]).

use faer::Mat;

use super::{SimilarityError, WhitenedLayer};

/// Canonical correlations of two layers, and the weights of their directions in each.
#[derive(Clone, Debug, PartialEq)]
pub struct CanonicalCorrelations {
    /// From 1 to 0, largest first; as many as the smaller rank.
    pub correlations: Vec<f64>,
    /// Directions of the first layer that took part.
    pub rank_a: usize,
    /// Directions of the second layer that took part.
    pub rank_b: usize,
    /// Items that both layers were seen on.
    pub items: usize,
    pub(super) weights_a: Vec<f64>,
    pub(super) weights_b: Vec<f64>,
}

impl CanonicalCorrelations {
    /// Of two layers with the same items.
    ///
    /// # Errors
    ///
    /// Another number of items; [`SimilarityError::Saturated`] where either rank is all that so many items allow.
    pub fn of(a: &WhitenedLayer, b: &WhitenedLayer) -> Result<Self, SimilarityError> {
        if a.items() != b.items() {
            return Err(SimilarityError::ItemsDiffer { a: a.items(), b: b.items() });
        }
        Self::of_cross(a.basis.transpose() * &b.basis, a.items(), &a.loadings, &b.loadings)
    }

    /// Of the products between two orthonormal bases, `[rank_a, rank_b]`.
    pub(super) fn of_cross(
        cross: Mat<f64>,
        items: usize,
        loadings_a: &Mat<f64>,
        loadings_b: &Mat<f64>,
    ) -> Result<Self, SimilarityError> {
        let (rank_a, rank_b) = (cross.nrows(), cross.ncols());
        if rank_a.max(rank_b) + 1 >= items {
            return Err(SimilarityError::Saturated { items, rank_a, rank_b });
        }
        let decomposition =
            cross.thin_svd().map_err(|_| SimilarityError::NoConvergence { items: rank_a, dim: rank_b })?;
        let correlations = decomposition.S().column_vector().iter().map(|value| value.clamp(0.0, 1.0)).collect();
        Ok(Self {
            correlations,
            rank_a,
            rank_b,
            items,
            weights_a: projections(decomposition.U().transpose() * loadings_a),
            weights_b: projections(decomposition.V().transpose() * loadings_b),
        })
    }

    /// The mean correlation.
    pub fn mean(&self) -> f64 {
        self.correlations.iter().sum::<f64>() / self.correlations.len() as f64
    }

    /// How many correlations are 1 for want of items, whatever the layers are.
    pub fn num_forced(&self) -> usize {
        (self.rank_a + self.rank_b + 1).saturating_sub(self.items)
    }

    /// The mean squared correlation of layers of these ranks that have nothing in common.
    pub fn chance_mean_square(&self) -> f64 {
        self.rank_a.max(self.rank_b) as f64 / (self.items - 1) as f64
    }
}

/// For each direction, the sum over a layer's dimensions of how much of each lies along it.
fn projections(along: Mat<f64>) -> Vec<f64> {
    along.row_iter().map(|row| row.iter().map(|value| value.abs()).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::whitening::tests::{noise, times};
    use crate::similarity::{Matrix, Truncation};

    fn correlations(x: &[f32], y: &[f32], items: usize) -> Result<CanonicalCorrelations, SimilarityError> {
        let whitened = |values: &[f32]| {
            WhitenedLayer::new(Matrix::new(values, items, values.len() / items)?, &Truncation::default())
        };
        CanonicalCorrelations::of(&whitened(x)?, &whitened(y)?)
    }

    #[test]
    fn worked_by_hand() {
        // One dimension each: the correlation of (-1, 0, 1, 0) and (-1, 1, 0, 0) is 1 / 2.
        let found = correlations(&[1.0, 2.0, 3.0, 2.0], &[4.0, 6.0, 5.0, 5.0], 4).unwrap();
        assert_eq!((found.rank_a, found.rank_b, found.num_forced()), (1, 1, 0));
        assert!((found.correlations[0] - 0.5).abs() < 1e-12 && (found.mean() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn an_invertible_map_changes_nothing() {
        let x = noise(200, 5, 1);
        let found = correlations(&x, &times(&x, 5, &noise(5, 5, 2)), 200).unwrap();
        assert!(found.correlations.iter().all(|correlation| (correlation - 1.0).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn noise_comes_out_as_chance_has_it() {
        let mut mean_square = 0.0;
        let mut chance = 0.0;
        for seed in 0..30 {
            let found = correlations(&noise(60, 12, 2 * seed), &noise(60, 20, 2 * seed + 1), 60).unwrap();
            mean_square += found.correlations.iter().map(|value| value * value).sum::<f64>() / 12.0 / 30.0;
            chance = found.chance_mean_square();
        }
        assert!((chance - 20.0 / 59.0).abs() < 1e-12);
        assert!((mean_square - chance).abs() < 0.01, "{mean_square} and {chance}");
    }

    #[test]
    fn too_few_items_give_ones_and_then_an_error() {
        let found = correlations(&noise(40, 25, 1), &noise(40, 25, 2), 40).unwrap();
        assert_eq!(found.num_forced(), 11);
        assert!(found.correlations[10] > 1.0 - 1e-9 && found.correlations[11] < 1.0 - 1e-6, "{found:?}");
        let error = correlations(&noise(20, 25, 1), &noise(20, 3, 2), 20).unwrap_err();
        assert_eq!(error, SimilarityError::Saturated { items: 20, rank_a: 19, rank_b: 3 });
    }
}
