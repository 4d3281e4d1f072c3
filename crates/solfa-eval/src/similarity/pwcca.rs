//! Projection-weighted canonical correlation.
//!
//! Morcos, Raghu, Bengio: Insights on representational similarity in neural networks with canonical correlation, NeurIPS
//! 2018, section 3. Canonical direction `h_i` of a layer counts by how much of that layer lies along it,
//!
//! ```text
//! weight_i = sum over dimensions j of |h_i · x_j|,    PWCCA = sum_i weight_i correlation_i / sum_i weight_i
//! ```
//!
//! so directions that a layer hardly uses count little. The weights are those of one of the two layers, and the measure is
//! not symmetric; both are given. Where a layer was truncated, `x_j` is what was kept of it.

use super::CanonicalCorrelations;

/// The two projection-weighted means of one set of canonical correlations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProjectionWeighted {
    /// Directions weighted by what the first layer is made of.
    pub by_a: f64,
    /// Directions weighted by what the second layer is made of.
    pub by_b: f64,
}

impl CanonicalCorrelations {
    /// PWCCA, in both directions.
    pub fn projection_weighted(&self) -> ProjectionWeighted {
        let weighted = |weights: &[f64]| {
            let total: f64 = weights.iter().sum();
            weights.iter().zip(&self.correlations).map(|(weight, correlation)| weight * correlation).sum::<f64>()
                / total
        };
        ProjectionWeighted { by_a: weighted(&self.weights_a), by_b: weighted(&self.weights_b) }
    }
}

#[cfg(test)]
mod tests {
    use crate::similarity::whitening::tests::{noise, rotation, times};
    use crate::similarity::{CanonicalCorrelations, Matrix, ProjectionWeighted, Truncation, WhitenedLayer};

    fn pwcca(x: &[f32], y: &[f32], items: usize) -> ProjectionWeighted {
        let whitened = |values: &[f32]| {
            let matrix = Matrix::new(values, items, values.len() / items).unwrap();
            WhitenedLayer::new(matrix, &Truncation::default()).unwrap()
        };
        CanonicalCorrelations::of(&whitened(x), &whitened(y)).unwrap().projection_weighted()
    }

    #[test]
    fn a_layer_is_like_itself_in_any_coordinates() {
        let x = noise(100, 6, 1);
        for y in [x.clone(), times(&x, 6, &rotation(6, 2)), x.iter().map(|value| value * 0.01 - 3.0).collect()] {
            let found = pwcca(&x, &y, 100);
            assert!((found.by_a - 1.0).abs() < 1e-6 && (found.by_b - 1.0).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn what_a_layer_is_made_of_counts() {
        // Both layers share one direction, which is nearly all of the first and nearly nothing of the second.
        let (items, shared) = (2000, noise(2000, 1, 1));
        let layer = |own: Vec<f32>, scale: f32| -> Vec<f32> {
            shared.iter().zip(own).flat_map(|(&shared, own)| [scale * shared, own]).collect()
        };
        let (x, y) = (layer(noise(items, 1, 2), 100.0), layer(noise(items, 1, 3), 0.01));
        let found = pwcca(&x, &y, items);
        assert!(found.by_a > 0.97 && found.by_b < 0.1, "{found:?}");
        let swapped = pwcca(&y, &x, items);
        assert!((swapped.by_a - found.by_b).abs() < 1e-9 && (swapped.by_b - found.by_a).abs() < 1e-9);
    }
}
