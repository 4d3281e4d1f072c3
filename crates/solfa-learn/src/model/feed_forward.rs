//! The feed-forward of transformers.
//!
//! Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sec. 3.3, with GELU (Hendrycks and Gimpel 2016,
//! arXiv:1606.08415) in place of ReLU, as in BERT, wav2vec 2.0 and ViT.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::gelu;

/// `contract(gelu(expand(x)))`.
#[derive(Module, Debug)]
pub struct FeedForward {
    pub(crate) expand: Linear,
    pub(crate) contract: Linear,
}

impl FeedForward {
    /// A feed-forward with random weights and an inner width of `intermediate_size`. Both projections have a bias.
    pub fn new(hidden_size: usize, intermediate_size: usize, device: &Device) -> Self {
        Self {
            expand: LinearConfig::new(hidden_size, intermediate_size).init(device),
            contract: LinearConfig::new(intermediate_size, hidden_size).init(device),
        }
    }

    /// # Shapes
    /// - input and output: `[batch, tokens, hidden_size]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        self.contract.forward(gelu(self.expand.forward(input)))
    }
}
