//! Multi-head self-attention of the Wav2Vec2 conformer, with rotary positions.
//!
//! Differs from the usual rotary attention in one point, faithfully to the reference (Hugging Face
//! `Wav2Vec2ConformerSelfAttention`): the *input* of the query and key projections is rotated, head by head, and not
//! the projected queries and keys.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor};

use super::RotaryAngles;

/// Scaled dot-product attention of every frame with every frame.
#[derive(Module, Debug)]
pub struct RotarySelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    num_heads: usize,
}

impl RotarySelfAttention {
    /// `num_heads` heads of width `dim / num_heads`, all projections with bias.
    pub fn new(dim: usize, num_heads: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(dim, dim).init(device);
        Self { query: linear(), key: linear(), value: linear(), output: linear(), num_heads }
    }

    /// # Shapes
    /// - input and output: `[batch, frames, dim]`
    /// - padding: `[batch, frames]`, true where a frame is padding that nobody may attend to
    pub fn forward(&self, input: Tensor<3>, angles: &RotaryAngles, padding: Option<&Tensor<2, Bool>>) -> Tensor<3> {
        let [batch, frames, dim] = input.dims();
        let head_shape = [batch, frames, self.num_heads, dim / self.num_heads];
        let rotated = angles.rotate(input.clone().reshape(head_shape)).reshape([batch, frames, dim]);
        // [batch, frames, dim] -> [batch, heads, frames, head_dim]
        let split = |projected: Tensor<3>| projected.reshape(head_shape).swap_dims(1, 2);
        let mask = padding.map(|padding| {
            padding.clone().reshape([batch, 1, 1, frames]).expand([batch, self.num_heads, frames, frames])
        });
        let attended = attention(
            split(self.query.forward(rotated.clone())),
            split(self.key.forward(rotated)),
            split(self.value.forward(input)),
            mask,
            None,
            AttentionModuleOptions::default(),
        );
        self.output.forward(attended.swap_dims(1, 2).reshape([batch, frames, dim]))
    }
}
