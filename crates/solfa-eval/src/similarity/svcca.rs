//! Singular vector canonical correlation.
//!
//! Raghu, Gilmer, Yosinski, Sohl-Dickstein: SVCCA, NeurIPS 2017: each layer is reduced to the principal directions that have
//! 99 % of its variance, and the canonical correlations of what is left are averaged.

use super::{CanonicalCorrelations, Matrix, SimilarityError, Truncation, WhitenedLayer};

/// The mean canonical correlation of two layers, each reduced to 99 % of its variance. From 0 to 1, symmetric.
///
/// # Errors
///
/// As [`WhitenedLayer::new`] and [`CanonicalCorrelations::of`].
pub fn svcca(a: Matrix<'_>, b: Matrix<'_>) -> Result<f64, SimilarityError> {
    let truncation = Truncation::svcca();
    Ok(CanonicalCorrelations::of(&WhitenedLayer::new(a, &truncation)?, &WhitenedLayer::new(b, &truncation)?)?.mean())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::whitening::tests::{noise, rotation, times};

    #[test]
    fn directions_of_little_variance_do_not_count() {
        let (items, signal) = (500, noise(500, 2, 1));
        let layer = |seed: u64| -> Vec<f32> {
            let hiss = noise(items, 3, seed);
            let rows = signal.chunks(2).zip(hiss.chunks(3));
            rows.flat_map(|(signal, hiss)| signal.iter().copied().chain(hiss.iter().map(|hiss| 0.01 * hiss))).collect()
        };
        let (x, y) = (layer(2), layer(3));
        let matrix = |values| Matrix::new(values, items, 5).unwrap();
        assert!((svcca(matrix(&x), matrix(&y)).unwrap() - 1.0).abs() < 1e-3);
        let rotated = times(&y, 5, &rotation(5, 4));
        assert!((svcca(matrix(&x), matrix(&rotated)).unwrap() - 1.0).abs() < 1e-3);
        let whole = Truncation::default();
        let whitened = |values| WhitenedLayer::new(matrix(values), &whole).unwrap();
        assert!(CanonicalCorrelations::of(&whitened(&x), &whitened(&y)).unwrap().mean() < 0.6);
    }
}
