//! BYOL: each view predicts the other one as a slow copy of the network sees it.
//!
//! Grill et al. 2020, "Bootstrap your own latent", arXiv:2006.07733, sec. 3.1. There are no negatives, so a batch of 1
//! has a loss.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, single, unit_length};

/// Settings of [`byol`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByolConfig {
    /// Multiplies normalised vectors and adds over the batch instead of over dimensions, as the released code of the
    /// multi-view study of music tagging does (arXiv:2404.09177). The paper's loss is the default.
    pub batch_sum: bool,
}

/// `2 - 2 cos` between each view's prediction and the other view's target, averaged.
///
/// Named term: `similarity`, the mean cosine of predictions and targets.
///
/// # Shapes
/// - predictions: `[batch, dim]` for each view, of the trained network
/// - targets: `[batch, dim]` for each view, of its slow copy; no gradient goes there
///
/// # Errors
/// [`ObjectiveError`] for an empty batch, and for tensors that differ in shape.
pub fn byol(
    predictions: [Tensor<2>; 2],
    targets: [Tensor<2>; 2],
    config: &ByolConfig,
) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "BYOL";
    let [batch, dim] = predictions[0].dims();
    check_enough(NAME, "pairs in a batch", 1, batch)?;
    check_shape(NAME, "the second view's prediction", [batch, dim], predictions[1].dims())?;
    check_shape(NAME, "the first view's target", [batch, dim], targets[0].dims())?;
    check_shape(NAME, "the second view's target", [batch, dim], targets[1].dims())?;
    let predictions = Tensor::cat(Vec::from(predictions.map(|view| unit_length(single(view)))), 0);
    let [first, second] = targets.map(|view| unit_length(single(view.inner())));
    // [2 x batch, dim]: each view's prediction times the other view's target.
    let products = predictions * Tensor::cat(vec![second, first], 0);
    let similarity = products.clone().inner().sum() / (2 * batch) as f64;
    let agreement = products.sum() / (2 * if config.batch_sum { dim } else { batch }) as f64;
    Ok(Terms::new(agreement * -2.0 + 2.0).with("similarity", similarity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, leaf, named, noise, scalar};
    use burn::tensor::TensorData;

    fn of_views(predictions: &Tensor<3>, targets: &Tensor<3>, batch_sum: bool) -> Terms {
        let views = |views: &Tensor<3>| [0, 1].map(|number| views.clone().select_dim(0, number));
        byol(views(predictions), views(targets), &ByolConfig { batch_sum }).unwrap()
    }

    #[test]
    fn loss_and_gradient_are_the_references() {
        let case = Case::read("multiview-losses", &["inputs", "outputs"]);
        for (name, batch_sum) in [("byol", false), ("byol_reference_quirk_sum_over_batch", true)] {
            let (student, teacher): (Tensor<3>, Tensor<3>) = (case.leaf("student"), case.leaf("teacher"));
            let terms = of_views(&student, &teacher, batch_sum);
            case.assert(name, terms.loss.clone());
            let gradients = terms.loss.backward();
            case.assert(&format!("{name}_grad"), student.grad(&gradients).unwrap());
            assert!(teacher.grad(&gradients).is_none(), "the slow copy is not trained");
        }
    }

    #[test]
    fn views_are_compared_across() {
        let predictions = leaf([[[1.0, 0.0]], [[0.0, 1.0]]]);
        let targets = leaf([[[0.0, 2.0]], [[3.0, 0.0]]]);
        let terms = of_views(&predictions, &targets, false);
        assert_eq!((scalar(&terms.loss), named(&terms, "similarity")), (0.0, 1.0));
        assert_eq!(scalar(&of_views(&predictions, &predictions, false).loss), 2.0);
    }

    #[test]
    fn equal_zero_and_large_vectors_are_finite_in_a_batch_of_one() {
        for value in [1.0, 0.0, 1e12] {
            let views = leaf(TensorData::new(vec![value; 8], [2, 1, 4]));
            let loss = assert_finite(&of_views(&views, &views, false), &[views]);
            let expected = if value == 0.0 { 2.0 } else { 0.0 };
            assert!((loss - expected).abs() < 1e-5, "{loss}");
        }
    }

    #[test]
    fn shapes_that_differ_are_errors() {
        let view = |batch, dim| noise([batch, dim], 1);
        let result = byol([view(2, 4), view(2, 4)], [view(2, 4), view(2, 3)], &ByolConfig::default());
        assert!(result.unwrap_err().to_string().contains("the second view's target is [2, 3]; expected [2, 4]"));
        let result = byol([view(2, 4), view(1, 4)], [view(2, 4), view(2, 4)], &ByolConfig::default());
        assert!(result.unwrap_err().to_string().contains("the second view's prediction"));
    }
}
