//! MuQ's released layout: Hugging Face's `config.json` and `model.safetensors` (or `pytorch_model.bin`, or shards).
//!
//! `OpenMuQ/MuQ-large-msd-iter` and whatever the package `muq` saves. Zhu et al. 2025, arXiv:2501.01108.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;
use serde_json::Value;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::json::{self, read_object};
use super::mel_conformer::{TokenizerSizes, check_network};
use super::sizes::check_size;
use super::strict::StrictLoader;
use super::{CheckpointError, KeyTable, MelConformerModel, TensorSource};
use crate::model::{ConformerConfig, MelConformer, MelConformerConfig};
use crate::targets::{
    MelTokenizer, RandomProjectionQuantizer, RandomProjectionQuantizerConfig, ResidualVectorQuantizer,
    ResidualVectorQuantizerConfig,
};

/// Mel bands; fixed by the package (`n_mels` is not passed to its spectrogram).
pub(super) const NUM_MELS: usize = 128;
/// Mel frames per second: 24,000 / 240.
pub(super) const MEL_FRAMES_PER_SECOND: usize = 100;
/// Codes of a Mel-RVQ stage; fixed by the package.
const RVQ_CODES: usize = 1024;
/// Width of a Mel-RVQ code; fixed by the package.
const RVQ_CODE_DIM: usize = 16;

/// Far above any published quantiser: a larger size in a file is damage.
const LARGEST_CODE_DIM: usize = 512;

/// What MuQ's `config.json` says, as far as it determines the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MuqConfig {
    pub(super) network: MelConformerConfig,
    pub(super) mel_mean: f32,
    pub(super) mel_deviation: f32,
    /// Consecutive mel frames to one token.
    pub(super) fold: usize,
    pub(super) target: MuqTarget,
}

/// Which quantiser made the tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MuqTarget {
    MelRvq { num_codebooks: usize },
    RandomProjection { num_codes: usize, code_dim: usize },
}

/// The file itself: the fields of the package's `MuQConfig`, with its defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    label_rate: usize,
    num_codebooks: usize,
    codebook_dim: usize,
    codebook_size: usize,
    features: Vec<String>,
    hop_length: usize,
    n_mels: usize,
    conv_dim: usize,
    encoder_dim: usize,
    encoder_depth: usize,
    stat: serde_json::Map<String, Value>,
    #[serde(deserialize_with = "json::object")]
    w2v2_config: ConformerFields,
    use_rvq_target: bool,
    use_vq_target: bool,
    use_encodec_target: bool,
    rvq_n_codebooks: usize,
    rvq_multi_layer_num: usize,
    // Known fields of pre-training, without effect on a trained model.
    #[serde(rename = "mask_hop")]
    _mask_hop: Value,
    #[serde(rename = "mask_prob")]
    _mask_prob: Value,
    #[serde(rename = "is_flash")]
    _is_flash: Value,
    #[serde(rename = "rvq_ckpt_path")]
    _rvq_ckpt_path: Value,
    #[serde(rename = "recon_loss_ratio")]
    _recon_loss_ratio: Value,
    #[serde(rename = "resume_checkpoint")]
    _resume_checkpoint: Value,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            label_rate: 25,
            num_codebooks: 1,
            codebook_dim: 16,
            codebook_size: 4096,
            features: vec!["melspec_2048".into()],
            hop_length: 240,
            n_mels: NUM_MELS,
            conv_dim: 512,
            encoder_dim: 1024,
            encoder_depth: 12,
            stat: serde_json::Map::new(),
            w2v2_config: ConformerFields::default(),
            use_rvq_target: false,
            use_vq_target: false,
            use_encodec_target: false,
            rvq_n_codebooks: 8,
            rvq_multi_layer_num: 1,
            _mask_hop: Value::Null,
            _mask_prob: Value::Null,
            _is_flash: Value::Null,
            _rvq_ckpt_path: Value::Null,
            _recon_loss_ratio: Value::Null,
            _resume_checkpoint: Value::Null,
        }
    }
}

/// The fields of Hugging Face's `Wav2Vec2ConformerConfig` that a forward pass of the bare encoder depends on. The file
/// holds about a hundred others, which differ between versions of that library and which the encoder never reads.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct ConformerFields {
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    conv_depthwise_kernel_size: usize,
    position_embeddings_type: String,
    rotary_embedding_base: f64,
    layer_norm_eps: f64,
}

impl Default for ConformerFields {
    fn default() -> Self {
        Self {
            num_attention_heads: 16,
            intermediate_size: 4096,
            hidden_act: "swish".into(),
            conv_depthwise_kernel_size: 31,
            position_embeddings_type: "rotary".into(),
            rotary_embedding_base: 10_000.0,
            layer_norm_eps: 1e-5,
        }
    }
}

impl MuqConfig {
    /// Reads `config.json`.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        Self::resolve(read_object(path, "MuQ's configuration")?)
            .map_err(|reason| CheckpointError::Config { path: path.to_owned(), reason })
    }

    /// What a reader makes of a configuration that is yet to be written.
    pub(super) fn of_json(config: Value) -> Result<Self, String> {
        serde_json::from_value(config).map_err(|fault| fault.to_string()).and_then(Self::resolve)
    }

    /// The sizes of the quantiser.
    pub(super) fn tokenizer(&self) -> TokenizerSizes {
        let input_dim = NUM_MELS * self.fold;
        match self.target {
            MuqTarget::MelRvq { num_codebooks } => TokenizerSizes::MelRvq(ResidualVectorQuantizerConfig {
                input_dim,
                num_codebooks,
                num_codes: RVQ_CODES,
                code_dim: RVQ_CODE_DIM,
            }),
            MuqTarget::RandomProjection { num_codes, code_dim } => {
                TokenizerSizes::RandomProjection(RandomProjectionQuantizerConfig { input_dim, num_codes, code_dim })
            }
        }
    }

    fn resolve(file: ConfigFile) -> Result<Self, String> {
        let expect = |holds: bool, name: &str, expected: &str, found: &dyn std::fmt::Debug| {
            if holds { Ok(()) } else { Err(format!("{name}: expected {expected}, found {found:?}")) }
        };
        let conformer = &file.w2v2_config;
        expect(matches!(file.label_rate, 25 | 50), "label_rate", "25 or 50", &file.label_rate)?;
        expect(file.num_codebooks == 1, "num_codebooks", "1", &file.num_codebooks)?;
        expect(file.features == ["melspec_2048"], "features", "[\"melspec_2048\"]", &file.features)?;
        expect(file.hop_length == 240, "hop_length", "240", &file.hop_length)?;
        expect(file.n_mels == NUM_MELS, "n_mels", "128", &file.n_mels)?;
        expect(!file.use_vq_target, "use_vq_target", "false (Mel-RVQ or random projection)", &file.use_vq_target)?;
        expect(!file.use_encodec_target, "use_encodec_target", "false", &file.use_encodec_target)?;
        let act = &conformer.hidden_act;
        expect(matches!(act.as_str(), "swish" | "silu"), "w2v2_config.hidden_act", "\"swish\"", act)?;
        let positions = &conformer.position_embeddings_type;
        expect(positions == "rotary", "w2v2_config.position_embeddings_type", "\"rotary\"", positions)?;
        let conformer = ConformerConfig {
            hidden_size: file.encoder_dim,
            num_layers: file.encoder_depth,
            num_heads: conformer.num_attention_heads,
            intermediate_size: conformer.intermediate_size,
            depthwise_kernel: conformer.conv_depthwise_kernel_size,
            layer_norm_epsilon: conformer.layer_norm_eps,
            rotary_base: conformer.rotary_embedding_base,
        };
        let target = if file.use_rvq_target {
            let layers = file.rvq_multi_layer_num;
            expect(layers == 1, "rvq_multi_layer_num", "1 (linear projections)", &layers)?;
            let codebooks = file.rvq_n_codebooks;
            expect((1..=64).contains(&codebooks), "rvq_n_codebooks", "1 to 64", &codebooks)?;
            MuqTarget::MelRvq { num_codebooks: codebooks }
        } else {
            check_size("codebook_dim", file.codebook_dim, LARGEST_CODE_DIM)?;
            MuqTarget::RandomProjection { num_codes: file.codebook_size, code_dim: file.codebook_dim }
        };
        let (mel_mean, mel_deviation) = mel_statistics(&file.stat, "stat.")?;
        let fold = MEL_FRAMES_PER_SECOND / file.label_rate;
        let network = MelConformerConfig {
            num_mels: NUM_MELS,
            conv_channels: file.conv_dim,
            time_strides: if fold == 4 { [2, 2] } else { [2, 1] },
            conformer,
            num_logits: file.codebook_size,
        };
        check_network(&network, "w2v2_config.")?;
        Ok(Self { network, mel_mean, mel_deviation, fold, target })
    }
}

/// The mean and standard deviation of the training data's mel spectrograms, by the names that both released models use.
/// `prefix` stands before these names in errors.
pub(super) fn mel_statistics(statistics: &serde_json::Map<String, Value>, prefix: &str) -> Result<(f32, f32), String> {
    let number = |name: &str, expected: &str, is_possible: fn(f32) -> bool| {
        let found = statistics.get(name);
        // In single precision, as it is used: there a huge number is infinite and a tiny one is zero.
        let value = found.and_then(Value::as_f64).map(|value| value as f32);
        value.filter(|&value| value.is_finite() && is_possible(value)).ok_or_else(|| {
            let found = found.map_or("no such entry".into(), Value::to_string);
            format!("{prefix}{name}: expected {expected}, found {found}")
        })
    };
    let mean = number("melspec_2048_mean", "a number", |_| true)?;
    let deviation = number("melspec_2048_std", "a number above 0", |value| value > 0.0)?;
    Ok((mean, deviation))
}

/// The names of the network's tensors in files of MuQ and MusicFM.
pub(super) const NETWORK: KeyTable = KeyTable {
    prefix: "model.",
    segments: &[
        ("subsampling", "conv"),
        ("blocks", "conv"),
        ("norm1", "bn1"),
        ("norm2", "bn2"),
        ("shortcut_conv", "conv3"),
        ("shortcut_norm", "bn3"),
        ("projection", "linear"),
        ("feed_forward1_norm", "ffn1_layer_norm"),
        ("feed_forward1", "ffn1"),
        ("feed_forward2_norm", "ffn2_layer_norm"),
        ("feed_forward2", "ffn2"),
        ("expand", "intermediate_dense"),
        ("contract", "output_dense"),
        ("attention_norm", "self_attn_layer_norm"),
        ("attention", "self_attn"),
        ("query", "linear_q"),
        ("key", "linear_k"),
        ("value", "linear_v"),
        ("output", "linear_out"),
        ("convolution", "conv_module"),
        ("norm", "layer_norm"),
        ("pointwise_in", "pointwise_conv1"),
        ("depthwise", "depthwise_conv"),
        ("pointwise_out", "pointwise_conv2"),
        ("final_norm", "final_layer_norm"),
        ("positions", "embed_positions"),
        ("inverse_frequencies", "inv_freq"),
        ("head", "linear"),
        ("gamma", "weight"),
        ("beta", "bias"),
    ],
    unused: &[
        ("*.num_batches_tracked", "a counter of batch norm's training"),
        ("model.cls_token", "declared by the reference and never read by its forward pass"),
        ("model.conformer.pos_conv_embed.*", "declared by the reference and never read: positions are rotary"),
        ("model.recon_proj.*", "head of an optional reconstruction loss of pre-training"),
    ],
};

/// The names of Mel-RVQ's tensors, with weight norm in PyTorch's older spelling.
pub(super) const MEL_RVQ: KeyTable = KeyTable {
    prefix: "model.rvq.",
    segments: &[
        ("stages", "quantizers"),
        ("project_in", "in_proj"),
        ("project_out", "out_proj"),
        ("gain", "weight_g"),
        ("direction", "weight_v"),
    ],
    unused: &[("*.stale_counter", "counts batches without use of a code, in training")],
};

/// The same with weight norm as a parametrisation, PyTorch's newer spelling.
const MEL_RVQ_PARAMETRIZED: KeyTable = KeyTable {
    segments: &[
        ("stages", "quantizers"),
        ("project_in", "in_proj"),
        ("project_out", "out_proj"),
        ("gain", "parametrizations.weight.original0"),
        ("direction", "parametrizations.weight.original1"),
    ],
    ..MEL_RVQ
};

pub(super) const RANDOM_PROJECTION: KeyTable =
    KeyTable { prefix: "model.quantizer_melspec_2048.", segments: &[("projection", "random_projection")], unused: &[] };

/// Builds the model from its tensors.
pub(super) fn load(
    config: &MuqConfig,
    source: &TensorSource,
    device: &Device,
) -> Result<MelConformerModel, CheckpointError> {
    let mut loader = StrictLoader::new(source);
    let network = loader.fill(MelConformer::new(&config.network, device), NETWORK);
    let tokenizer = match config.tokenizer() {
        TokenizerSizes::MelRvq(sizes) => {
            let is_parametrized = source.shapes().any(|(name, _)| {
                name.starts_with(MEL_RVQ.prefix) && name.ends_with("parametrizations.weight.original0")
            });
            let table = if is_parametrized { MEL_RVQ_PARAMETRIZED } else { MEL_RVQ };
            MelTokenizer::MelRvq(loader.fill(ResidualVectorQuantizer::new(&sizes, device), table))
        }
        TokenizerSizes::RandomProjection(sizes) => MelTokenizer::RandomProjection(
            loader.fill(RandomProjectionQuantizer::new(&sizes, device), RANDOM_PROJECTION),
        ),
    };
    loader.finish()?;
    let mel = MelSpectrogram::new(MelConfig::muq())
        .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })?;
    Ok(MelConformerModel {
        name: "muq",
        mel,
        mel_mean: config.mel_mean,
        mel_deviation: config.mel_deviation,
        network,
        config: config.network.clone(),
        fold: config.fold,
        tokenizer: Some(tokenizer),
        weights_sha256: source.sha256()?,
    })
}
