//! Barlow Twins: over a batch, a dimension of one segment's projection goes along with the same dimension of the other's,
//! and with no other one.
//!
//! Zbontar et al. 2021, arXiv:2103.03230, as the multi-view study has it (arXiv:2404.09177): means where the paper has sums.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::siamese::PairMethod;
use crate::objective::{BarlowTwinsConfig, ObjectiveError, Terms, barlow_twins};

/// `[method]` of `resnet-barlow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BarlowTwins {
    /// Widths of the projection head's layers.
    head: Vec<usize>,
    /// The objective.
    #[serde(default)]
    objective: BarlowTwinsConfig,
}

impl PairMethod for BarlowTwins {
    fn head(&self) -> &[usize] {
        &self.head
    }

    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Result<Terms, ObjectiveError> {
        barlow_twins(first, second, &self.objective)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_learning;

    #[test]
    fn dimensions_come_to_go_along_with_themselves() {
        check_learning("resnet-barlow", 20, 0.05, "on_diagonal");
    }
}
