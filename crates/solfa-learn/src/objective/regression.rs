//! Regression of a teacher's layers: what a slow copy of the network makes of the whole clip, at the frames that were
//! hidden.
//!
//! Baevski et al. 2022, "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language",
//! arXiv:2202.03555, sec. 3.3, as music2vec has it (Li et al. 2022, arXiv:2212.02508). What the paper does not say is
//! as in fairseq's base configuration for audio: the loss of a frame is the sum over dimensions, divided by the root of
//! their number, and beta is 0.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, mask_weights, single};

const NAME: &str = "regression";

/// Settings of [`regression`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegressionConfig {
    /// Differences below it cost `square / (2 beta)`, others `difference - beta / 2`; at 0, all cost their square.
    pub beta: f64,
    /// What a frame's sum over dimensions is multiplied by; without it, `1 / sqrt(dim)`.
    pub loss_scale: Option<f64>,
}

/// Mean over hidden frames of the scaled sum over dimensions.
///
/// Named terms: `target_deviation` and `prediction_deviation`, each dimension's deviation over hidden frames, averaged;
/// where both go to 0, the representation has collapsed. Without any hidden frame, loss, gradient and deviations are 0.
///
/// # Shapes
/// - predicted: `[batch, frames, dim]`
/// - target: `[batch, frames, dim]`, see [`mean_of_normalized_layers`]; no gradient goes there
/// - mask: `[batch, frames]`, true where the input was hidden; without one, all frames count
///
/// # Errors
/// [`ObjectiveError`] for tensors that differ in shape, for a size of 0, and for a beta that is negative or no number.
pub fn regression(
    predicted: Tensor<3>,
    target: Tensor<3>,
    mask: Option<Tensor<2, Bool>>,
    config: &RegressionConfig,
) -> Result<Terms, ObjectiveError> {
    let [batch, frames, dim] = predicted.dims();
    check_enough(NAME, "numbers", 1, batch * frames * dim)?;
    check_shape(NAME, "the target", [batch, frames, dim], target.dims())?;
    if let Some(mask) = &mask {
        check_shape(NAME, "the mask", [batch, frames], mask.dims())?;
    }
    if !(config.beta >= 0.0 && config.beta.is_finite()) {
        let expected = "zero or above";
        return Err(ObjectiveError::Setting { objective: NAME, what: "beta", expected, found: config.beta });
    }
    let (weights, count) = mask_weights(mask, &predicted);
    let (predicted, target) = (single(predicted), single(target.inner()));
    let [target_deviation, prediction_deviation] =
        [target.clone(), predicted.clone().inner()].map(|values| deviation(values, weights.clone(), count.clone()));
    let scale = config.loss_scale.unwrap_or_else(|| 1.0 / (dim as f64).sqrt());
    let costs = smooth_l2(predicted - target, config.beta);
    let loss = (costs * weights).sum() / count * scale;
    Ok(Terms::new(loss).with("target_deviation", target_deviation).with("prediction_deviation", prediction_deviation))
}

/// What each difference costs.
fn smooth_l2(differences: Tensor<3>, beta: f64) -> Tensor<3> {
    let squares = differences.clone().square();
    if beta == 0.0 {
        return squares;
    }
    let sizes = differences.abs();
    let is_small = sizes.clone().inner().lower_elem(beta);
    (sizes - 0.5 * beta).mask_where(is_small, squares / (2.0 * beta))
}

/// The deviation of every dimension over the frames that count, averaged over dimensions.
fn deviation(values: Tensor<3>, weights: Tensor<3>, count: Tensor<1>) -> Tensor<1> {
    let [batch, frames, dim] = values.dims();
    let values: Tensor<2> = values.reshape([batch * frames, dim]);
    let weights: Tensor<2> = weights.reshape([batch * frames, 1]);
    let count = count.unsqueeze::<2>();
    let mean = (values.clone() * weights.clone()).sum_dim(0) / count.clone();
    (((values - mean).square() * weights).sum_dim(0) / count).sqrt().mean()
}

/// The mean of the last layers, each normalised over time within its clip and channel: data2vec's target.
///
/// In fairseq a layer's output is here that of its feed-forward part before the residual sum.
///
/// # Shapes
/// - layers: `[batch, frames, dim]` each, in order
/// - output: `[batch, frames, dim]`, the mean of the last `top`
///
/// # Errors
/// [`ObjectiveError`] for fewer layers than `top`, for a `top` of 0, for a single frame, which has no variance, and for
/// layers that differ in shape.
pub fn mean_of_normalized_layers(layers: &[Tensor<3>], top: usize) -> Result<Tensor<3>, ObjectiveError> {
    /// Added to the variance, as in `torch.nn.functional.instance_norm`.
    const EPSILON: f64 = 1e-5;
    check_enough(NAME, "layers of a teacher", top.max(1), layers.len().min(top))?;
    let layers = &layers[layers.len() - top..];
    let shape = layers[0].dims();
    check_enough(NAME, "frames of a teacher", 2, shape[1])?;
    let mut sum: Option<Tensor<3>> = None;
    for layer in layers {
        check_shape(NAME, "a teacher's layer", shape, layer.dims())?;
        let layer = single(layer.clone());
        let centered = layer.clone() - layer.mean_dim(1);
        let variance = centered.clone().square().mean_dim(1);
        let normalized = centered / (variance + EPSILON).sqrt();
        sum = Some(match sum {
            Some(sum) => sum + normalized,
            None => normalized,
        });
    }
    let sum = sum.unwrap_or_else(|| Tensor::zeros(shape, &layers[0].device()));
    Ok(sum / top as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, device, leaf, named, noise, scalar, values};
    use burn::tensor::Int;

    #[test]
    fn losses_and_gradients_are_the_references() {
        let case = Case::read("objectives", &["case"]);
        for (name, beta) in [("regression", 0.0), ("regression_smooth", 0.25)] {
            let (predicted, target): (Tensor<3>, Tensor<3>) =
                (case.leaf("regression_predicted"), case.leaf("regression_target"));
            let mask = case.integers::<2>("mask").bool();
            let config = RegressionConfig { beta, ..RegressionConfig::default() };
            let terms = regression(predicted.clone(), target.clone(), Some(mask), &config).unwrap();
            case.assert(&format!("{name}_loss"), terms.loss.clone());
            for (part, value) in &terms.named {
                case.assert(&format!("regression_{part}"), value.clone());
            }
            let gradients = terms.loss.backward();
            case.assert(&format!("{name}_grad"), predicted.grad(&gradients).unwrap());
            assert!(target.grad(&gradients).is_none(), "the slow copy is not trained");
        }
    }

    #[test]
    fn the_target_is_the_references() {
        let case = Case::read("objectives", &["case"]);
        let layers: Tensor<4> = case.leaf("teacher_layers");
        let layers: Vec<Tensor<3>> = layers.iter_dim(0).map(|layer| layer.squeeze_dim(0)).collect();
        case.assert("regression_target", mean_of_normalized_layers(&layers, 3).unwrap());
    }

    #[test]
    fn small_and_large_differences_by_hand() {
        let predicted: Tensor<3> = leaf([[[0.5, -3.0, 0.0, 1.0]]]);
        let target = || Tensor::zeros([1, 1, 4], &device());
        let loss = |beta, loss_scale| {
            let config = RegressionConfig { beta, loss_scale };
            regression(predicted.clone(), target(), None, &config).unwrap().loss
        };
        // (0.25 + 9 + 0 + 1) / sqrt(4)
        assert_eq!(scalar(&loss(0.0, None)), 5.125);
        // 0.25 / 2 + (3 - 0.5) + 0 + (1 - 0.5)
        let smooth = loss(1.0, Some(1.0));
        assert_eq!(scalar(&smooth), 3.125);
        assert_eq!(values(predicted.grad(&smooth.backward()).unwrap()), [0.5, -1.0, 0.0, 1.0]);
    }

    #[test]
    fn frames_that_were_not_hidden_have_no_say() {
        let predicted = noise([1, 3, 2], 1);
        let mask = Tensor::from_bool([[false, true, false]], &device());
        let config = RegressionConfig::default();
        let terms = regression(predicted.clone(), noise([1, 3, 2], 2), Some(mask), &config).unwrap();
        assert_eq!(named(&terms, "target_deviation"), 0.0, "one frame does not deviate");
        let gradient = values(predicted.grad(&terms.loss.backward()).unwrap());
        assert!(gradient[..2].iter().chain(&gradient[4..]).all(|&value| value == 0.0), "{gradient:?}");
        assert!(gradient[2..4].iter().all(|&value| value != 0.0), "{gradient:?}");
    }

    #[test]
    fn empty_masks_and_equal_or_large_values_are_finite() {
        for (value, flag) in [(1.0, true), (1e15, true), (1.0, false)] {
            let predicted = Tensor::<3>::full([2, 3, 4], value, &device()).require_grad();
            let mask = Tensor::<2, Int>::full([2, 3], i32::from(flag), &device()).bool();
            for beta in [0.0, 1.0] {
                let config = RegressionConfig { beta, ..RegressionConfig::default() };
                let target = Tensor::zeros([2, 3, 4], &device());
                let terms = regression(predicted.clone(), target, Some(mask.clone()), &config).unwrap();
                let loss = assert_finite(&terms, std::slice::from_ref(&predicted));
                assert_eq!(loss == 0.0, !flag);
            }
        }
        let equal = vec![Tensor::<3>::ones([1, 4, 2], &device())];
        assert_eq!(values(mean_of_normalized_layers(&equal, 1).unwrap()), [0.0; 8]);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let message = |result: Result<Tensor<3>, ObjectiveError>| result.unwrap_err().to_string();
        let layers = vec![noise([1, 4, 2], 1), noise([1, 4, 2], 2)];
        assert_eq!(
            message(mean_of_normalized_layers(&layers, 3)),
            "regression needs 3 layers of a teacher or more, and was given 2"
        );
        assert!(message(mean_of_normalized_layers(&layers, 0)).contains("needs 1 layers"));
        assert!(message(mean_of_normalized_layers(&[noise([1, 1, 2], 1)], 1)).contains("needs 2 frames"));
        let differing = vec![noise([1, 4, 2], 1), noise([1, 4, 3], 2)];
        assert!(message(mean_of_normalized_layers(&differing, 2)).contains("expected [1, 4, 2]"));
        let config = RegressionConfig { beta: -1.0, loss_scale: None };
        let error = regression(noise([1, 2, 2], 1), noise([1, 2, 2], 2), None, &config).unwrap_err();
        assert_eq!(error.to_string(), "regression: beta must be zero or above, and is -1");
    }
}
