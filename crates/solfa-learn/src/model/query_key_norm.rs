//! The transformer on top of MuQ-MuLan's towers: queries and keys of length one.
//!
//! Zhu et al. 2025 (MuQ), arXiv:2501.01108, sec. 3. Pre-norm layers whose linear maps have no biases. Queries and keys are L2-normalised
//! and scaled per dimension (Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters",
//! arXiv:2302.05442, sec. 2), the feed-forward module is a GEGLU (Shazeer 2020, "GLU Variants Improve Transformer",
//! arXiv:2002.05202, sec. 2), and no positions are added.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{gelu, l2_normalize, scaled_dot_product_attention};

/// What the scores of unit-length queries and keys are multiplied by; fixed by the reference.
const ATTENTION_SCALE: f64 = 8.0;

/// Sizes of the transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryKeyNormTransformerConfig {
    /// Width of every token.
    pub dim: usize,
    /// Number of layers; none makes it the identity.
    pub num_layers: usize,
    /// Attention heads; need not divide `dim`.
    pub num_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Inner width of the feed-forward modules: two thirds of a multiple of `dim`, rounded down.
    pub intermediate_size: usize,
    /// Whether the layer norms have biases. They are never learned: the reference keeps a buffer of zeros in their place,
    /// which counts where a checkpoint stores it.
    pub has_norm_biases: bool,
}

/// Layers of attention and feed-forward, each added to its input.
#[derive(Module, Debug)]
pub struct QueryKeyNormTransformer {
    layers: Vec<Layer>,
}

impl QueryKeyNormTransformer {
    /// A transformer with random weights.
    pub fn new(config: &QueryKeyNormTransformerConfig, device: &Device) -> Self {
        let layer =
            || Layer { attention: Attention::new(config, device), feed_forward: FeedForward::new(config, device) };
        Self { layers: (0..config.num_layers).map(|_| layer()).collect() }
    }

    /// The output of the last layer. Every token attends to every token: the reference has no padding mask here.
    ///
    /// # Shapes
    /// - input and output: `[batch, tokens, dim]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        self.layers.iter().enumerate().fold(input, |hidden, (index, layer)| {
            let hidden = layer.attention.forward(hidden.clone(), index + 1) + hidden;
            layer.feed_forward.forward(hidden.clone()) + hidden
        })
    }
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    feed_forward: FeedForward,
}

/// Norm, then attention of unit-length queries and keys.
#[derive(Module, Debug)]
struct Attention {
    norm: LayerNorm,
    query: Linear,
    /// Keys, then values.
    key_value: Linear,
    output: Linear,
    /// `[head_dim]`, the same for every head.
    query_scale: Param<Tensor<1>>,
    /// `[head_dim]`
    key_scale: Param<Tensor<1>>,
    num_heads: usize,
}

impl Attention {
    fn new(config: &QueryKeyNormTransformerConfig, device: &Device) -> Self {
        let &QueryKeyNormTransformerConfig { dim, num_heads, head_dim, .. } = config;
        let inner = num_heads * head_dim;
        let linear = |input, output| LinearConfig::new(input, output).with_bias(false).init(device);
        Self {
            norm: LayerNormConfig::new(dim).with_bias(config.has_norm_biases).init(device),
            query: linear(dim, inner),
            key_value: linear(dim, 2 * inner),
            output: linear(inner, dim),
            query_scale: Initializer::Ones.init([head_dim], device),
            key_scale: Initializer::Ones.init([head_dim], device),
            num_heads,
        }
    }

    /// `[batch, tokens, dim]` in and out.
    fn forward(&self, input: Tensor<3>, layer: usize) -> Tensor<3> {
        let [batch, tokens, _] = input.dims();
        let [head_dim] = self.query_scale.val().dims();
        let inner = self.num_heads * head_dim;
        let normed = self.norm.forward(input);
        // [batch, tokens, heads * head_dim] -> [batch, heads, tokens, head_dim]
        let split = |projected: Tensor<3>| projected.reshape([batch, tokens, self.num_heads, head_dim]).swap_dims(1, 2);
        let query = split(self.query.forward(normed.clone()));
        let key_value = self.key_value.forward(normed);
        let key = split(key_value.clone().narrow(2, 0, inner));
        let value = split(key_value.narrow(2, inner, inner));
        // The product divides by the root of the head's width: that is undone in the query's scale.
        let query_scale = self.query_scale.val() * (ATTENTION_SCALE * (head_dim as f64).sqrt());
        let attended = scaled_dot_product_attention(
            l2_normalize(query) * query_scale.reshape([1, 1, 1, head_dim]),
            l2_normalize(key) * self.key_scale.val().reshape([1, 1, 1, head_dim]),
            value,
            None,
            layer,
            &mut None,
        );
        self.output.forward(attended.swap_dims(1, 2).reshape([batch, tokens, inner]))
    }
}

/// Norm, then a linear unit gated by a GELU.
#[derive(Module, Debug)]
struct FeedForward {
    input_norm: LayerNorm,
    /// Values, then gates.
    expand: Linear,
    contract: Linear,
}

impl FeedForward {
    fn new(config: &QueryKeyNormTransformerConfig, device: &Device) -> Self {
        let &QueryKeyNormTransformerConfig { dim, intermediate_size, .. } = config;
        let linear = |input, output| LinearConfig::new(input, output).with_bias(false).init(device);
        Self {
            input_norm: LayerNormConfig::new(dim).with_bias(config.has_norm_biases).init(device),
            expand: linear(dim, 2 * intermediate_size),
            contract: linear(intermediate_size, dim),
        }
    }

    /// `[batch, tokens, dim]` in and out.
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let expanded = self.expand.forward(self.input_norm.forward(input));
        let inner = expanded.dims()[2] / 2;
        let gate = gelu(expanded.clone().narrow(2, inner, inner));
        self.contract.forward(gate * expanded.narrow(2, 0, inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use burn::tensor::Distribution;

    const TINY: QueryKeyNormTransformerConfig = QueryKeyNormTransformerConfig {
        dim: 6,
        num_layers: 1,
        num_heads: 2,
        head_dim: 5,
        intermediate_size: 16,
        has_norm_biases: false,
    };

    #[test]
    fn without_layers_it_is_the_identity() {
        let config = QueryKeyNormTransformerConfig { num_layers: 0, ..TINY };
        let device = test_device();
        let input = Tensor::<3>::random([1, 4, 6], Distribution::Normal(0.0, 1.0), &device);
        let output = QueryKeyNormTransformer::new(&config, &device).forward(input.clone());
        assert_eq!((output - input).abs().max().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn the_length_of_a_query_does_not_matter() {
        let device = test_device();
        let attention = Attention::new(&TINY, &device);
        let mut scaled = attention.clone();
        scaled.query.weight = scaled.query.weight.map(|weight| weight * 7.0);
        let input = Tensor::<3>::random([1, 4, 6], Distribution::Normal(0.0, 1.0), &device);
        let difference = attention.forward(input.clone(), 1) - scaled.forward(input, 1);
        assert!(difference.abs().max().into_scalar::<f32>() < 1e-5);
    }
}
