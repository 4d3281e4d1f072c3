//! What trains a residual vector quantiser: latents go to their codes, codes to their latents, and the sum of stages to
//! the input.
//!
//! Zhu et al. 2025 (MuQ), arXiv:2501.01108, sec. 3, with the weights of its released code. The two halves are VQ-VAE's
//! (van den Oord et al. 2017, arXiv:1711.00937, eq. 3). Codes are compared at their own length here, though they are
//! looked up by angle.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, single};

/// Settings of [`rvq`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RvqConfig {
    /// Weight of what moves latents towards their codes.
    pub commitment_weight: f64,
    /// Weight of what moves codes towards their latents.
    pub codebook_weight: f64,
    /// Weight of the mean absolute error of the reconstruction.
    pub reconstruction_weight: f64,
}

impl Default for RvqConfig {
    fn default() -> Self {
        Self { commitment_weight: 0.25, codebook_weight: 1.0, reconstruction_weight: 1.0 }
    }
}

/// What one stage did.
#[derive(Clone, Debug)]
pub struct RvqStage {
    /// `[batch, frames, code_dim]`: the projected residual, with its gradient.
    pub latents: Tensor<3>,
    /// `[batch, frames, code_dim]`: the row of the codebook chosen for each, with its gradient.
    pub codes: Tensor<3>,
}

/// The weighted sum of commitment, codebook and reconstruction.
///
/// The first two are mean squares, added over stages. No gradient goes from `input` to its own reconstruction error.
///
/// Named terms, before they are weighted: `commitment`, `codebook`, `reconstruction`. The first two are equal numbers
/// with different gradients.
///
/// # Shapes
/// - input: `[batch, frames, input_dim]`
/// - reconstruction: `[batch, frames, input_dim]`, the sum of the stages' outputs, each projected from
///   `latents + (codes - latents)` of which the difference has no gradient
/// - stages: in order
///
/// # Errors
/// [`ObjectiveError`] without a stage, with a size of 0, and for tensors that do not belong together.
pub fn rvq(
    input: Tensor<3>,
    reconstruction: Tensor<3>,
    stages: &[RvqStage],
    config: &RvqConfig,
) -> Result<Terms, ObjectiveError> {
    const NAME: &str = "the quantiser's loss";
    let [batch, frames, input_dim] = input.dims();
    check_enough(NAME, "stages", 1, stages.len())?;
    check_enough(NAME, "numbers", 1, batch * frames * input_dim)?;
    check_shape(NAME, "the reconstruction", [batch, frames, input_dim], reconstruction.dims())?;
    let device = input.device();
    let (mut commitment, mut codebook) = (Tensor::<1>::zeros([1], &device), Tensor::<1>::zeros([1], &device));
    for stage in stages {
        let code_dim = stage.latents.dims()[2];
        check_shape(NAME, "a stage's latents", [batch, frames, code_dim], stage.latents.dims())?;
        check_shape(NAME, "a stage's codes", [batch, frames, code_dim], stage.codes.dims())?;
        let (latents, codes) = (single(stage.latents.clone()), single(stage.codes.clone()));
        commitment = commitment + (latents.clone() - codes.clone().inner()).square().mean();
        codebook = codebook + (codes - latents.inner()).square().mean();
    }
    let error = (single(reconstruction) - single(input.inner())).abs().mean();
    let loss = commitment.clone() * config.commitment_weight
        + codebook.clone() * config.codebook_weight
        + error.clone() * config.reconstruction_weight;
    Ok(Terms::new(loss).with("commitment", commitment).with("codebook", codebook).with("reconstruction", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, device, leaf, named, noise, values};
    use burn::tensor::Int;

    /// A weight-normed layer of the released quantiser: `[outputs, inputs, 1]` scaled to a gain for each output.
    fn project(case: &Case, layer: &str, input: Tensor<3>) -> Tensor<3> {
        let direction: Tensor<3> = case.leaf(&format!("{layer}.weight_v"));
        let lengths = direction.clone().square().sum_dim(1).sqrt();
        let weight = direction / lengths * case.leaf(&format!("{layer}.weight_g"));
        let bias: Tensor<1> = case.leaf(&format!("{layer}.bias"));
        input.matmul(weight.squeeze_dim::<2>(2).transpose().unsqueeze::<3>()) + bias.unsqueeze::<3>()
    }

    #[test]
    fn the_losses_of_mel_rvq_are_the_references() {
        for name in ["muq-25hz", "muq-50hz"] {
            let case = Case::read(name, &["model", "outputs"]);
            let codes: Tensor<3, Int> = case.integers("codes");
            let [batch, codebooks, frames] = codes.dims();
            // [batch, bins, mel frames] -> [batch, frames, mel frames of each x bins]
            let mel: Tensor<3> = case.leaf("mel");
            let [_, bins, mel_frames] = mel.dims();
            let input = mel.swap_dims(1, 2).reshape([batch, frames, mel_frames / frames * bins]);
            let (mut residual, mut stages) = (input.clone(), Vec::new());
            for stage in 0..codebooks {
                let of_stage = format!("model.rvq.quantizers.{stage}");
                let latents = project(&case, &format!("{of_stage}.in_proj"), residual.clone());
                let table: Tensor<2> = case.leaf(&format!("{of_stage}.codebook.weight"));
                let numbers: Tensor<1, Int> = codes.clone().select_dim::<2>(1, stage).reshape([batch * frames]);
                let codes = table.select(0, numbers).reshape(latents.dims());
                residual = residual - project(&case, &format!("{of_stage}.out_proj"), codes.clone());
                stages.push(RvqStage { latents, codes });
            }
            let terms = rvq(input.clone(), input - residual, &stages, &RvqConfig::default()).unwrap();
            case.assert("rvq_loss", terms.loss.clone());
            case.assert("rvq_commitment", terms.named[0].1.clone());
            case.assert("rvq_codebook", terms.named[1].1.clone());
        }
    }

    #[test]
    fn loss_and_gradients_are_the_references() {
        let case = Case::read("objectives", &["case"]);
        let (input, reconstruction): (Tensor<3>, Tensor<3>) = (case.leaf("rvq_input"), case.leaf("rvq_output"));
        let stages: Vec<RvqStage> = (0..2)
            .map(|stage| RvqStage {
                latents: case.leaf(&format!("rvq_latents_{stage}")),
                codes: case.leaf(&format!("rvq_codes_{stage}")),
            })
            .collect();
        let terms = rvq(input.clone(), reconstruction.clone(), &stages, &RvqConfig::default()).unwrap();
        case.assert("rvq_loss", terms.loss.clone());
        for (part, value) in &terms.named {
            case.assert(&format!("rvq_{part}"), value.clone());
        }
        let gradients = terms.loss.backward();
        case.assert("rvq_grad_output", reconstruction.grad(&gradients).unwrap());
        for (number, stage) in stages.iter().enumerate() {
            case.assert(&format!("rvq_grad_latents_{number}"), stage.latents.grad(&gradients).unwrap());
            case.assert(&format!("rvq_grad_codes_{number}"), stage.codes.grad(&gradients).unwrap());
        }
        assert!(input.grad(&gradients).is_none());
    }

    #[test]
    fn the_two_halves_are_equal_and_move_one_side_each() {
        let (latents, codes): (Tensor<3>, Tensor<3>) = (leaf([[[1.0, 1.0]]]), leaf([[[3.0, 1.0]]]));
        let stages = [RvqStage { latents: latents.clone(), codes: codes.clone() }];
        let input = leaf([[[2.0]]]);
        let terms = rvq(input, leaf([[[1.5]]]), &stages, &RvqConfig::default()).unwrap();
        let parts = ["commitment", "codebook", "reconstruction"].map(|name| named(&terms, name));
        assert_eq!(parts, [2.0, 2.0, 0.5]);
        let gradients = terms.loss.backward();
        assert_eq!(values(latents.grad(&gradients).unwrap()), [-0.5, 0.0], "a quarter of the codebook's");
        assert_eq!(values(codes.grad(&gradients).unwrap()), [2.0, 0.0]);
    }

    #[test]
    fn equal_and_large_values_are_finite() {
        for value in [0.0, 1.0, 1e15] {
            let tensor = || Tensor::<3>::full([1, 2, 3], value, &device()).require_grad();
            let latents = tensor();
            let stages = [RvqStage { latents: latents.clone(), codes: Tensor::zeros([1, 2, 3], &device()) }];
            let terms = rvq(tensor(), tensor(), &stages, &RvqConfig::default()).unwrap();
            assert_finite(&terms, &[latents]);
        }
    }

    #[test]
    fn what_does_not_belong_together_is_an_error() {
        let config = RvqConfig::default();
        let error = rvq(noise([1, 2, 3], 1), noise([1, 2, 3], 2), &[], &config).unwrap_err();
        assert_eq!(error.to_string(), "the quantiser's loss needs 1 stages or more, and was given 0");
        let stages = [RvqStage { latents: noise([1, 2, 4], 3), codes: noise([1, 2, 5], 4) }];
        let error = rvq(noise([1, 2, 3], 1), noise([1, 2, 3], 2), &stages, &config).unwrap_err();
        assert!(error.to_string().contains("a stage's codes is [1, 2, 5]; expected [1, 2, 4]"));
        let error = rvq(noise([1, 2, 3], 1), noise([1, 2, 4], 2), &stages, &config).unwrap_err();
        assert!(error.to_string().contains("the reconstruction is [1, 2, 4]"));
    }
}
