//! A spectrogram of what was hidden, by its mean square error.
//!
//! MERT (Li et al. 2024, arXiv:2306.00107, sec. 3.3) reconstructs the magnitudes of a constant-Q transform beside the
//! prediction of tokens, so that pitch is not lost in them. Nothing here depends on the kind of spectrogram.

use burn::tensor::{Bool, Tensor};

use super::{ObjectiveError, Terms, check_enough, check_shape, mask_weights, single};

/// Mean square error over hidden frames and bins.
///
/// Named term: `cqt_error`, the same. Without any hidden frame, loss and gradient are 0.
///
/// # Shapes
/// - predicted: `[batch, frames, bins]`
/// - target: `[batch, frames, bins]`, of the sound before anything was hidden; no gradient goes there
/// - mask: `[batch, frames]`, true where the input was hidden; without one, all frames count
///
/// # Errors
/// [`ObjectiveError`] for tensors that differ in shape, and for a size of 0.
pub fn cqt_reconstruction(
    predicted: Tensor<3>,
    target: Tensor<3>,
    mask: Option<Tensor<2, Bool>>,
) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "reconstruction";
    let [batch, frames, bins] = predicted.dims();
    check_enough(NAME, "numbers", 1, batch * frames * bins)?;
    check_shape(NAME, "the target", [batch, frames, bins], target.dims())?;
    if let Some(mask) = &mask {
        check_shape(NAME, "the mask", [batch, frames], mask.dims())?;
    }
    let (weights, count) = mask_weights(mask, &predicted);
    let errors = (single(predicted) - single(target.inner())).square();
    let loss = (errors * weights).sum() / (count * bins as f64);
    Ok(Terms::new(loss.clone()).with("cqt_error", loss))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, device, leaf, noise, scalar, values};

    #[test]
    fn loss_and_gradient_are_the_references() {
        let case = Case::read("objectives", &["case"]);
        let (predicted, target): (Tensor<3>, Tensor<3>) = (case.leaf("cqt_predicted"), case.leaf("cqt_target"));
        let mask = case.integers::<2>("mask").bool();
        let terms = cqt_reconstruction(predicted.clone(), target.clone(), Some(mask)).unwrap();
        case.assert("cqt_loss", terms.loss.clone());
        let gradients = terms.loss.backward();
        case.assert("cqt_grad", predicted.grad(&gradients).unwrap());
        assert!(target.grad(&gradients).is_none());
    }

    #[test]
    fn hidden_frames_count_and_others_do_not() {
        let predicted: Tensor<3> = leaf([[[1.0, 2.0], [100.0, 100.0]]]);
        let mask = Tensor::from_bool([[true, false]], &device());
        let terms = cqt_reconstruction(predicted.clone(), Tensor::zeros([1, 2, 2], &device()), Some(mask)).unwrap();
        assert_eq!(scalar(&terms.loss), 2.5);
        assert_eq!(values(predicted.grad(&terms.loss.backward()).unwrap()), [1.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn an_empty_mask_has_a_loss_and_a_gradient_of_zero_and_large_values_are_finite() {
        let predicted: Tensor<3> = leaf([[[1.0, 1e15]]]);
        let target = Tensor::zeros([1, 1, 2], &device());
        let empty = Tensor::from_bool([[false]], &device());
        let terms = cqt_reconstruction(predicted.clone(), target.clone(), Some(empty)).unwrap();
        assert_eq!(assert_finite(&terms, std::slice::from_ref(&predicted)), 0.0);
        assert_finite(&cqt_reconstruction(predicted.clone(), target, None).unwrap(), &[predicted]);
    }

    #[test]
    fn shapes_that_differ_are_errors() {
        let result = cqt_reconstruction(noise([1, 2, 3], 1), noise([1, 2, 4], 2), None);
        let message = result.unwrap_err().to_string();
        assert_eq!(message, "reconstruction: the shape of the target is [1, 2, 4]; expected [1, 2, 3]");
    }
}
