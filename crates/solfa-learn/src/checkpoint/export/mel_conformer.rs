//! MuQ's and MusicFM's layouts, as written. Either network can be written in both, where sizes and tokenizer allow.

use serde_json::{Value, json};
use solfa_signal::features::MelConfig;

use super::{check_mel, check_same};
use crate::checkpoint::mel_conformer::{TokenizerSizes, tokenizer_tensors};
use crate::checkpoint::muq::{self, MuqConfig};
use crate::checkpoint::save::{CheckpointFolder, named_tensors};
use crate::checkpoint::{CheckpointError, KeyTable, MelConformerModel, NamedTensor, TensorValues, musicfm};
use crate::model::MelConformerConfig;

/// The conformer's convolution for relative positions, which the reference declares and never reads: groups and taps.
const UNREAD_GROUPS: usize = 16;
const UNREAD_TAPS: usize = 128;

/// MuQ's `config.json`: every field of the package's, and of the library's conformer what its encoder reads. `statistics`
/// are the mean and the deviation of mel spectrograms. Without a tokenizer, its fields are the package's defaults.
pub(super) fn muq_json(
    network: &MelConformerConfig,
    fold: usize,
    statistics: (f32, f32),
    tokenizer: Option<&TokenizerSizes>,
) -> Value {
    let conformer = &network.conformer;
    let (codebook_dim, num_codebooks) = match tokenizer {
        Some(TokenizerSizes::MelRvq(sizes)) => (sizes.code_dim, Some(sizes.num_codebooks)),
        Some(TokenizerSizes::RandomProjection(sizes)) => (sizes.code_dim, None),
        None => (16, None),
    };
    json!({
        "label_rate": muq::MEL_FRAMES_PER_SECOND / fold.max(1),
        "num_codebooks": 1,
        "codebook_dim": codebook_dim,
        "codebook_size": network.num_logits,
        "features": ["melspec_2048"],
        "hop_length": 240,
        "n_mels": network.num_mels,
        "conv_dim": network.conv_channels,
        "encoder_dim": conformer.hidden_size,
        "encoder_depth": conformer.num_layers,
        "mask_hop": 0.4,
        "mask_prob": 0.6,
        "is_flash": false,
        "stat": statistics_json(statistics),
        "w2v2_config": {
            "hidden_size": conformer.hidden_size,
            "num_hidden_layers": conformer.num_layers,
            "num_attention_heads": conformer.num_heads,
            "intermediate_size": conformer.intermediate_size,
            "hidden_act": "swish",
            "feat_extract_activation": "gelu",
            "conv_depthwise_kernel_size": conformer.depthwise_kernel,
            "position_embeddings_type": "rotary",
            "rotary_embedding_base": conformer.rotary_base,
            "max_source_positions": 5000,
            "num_conv_pos_embeddings": UNREAD_TAPS,
            "num_conv_pos_embedding_groups": unread_groups(conformer.hidden_size),
            "layer_norm_eps": conformer.layer_norm_epsilon,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
            "conformer_conv_dropout": 0.0,
            "layerdrop": 0.0,
            "initializer_range": 0.02,
        },
        "use_rvq_target": num_codebooks.is_some(),
        "use_vq_target": false,
        "use_encodec_target": false,
        "rvq_ckpt_path": null,
        "recon_loss_ratio": null,
        "resume_checkpoint": null,
        "rvq_n_codebooks": num_codebooks.unwrap_or(8),
        "rvq_multi_layer_num": 1,
    })
}

/// The statistics by the names that both layouts have, written so that they are read back to the bit.
fn statistics_json((mean, deviation): (f32, f32)) -> Value {
    json!({ "melspec_2048_mean": f64::from(mean), "melspec_2048_std": f64::from(deviation) })
}

fn json_of(model: &MelConformerModel) -> Value {
    let statistics = (model.mel_mean, model.mel_deviation);
    let tokenizer = model.tokenizer.as_ref().map(TokenizerSizes::of);
    muq_json(&model.config, model.fold, statistics, tokenizer.as_ref())
}

/// A number of groups that divides the width.
fn unread_groups(hidden_size: usize) -> usize {
    if hidden_size.is_multiple_of(UNREAD_GROUPS) { UNREAD_GROUPS } else { 1 }
}

/// Both layouts hold a tokenizer.
fn sizes_of_tokenizer(model: &MelConformerModel) -> Result<TokenizerSizes, String> {
    let tokenizer = model.tokenizer.as_ref();
    tokenizer.map(TokenizerSizes::of).ok_or_else(|| "the model has no tokenizer, which the layout holds".to_owned())
}

pub(super) fn check_muq(model: &MelConformerModel) -> Result<(), String> {
    check_mel(&model.mel, MelConfig::muq())?;
    let read = MuqConfig::of_json(json_of(model))?;
    check_same("network", &model.config, &read.network)?;
    check_same("frames to one token", &model.fold, &read.fold)?;
    check_same("tokenizer", &sizes_of_tokenizer(model)?, &read.tokenizer())
}

pub(super) fn write_muq(
    files: &mut CheckpointFolder,
    weights: &str,
    model: &MelConformerModel,
) -> Result<(), CheckpointError> {
    let mut tensors = named_tensors(&model.network, muq::NETWORK);
    tensors.extend(
        model.tokenizer.iter().flat_map(|tokenizer| tokenizer_tensors(tokenizer, muq::MEL_RVQ, muq::RANDOM_PROJECTION)),
    );
    files.safetensors(weights, tensors)?;
    files.json("config.json", &json_of(model))
}

/// The sizes beside MusicFM's `.pt` file; the release has none.
fn musicfm_json(model: &MelConformerModel) -> Value {
    let (network, conformer) = (&model.config, &model.config.conformer);
    json!({
        "conv_dim": network.conv_channels,
        "encoder_dim": conformer.hidden_size,
        "encoder_depth": conformer.num_layers,
        "codebook_size": network.num_logits,
        "num_attention_heads": conformer.num_heads,
        "intermediate_size": conformer.intermediate_size,
        "conv_depthwise_kernel_size": conformer.depthwise_kernel,
    })
}

pub(super) fn check_musicfm(model: &MelConformerModel) -> Result<(), String> {
    check_same("mel spectrogram", model.mel.config(), &MelConfig::muq())?;
    let read = musicfm::network_of_json(musicfm_json(model))?;
    check_same("network", &model.config, &read)?;
    check_same("frames to one token", &model.fold, &musicfm::FOLD)?;
    let quantizer = TokenizerSizes::RandomProjection(musicfm::quantizer_of(&read));
    check_same("tokenizer", &sizes_of_tokenizer(model)?, &quantizer)
}

pub(super) fn write_musicfm(
    files: &mut CheckpointFolder,
    weights: &str,
    model: &MelConformerModel,
) -> Result<(), CheckpointError> {
    // A MusicFM has no Mel-RVQ: `check_musicfm` said so.
    let no_table = KeyTable { prefix: "", segments: &[], unused: &[] };
    let mut tensors = named_tensors(&model.network, muq::NETWORK);
    tensors.extend(
        model.tokenizer.iter().flat_map(|tokenizer| tokenizer_tensors(tokenizer, no_table, musicfm::RANDOM_PROJECTION)),
    );
    let (window, filters) = model.mel.stored_parts();
    let config = model.mel.config();
    let window_shape = vec![config.stft.window_samples];
    tensors.push(floats(musicfm::STORED_WINDOW, window_shape, window));
    tensors.push(floats(musicfm::STORED_FILTERS, vec![config.stft.num_bins(), config.num_mels], filters));
    tensors.extend(unread(model.config.conformer.hidden_size));
    files.pytorch(weights, "state_dict", tensors)?;
    files.json("musicfm_stats.json", &statistics_json((model.mel_mean, model.mel_deviation)))?;
    files.json("config.json", &musicfm_json(model))
}

/// What the release's own program insists on finding, and never reads: a class token, and a convolution for positions.
fn unread(hidden_size: usize) -> Vec<NamedTensor<'static>> {
    let width = hidden_size / unread_groups(hidden_size);
    let ones = |name: &str, shape: Vec<usize>| {
        let values = vec![1.0; shape.iter().product()];
        floats(name, shape, values)
    };
    vec![
        ones("model.cls_token", vec![hidden_size]),
        ones("model.conformer.pos_conv_embed.conv.bias", vec![hidden_size]),
        ones("model.conformer.pos_conv_embed.conv.weight_g", vec![1, 1, UNREAD_TAPS]),
        ones("model.conformer.pos_conv_embed.conv.weight_v", vec![hidden_size, width, UNREAD_TAPS]),
    ]
}

fn floats(name: &str, shape: Vec<usize>, values: Vec<f32>) -> NamedTensor<'static> {
    NamedTensor { name: name.into(), shape, values: TensorValues::Floats(values.into()) }
}
