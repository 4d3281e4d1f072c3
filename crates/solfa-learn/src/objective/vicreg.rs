//! VICReg: two views agree, every dimension varies over the batch, and no two dimensions vary together.
//!
//! Bardes et al. 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
//! arXiv:2105.04906, sec. 4.1. As the multi-view study of music tagging has it ("feature statistics"; Meseguer-Brocal
//! et al. 2024, arXiv:2404.09177), which differs from the paper: covariances are those of standardised dimensions and
//! their squares are averaged, variance and covariance are means over the two views, and all weights are 1 (25, 25 and
//! 1 in the paper).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, off_diagonal_mean_square, single, standardized};

/// Added to a variance before its root, as in the paper.
const EPSILON: f64 = 1e-5;

/// Settings of [`vicreg`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicregConfig {
    /// Weight of the views' mean square difference.
    pub invariance_weight: f64,
    /// Weight of what dimensions lack in deviation.
    pub variance_weight: f64,
    /// Weight of the mean square of covariances.
    pub covariance_weight: f64,
    /// The deviation over the batch that no dimension is to be below; gamma in the paper.
    pub target_deviation: f64,
}

impl Default for VicregConfig {
    fn default() -> Self {
        Self { invariance_weight: 1.0, variance_weight: 1.0, covariance_weight: 1.0, target_deviation: 1.0 }
    }
}

/// The weighted sum of the three terms.
///
/// Named terms: `invariance`, `variance` and `covariance`, before they are weighted.
///
/// # Shapes
/// - first, second: `[batch, dim]`, the two views
///
/// # Errors
/// [`ObjectiveError`] for a single pair, which has no variance, and for views that differ in shape.
pub fn vicreg(first: Tensor<2>, second: Tensor<2>, config: &VicregConfig) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "VICReg";
    let [batch, dim] = first.dims();
    check_shape(NAME, "the second view", [batch, dim], second.dims())?;
    check_enough(NAME, "pairs in a batch", 2, batch)?;
    let (first, second) = (single(first), single(second));
    let invariance = (first.clone() - second.clone()).square().mean();
    let lack = |view: Tensor<2>| {
        let deviations = (view.var(0) + EPSILON).sqrt();
        activation::relu(deviations.neg() + config.target_deviation).mean()
    };
    let covariance = |view: Tensor<2>| {
        let view = standardized(view);
        off_diagonal_mean_square(view.clone().transpose().matmul(view) / (batch - 1) as f64)
    };
    let variance = (lack(first.clone()) + lack(second.clone())) / 2.0;
    let covariance = (covariance(first) + covariance(second)) / 2.0;
    let loss = invariance.clone() * config.invariance_weight
        + variance.clone() * config.variance_weight
        + covariance.clone() * config.covariance_weight;
    Ok(Terms::new(loss).with("invariance", invariance).with("variance", variance).with("covariance", covariance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, leaf, named, noise, scalar};
    use burn::tensor::TensorData;

    fn of_views(views: &Tensor<3>, config: &VicregConfig) -> Terms {
        let view = |number| views.clone().select_dim(0, number);
        vicreg(view(0), view(1), config).unwrap()
    }

    #[test]
    fn loss_and_gradient_are_the_references() {
        let case = Case::read("multiview-losses", &["inputs", "outputs"]);
        let views: Tensor<3> = case.leaf("student");
        let terms = of_views(&views, &VicregConfig::default());
        case.assert("feature_stats", terms.loss.clone());
        case.assert("feature_stats_grad", views.grad(&terms.loss.backward()).unwrap());
    }

    #[test]
    fn a_small_batch_by_hand() {
        // Deviations of 0 and sqrt(2) over two rows; the views differ by 1 in every number.
        let views = leaf([[[0.0, 1.0], [0.0, -1.0]], [[1.0, 2.0], [1.0, 0.0]]]);
        let terms = of_views(&views, &VicregConfig::default());
        assert_eq!(named(&terms, "invariance"), 1.0);
        let lack = (1.0 - 1e-5f32.sqrt()) / 2.0;
        assert!((named(&terms, "variance") - lack).abs() < 1e-6);
        assert!(named(&terms, "covariance").abs() < 1e-6);
    }

    #[test]
    fn weights_and_target_apply() {
        let config = VicregConfig {
            invariance_weight: 25.0,
            variance_weight: 5.0,
            covariance_weight: 2.0,
            target_deviation: 3.0,
        };
        let terms = of_views(&noise([2, 6, 3], 1), &config);
        let expected =
            25.0 * named(&terms, "invariance") + 5.0 * named(&terms, "variance") + 2.0 * named(&terms, "covariance");
        assert!((scalar(&terms.loss) - expected).abs() < 1e-5);
        assert!(named(&terms, "variance") > 2.0, "numbers below 1 lack more than 2 of a deviation of 3");
    }

    #[test]
    fn equal_and_large_vectors_are_finite() {
        for value in [1.0, 0.0, 1e12] {
            let views = leaf(TensorData::new(vec![value; 24], [2, 4, 3]));
            let loss = assert_finite(&of_views(&views, &VicregConfig::default()), &[views]);
            assert!((loss - (1.0 - 1e-5f32.sqrt())).abs() < 1e-5, "only the deviation is lacking: {loss}");
        }
        let views = (noise([2, 3, 4], 2).inner() * 1e12).autodiff().require_grad();
        assert_finite(&of_views(&views, &VicregConfig::default()), &[views]);
    }

    #[test]
    fn a_single_pair_is_an_error() {
        let result = vicreg(noise([1, 4], 3), noise([1, 4], 4), &VicregConfig::default());
        assert_eq!(result.unwrap_err().to_string(), "VICReg needs 2 pairs in a batch or more, and was given 1");
        assert!(vicreg(noise([2, 4], 3), noise([3, 4], 4), &VicregConfig::default()).is_err());
    }
}
