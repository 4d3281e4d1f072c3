//! The coefficient of determination: how much of a reference's variance an estimate explains.
//!
//! For each dimension `1 - sum (y - e)^2 / sum (y - mean y)^2` (scikit-learn's `r2_score`). 1 is perfect, 0 is as good as
//! the mean of the reference, and there is no lower limit. A reference that does not vary gives 1 where the estimate is
//! equal to it, and 0 otherwise.

use crate::metrics::check::{check_finite, check_length, check_rows};
use crate::metrics::error::MetricError;

/// R2 of every dimension, and their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct R2 {
    /// By dimension.
    pub per_dimension: Vec<f64>,
    /// Mean over dimensions, each counting the same.
    pub mean: f64,
}

/// R2 of `[items, dimensions]`, row-major.
///
/// # Errors
/// If there are fewer than two items, the lists have different lengths or are not whole rows, or a value is not finite.
pub fn r2(reference: &[f64], estimate: &[f64], num_dimensions: usize) -> Result<R2, MetricError> {
    let num_items = check_rows("values of the reference", reference.len(), num_dimensions)?;
    check_length("values of the estimate", reference.len(), estimate.len())?;
    check_finite("values of the reference", reference.iter().copied())?;
    check_finite("values of the estimate", estimate.iter().copied())?;
    if num_items < 2 {
        return Err(MetricError::OutOfRange {
            what: "items",
            index: 0,
            expected: "at least a second one, since R2 compares with a variance,".to_owned(),
            found: "the only one".to_owned(),
        });
    }
    let per_dimension: Vec<f64> = (0..num_dimensions)
        .map(|dimension| {
            let values = || reference[dimension..].iter().step_by(num_dimensions).copied();
            let estimates = estimate[dimension..].iter().step_by(num_dimensions);
            let mean = values().sum::<f64>() / num_items as f64;
            let total: f64 = values().map(|value| (value - mean).powi(2)).sum();
            let residual: f64 = values().zip(estimates).map(|(value, estimate)| (value - estimate).powi(2)).sum();
            match (residual == 0.0, total == 0.0) {
                (true, _) => 1.0,
                (false, true) => 0.0,
                (false, false) => 1.0 - residual / total,
            }
        })
        .collect();
    let mean = per_dimension.iter().sum::<f64>() / num_dimensions as f64;
    Ok(R2 { per_dimension, mean })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_by_hand() {
        // First dimension: mean 2, total 2, residual 1. Second: the mean itself.
        let found = r2(&[1.0, 0.0, 2.0, 4.0, 3.0, 8.0], &[1.0, 4.0, 2.0, 4.0, 4.0, 4.0], 2).unwrap();
        assert_eq!(found, R2 { per_dimension: vec![0.5, 0.0], mean: 0.25 });
    }

    #[test]
    fn a_constant_reference_is_hit_or_missed() {
        assert_eq!(r2(&[2.0; 3], &[2.0; 3], 1).unwrap().mean, 1.0);
        assert_eq!(r2(&[2.0; 3], &[2.0, 2.0, 2.5], 1).unwrap().mean, 0.0);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(r2(&[], &[], 1).is_err());
        assert!(r2(&[1.0], &[1.0], 1).unwrap_err().to_string().contains("the only one"));
        assert!(r2(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 2).unwrap_err().to_string().contains("a last row of 2"));
        assert!(r2(&[1.0, f64::NAN], &[1.0, 2.0], 1).unwrap_err().to_string().contains("NaN"));
    }
}
