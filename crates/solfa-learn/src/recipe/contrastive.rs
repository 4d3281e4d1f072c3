//! Contrastive learning of segments: two of one track are to be alike, and unlike those of the other tracks.
//!
//! NT-Xent (Chen et al. 2020, SimCLR, arXiv:2002.05709) on a projection of the vectors: the multi-view study
//! (arXiv:2404.09177), and without a projection ViT-1D's class token ("Emergent musical properties of a transformer under
//! contrastive self-supervised learning", arXiv:2506.23873).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::siamese::PairMethod;
use super::two_views::check_temperature;
use crate::objective::{ObjectiveError, Terms, nt_xent};

/// `[method]` of `resnet-contrastive` and `vit1d-contrastive`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contrastive {
    /// Widths of the projection head's layers; none for the vectors themselves.
    head: Vec<usize>,
    /// What cosines are divided by.
    temperature: f64,
}

impl PairMethod for Contrastive {
    fn head(&self) -> &[usize] {
        &self.head
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_temperature("temperature", self.temperature)
    }

    fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Result<Terms, ObjectiveError> {
        nt_xent(first, second, self.temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_learning, check_resume};

    #[test]
    fn segments_of_a_track_come_together() {
        check_learning("resnet-contrastive", 20, 0.1, "similarity");
        check_learning("vit1d-contrastive", 20, 0.1, "similarity");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("vit1d-contrastive", &[]);
    }
}
