//! NT-Xent: of all other vectors of a batch, the one of the same track is to be the nearest.
//!
//! Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR),
//! arXiv:2002.05709, sec. 2.1. Both directions count, and the 2N - 1 other vectors of a batch of N pairs are in every
//! denominator, other tracks' first views among them; [`language_audio`](super::language_audio()) contrasts across the
//! two sides only.

use burn::tensor::{Bool, Int, Tensor};

use super::cross_entropy::cross_entropy;
use super::{ObjectiveError, Terms, check_enough, check_shape, check_temperature, single, unit_length};

/// In place of a vector's similarity to itself: its exponential is zero, and it is a number that can be multiplied.
const NEVER: f64 = -1e30;

/// Cross-entropy of finding the partner by cosine similarity divided by the temperature, averaged over all vectors.
///
/// The multi-view study of music tagging (Meseguer-Brocal et al. 2024, arXiv:2404.09177) has a temperature of 0.1.
///
/// Named terms: `accuracy`, the share of vectors whose partner is the nearest of all; `similarity`, the mean cosine of
/// partners.
///
/// # Shapes
/// - first, second: `[batch, dim]`, the two views; rows of equal number belong together
///
/// # Errors
/// [`ObjectiveError`] for a single pair, which has nothing to be told apart from; for views that differ in shape; and
/// for a temperature that is not above zero.
pub fn nt_xent(first: Tensor<2>, second: Tensor<2>, temperature: f64) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "NT-Xent";
    let [batch, dim] = first.dims();
    check_shape(NAME, "the second view", [batch, dim], second.dims())?;
    check_enough(NAME, "pairs in a batch", 2, batch)?;
    check_temperature(NAME, temperature)?;
    let vectors = unit_length(Tensor::cat(vec![single(first), single(second)], 0));
    let (device, count) = (vectors.device(), 2 * batch as i64);
    let partners = Tensor::<1, Int>::arange(0..count, &device).add_scalar(batch as i64).remainder_scalar(count);
    let cosines = vectors.clone().matmul(vectors.transpose());
    let similarity = cosines.clone().inner().gather(1, partners.clone().inner().unsqueeze_dim::<2>(1)).mean();
    let itself = !Tensor::<2, Bool>::diag_mask([2 * batch; 2], 0, &device);
    let rows = cross_entropy((cosines / temperature).mask_fill(itself, NEVER), partners);
    Ok(Terms::new(rows.values.mean()).with("accuracy", rows.hits.mean()).with("similarity", similarity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, leaf, named, noise, scalar, values};

    fn of_views(views: &Tensor<3>, temperature: f64) -> Terms {
        let view = |number| views.clone().select_dim(0, number);
        nt_xent(view(0), view(1), temperature).unwrap()
    }

    #[test]
    fn loss_and_gradient_are_the_references() {
        let case = Case::read("multiview-losses", &["inputs", "outputs"]);
        for (name, temperature) in [("nt_xent", 0.1), ("nt_xent_t05", 0.5)] {
            let views: Tensor<3> = case.leaf("student");
            let terms = of_views(&views, temperature);
            case.assert(name, terms.loss.clone());
            case.assert(&format!("{name}_grad"), views.grad(&terms.loss.backward()).unwrap());
        }
    }

    #[test]
    fn two_orthogonal_pairs_by_hand() {
        // Each vector has a partner at cosine 1 and two others at 0.
        let views = leaf([[[2.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 0.5]]]);
        let terms = of_views(&views, 0.5);
        let expected = -(2.0 - (2f32.exp() + 2.0).ln());
        assert!((scalar(&terms.loss) - expected).abs() < 1e-6);
        assert_eq!((named(&terms, "accuracy"), named(&terms, "similarity")), (1.0, 1.0));
    }

    #[test]
    fn which_view_is_first_does_not_matter() {
        let views = noise([2, 5, 7], 1);
        let swapped = views.clone().flip([0]);
        let difference = scalar(&of_views(&views, 0.1).loss) - scalar(&of_views(&swapped, 0.1).loss);
        assert!(difference.abs() < 1e-5);
    }

    #[test]
    fn equal_zero_and_large_vectors_are_finite() {
        for value in [1.0, 0.0, 1e12] {
            let views = leaf(values_of(value));
            let terms = of_views(&views, 0.1);
            let loss = assert_finite(&terms, &[views]);
            assert!((loss - 5f32.ln()).abs() < 1e-5, "no vector can be told from another: {loss}");
        }
        let views = (noise([2, 3, 4], 2).inner() * 1e12).autodiff().require_grad();
        assert_finite(&of_views(&views, 1e-3), &[views]);
    }

    fn values_of(value: f32) -> burn::tensor::TensorData {
        burn::tensor::TensorData::new(vec![value; 24], [2, 3, 4])
    }

    #[test]
    fn impossible_contrasts_are_errors() {
        let error = |result: Result<Terms, ObjectiveError>| result.unwrap_err().to_string();
        let view = |batch, dim| noise([batch, dim], 3);
        assert_eq!(
            error(nt_xent(view(1, 4), view(1, 4), 0.1)),
            "NT-Xent needs 2 pairs in a batch or more, and was given 1"
        );
        assert!(error(nt_xent(view(2, 4), view(3, 4), 0.1)).contains("the second view is [3, 4]; expected [2, 4]"));
        assert!(error(nt_xent(view(2, 4), view(2, 4), -1.0)).contains("temperature must be above zero"));
    }

    #[test]
    fn the_gradient_of_a_vectors_similarity_to_itself_is_nothing() {
        let views = noise([2, 2, 1], 4);
        let gradient = values(views.grad(&of_views(&views, 0.1).loss.backward()).unwrap());
        // In one dimension every cosine is 1 or -1 whatever the lengths.
        assert!(gradient.iter().all(|value| value.abs() < 1e-5), "{gradient:?}");
    }
}
