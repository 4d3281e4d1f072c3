//! How many directions a layer uses.
//!
//! Roy, Vetterli: The effective rank, EUSIPCO 2007: the exponential of the entropy of the singular values as shares of their
//! sum. Between 1 and the rank.

use faer::Side;

use super::{Matrix, SimilarityError};

/// The effective rank of a layer's items around their mean. (Without centring, an offset that all items share would
/// count as a direction, and mostly as the largest.)
///
/// # Errors
///
/// Fewer than two items, a layer that is the same for all.
pub fn effective_rank(layer: Matrix<'_>) -> Result<f64, SimilarityError> {
    let (items, dim) = (layer.items(), layer.dim());
    if items < 2 {
        return Err(SimilarityError::TooFewItems { what: "the effective rank", expected: 2, found: items });
    }
    let centred = layer.centred()?;
    // The smaller of the two products has the squares of the singular values. Those that are lost in rounding, below 1e-8 of
    // the largest, would hardly count.
    let products = if items < dim { &centred * centred.transpose() } else { centred.transpose() * &centred };
    let squares =
        products.self_adjoint_eigenvalues(Side::Lower).map_err(|_| SimilarityError::NoConvergence { items, dim })?;
    effective_rank_of(&squares.iter().map(|square| square.max(0.0).sqrt()).collect::<Vec<_>>())
}

/// The effective rank of singular values in any order and of any scale.
///
/// # Errors
///
/// [`SimilarityError::Constant`] where their sum is not a positive number.
pub fn effective_rank_of(singular_values: &[f64]) -> Result<f64, SimilarityError> {
    let total: f64 = singular_values.iter().sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(SimilarityError::Constant);
    }
    let shares = singular_values.iter().map(|value| value / total).filter(|&share| share > 0.0);
    Ok((-shares.map(|share| share * share.ln()).sum::<f64>()).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::whitening::tests::noise;

    #[test]
    fn equal_directions_count_fully() {
        assert!((effective_rank_of(&[3.0; 5]).unwrap() - 5.0).abs() < 1e-12);
        assert!((effective_rank_of(&[7.0, 0.0]).unwrap() - 1.0).abs() < 1e-12);
        // Shares 3/4 and 1/4.
        let expected = (4.0_f64).powf(1.0) / 3.0_f64.powf(0.75);
        assert!((effective_rank_of(&[3.0, 1.0]).unwrap() - expected).abs() < 1e-12);
        assert_eq!(effective_rank_of(&[0.0]), Err(SimilarityError::Constant));
    }

    #[test]
    fn an_offset_does_not_count() {
        let x = noise(300, 6, 1);
        let moved: Vec<f32> = x.iter().map(|value| value + 50.0).collect();
        let rank = |values: &[f32]| effective_rank(Matrix::new(values, 300, 6).unwrap()).unwrap();
        assert!(rank(&x) > 5.9 && (rank(&x) - rank(&moved)).abs() < 1e-4);
    }
}
