//! Barlow Twins: the cross-correlation of two views' dimensions is to be the identity.
//!
//! Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", arXiv:2103.03230, sec. 2.1.
//! As the multi-view study of music tagging has it (Meseguer-Brocal et al. 2024, arXiv:2404.09177): means over the
//! diagonal and over the rest, where the paper has sums and a weight of 0.005 for the rest; and correlations divided by
//! the batch less one after a standardisation by the batch.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, off_diagonal_mean_square, single, standardized};

/// Settings of [`barlow_twins`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BarlowTwinsConfig {
    /// What the mean square of correlations between different dimensions is multiplied by.
    pub off_diagonal_weight: f64,
}

impl Default for BarlowTwinsConfig {
    fn default() -> Self {
        Self { off_diagonal_weight: 1.0 }
    }
}

/// Mean square distance of the diagonal of the cross-correlation from 1, and weighted mean square of the rest.
///
/// Named terms: `on_diagonal` and `off_diagonal`, the two means.
///
/// # Shapes
/// - first, second: `[batch, dim]`, the two views
///
/// # Errors
/// [`ObjectiveError`] for a single pair, which has no correlation, and for views that differ in shape.
pub fn barlow_twins(first: Tensor<2>, second: Tensor<2>, config: &BarlowTwinsConfig) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "Barlow Twins";
    let [batch, dim] = first.dims();
    check_shape(NAME, "the second view", [batch, dim], second.dims())?;
    check_enough(NAME, "pairs in a batch", 2, batch)?;
    let (first, second) = (standardized(single(first)), standardized(single(second)));
    // [dim, dim]
    let correlations = first.transpose().matmul(second) / (batch - 1) as f64;
    let elsewhere = Tensor::<2, Bool>::diag_mask([dim, dim], 0, &correlations.device());
    let on_diagonal = (correlations.clone() - 1.0).mask_fill(elsewhere, 0.0).square().sum() / dim as f64;
    let off_diagonal = off_diagonal_mean_square(correlations);
    let loss = on_diagonal.clone() + off_diagonal.clone() * config.off_diagonal_weight;
    Ok(Terms::new(loss).with("on_diagonal", on_diagonal).with("off_diagonal", off_diagonal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, leaf, named, noise, scalar};
    use burn::tensor::TensorData;

    fn of_views(views: &Tensor<3>) -> Terms {
        let view = |number| views.clone().select_dim(0, number);
        barlow_twins(view(0), view(1), &BarlowTwinsConfig::default()).unwrap()
    }

    #[test]
    fn loss_and_gradient_are_the_references() {
        let case = Case::read("multiview-losses", &["inputs", "outputs"]);
        let views: Tensor<3> = case.leaf("student");
        let terms = of_views(&views);
        case.assert("barlow_twins", terms.loss.clone());
        case.assert("barlow_twins_grad", views.grad(&terms.loss.backward()).unwrap());
    }

    #[test]
    fn equal_views_of_independent_dimensions_by_hand() {
        // Two dimensions without correlation, of variance 1: the correlation with itself is 4 / 3 after the division by
        // the batch less one.
        let view = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
        let terms = of_views(&leaf([view, view]));
        assert!((named(&terms, "on_diagonal") - 1.0 / 9.0).abs() < 1e-4);
        assert!(named(&terms, "off_diagonal").abs() < 1e-6);
    }

    #[test]
    fn the_weight_applies_off_the_diagonal() {
        let (first, second) = (noise([6, 3], 1), noise([6, 3], 2));
        let terms = barlow_twins(first, second, &BarlowTwinsConfig { off_diagonal_weight: 3.0 }).unwrap();
        let expected = named(&terms, "on_diagonal") + 3.0 * named(&terms, "off_diagonal");
        assert!((scalar(&terms.loss) - expected).abs() < 1e-6);
    }

    #[test]
    fn equal_and_large_vectors_are_finite() {
        for value in [1.0, 0.0, 1e12] {
            let views = leaf(TensorData::new(vec![value; 24], [2, 4, 3]));
            let loss = assert_finite(&of_views(&views), &[views]);
            assert!((loss - 1.0).abs() < 1e-5, "dimensions without deviation have no correlation: {loss}");
        }
        let views = (noise([2, 3, 4], 3).inner() * 1e12).autodiff().require_grad();
        assert_finite(&of_views(&views), &[views]);
        let views = noise([2, 3, 1], 4);
        assert_finite(&of_views(&views), &[views]);
    }

    #[test]
    fn a_single_pair_is_an_error() {
        let result = barlow_twins(noise([1, 4], 5), noise([1, 4], 6), &BarlowTwinsConfig::default());
        assert_eq!(result.unwrap_err().to_string(), "Barlow Twins needs 2 pairs in a batch or more, and was given 1");
        assert!(barlow_twins(noise([2, 4], 5), noise([2, 3], 6), &BarlowTwinsConfig::default()).is_err());
    }
}
