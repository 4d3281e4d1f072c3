//! Masked prediction: the tokens of what was hidden, by cross-entropy.
//!
//! Chiu et al. 2022 (BEST-RQ), arXiv:2202.01855, sec. 3: one codebook of a random-projection quantiser, as in MusicFM
//! (Won et al. 2023, arXiv:2311.03318). MuQ (Zhu et al. 2025, arXiv:2501.01108) predicts all codebooks of Mel-RVQ at
//! once, and the loss is the mean over hidden frames and codebooks. [`hubert`](super::hubert()) is the same with logits
//! that are cosines, and a sum over its teachers.

use burn::tensor::{Bool, Int, Tensor};

use super::cross_entropy::cross_entropy;
use super::{ObjectiveError, Terms, check_enough, check_shape, mask_weights, single};

const NAME: &str = "masked prediction";

/// Mean cross-entropy of the tokens at hidden frames, over frames and codebooks.
///
/// Where the caller runs its output layer on the hidden frames alone, which is less work, they are one clip without a
/// mask: the loss is the same.
///
/// Named term: `masked_accuracy`, the share of tokens whose logit is the largest, at hidden frames. Without any hidden
/// frame, loss, gradient and accuracy are 0.
///
/// # Shapes
/// - logits: `[batch, frames, codebooks, codes]`; see [`split_codebooks`]
/// - targets: `[batch, frames, codebooks]`, code numbers, each below the number of codes
/// - mask: `[batch, frames]`, true where the input was hidden; without one, all frames count
///
/// # Errors
/// [`ObjectiveError`] for tensors that do not belong together, and for a size of 0.
pub fn masked_prediction(
    logits: Tensor<4>,
    targets: Tensor<3, Int>,
    mask: Option<Tensor<2, Bool>>,
) -> Result<Terms, ObjectiveError> {
    let [batch, frames, codebooks, codes] = logits.dims();
    for (what, size) in [("clips", batch), ("frames", frames), ("codebooks", codebooks), ("codes", codes)] {
        check_enough(NAME, what, 1, size)?;
    }
    check_shape(NAME, "the targets", [batch, frames, codebooks], targets.dims())?;
    if let Some(mask) = &mask {
        check_shape(NAME, "the mask", [batch, frames], mask.dims())?;
    }
    let (weights, count) = mask_weights(mask, &logits);
    let rows = batch * frames * codebooks;
    let weights: Tensor<1> = weights.expand([batch, frames, codebooks]).reshape([rows]);
    let count = count * codebooks as f64;
    let tokens = cross_entropy(single(logits).reshape([rows, codes]), targets.reshape([rows]));
    let accuracy = (tokens.hits * weights.clone()).sum() / count.clone();
    let loss = (tokens.values * weights).sum() / count;
    Ok(Terms::new(loss).with("masked_accuracy", accuracy))
}

/// Logits of one output layer by codebook: all codes of the first codebook, then all of the second, and so on.
///
/// # Shapes
/// - logits: `[batch, frames, codebooks x codes]`
/// - output: `[batch, frames, codebooks, codes]`
///
/// # Errors
/// [`ObjectiveError`] where the width is not a multiple of the codebooks.
pub fn split_codebooks(logits: Tensor<3>, codebooks: usize) -> Result<Tensor<4>, ObjectiveError> {
    let [batch, frames, width] = logits.dims();
    check_enough(NAME, "codebooks", 1, codebooks)?;
    let codes = width / codebooks;
    check_shape(NAME, "the logits", [batch, frames, codebooks * codes], [batch, frames, width])?;
    Ok(logits.reshape([batch, frames, codebooks, codes]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, device, named, noise, scalar, values};
    use solfa_signal::testing::assert_close;

    fn integers<const D: usize>(numbers: &[i64], shape: [usize; D]) -> Tensor<D, Int> {
        Tensor::<1, Int>::from_ints(numbers, &device()).reshape(shape)
    }

    #[test]
    fn the_losses_of_muq_and_musicfm_are_the_references() {
        for (name, codebooks, tokens) in
            [("muq-25hz", 2, "codes"), ("muq-50hz", 2, "codes"), ("musicfm-tiny", 1, "tokens")]
        {
            let case = Case::read(name, &["inputs", "outputs"]);
            let logits: Tensor<3> = case.leaf("logits");
            let [batch, frames, _] = logits.dims();
            // [batch, codebooks, frames] -> [batch, frames, codebooks]
            let targets = match codebooks {
                1 => case.integers::<2>(tokens).unsqueeze_dim(2),
                _ => case.integers::<3>(tokens).swap_dims(1, 2),
            };
            let mut flags = vec![false; batch * frames];
            let indices: Vec<i64> = case.integers::<2>("masked_indices").into_data().try_to_vec_as().unwrap();
            for pair in indices.chunks_exact(2) {
                flags[pair[0] as usize * frames + pair[1] as usize] = true;
            }
            let num_masked = flags.iter().filter(|&&flag| flag).count();
            assert_eq!(num_masked, indices.len() / 2, "{name}");
            let mask = Tensor::<1, Bool>::from_bool(flags.as_slice(), &device()).reshape([batch, frames]);
            let terms = masked_prediction(split_codebooks(logits, codebooks).unwrap(), targets, Some(mask)).unwrap();
            case.assert("loss", terms.loss.clone());
            assert_eq!(named(&terms, "masked_accuracy"), case.floats("accuracy")[0]);
        }
    }

    #[test]
    fn loss_and_gradient_are_the_references() {
        let case = Case::read("objectives", &["case"]);
        let logits: Tensor<4> = case.leaf("masked_logits");
        let mask = case.integers::<2>("mask").bool();
        let terms = masked_prediction(logits.clone(), case.integers("masked_targets"), Some(mask)).unwrap();
        case.assert("masked_loss", terms.loss.clone());
        case.assert("masked_accuracy", terms.named[0].1.clone());
        case.assert("masked_grad", logits.grad(&terms.loss.backward()).unwrap());
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_codes_and_sure_ones_nothing() {
        let equal = Tensor::zeros([2, 3, 2, 5], &device());
        let targets = integers(&[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1], [2, 3, 2]);
        let terms = masked_prediction(equal.clone(), targets.clone(), None).unwrap();
        assert!((scalar(&terms.loss) - 5f32.ln()).abs() < 1e-6);
        let sure = targets.clone().one_hot::<4>(5).float() * 1e4;
        let terms = masked_prediction(sure, targets, None).unwrap();
        assert_eq!((scalar(&terms.loss), named(&terms, "masked_accuracy")), (0.0, 1.0));
    }

    #[test]
    fn frames_that_were_not_hidden_have_no_say() {
        let logits: Tensor<4> = noise([1, 3, 2, 4], 1);
        let targets = integers(&[0, 1, 2, 3, 0, 1], [1, 3, 2]);
        let mask = Tensor::from_bool([[true, false, true]], &device());
        let terms = masked_prediction(logits.clone(), targets.clone(), Some(mask)).unwrap();

        let hidden = integers(&[0, 2], [2]);
        let alone: Tensor<4> = logits.clone().select(1, hidden.clone());
        let alone = masked_prediction(alone, targets.select(1, hidden), None).unwrap();
        assert!((scalar(&terms.loss) - scalar(&alone.loss)).abs() < 1e-6);
        assert_eq!(named(&terms, "masked_accuracy"), named(&alone, "masked_accuracy"));

        let gradient = values(logits.grad(&terms.loss.backward()).unwrap());
        assert_close("gradient", &gradient, &values(logits.grad(&alone.loss.backward()).unwrap()), 1e-5);
        assert!(gradient[8..16].iter().all(|&value| value == 0.0), "{gradient:?}");
        assert!(gradient[..8].iter().all(|&value| value != 0.0), "{gradient:?}");
    }

    #[test]
    fn an_empty_mask_has_a_loss_and_a_gradient_of_zero() {
        let logits: Tensor<4> = noise([1, 2, 1, 3], 2);
        let mask = Tensor::from_bool([[false, false]], &device());
        let terms = masked_prediction(logits.clone(), integers(&[0, 1], [1, 2, 1]), Some(mask)).unwrap();
        assert_eq!((scalar(&terms.loss), named(&terms, "masked_accuracy")), (0.0, 0.0));
        assert_eq!(values(logits.grad(&terms.loss.backward()).unwrap()), [0.0; 6]);
    }

    #[test]
    fn the_order_of_codebooks_does_not_matter() {
        let logits: Tensor<4> = noise([1, 4, 2, 3], 3);
        let targets = integers(&[0, 1, 2, 0, 1, 2, 0, 1], [1, 4, 2]);
        let loss = |logits, targets| scalar(&masked_prediction(logits, targets, None).unwrap().loss);
        let difference = loss(logits.clone(), targets.clone()) - loss(logits.flip([2]), targets.flip([2]));
        assert!(difference.abs() < 1e-6);
    }

    #[test]
    fn large_logits_are_finite() {
        let logits = (noise([1, 2, 1, 3], 4).inner() * 1e12).autodiff().require_grad();
        let terms = masked_prediction(logits.clone(), integers(&[0, 1], [1, 2, 1]), None).unwrap();
        assert_finite(&terms, &[logits]);
    }

    #[test]
    fn codebooks_stand_one_after_the_other() {
        let split = split_codebooks(Tensor::from_floats([[[1.0, 2.0, 3.0, 4.0]]], &device()), 2).unwrap();
        assert_eq!(values(split.slice([0..1, 0..1, 1..2])), [3.0, 4.0]);
    }

    #[test]
    fn tensors_that_do_not_belong_together_are_errors() {
        let logits = || noise([1, 2, 2, 3], 5);
        let message = |result: Result<Terms, ObjectiveError>| result.unwrap_err().to_string();
        let wrong = masked_prediction(logits(), integers(&[0; 6], [1, 3, 2]), None);
        assert_eq!(message(wrong), "masked prediction: the shape of the targets is [1, 3, 2]; expected [1, 2, 2]");
        let mask = Tensor::from_bool([[true]], &device());
        let wrong = masked_prediction(logits(), integers(&[0; 4], [1, 2, 2]), Some(mask));
        assert!(message(wrong).contains("the mask is [1, 1]; expected [1, 2]"));
        assert!(split_codebooks(noise([1, 2, 5], 6), 2).unwrap_err().to_string().contains("expected [1, 2, 4]"));
        assert!(split_codebooks(noise([1, 2, 5], 6), 0).is_err());
    }
}
