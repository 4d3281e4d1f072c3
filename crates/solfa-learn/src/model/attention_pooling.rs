//! Attention pooling: a feature map to one vector, by attention from its mean.
//!
//! Radford et al. 2021 (CLIP), arXiv:2103.00020, sec. 2.3.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::scaled_dot_product_attention;

/// Sizes of an attention pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionPoolingConfig {
    /// Cells of the feature map, which learned positions fix.
    pub num_cells: usize,
    /// Channels of the feature map.
    pub dim: usize,
    /// Attention heads; divides `dim`.
    pub num_heads: usize,
    /// Width of the vector.
    pub output_dim: usize,
}

/// One head-wise attention whose only query is the mean of all cells; it attends to itself and to every cell.
#[derive(Module, Debug)]
pub struct AttentionPooling {
    /// `[1 + cells, dim]`: the mean's position first.
    positions: Param<Tensor<2>>,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    num_heads: usize,
}

impl AttentionPooling {
    /// A pooling with random weights.
    pub fn new(config: &AttentionPoolingConfig, device: &Device) -> Self {
        let AttentionPoolingConfig { num_cells, dim, num_heads, output_dim } = *config;
        let linear = |output_dim| LinearConfig::new(dim, output_dim).init(device);
        let deviation = (dim as f64).sqrt().recip();
        Self {
            positions: Initializer::Normal { mean: 0.0, std: deviation }.init([1 + num_cells, dim], device),
            query: linear(dim),
            key: linear(dim),
            value: linear(dim),
            output: linear(output_dim),
            num_heads,
        }
    }

    /// # Shapes
    /// - feature_map: `[batch, dim, height, width]`, `height x width` being the configuration's `num_cells`
    /// - output: `[batch, output_dim]`
    pub fn forward(&self, feature_map: Tensor<4>) -> Tensor<2> {
        let [batch, dim, height, width] = feature_map.dims();
        // [batch, dim, height, width] -> [batch, cells, dim]
        let cells = feature_map.reshape([batch, dim, height * width]).swap_dims(1, 2);
        let tokens = Tensor::cat(vec![cells.clone().mean_dim(1), cells], 1) + self.positions.val().unsqueeze::<3>();
        // [batch, tokens, dim] -> [batch, heads, tokens, head_dim]
        let split = |projected: Tensor<3>| {
            let num_tokens = projected.dims()[1];
            projected.reshape([batch, num_tokens, self.num_heads, dim / self.num_heads]).swap_dims(1, 2)
        };
        let pooled = scaled_dot_product_attention(
            split(self.query.forward(tokens.clone().narrow(1, 0, 1))),
            split(self.key.forward(tokens.clone())),
            split(self.value.forward(tokens)),
            None,
            1,
            &mut None,
        );
        self.output.forward(pooled.reshape([batch, dim]))
    }
}
