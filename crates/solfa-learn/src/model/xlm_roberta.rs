//! The text encoder XLM-RoBERTa.
//!
//! Conneau et al. 2020, "Unsupervised Cross-lingual Representation Learning at Scale", arXiv:1911.02116, sec. 3; the
//! network is BERT's (Devlin et al. 2019, arXiv:1810.04805, sec. 3), as Hugging Face's `XLMRobertaModel` has it: layer
//! norm after every residual sum, the exact GELU, learned positions that begin after the number of the padding token.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::tensor::{Bool, Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{AttentionObserver, NormPlacement, TransformerConfig, TransformerLayer};

/// Sizes of an XLM-RoBERTa.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XlmRobertaConfig {
    /// Number of tokens that there are.
    pub vocabulary_size: usize,
    /// Width of every token's vector.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_heads: usize,
    /// Inner width of the feed-forward modules.
    pub intermediate_size: usize,
    /// Rows of the table of positions: see [`maximum_tokens`](Self::maximum_tokens).
    pub num_positions: usize,
    /// Rows of the table of token types, of which only the first is ever used.
    pub num_token_types: usize,
    /// The padding token's number; positions are counted from the number after it.
    pub padding_token: usize,
    /// Added to the variance in every layer norm.
    pub layer_norm_epsilon: f64,
}

impl XlmRobertaConfig {
    /// The longest text in tokens, its start and end included.
    pub fn maximum_tokens(&self) -> usize {
        self.num_positions.saturating_sub(self.padding_token + 1)
    }

    /// The layers, which are those of BERT.
    fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            hidden_size: self.hidden_size,
            num_layers: self.num_layers,
            num_heads: self.num_heads,
            intermediate_size: self.intermediate_size,
            layer_norm_epsilon: self.layer_norm_epsilon,
            norm_placement: NormPlacement::After,
            deep_norm: false,
        }
    }
}

/// Tokens to vectors.
#[derive(Module, Debug)]
pub struct XlmRoberta {
    token_embeddings: Embedding,
    positions: Embedding,
    token_types: Embedding,
    embedding_norm: LayerNorm,
    layers: Vec<TransformerLayer>,
    padding_token: usize,
}

impl XlmRoberta {
    /// A network with random weights.
    pub fn new(config: &XlmRobertaConfig, device: &Device) -> Self {
        let transformer = config.transformer();
        let embedding = |rows| EmbeddingConfig::new(rows, config.hidden_size).init(device);
        Self {
            token_embeddings: embedding(config.vocabulary_size),
            positions: embedding(config.num_positions),
            token_types: embedding(config.num_token_types),
            embedding_norm: LayerNormConfig::new(config.hidden_size)
                .with_epsilon(config.layer_norm_epsilon)
                .init(device),
            layers: (0..config.num_layers).map(|_| TransformerLayer::new(&transformer, device)).collect(),
            padding_token: config.padding_token,
        }
    }

    /// All hidden states: layer 0 is the embeddings, layer `i` the output of the `i`-th layer. Layers beyond number
    /// `last_layer` are not computed.
    ///
    /// # Shapes
    /// - tokens: `[batch, tokens]`, each row at most [`XlmRobertaConfig::maximum_tokens`] long
    /// - padding: `[batch, tokens]`, true where a token is padding that nobody may attend to; such tokens still get
    ///   vectors
    /// - every hidden state: `[batch, tokens, hidden_size]`
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        padding: Option<&Tensor<2, Bool>>,
        last_layer: usize,
        mut observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        let positions = position_numbers(tokens.clone(), self.padding_token);
        let token_type = self.token_types.weight.val().narrow(0, 0, 1).unsqueeze_dim::<3>(0);
        let embedded = self.token_embeddings.forward(tokens) + token_type + self.positions.forward(positions);
        let mut hidden_states = vec![self.embedding_norm.forward(embedded)];
        for (index, layer) in self.layers.iter().take(last_layer).enumerate() {
            let hidden = layer.forward(hidden_states[index].clone(), padding, index + 1, &mut observer);
            hidden_states.push(hidden);
        }
        hidden_states
    }

    /// Number of layers.
    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }
}

/// Where every token stands: tokens are counted from the number after the padding token's; padding is not counted and
/// has the padding token's number.
///
/// # Shapes
/// - tokens and output: `[batch, tokens]`
fn position_numbers(tokens: Tensor<2, Int>, padding_token: usize) -> Tensor<2, Int> {
    let is_counted = tokens.not_equal_elem(padding_token as i64).int();
    is_counted.clone().cumsum(1) * is_counted + padding_token as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn positions_are_counted_after_the_padding_token_and_skip_padding() {
        let tokens = Tensor::<2, Int>::from_data([[0, 7, 8, 2, 1, 1], [0, 1, 7, 2, 9, 1]], &test_device());
        let found = position_numbers(tokens, 1).into_data().convert::<i64>().try_to_vec::<i64>().unwrap();
        assert_eq!(found, [2, 3, 4, 5, 1, 1, 2, 1, 3, 4, 5, 1]);
    }

    #[test]
    fn the_longest_text_fills_the_table_of_positions() {
        let config = XlmRobertaConfig {
            vocabulary_size: 20,
            hidden_size: 8,
            num_layers: 2,
            num_heads: 2,
            intermediate_size: 12,
            num_positions: 9,
            num_token_types: 1,
            padding_token: 1,
            layer_norm_epsilon: 1e-5,
        };
        assert_eq!(config.maximum_tokens(), 7);
        let device = test_device();
        let network = XlmRoberta::new(&config, &device);
        let tokens = Tensor::<2, Int>::from_data([[0, 3, 4, 5, 6, 7, 2]], &device);
        let hidden_states = network.forward(tokens, None, network.num_layers(), None);
        assert_eq!(hidden_states.len(), 3);
        for hidden in hidden_states {
            assert_eq!(hidden.dims(), [1, 7, 8]);
            assert!(hidden.into_data().try_to_vec::<f32>().unwrap().iter().all(|value| value.is_finite()));
        }
    }
}
