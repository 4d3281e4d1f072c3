//! Sound and text in one space: a recording's text is to be nearer than the other texts of the batch, and the reverse.
//!
//! Three forms. *Decoupled* leaves the pair itself out of the denominators (Yeh et al. 2022, "Decoupled Contrastive
//! Learning", arXiv:2110.06848, sec. 3.2); MuQ-MuLan was trained so (Zhu et al. 2025, arXiv:2501.01108). *Softmax*
//! leaves it in (Radford et al. 2021, CLIP, arXiv:2103.00020; Huang et al. 2022, MuLan, arXiv:2208.12415). *Sigmoid*
//! asks of every combination by itself whether it is a pair (Zhai et al. 2023, SigLIP, arXiv:2303.15343). Unlike
//! [`nt_xent`](super::nt_xent()), vectors of the same side are not told apart.

use burn::tensor::{Bool, FloatDType, Int, Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, single};

/// In place of a pair's own similarity, where it is left out: its exponential is zero.
const NEVER: f64 = -1e30;

/// How pairs are told from other combinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contrast {
    /// Against all other texts and recordings, the pair itself left out of the sum.
    #[default]
    Decoupled,
    /// Against all texts and recordings.
    Softmax,
    /// Each combination by itself.
    Sigmoid,
}

/// The contrastive loss of a batch of pairs.
///
/// The first two average both directions and all pairs; the third adds over the texts and averages over the recordings.
///
/// Named terms: `audio_to_text_accuracy` and `text_to_audio_accuracy`, the shares whose partner is the nearest;
/// `scale`, what cosines are multiplied by.
///
/// # Shapes
/// - audio, text: `[batch, dim]`, of length 1; rows of equal number belong together
/// - log_scale: `[1]`, learned: the logarithm of what cosines are multiplied by. MuQ-MuLan starts at ln 10.
/// - bias: `[1]`, learned: added to every similarity, because most combinations are not pairs. SigLIP starts at -10; the
///   other two forms do not change with it.
///
/// # Errors
/// [`ObjectiveError`] for a single pair, which has nothing to be told apart from, and for tensors that differ in shape.
pub fn language_audio(
    audio: Tensor<2>,
    text: Tensor<2>,
    log_scale: Tensor<1>,
    bias: Option<Tensor<1>>,
    contrast: Contrast,
) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "the loss of sound and text";
    let [batch, dim] = audio.dims();
    check_shape(NAME, "the texts", [batch, dim], text.dims())?;
    check_shape(NAME, "the scale", [1], log_scale.dims())?;
    check_enough(NAME, "pairs in a batch", 2, batch)?;
    let scale = single(log_scale).exp();
    // [batch, batch]: a row for each recording, a column for each text.
    let mut similarities = single(audio).matmul(single(text).transpose()) * scale.clone().reshape([1, 1]);
    if let Some(bias) = bias {
        check_shape(NAME, "the bias", [1], bias.dims())?;
        similarities = similarities + single(bias).reshape([1, 1]);
    }
    let device = similarities.device();
    let is_other = Tensor::<2, Bool>::diag_mask([batch, batch], 0, &device);
    let [texts_found, recordings_found] = [1, 0].map(|dim| accuracy(similarities.clone().inner(), dim));
    let loss = if contrast == Contrast::Sigmoid {
        let signed = similarities.clone().neg().mask_where(!is_other, similarities);
        activation::log_sigmoid(signed).sum() / -(batch as f64)
    } else {
        let pairs = similarities.clone().mask_fill(is_other.clone(), 0.0).sum();
        let is_decoupled = contrast == Contrast::Decoupled;
        let compared = if is_decoupled { similarities.mask_fill(!is_other, NEVER) } else { similarities };
        let sums = log_sum_exp(compared.clone(), 1).sum() + log_sum_exp(compared, 0).sum();
        (sums * 0.5 - pairs) / batch as f64
    };
    Ok(Terms::new(loss)
        .with("audio_to_text_accuracy", texts_found)
        .with("text_to_audio_accuracy", recordings_found)
        .with("scale", scale))
}

/// `ln Σ exp` along a dimension, without overflow.
fn log_sum_exp(logits: Tensor<2>, dim: usize) -> Tensor<2> {
    let largest = logits.clone().inner().max_dim(dim);
    (logits - largest.clone()).exp().sum_dim(dim).log() + largest
}

/// The share of rows (`dim` 1) or columns (0) whose largest value is on the diagonal.
fn accuracy(similarities: Tensor<2>, dim: usize) -> Tensor<1> {
    let best = similarities.argmax(dim);
    let count = best.dims()[1 - dim];
    let own = Tensor::<1, Int>::arange(0..count as i64, &best.device()).reshape(best.dims());
    best.equal(own).cast(FloatDType::F32).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, leaf, named, noise, scalar, values};
    use burn::tensor::TensorData;

    fn log_10() -> Tensor<1> {
        leaf([10f32.ln()])
    }

    #[test]
    fn losses_and_gradients_are_the_references() {
        let case = Case::read("mulan-losses", &["inputs", "outputs"]);
        let contrasts = [
            ("softmax_dcl", None, Contrast::Decoupled),
            ("softmax", None, Contrast::Softmax),
            ("sigmoid", Some(leaf([-10.0])), Contrast::Sigmoid),
        ];
        for (name, bias, contrast) in contrasts {
            let (audio, text, log_scale) = (case.leaf("audio"), case.leaf("text"), log_10());
            let terms = language_audio(audio.clone(), text.clone(), log_scale.clone(), bias, contrast).unwrap();
            case.assert(name, terms.loss.clone());
            let gradients = terms.loss.backward();
            case.assert(&format!("{name}_grad_audio"), audio.grad(&gradients).unwrap());
            case.assert(&format!("{name}_grad_text"), text.grad(&gradients).unwrap());
            case.assert(&format!("{name}_grad_temperature"), log_scale.grad(&gradients).unwrap());
        }
    }

    fn two_pairs() -> [Tensor<2>; 2] {
        [leaf([[1.0, 0.0], [0.0, 1.0]]), leaf([[1.0, 0.0], [0.0, 1.0]])]
    }

    #[test]
    fn two_orthogonal_pairs_by_hand() {
        let of = |contrast| {
            let [audio, text] = two_pairs();
            language_audio(audio, text, leaf([2f32.ln()]), None, contrast).unwrap()
        };
        let decoupled = of(Contrast::Decoupled);
        assert!((scalar(&decoupled.loss) + 2.0).abs() < 1e-6, "the other one is at 0, the pair at 2");
        let softmax = (2f32.exp() + 1.0).ln() - 2.0;
        assert!((scalar(&of(Contrast::Softmax).loss) - softmax).abs() < 1e-6);
        for name in ["audio_to_text_accuracy", "text_to_audio_accuracy"] {
            assert_eq!(named(&decoupled, name), 1.0);
        }
        assert!((named(&decoupled, "scale") - 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_bias_of_the_sigmoid_is_learned() {
        let [audio, text] = two_pairs();
        let bias = leaf([-1.0]);
        let terms = language_audio(audio, text, leaf([0.0]), Some(bias.clone()), Contrast::Sigmoid).unwrap();
        // A pair at 1 - 1, and another combination at 0 - 1, for each recording.
        let softplus = |value: f32| (1.0 + value.exp()).ln();
        assert!((scalar(&terms.loss) - (softplus(0.0) + softplus(-1.0))).abs() < 1e-6);
        let sigmoid = |value: f32| 1.0 / (1.0 + (-value).exp());
        let gradient = values(bias.grad(&terms.loss.backward()).unwrap())[0];
        assert!((gradient - (sigmoid(-1.0) - sigmoid(0.0))).abs() < 1e-6, "{gradient}");
    }

    #[test]
    fn partners_that_are_not_the_nearest_are_counted_by_direction() {
        // Both recordings are nearest to the first text; each text is nearest to its own recording.
        let (audio, text) = (leaf([[1.0, 0.0], [0.8, 0.6]]), leaf([[1.0, 0.0], [0.0, 1.0]]));
        let terms = language_audio(audio, text, log_10(), None, Contrast::Softmax).unwrap();
        assert_eq!(named(&terms, "audio_to_text_accuracy"), 0.5);
        assert_eq!(named(&terms, "text_to_audio_accuracy"), 1.0);
    }

    #[test]
    fn equal_zero_and_far_vectors_are_finite() {
        let contrasts = [Contrast::Decoupled, Contrast::Softmax, Contrast::Sigmoid];
        let bias = || Some(leaf([-10.0]));
        for value in [0.5, 0.0] {
            for (contrast, others) in contrasts.into_iter().zip([2f32, 3.0, 0.0]) {
                let vectors: Tensor<2> = leaf(TensorData::new(vec![value; 12], [3, 4]));
                let terms = language_audio(vectors.clone(), vectors.clone(), log_10(), bias(), contrast).unwrap();
                let loss = assert_finite(&terms, &[vectors]);
                assert!(others == 0.0 || (loss - others.ln()).abs() < 1e-5, "{loss}");
            }
        }
        for contrast in contrasts {
            let vectors = (noise([3, 4], 1).inner() * 1e4).autodiff().require_grad();
            let terms = language_audio(vectors.clone(), vectors.clone().flip([0]), log_10(), bias(), contrast).unwrap();
            assert_finite(&terms, &[vectors]);
        }
    }

    #[test]
    fn impossible_contrasts_are_errors() {
        let run = |recordings: usize, texts: usize| {
            language_audio(noise([recordings, 4], 1), noise([texts, 4], 2), log_10(), None, Contrast::Decoupled)
        };
        let message = run(1, 1).unwrap_err().to_string();
        assert_eq!(message, "the loss of sound and text needs 2 pairs in a batch or more, and was given 1");
        assert!(run(2, 3).unwrap_err().to_string().contains("the texts is [3, 4]; expected [2, 4]"));
    }
}
