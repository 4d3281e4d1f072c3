//! XLM-RoBERTa's files, as far as a text tower of MuQ-MuLan needs them: Hugging Face's `config.json`, and the names of
//! the tensors. `FacebookAI/xlm-roberta-base`. Conneau et al. 2020, arXiv:1911.02116.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::json::read_object;
use super::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_heads, check_positive, check_size};
use super::{CheckpointError, KeyTable};
use crate::model::XlmRobertaConfig;

/// Far above any published vocabulary: a larger size in a file is damage.
const LARGEST_VOCABULARY: usize = 1 << 22;

/// What `config.json` says, as far as it determines the vectors.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct XlmRobertaFile {
    pub(super) network: XlmRobertaConfig,
    pub(super) special_tokens: SpecialTokens,
}

/// The numbers of the tokens that stand for no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpecialTokens {
    /// Begins every text.
    pub(super) start: usize,
    /// Ends every text.
    pub(super) end: usize,
    /// Fills a text up to another one's length.
    pub(super) padding: usize,
}

/// The fields of Hugging Face's `XLMRobertaConfig` that a forward pass of the bare encoder depends on, with its defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct ConfigFile {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    position_embedding_type: String,
    is_decoder: bool,
    bos_token_id: usize,
    pad_token_id: usize,
    eos_token_id: usize,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            vocab_size: 30_522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            position_embedding_type: "absolute".into(),
            is_decoder: false,
            bos_token_id: 0,
            pad_token_id: 1,
            eos_token_id: 2,
        }
    }
}

impl XlmRobertaFile {
    /// Reads `config.json`.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        Self::resolve(read_object(path, "XLM-RoBERTa's configuration")?)
            .map_err(|reason| CheckpointError::Config { path: path.to_owned(), reason })
    }

    /// What a reader makes of a configuration that is yet to be written.
    pub(super) fn of_json(config: Value) -> Result<Self, String> {
        serde_json::from_value(config).map_err(|fault| fault.to_string()).and_then(Self::resolve)
    }

    fn resolve(file: ConfigFile) -> Result<Self, String> {
        for (name, found, expected) in [
            ("model_type", &file.model_type, "xlm-roberta"),
            ("hidden_act", &file.hidden_act, "gelu"),
            ("position_embedding_type", &file.position_embedding_type, "absolute"),
        ] {
            if found != expected {
                return Err(format!("{name}: expected {expected:?}, found {found:?}"));
            }
        }
        if file.is_decoder {
            return Err("is_decoder: expected false, found true".into());
        }
        check_size("vocab_size", file.vocab_size, LARGEST_VOCABULARY)?;
        check_size("hidden_size", file.hidden_size, LARGEST_WIDTH)?;
        check_size("num_hidden_layers", file.num_hidden_layers, LARGEST_DEPTH)?;
        check_size("num_attention_heads", file.num_attention_heads, LARGEST_WIDTH)?;
        check_size("intermediate_size", file.intermediate_size, LARGEST_WIDTH)?;
        check_size("max_position_embeddings", file.max_position_embeddings, LARGEST_WIDTH)?;
        check_size("type_vocab_size", file.type_vocab_size, LARGEST_WIDTH)?;
        check_heads("num_attention_heads", file.num_attention_heads, ("hidden_size", file.hidden_size))?;
        check_positive("layer_norm_eps", file.layer_norm_eps)?;
        let tokens = [
            ("bos_token_id", file.bos_token_id),
            ("pad_token_id", file.pad_token_id),
            ("eos_token_id", file.eos_token_id),
        ];
        for (index, (name, token)) in tokens.into_iter().enumerate() {
            if token >= file.vocab_size {
                return Err(format!("{name}: expected a number below vocab_size {}, found {token}", file.vocab_size));
            }
            if let Some((other, _)) = tokens[..index].iter().find(|(_, earlier)| *earlier == token) {
                return Err(format!("{name}: expected another number than {other}'s, found {token}"));
            }
        }
        let network = XlmRobertaConfig {
            vocabulary_size: file.vocab_size,
            hidden_size: file.hidden_size,
            num_layers: file.num_hidden_layers,
            num_heads: file.num_attention_heads,
            intermediate_size: file.intermediate_size,
            num_positions: file.max_position_embeddings,
            num_token_types: file.type_vocab_size,
            padding_token: file.pad_token_id,
            layer_norm_epsilon: file.layer_norm_eps,
        };
        /// Start, one token of text, end.
        const SHORTEST_TEXT: usize = 3;
        if network.maximum_tokens() < SHORTEST_TEXT {
            return Err(format!(
                "max_position_embeddings: expected {} or more beside pad_token_id {}, found {}",
                file.pad_token_id + 1 + SHORTEST_TEXT,
                file.pad_token_id,
                file.max_position_embeddings
            ));
        }
        let special_tokens =
            SpecialTokens { start: file.bos_token_id, end: file.eos_token_id, padding: file.pad_token_id };
        Ok(Self { network, special_tokens })
    }
}

/// The names of the network's tensors. What it does not use stands in the table of the model that it is a tower of.
pub(super) const NETWORK: KeyTable = KeyTable {
    prefix: "",
    segments: &[
        ("token_embeddings", "embeddings.word_embeddings"),
        ("positions", "embeddings.position_embeddings"),
        ("token_types", "embeddings.token_type_embeddings"),
        ("embedding_norm", "embeddings.LayerNorm"),
        ("layers", "encoder.layer"),
        ("query", "self.query"),
        ("key", "self.key"),
        ("value", "self.value"),
        ("output", "output.dense"),
        ("attention_norm", "attention.output.LayerNorm"),
        ("feed_forward", ""),
        ("expand", "intermediate.dense"),
        ("contract", "output.dense"),
        ("feed_forward_norm", "output.LayerNorm"),
        ("gamma", "weight"),
        ("beta", "bias"),
    ],
    unused: &[],
};
