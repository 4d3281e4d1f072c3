//! What checkpoints of the HuBERT and data2vec families become, and what their configurations have in common.

use burn::tensor::Device;
use serde::Deserialize;
use solfa_signal::features::{Cqt, CqtConfig};

use super::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_positive, check_size};
use super::{CheckpointError, KeyTable, TensorSource, cqt_kernels, strict::StrictLoader};
use crate::model::{
    ConvolutionSize, FrontendNorm, NormPlacement, PositionalConvolutionConfig, TransformerConfig,
    WaveformFrontendConfig, WaveformTransformer, WaveformTransformerConfig,
};

/// A model of the HuBERT and data2vec families: what is done to a waveform, and the network, in the form that it is
/// loaded in or another one.
pub struct WaveformTransformerModel<N = WaveformTransformer> {
    /// `hubert`, `mert` or `data2vec-audio`.
    pub name: &'static str,
    /// Sample rate that it works at, in Hz.
    pub sample_rate: u32,
    /// Whether every clip is brought to mean 0 and variance 1 first.
    pub is_normalized: bool,
    /// The constant-Q transform that is put beside the convolutions' frames, for models that have one.
    pub cqt: Option<Cqt>,
    /// The network.
    pub network: N,
    /// The network's sizes.
    pub config: WaveformTransformerConfig,
    /// SHA-256 of the weight files: for one file, the hash that the Hugging Face hub shows for it.
    pub weights_sha256: String,
    /// What the files do not say and was taken for granted, one sentence each.
    pub notes: Vec<String>,
}

/// All that the files beside the weights say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) name: &'static str,
    pub(super) sample_rate: u32,
    pub(super) is_normalized: bool,
    pub(super) cqt: Option<CqtConfig>,
    pub(super) network: WaveformTransformerConfig,
    pub(super) notes: Vec<String>,
}

/// Far above any published model's: a larger size in a file is damage.
const LARGEST_KERNEL: usize = 1 << 12;
/// Far above the published 10. What a norm of the first layer takes grows with its square.
const LARGEST_FRONTEND_KERNEL: usize = 128;
/// The same for the number of convolutions of a front end, or of positions.
const LARGEST_STACK: usize = 64;
/// The same for the samples from one frame to the next.
const LARGEST_HOP_SAMPLES: usize = 1 << 20;

/// The fields of `config.json` that both families have, with the same defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct SharedFields {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    feat_extract_activation: String,
    conv_dim: Vec<usize>,
    conv_kernel: Vec<usize>,
    conv_stride: Vec<usize>,
    conv_bias: bool,
    pub(super) num_conv_pos_embedding_groups: usize,
}

impl Default for SharedFields {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-5,
            feat_extract_activation: "gelu".into(),
            conv_dim: vec![512; 7],
            conv_kernel: vec![10, 3, 3, 3, 3, 2, 2],
            conv_stride: vec![5, 2, 2, 2, 2, 2, 2],
            conv_bias: false,
            num_conv_pos_embedding_groups: 16,
        }
    }
}

/// What the families say each in their own way.
pub(super) struct FamilyFields {
    pub(super) frontend_norm: FrontendNorm,
    pub(super) extra_dim: usize,
    pub(super) has_projection_norm: bool,
    pub(super) positions: PositionalConvolutionConfig,
    pub(super) norm_placement: NormPlacement,
    pub(super) deep_norm: bool,
}

impl SharedFields {
    /// The network, every size checked.
    ///
    /// # Errors
    /// A sentence that names the field, what was expected and what was found.
    pub(super) fn resolve(&self, family: FamilyFields) -> Result<WaveformTransformerConfig, String> {
        for (name, activation) in
            [("hidden_act", &self.hidden_act), ("feat_extract_activation", &self.feat_extract_activation)]
        {
            if activation != "gelu" {
                return Err(format!("{name}: expected \"gelu\", found {activation:?}"));
            }
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        check_size("hidden_size", width, LARGEST_WIDTH)?;
        check_size("num_hidden_layers", self.num_hidden_layers, LARGEST_DEPTH)?;
        check_size("num_attention_heads", heads, LARGEST_WIDTH)?;
        check_size("intermediate_size", self.intermediate_size, LARGEST_WIDTH)?;
        check_divisor("num_attention_heads", heads, width)?;
        check_positive("layer_norm_eps", self.layer_norm_eps)?;
        check_positions(family.positions, width)?;
        Ok(WaveformTransformerConfig {
            frontend: WaveformFrontendConfig {
                convolutions: self.convolutions()?,
                has_bias: self.conv_bias,
                norm: family.frontend_norm,
            },
            extra_dim: family.extra_dim,
            has_projection_norm: family.has_projection_norm,
            positions: family.positions,
            transformer: TransformerConfig {
                hidden_size: width,
                num_layers: self.num_hidden_layers,
                num_heads: heads,
                intermediate_size: self.intermediate_size,
                layer_norm_epsilon: self.layer_norm_eps,
                norm_placement: family.norm_placement,
                deep_norm: family.deep_norm,
            },
        })
    }

    fn convolutions(&self) -> Result<Vec<ConvolutionSize>, String> {
        let Self { conv_dim, conv_kernel, conv_stride, .. } = self;
        check_size("the length of conv_dim", conv_dim.len(), LARGEST_STACK)?;
        for (name, list) in [("conv_kernel", conv_kernel), ("conv_stride", conv_stride)] {
            if list.len() != conv_dim.len() {
                let (expected, found) = (conv_dim.len(), list.len());
                return Err(format!("{name}: expected {expected} numbers, as in conv_dim, found {found}"));
            }
        }
        let mut convolutions = Vec::with_capacity(conv_dim.len());
        let mut hop_samples = 1;
        for ((&channels, &kernel), &stride) in conv_dim.iter().zip(conv_kernel).zip(conv_stride) {
            check_size("conv_dim", channels, LARGEST_WIDTH)?;
            check_size("conv_kernel", kernel, LARGEST_FRONTEND_KERNEL)?;
            check_size("conv_stride", stride, LARGEST_HOP_SAMPLES)?;
            hop_samples *= stride;
            check_size("the product of conv_stride", hop_samples, LARGEST_HOP_SAMPLES)?;
            convolutions.push(ConvolutionSize { channels, kernel, stride });
        }
        Ok(convolutions)
    }
}

/// Checks the positions' sizes by the names that they have in the family's configuration.
fn check_positions(positions: PositionalConvolutionConfig, width: usize) -> Result<(), String> {
    let groups = match positions {
        PositionalConvolutionConfig::WeightNormed { kernel, groups } => {
            check_size("num_conv_pos_embeddings", kernel, LARGEST_KERNEL)?;
            groups
        }
        PositionalConvolutionConfig::Stacked { num_layers, kernel, groups } => {
            check_size("num_conv_pos_embeddings", num_layers, LARGEST_STACK)?;
            check_size("conv_pos_kernel_size", kernel, LARGEST_KERNEL)?;
            groups
        }
    };
    check_size("num_conv_pos_embedding_groups", groups, LARGEST_WIDTH)?;
    check_divisor("num_conv_pos_embedding_groups", groups, width)
}

/// Checks that heads or groups of channels divide the network's width.
fn check_divisor(name: &str, number: usize, width: usize) -> Result<(), String> {
    if width.is_multiple_of(number) {
        return Ok(());
    }
    Err(format!("{name}: expected a divisor of hidden_size {width}, found {number}"))
}

/// Checks the sizes of a network that is to be trained.
///
/// # Errors
/// A sentence with the field's name, what was expected and what was found.
pub(super) fn check_waveform_transformer(config: &WaveformTransformerConfig) -> Result<(), String> {
    let WaveformTransformerConfig { frontend, extra_dim: _, has_projection_norm: _, positions, transformer } = config;
    check_size("network.frontend.convolutions", frontend.convolutions.len(), LARGEST_STACK)?;
    let mut hop_samples = 1;
    for ConvolutionSize { channels, kernel, stride } in &frontend.convolutions {
        check_size("network.frontend.convolutions.channels", *channels, LARGEST_WIDTH)?;
        check_size("network.frontend.convolutions.kernel", *kernel, LARGEST_FRONTEND_KERNEL)?;
        check_size("network.frontend.convolutions.stride", *stride, LARGEST_HOP_SAMPLES)?;
        hop_samples *= stride;
        check_size("the product of network.frontend.convolutions.stride", hop_samples, LARGEST_HOP_SAMPLES)?;
    }
    let TransformerConfig { hidden_size, num_layers, num_heads, intermediate_size, layer_norm_epsilon, .. } =
        transformer;
    check_size("network.transformer.hidden_size", *hidden_size, LARGEST_WIDTH)?;
    check_size("network.transformer.num_layers", *num_layers, LARGEST_DEPTH)?;
    check_size("network.transformer.num_heads", *num_heads, LARGEST_WIDTH)?;
    check_size("network.transformer.intermediate_size", *intermediate_size, LARGEST_WIDTH)?;
    check_divisor("network.transformer.num_heads", *num_heads, *hidden_size)?;
    check_positive("network.transformer.layer_norm_epsilon", *layer_norm_epsilon)?;
    check_positions(*positions, *hidden_size)
}

/// The names that both families have for the network's parts.
macro_rules! segments {
    ($($more:expr),*) => {
        &[
            ("frontend", "feature_extractor"),
            ("convolutions", "conv_layers"),
            ("channel_norm", "layer_norm"),
            ("frame_norm", "layer_norm"),
            ("projection", "feature_projection"),
            ("linear", "projection"),
            ("norm", "layer_norm"),
            ("attention_norm", "layer_norm"),
            ("feed_forward_norm", "final_layer_norm"),
            ("query", "q_proj"),
            ("key", "k_proj"),
            ("value", "v_proj"),
            ("output", "out_proj"),
            ("expand", "intermediate_dense"),
            ("contract", "output_dense"),
            ("gamma", "weight"),
            ("beta", "bias"),
            $($more),*
        ]
    };
}
pub(super) use segments;

/// The prefix that all of the network's names have in a file: none, or the one that a task's model puts there.
pub(super) fn prefix_of(source: &TensorSource, prefixes: &[&'static str]) -> &'static str {
    let is_there = |prefix: &&str| source.shape(&format!("{prefix}feature_projection.projection.weight")).is_some();
    prefixes.iter().copied().find(|prefix| is_there(prefix)).unwrap_or("")
}

/// Builds the model from its tensors.
pub(super) fn load(
    settings: &Settings,
    table: KeyTable,
    source: &TensorSource,
    device: &Device,
) -> Result<WaveformTransformerModel, CheckpointError> {
    let mut loader = StrictLoader::new(source);
    let network = loader.fill(WaveformTransformer::new(&settings.network, device), table);
    if let Some(config) = &settings.cqt {
        cqt_kernels::check(config, table.prefix, source, &mut loader)?;
    }
    loader.finish()?;
    let cqt = settings.cqt.clone().map(Cqt::new).transpose();
    Ok(WaveformTransformerModel {
        name: settings.name,
        sample_rate: settings.sample_rate,
        is_normalized: settings.is_normalized,
        cqt: cqt
            .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })?,
        network,
        config: settings.network.clone(),
        weights_sha256: source.sha256()?,
        notes: settings.notes.clone(),
    })
}
