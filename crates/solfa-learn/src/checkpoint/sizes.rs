//! The sizes that MuQ and MusicFM both write into their configurations, checked by the names that they have there.

use crate::model::{ConformerConfig, MelConformerConfig};

/// Far above any published model: a larger size in a file is damage, and would only exhaust the memory.
pub(super) const LARGEST_WIDTH: usize = 1 << 16;
/// The same for the number of layers, each of which costs time even before its weights are looked for.
pub(super) const LARGEST_DEPTH: usize = 256;
/// The same for the codes of a codebook.
const LARGEST_CODEBOOK: usize = 1 << 17;

/// Checks one size.
///
/// # Errors
/// A sentence with its name, what was expected and what was found.
pub(super) fn check_size(name: &str, size: usize, largest: usize) -> Result<(), String> {
    if (1..=largest).contains(&size) { Ok(()) } else { Err(format!("{name}: expected 1 to {largest}, found {size}")) }
}

/// Checks the sizes of a network. `prefix` stands before the names that MuQ has in an object of their own.
///
/// # Errors
/// As [`check_size`].
pub(super) fn check_network(config: &MelConformerConfig, prefix: &str) -> Result<(), String> {
    let MelConformerConfig { conv_channels, num_logits, conformer, .. } = config;
    let ConformerConfig { hidden_size, num_layers, num_heads, intermediate_size, depthwise_kernel, .. } = conformer;
    check_size("conv_dim", *conv_channels, LARGEST_WIDTH)?;
    check_size("encoder_dim", *hidden_size, LARGEST_WIDTH)?;
    check_size("encoder_depth", *num_layers, LARGEST_DEPTH)?;
    check_size("codebook_size", *num_logits, LARGEST_CODEBOOK)?;
    check_size(&format!("{prefix}num_attention_heads"), *num_heads, LARGEST_WIDTH)?;
    check_size(&format!("{prefix}intermediate_size"), *intermediate_size, LARGEST_WIDTH)?;
    check_size(&format!("{prefix}conv_depthwise_kernel_size"), *depthwise_kernel, LARGEST_WIDTH)?;
    if !hidden_size.is_multiple_of(2 * num_heads) {
        return Err(format!(
            "{prefix}num_attention_heads: expected a number that divides encoder_dim {hidden_size} into even widths, \
             found {num_heads}"
        ));
    }
    if depthwise_kernel.is_multiple_of(2) {
        return Err(format!(
            "{prefix}conv_depthwise_kernel_size: expected an odd number of taps, found {depthwise_kernel}"
        ));
    }
    for (name, value) in
        [("layer_norm_eps", conformer.layer_norm_epsilon), ("rotary_embedding_base", conformer.rotary_base)]
    {
        // The network computes in single precision, where a tiny number may be no number at all.
        let value_used = value as f32;
        if !(value_used.is_finite() && value_used > 0.0) {
            return Err(format!("{prefix}{name}: expected a number above 0, found {value}"));
        }
    }
    Ok(())
}
