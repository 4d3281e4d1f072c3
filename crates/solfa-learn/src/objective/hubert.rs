//! HuBERT's prediction: tokens by the cosine between projected frames and learned embeddings of the codes.
//!
//! Hsu et al. 2021, "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
//! arXiv:2106.07447, sec. 2 (eq. 3); MERT (Li et al. 2024, arXiv:2306.00107) has several teachers. What the paper does
//! not say is as in fairseq's criterion: cross-entropies of several teachers are added, their sum is divided by the
//! number of frames that count, and ten times the mean square of the convolutions' output keeps it small. One
//! difference: where two codes have the same embedding, fairseq leaves the wrong one out of the denominator.

use burn::tensor::{Bool, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::cross_entropy::{CrossEntropy, cross_entropy};
use super::{ObjectiveError, Terms, check_enough, check_shape, check_temperature, mask_weights, single, unit_length};

const NAME: &str = "HuBERT's prediction";

/// Settings of [`hubert`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubertConfig {
    /// What cosines are divided by.
    pub temperature: f64,
    /// Weight of frames that were hidden.
    pub masked_weight: f64,
    /// Weight of the other frames.
    pub unmasked_weight: f64,
    /// Weight of the mean square of the convolutions' output.
    pub feature_penalty_weight: f64,
}

impl Default for HubertConfig {
    fn default() -> Self {
        Self { temperature: 0.1, masked_weight: 1.0, unmasked_weight: 0.0, feature_penalty_weight: 10.0 }
    }
}

/// What is predicted of one teacher.
#[derive(Clone, Debug)]
pub struct HubertPrediction {
    /// `[batch, frames, dim]`: hidden states, projected.
    pub projected: Tensor<3>,
    /// `[codes, dim]`: one learned vector for each code.
    pub embeddings: Tensor<2>,
    /// `[batch, frames]`: the teacher's tokens, each below the number of codes.
    pub targets: Tensor<2, Int>,
}

/// Cross-entropy of every teacher's tokens, and the penalty on features.
///
/// The loss is the weighted sum of cross-entropies over frames and teachers, divided by the number of frames whose
/// weight is not zero, plus the weighted penalty.
///
/// Named terms: `masked_loss`, the mean cross-entropy at hidden frames, added over teachers, and `masked_accuracy`, the
/// mean over teachers; with a mask also `unmasked_loss` and `unmasked_accuracy`, of the other frames; with features
/// `feature_penalty`, their mean square. What a mask leaves empty is 0.
///
/// # Shapes
/// - predictions: one for each teacher, with as many clips and frames as the others
/// - mask: `[batch, frames]`, true where the input was hidden; without one, all frames were
/// - features: `[batch, frames, channels]` or in any other order, the convolutions' output before its norm
///
/// # Errors
/// [`ObjectiveError`] without a teacher or with a size of 0, for tensors that do not belong together, and for a
/// temperature that is not above zero.
pub fn hubert(
    predictions: Vec<HubertPrediction>,
    mask: Option<Tensor<2, Bool>>,
    features: Option<Tensor<3>>,
    config: &HubertConfig,
) -> Result<Terms, ObjectiveError> {
    check_temperature(NAME, config.temperature)?;
    let teachers = predictions.len();
    check_enough(NAME, "teachers", 1, teachers)?;
    let [batch, frames, _] = predictions[0].projected.dims();
    check_enough(NAME, "frames", 1, batch * frames)?;
    if let Some(mask) = &mask {
        check_shape(NAME, "the mask", [batch, frames], mask.dims())?;
    }
    let has_mask = mask.is_some();
    let rows = batch * frames;
    let (masked, num_masked) = mask_weights(mask, &predictions[0].projected);
    let masked: Tensor<1> = masked.reshape([rows]);
    let unmasked = masked.clone().neg() + 1.0;
    let num_unmasked = unmasked.clone().sum().clamp_min(1.0);
    let (mut values, mut hits) = (masked.zeros_like(), masked.zeros_like());
    for prediction in predictions {
        let of_teacher = of_teacher(prediction, [batch, frames], config.temperature)?;
        values = values + of_teacher.values;
        hits = hits + of_teacher.hits / teachers as f64;
    }

    let each = |masked_weight: f64, other_weight: f64| masked.clone() * masked_weight + unmasked.clone() * other_weight;
    let counts = |weight: f64| if weight == 0.0 { 0.0 } else { 1.0 };
    let num_counted = each(counts(config.masked_weight), counts(config.unmasked_weight)).sum().clamp_min(1.0);
    let weights = each(config.masked_weight, config.unmasked_weight);
    let mean = |values: &Tensor<1>, flags: &Tensor<1>, count: &Tensor<1>| {
        (values.clone().inner() * flags.clone()).sum() / count.clone()
    };
    let mut terms = Terms::new((values.clone() * weights).sum() / num_counted)
        .with("masked_loss", mean(&values, &masked, &num_masked))
        .with("masked_accuracy", mean(&hits, &masked, &num_masked));
    if has_mask {
        terms = terms
            .with("unmasked_loss", mean(&values, &unmasked, &num_unmasked))
            .with("unmasked_accuracy", mean(&hits, &unmasked, &num_unmasked));
    }
    if let Some(features) = features {
        let penalty = single(features).square().mean();
        let penalty_term = Terms::new(penalty.clone()).with("feature_penalty", penalty);
        terms = terms.plus(config.feature_penalty_weight, penalty_term);
    }
    Ok(terms)
}

/// The cross-entropy of every frame.
fn of_teacher(
    prediction: HubertPrediction,
    [batch, frames]: [usize; 2],
    temperature: f64,
) -> Result<CrossEntropy, ObjectiveError> {
    let HubertPrediction { projected, embeddings, targets } = prediction;
    let [codes, dim] = embeddings.dims();
    check_enough(NAME, "codes", 1, codes)?;
    check_shape(NAME, "the projected frames", [batch, frames, dim], projected.dims())?;
    check_shape(NAME, "the targets", [batch, frames], targets.dims())?;
    let projected = unit_length(single(projected).reshape([batch * frames, dim]));
    let cosines = projected.matmul(unit_length(single(embeddings)).transpose());
    Ok(cross_entropy(cosines / temperature, targets.reshape([batch * frames])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, device, leaf, named, noise, scalar, values};

    fn of_case(case: &Case, teacher: usize) -> HubertPrediction {
        HubertPrediction {
            projected: case.leaf(&format!("hubert_projected_{teacher}")),
            embeddings: case.leaf(&format!("hubert_embeddings_{teacher}")),
            targets: case.integers(&format!("hubert_targets_{teacher}")),
        }
    }

    #[test]
    fn losses_and_gradients_are_the_references() {
        let case = Case::read("objectives", &["case"]);
        for (name, unmasked_weight) in [("hubert", 0.0), ("hubert_both", 0.5)] {
            let config = HubertConfig { unmasked_weight, ..HubertConfig::default() };
            let predictions = vec![of_case(&case, 0), of_case(&case, 1)];
            let features: Tensor<3> = case.leaf("hubert_features");
            let mask = case.integers::<2>("mask").bool();
            let terms = hubert(predictions.clone(), Some(mask), Some(features.clone()), &config).unwrap();
            case.assert(&format!("{name}_loss"), terms.loss.clone());
            for (part, value) in &terms.named {
                case.assert(&format!("hubert_{part}"), value.clone());
            }
            assert_eq!(terms.named.len(), 5);
            let gradients = terms.loss.backward();
            for (teacher, prediction) in predictions.iter().enumerate() {
                let projected = prediction.projected.grad(&gradients).unwrap();
                case.assert(&format!("{name}_grad_projected_{teacher}"), projected);
                let embeddings = prediction.embeddings.grad(&gradients).unwrap();
                case.assert(&format!("{name}_grad_embeddings_{teacher}"), embeddings);
            }
            case.assert("hubert_grad_features", features.grad(&gradients).unwrap());
        }
    }

    fn prediction(projected: Tensor<3>, embeddings: Tensor<2>, target: i64) -> HubertPrediction {
        let [batch, frames, _] = projected.dims();
        HubertPrediction { projected, embeddings, targets: Tensor::full([batch, frames], target, &device()) }
    }

    #[test]
    fn a_frame_in_the_direction_of_its_code_by_hand() {
        let projected = leaf([[[5.0, 0.0]]]);
        let one = prediction(projected, leaf([[0.0, 2.0], [3.0, 0.0]]), 1);
        let terms = hubert(vec![one], None, None, &HubertConfig::default()).unwrap();
        // Cosines 0 and 1, divided by 0.1.
        let expected = (1.0 + (-10f32).exp()).ln();
        assert!((scalar(&terms.loss) - expected).abs() < 1e-6);
        assert_eq!(named(&terms, "masked_accuracy"), 1.0);
        assert_eq!(terms.named.len(), 2, "neither other frames nor features");
    }

    #[test]
    fn equal_embeddings_cost_the_logarithm_of_the_codes_and_are_finite() {
        for value in [1.0, 0.0, 1e12] {
            let projected = Tensor::<3>::full([2, 3, 4], value, &device()).require_grad();
            let one = prediction(projected.clone(), Tensor::full([7, 4], value, &device()), 3);
            let terms = hubert(
                vec![one],
                None,
                Some(projected.clone()),
                &HubertConfig { feature_penalty_weight: 0.0, ..HubertConfig::default() },
            );
            let loss = assert_finite(&terms.unwrap(), &[projected]);
            assert!((loss - 7f32.ln()).abs() < 1e-5, "{loss}");
        }
    }

    #[test]
    fn an_empty_mask_has_a_loss_and_a_gradient_of_zero() {
        let projected = noise([1, 3, 4], 1);
        let one = prediction(projected.clone(), noise([5, 4], 2), 0);
        let mask = Tensor::from_bool([[false, false, false]], &device());
        let terms = hubert(vec![one], Some(mask), None, &HubertConfig::default()).unwrap();
        assert_eq!((scalar(&terms.loss), named(&terms, "masked_loss")), (0.0, 0.0));
        assert!(named(&terms, "unmasked_loss") > 0.0);
        assert_eq!(values(projected.grad(&terms.loss.backward()).unwrap()), [0.0; 12]);
    }

    #[test]
    fn the_features_are_kept_small() {
        let features: Tensor<3> = leaf([[[1.0, -3.0]]]);
        let one = || prediction(leaf([[[1.0, 0.0]]]), leaf([[1.0, 0.0]]), 0);
        let terms = hubert(vec![one()], None, Some(features), &HubertConfig::default()).unwrap();
        assert_eq!((scalar(&terms.loss), named(&terms, "feature_penalty")), (50.0, 5.0));
    }

    #[test]
    fn what_does_not_belong_together_is_an_error() {
        let config = HubertConfig::default();
        let message = |result: Result<Terms, ObjectiveError>| result.unwrap_err().to_string();
        assert_eq!(
            message(hubert(Vec::new(), None, None, &config)),
            "HuBERT's prediction needs 1 teachers or more, and was given 0"
        );
        let good = || prediction(noise([1, 3, 4], 1), noise([5, 4], 2), 0);
        let longer = prediction(noise([1, 4, 4], 1), noise([5, 4], 2), 0);
        let wrong = message(hubert(vec![good(), longer], None, None, &config));
        assert!(wrong.contains("the projected frames is [1, 4, 4]; expected [1, 3, 4]"), "{wrong}");
        let wider = prediction(noise([1, 3, 4], 1), noise([5, 6], 2), 0);
        assert!(hubert(vec![wider], None, None, &config).is_err());
        let cold = HubertConfig { temperature: 0.0, ..config };
        assert!(message(hubert(vec![good()], None, None, &cold)).contains("temperature"));
    }
}
