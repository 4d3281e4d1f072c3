//! The network of MusicFM and MuQ, see [`crate::model::MelConformer`].

use solfa_kernels::Arithmetic;

use super::WeightsObserver;
use super::conformer::ConformerPlan;
use super::conv_subsampling::SubsamplingPlan;
use crate::model::{MelConformer, MelConformerConfig};

/// A mel spectrogram to all hidden states, on the processor.
pub struct MelConformerPlan {
    num_mels: usize,
    subsampling: SubsamplingPlan,
    conformer: ConformerPlan,
}

impl MelConformerPlan {
    /// Takes a network apart. Its head is not needed for hidden states, and dropped.
    pub fn new(network: MelConformer, config: &MelConformerConfig, arithmetic: Arithmetic) -> Self {
        let (subsampling, conformer) = network.into_parts();
        Self {
            num_mels: config.num_mels,
            subsampling: SubsamplingPlan::new(subsampling, arithmetic),
            conformer: ConformerPlan::new(conformer, &config.conformer, arithmetic),
        }
    }

    /// As [`MelConformer::forward`], for one clip without padding.
    ///
    /// # Shapes
    /// - spectrogram: `[frames, mels]`, normalised
    pub fn hidden_states(&self, spectrogram: &[f32], last_layer: usize, watch: WeightsObserver<'_>) -> Vec<Vec<f32>> {
        let hidden = self.subsampling.forward(spectrogram, self.num_mels);
        self.conformer.hidden_states(hidden, last_layer, watch)
    }

    /// Bytes of the packed weights.
    pub fn num_bytes(&self) -> usize {
        self.subsampling.num_bytes() + self.conformer.num_bytes()
    }
}
