//! The transformer of wav2vec 2.0, HuBERT, MERT, data2vec and XLM-RoBERTa.
//!
//! Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sec. 3, with GELU, and norms after the residual
//! sums (the base models, BERT) or before attention and feed-forward (the large ones: `do_stable_layer_norm`; Xiong et al.
//! 2020, arXiv:2002.04745).

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AttentionObserver, FeedForward, SelfAttention};

/// Sizes of a transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Width of every frame.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_heads: usize,
    /// Inner width of the feed-forward part.
    pub intermediate_size: usize,
    /// Added to the variance in every layer norm.
    pub layer_norm_epsilon: f64,
    /// Where the norms stand.
    pub norm_placement: NormPlacement,
    /// Whether residual branches are weighed as in DeepNet (Wang et al. 2022, arXiv:2203.00555, sec. 3): a sum is
    /// `alpha * input + branch` with `alpha = (2 * num_layers) ^ (1 / 4)`. Only with norms after the sums.
    pub deep_norm: bool,
}

/// Where a transformer layer has its norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlacement {
    /// After attention and after the feed-forward part, on the residual sums.
    After,
    /// Before attention and before the feed-forward part.
    Before,
}

impl TransformerConfig {
    /// What the input of a residual sum is multiplied by.
    pub(crate) fn residual_scale(&self) -> f64 {
        if self.deep_norm { (2.0 * self.num_layers as f64).powf(0.25) } else { 1.0 }
    }
}

/// Self-attention and a feed-forward part, each with a residual and a norm.
#[derive(Module, Debug)]
pub struct TransformerLayer {
    pub(crate) attention: SelfAttention,
    pub(crate) attention_norm: LayerNorm,
    pub(crate) feed_forward: FeedForward,
    pub(crate) feed_forward_norm: LayerNorm,
    residual_scale: f64,
    is_norm_before: bool,
}

impl TransformerLayer {
    /// A layer with random weights.
    pub fn new(config: &TransformerConfig, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(config.hidden_size).with_epsilon(config.layer_norm_epsilon).init(device);
        Self {
            attention: SelfAttention::new(config.hidden_size, config.num_heads, device),
            attention_norm: norm(),
            feed_forward: FeedForward::new(config.hidden_size, config.intermediate_size, device),
            feed_forward_norm: norm(),
            residual_scale: config.residual_scale(),
            is_norm_before: config.norm_placement == NormPlacement::Before,
        }
    }

    /// The work of layer number `number`.
    ///
    /// # Shapes
    /// - input and output: `[batch, frames, hidden_size]`
    /// - padding: `[batch, frames]`, true where a frame is padding that nobody may attend to
    pub fn forward(
        &self,
        input: Tensor<3>,
        padding: Option<&Tensor<2, Bool>>,
        number: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        self.forward_parts(input, padding, number, observer).0
    }

    /// The same, and beside it what the feed-forward part gave before its input was added.
    pub(crate) fn forward_parts(
        &self,
        input: Tensor<3>,
        padding: Option<&Tensor<2, Bool>>,
        number: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> (Tensor<3>, Tensor<3>) {
        if self.is_norm_before {
            let normed = self.attention_norm.forward(input.clone());
            let hidden = self.attention.forward(normed, None, padding, number, observer) + input;
            let fed = self.feed_forward.forward(self.feed_forward_norm.forward(hidden.clone()));
            return (fed.clone() + hidden, fed);
        }
        let scaled = |residual: Tensor<3>| match self.residual_scale {
            1.0 => residual,
            scale => residual * scale,
        };
        let attended = self.attention.forward(input.clone(), None, padding, number, observer);
        let hidden = self.attention_norm.forward(attended + scaled(input));
        let fed = self.feed_forward.forward(hidden.clone());
        (self.feed_forward_norm.forward(fed.clone() + scaled(hidden)), fed)
    }
}
