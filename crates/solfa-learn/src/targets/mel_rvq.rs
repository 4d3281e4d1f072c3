//! Mel-RVQ: a residual vector quantiser of stacked mel frames with linear projections.
//!
//! Zhu et al. 2025, "MuQ: Self-Supervised Music Representation Learning with Mel Residual Vector Quantization",
//! arXiv:2501.01108, sec. 3. Each stage projects what is left of the input to a few dimensions, takes the code nearest
//! in angle, projects that code (at its own length) back, and subtracts the result. Factorised codes and cosine lookup
//! are those of ViT-VQGAN (Yu et al. 2022, arXiv:2110.04627, sec. 3.2).

mod stale_codes;
mod training;

pub use stale_codes::{CodeReplacement, StaleCodes};
pub use training::{TrainedQuantized, TrainedStage};

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::nearest_codes;
use crate::model::WeightNormLinear;

/// Sizes of a residual vector quantiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualVectorQuantizerConfig {
    /// Width of what is quantised.
    pub input_dim: usize,
    /// Number of stages.
    pub num_codebooks: usize,
    /// Codes of each stage.
    pub num_codes: usize,
    /// Width of a code.
    pub code_dim: usize,
}

/// The stages, first to last.
#[derive(Module, Debug)]
pub struct ResidualVectorQuantizer {
    stages: Vec<QuantizerStage>,
}

/// Codes and what they stand for.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// `[batch, codebooks, frames]`
    pub codes: Tensor<3, Int>,
    /// `[batch, frames, input_dim]`: the sum of what the stages subtracted.
    pub reconstruction: Tensor<3>,
}

#[derive(Module, Debug)]
struct QuantizerStage {
    project_in: WeightNormLinear,
    project_out: WeightNormLinear,
    codebook: Embedding,
}

impl ResidualVectorQuantizer {
    /// A quantiser with random weights.
    pub fn new(config: &ResidualVectorQuantizerConfig, device: &Device) -> Self {
        let stage = || QuantizerStage {
            project_in: WeightNormLinear::new(config.input_dim, config.code_dim, device),
            project_out: WeightNormLinear::new(config.code_dim, config.input_dim, device),
            codebook: EmbeddingConfig::new(config.num_codes, config.code_dim).init(device),
        };
        Self { stages: (0..config.num_codebooks).map(|_| stage()).collect() }
    }

    /// What is known of the input after one stage, after two, and so on.
    ///
    /// # Shapes
    /// - input and every output: `[batch, frames, input_dim]`
    pub fn reconstructions(&self, input: Tensor<3>) -> Vec<Tensor<3>> {
        let mut residual = input.clone();
        let stages = self.stages.iter().map(|stage| {
            let codes = nearest_codes(stage.project_in.forward(residual.clone()), stage.codebook.weight.val());
            residual = residual.clone() - stage.project_out.forward(stage.codebook.forward(codes));
            input.clone() - residual.clone()
        });
        stages.collect()
    }

    /// Its sizes. Without stages, all but their number are 0.
    pub fn config(&self) -> ResidualVectorQuantizerConfig {
        let num_codebooks = self.stages.len();
        let sizes = self.stages.first().map(|stage| (stage.project_in.dims(), stage.codebook.weight.dims()));
        let ([input_dim, code_dim], [num_codes, _]) = sizes.unwrap_or_default();
        ResidualVectorQuantizerConfig { input_dim, num_codebooks, num_codes, code_dim }
    }

    /// # Shapes
    /// - input: `[batch, frames, input_dim]`
    pub fn quantize(&self, input: Tensor<3>) -> Quantized {
        let mut residual = input.clone();
        let mut codes = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let latents = stage.project_in.forward(residual.clone());
            let stage_codes = nearest_codes(latents, stage.codebook.weight.val());
            residual = residual - stage.project_out.forward(stage.codebook.forward(stage_codes.clone()));
            codes.push(stage_codes);
        }
        Quantized { codes: Tensor::stack(codes, 1), reconstruction: input - residual }
    }
}
