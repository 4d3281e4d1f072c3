//! VICReg: the projections of two segments are near each other, every dimension keeps its deviation over a batch, and no two
//! dimensions go along with each other.
//!
//! Bardes et al. 2022, arXiv:2105.04906, as the multi-view study has it under the name of feature statistics
//! (arXiv:2404.09177): means where the paper has sums, and covariances of normalised dimensions.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::siamese::PairMethod;
use crate::objective::{ObjectiveError, Terms, VicregConfig, vicreg};

/// `[method]` of `resnet-vicreg`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vicreg {
    /// Widths of the projection head's layers.
    head: Vec<usize>,
    /// The objective.
    #[serde(default)]
    objective: VicregConfig,
}

impl PairMethod for Vicreg {
    fn head(&self) -> &[usize] {
        &self.head
    }

    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Result<Terms, ObjectiveError> {
        vicreg(first, second, &self.objective)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_learning;

    #[test]
    fn projections_of_a_track_come_near_each_other_and_spread() {
        check_learning("resnet-vicreg", 20, 0.05, "variance");
    }
}
