//! What training makes small: losses on tensors alone.
//!
//! | objective | what |
//! |---|---|
//! | [`masked_prediction()`] | cross-entropy of tokens at hidden frames (MuQ, MusicFM) |
//! | [`hubert()`] | tokens by their cosine to learned embeddings (musicHuBERT, MERT) |
//! | [`cqt_reconstruction()`] | a spectrogram at hidden frames (MERT) |
//! | [`regression()`] | a teacher's layers at hidden frames (music2vec) |
//! | [`rvq()`] | what trains a residual vector quantiser (Mel-RVQ) |
//! | [`nt_xent()`], [`barlow_twins()`], [`vicreg()`], [`byol()`], [`clustering()`] | two views of a track |
//! | [`language_audio()`] | sound and text in one space (MuQ-MuLan) |
//!
//! Each returns [`Terms`]. Whatever the precision of what they are given, losses are computed in single precision. A
//! loss of a mask without any flag is 0, and so are its gradients; vectors that are all equal, or zero, have finite
//! ones.
//!
//! This module must not know: networks, quantisers, data, optimisers, the number of the step.

mod barlow_twins;
mod byol;
mod clustering;
mod cqt_reconstruction;
mod cross_entropy;
mod hubert;
mod language_audio;
mod masked_prediction;
mod nt_xent;
mod regression;
mod rvq;
#[cfg(test)]
mod testing;
mod vicreg;

pub use barlow_twins::{BarlowTwinsConfig, barlow_twins};
pub use byol::{ByolConfig, byol};
pub use clustering::{Clustering, ClusteringConfig, TeacherTemperature, clustering};
pub use cqt_reconstruction::cqt_reconstruction;
pub use hubert::{HubertConfig, HubertPrediction, hubert};
pub use language_audio::{Contrast, language_audio};
pub use masked_prediction::{masked_prediction, split_codebooks};
pub use nt_xent::nt_xent;
pub use regression::{RegressionConfig, mean_of_normalized_layers, regression};
pub use rvq::{RvqConfig, RvqStage, rvq};
pub use vicreg::{VicregConfig, vicreg};

use burn::tensor::{Bool, DType, FloatDType, Tensor};

/// A loss, and what the log shows beside it.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What is differentiated, one value.
    pub loss: Tensor<1>,
    /// Parts of the loss, accuracies and the like, by name: one value each, without gradients.
    pub named: Vec<(&'static str, Tensor<1>)>,
}

impl Terms {
    fn new(loss: Tensor<1>) -> Self {
        Self { loss, named: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: Tensor<1>) -> Self {
        self.named.push((name, value.inner()));
        self
    }

    /// Two objectives at once: this loss and `weight` times the other one, with the named terms of both.
    #[must_use]
    pub fn plus(mut self, weight: f64, other: Self) -> Self {
        self.loss = self.loss + other.loss * weight;
        self.named.extend(other.named);
        self
    }
}

/// Why a loss cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ObjectiveError {
    /// There is too little of something.
    #[error("{objective} needs {needed} {what} or more, and was given {found}")]
    TooFew {
        /// The objective's name.
        objective: &'static str,
        /// What there is too little of.
        what: &'static str,
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Two tensors do not belong together.
    #[error("{objective}: the shape of {what} is {found:?}; expected {expected:?}")]
    Shape {
        /// The objective's name.
        objective: &'static str,
        /// The tensor.
        what: &'static str,
        /// The shape that belongs to the other tensors.
        expected: Vec<usize>,
        /// Its shape.
        found: Vec<usize>,
    },
    /// What a network is to predict cannot be had.
    #[error("what is to be predicted: {reason}")]
    Target {
        /// Why not.
        reason: String,
    },
    /// A number without meaning.
    #[error("{objective}: {what} must be {expected}, and is {found}")]
    Setting {
        /// The objective's name.
        objective: &'static str,
        /// The setting.
        what: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
}

fn check_enough(
    objective: &'static str,
    what: &'static str,
    needed: usize,
    found: usize,
) -> Result<(), ObjectiveError> {
    if found >= needed { Ok(()) } else { Err(ObjectiveError::TooFew { objective, what, needed, found }) }
}

fn check_shape<const D: usize>(
    objective: &'static str,
    what: &'static str,
    expected: [usize; D],
    found: [usize; D],
) -> Result<(), ObjectiveError> {
    if found == expected {
        Ok(())
    } else {
        Err(ObjectiveError::Shape { objective, what, expected: expected.to_vec(), found: found.to_vec() })
    }
}

fn check_temperature(objective: &'static str, found: f64) -> Result<(), ObjectiveError> {
    if found > 0.0 && found.is_finite() {
        Ok(())
    } else {
        Err(ObjectiveError::Setting { objective, what: "the temperature", expected: "above zero", found })
    }
}

/// The tensor in single precision.
fn single<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(FloatDType::F32)
}

/// A mask as numbers, 1 where it is set; without a mask, 1 everywhere.
///
/// # Shapes
/// - mask: `[batch, frames]`
/// - output: `[batch, frames, 1]`, and the sum of it, which is at least 1
fn mask_weights<const D: usize>(mask: Option<Tensor<2, Bool>>, like: &Tensor<D>) -> (Tensor<3>, Tensor<1>) {
    let [batch, frames] = [like.dims()[0], like.dims()[1]];
    let weights = match mask {
        Some(mask) => mask.inner().cast(FloatDType::F32),
        None => Tensor::ones([batch, frames], (&like.clone().inner().device(), DType::F32)),
    };
    let count = weights.clone().sum().clamp_min(1.0);
    (weights.reshape([batch, frames, 1]), count)
}

/// Scales every vector along the last dimension to length 1. A vector of zeros stays zero, and its gradient is finite.
fn unit_length<const D: usize>(vectors: Tensor<D>) -> Tensor<D> {
    /// The square of the smallest length divided by, which is that of `torch.nn.functional.normalize`. It is applied
    /// before the root, whose derivative at zero is infinite.
    const MINIMUM_SQUARE: f64 = 1e-24;
    let lengths = vectors.clone().square().sum_dim(D - 1).clamp_min(MINIMUM_SQUARE).sqrt();
    vectors / lengths
}

/// Every dimension with mean 0 and deviation 1 over the batch, as batch normalisation has it.
///
/// # Shapes
/// - vectors, output: `[batch, dim]`
fn standardized(vectors: Tensor<2>) -> Tensor<2> {
    /// Added to the variance, as in `torch.nn.BatchNorm1d`.
    const EPSILON: f64 = 1e-5;
    let centered = vectors.clone() - vectors.mean_dim(0);
    let variance = centered.clone().square().mean_dim(0);
    centered / (variance + EPSILON).sqrt()
}

/// The mean square of what is not on the diagonal of a square matrix; 0 where there is nothing else.
fn off_diagonal_mean_square(matrix: Tensor<2>) -> Tensor<1> {
    let [dim, _] = matrix.dims();
    let count = (dim * (dim - 1)).max(1);
    let is_diagonal = !Tensor::<2, Bool>::diag_mask([dim, dim], 0, &matrix.device());
    matrix.mask_fill(is_diagonal, 0.0).square().sum() / count as f64
}

#[cfg(test)]
mod tests {
    use super::testing::{device, leaf, noise, scalar, values};
    use super::*;

    #[test]
    fn two_objectives_are_added_with_a_weight() {
        let terms = |loss: f32, name| Terms::new(leaf([loss])).with(name, leaf([10.0 * loss]));
        let sum = terms(2.0, "first").plus(0.5, terms(3.0, "second"));
        assert_eq!(scalar(&sum.loss), 3.5);
        let named: Vec<(&str, f32)> = sum.named.iter().map(|(name, value)| (*name, scalar(value))).collect();
        assert_eq!(named, [("first", 20.0), ("second", 30.0)]);
        assert!(sum.named.iter().all(|(_, value)| !value.is_autodiff()), "the log keeps no graph");
    }

    #[test]
    fn lengths_are_one_and_zeros_stay_zero_with_a_finite_gradient() {
        let vectors: Tensor<2> = leaf([[3.0, 4.0], [0.0, 0.0], [1e15, 0.0]]);
        let units = unit_length(vectors.clone());
        assert_eq!(values(units.clone()), [0.6, 0.8, 0.0, 0.0, 1.0, 0.0]);
        let gradients = units.sum().backward();
        assert!(values(vectors.grad(&gradients).unwrap()).iter().all(|value| value.is_finite()));
    }

    #[test]
    fn the_diagonal_does_not_count() {
        let matrix: Tensor<2> = leaf([[9.0, 1.0], [3.0, 9.0]]);
        assert_eq!(scalar(&off_diagonal_mean_square(matrix)), 5.0);
        assert_eq!(scalar(&off_diagonal_mean_square(leaf([[9.0]]))), 0.0);
    }

    #[test]
    fn half_precision_goes_in_and_single_precision_comes_out() {
        let views: Tensor<3> = noise([2, 4, 8], 1);
        let half = |number| views.clone().cast(FloatDType::BF16).select_dim::<2>(0, number);
        for terms in [
            nt_xent(half(0), half(1), 0.1),
            vicreg(half(0), half(1), &VicregConfig::default()),
            byol([half(0), half(1)], [half(0), half(1)], &ByolConfig::default()),
            language_audio(half(0), half(1), leaf([0.0]), None, Contrast::Decoupled),
        ] {
            let terms = terms.unwrap();
            assert_eq!(terms.loss.dtype(), DType::F32);
            assert!(terms.named.iter().all(|(_, value)| value.dtype() == DType::F32));
            let gradient = views.grad(&terms.loss.backward()).unwrap();
            assert_eq!(gradient.dtype(), DType::F32);
            assert!(values(gradient).iter().any(|&value| value != 0.0));
        }
        let logits: Tensor<4> = noise([1, 3, 2, 5], 2);
        let targets = Tensor::zeros([1, 3, 2], &device());
        let terms = masked_prediction(logits.clone().cast(FloatDType::BF16), targets, None).unwrap();
        assert_eq!(terms.loss.dtype(), DType::F32);
        assert!(values(logits.grad(&terms.loss.backward()).unwrap()).iter().all(|value| value.is_finite()));
    }

    #[test]
    fn an_empty_mask_counts_as_one() {
        let like: Tensor<2> = Tensor::zeros([1, 2], &device());
        let (weights, count) = mask_weights(Some(Tensor::from_bool([[false, false]], &device())), &like);
        assert_eq!((values(weights), scalar(&count)), (vec![0.0, 0.0], 1.0));
        let (weights, count) = mask_weights(None, &like);
        assert_eq!((values(weights), scalar(&count)), (vec![1.0, 1.0], 2.0));
    }

    #[test]
    fn errors_say_what_was_found() {
        let message = |result: Result<(), ObjectiveError>| result.unwrap_err().to_string();
        assert_eq!(message(check_enough("NT-Xent", "pairs", 2, 1)), "NT-Xent needs 2 pairs or more, and was given 1");
        assert_eq!(
            message(check_shape("BYOL", "the second view", [2, 3], [2, 4])),
            "BYOL: the shape of the second view is [2, 4]; expected [2, 3]"
        );
        assert_eq!(message(check_temperature("NT-Xent", 0.0)), "NT-Xent: the temperature must be above zero, and is 0");
        assert!(check_temperature("NT-Xent", f64::NAN).is_err());
    }
}
