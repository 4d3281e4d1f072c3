//! What a checkpoint of MusicFM or MuQ becomes, and the check of the sizes that both write into their configurations.

use solfa_signal::features::MelSpectrogram;

use super::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_odd_taps, check_positive, check_rotary_heads, check_size};
use super::{KeyTable, NamedTensor, save};
use crate::model::{ConformerConfig, MelConformer, MelConformerConfig};
use crate::targets::{MelTokenizer, RandomProjectionQuantizerConfig, ResidualVectorQuantizerConfig};

/// Far above any published codebook: a larger one in a file is damage.
const LARGEST_CODEBOOK: usize = 1 << 17;

/// A model of the MusicFM and MuQ family: what it sees, the network, and its tokenizer.
pub struct MelConformerModel {
    /// `muq` or `musicfm`.
    pub name: &'static str,
    /// The mel spectrogram that it was trained on, in dB.
    pub mel: MelSpectrogram,
    /// Mean of the training data's mel spectrograms, in dB.
    pub mel_mean: f32,
    /// Standard deviation of the training data's mel spectrograms, in dB.
    pub mel_deviation: f32,
    /// The network.
    pub network: MelConformer,
    /// The network's sizes.
    pub config: MelConformerConfig,
    /// Consecutive mel frames that make one token.
    pub fold: usize,
    /// What turns the normalised spectrogram into the tokens that the network was trained to predict, where it was trained
    /// to predict such.
    pub tokenizer: Option<MelTokenizer>,
    /// SHA-256 of the weight files: for one file, the hash that the Hugging Face hub shows for it.
    pub weights_sha256: String,
}

/// The sizes of a [`MelTokenizer`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenizerSizes {
    MelRvq(ResidualVectorQuantizerConfig),
    RandomProjection(RandomProjectionQuantizerConfig),
}

impl TokenizerSizes {
    pub(super) fn of(tokenizer: &MelTokenizer) -> Self {
        match tokenizer {
            MelTokenizer::MelRvq(quantizer) => TokenizerSizes::MelRvq(quantizer.config()),
            MelTokenizer::RandomProjection(quantizer) => TokenizerSizes::RandomProjection(quantizer.config()),
        }
    }
}

/// The tensors of a tokenizer under the names of the table that its kind has in a layout.
pub(super) fn tokenizer_tensors(
    tokenizer: &MelTokenizer,
    mel_rvq: KeyTable,
    random_projection: KeyTable,
) -> Vec<NamedTensor<'static>> {
    match tokenizer {
        MelTokenizer::MelRvq(quantizer) => save::named_tensors(quantizer, mel_rvq),
        MelTokenizer::RandomProjection(quantizer) => save::named_tensors(quantizer, random_projection),
    }
}

/// Checks the sizes of a network by the names that both models' configurations have for them. `prefix` stands before the
/// names that MuQ has in an object of their own.
///
/// # Errors
/// A sentence with the field's name, what was expected and what was found.
pub(super) fn check_network(config: &MelConformerConfig, prefix: &str) -> Result<(), String> {
    let MelConformerConfig { conv_channels, num_logits, conformer, .. } = config;
    let ConformerConfig {
        hidden_size,
        num_layers,
        num_heads,
        intermediate_size,
        depthwise_kernel,
        layer_norm_epsilon,
        rotary_base,
    } = conformer;
    check_size("conv_dim", *conv_channels, LARGEST_WIDTH)?;
    check_size("encoder_dim", *hidden_size, LARGEST_WIDTH)?;
    check_size("encoder_depth", *num_layers, LARGEST_DEPTH)?;
    check_size("codebook_size", *num_logits, LARGEST_CODEBOOK)?;
    check_size(&format!("{prefix}num_attention_heads"), *num_heads, LARGEST_WIDTH)?;
    check_size(&format!("{prefix}intermediate_size"), *intermediate_size, LARGEST_WIDTH)?;
    check_rotary_heads(&format!("{prefix}num_attention_heads"), *num_heads, ("encoder_dim", *hidden_size))?;
    check_odd_taps(&format!("{prefix}conv_depthwise_kernel_size"), *depthwise_kernel)?;
    check_positive(&format!("{prefix}layer_norm_eps"), *layer_norm_epsilon)?;
    check_positive(&format!("{prefix}rotary_embedding_base"), *rotary_base)
}
