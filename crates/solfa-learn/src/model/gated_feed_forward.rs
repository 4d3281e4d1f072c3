//! The gated feed-forward of newer transformers, SwiGLU.
//!
//! Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202, eq. 6.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

/// `contract(silu(gate(x)) * expand(x))`.
#[derive(Module, Debug)]
pub struct GatedFeedForward {
    gate: Linear,
    expand: Linear,
    contract: Linear,
}

impl GatedFeedForward {
    /// A feed-forward with random weights and an inner width of `intermediate_size`. All three projections have a bias.
    pub fn new(hidden_size: usize, intermediate_size: usize, device: &Device) -> Self {
        let expand = || LinearConfig::new(hidden_size, intermediate_size).init(device);
        let contract = LinearConfig::new(intermediate_size, hidden_size).init(device);
        Self { gate: expand(), expand: expand(), contract }
    }

    /// # Shapes
    /// - input and output: `[batch, tokens, hidden_size]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let gate = silu(self.gate.forward(input.clone()));
        self.contract.forward(gate * self.expand.forward(input))
    }
}
