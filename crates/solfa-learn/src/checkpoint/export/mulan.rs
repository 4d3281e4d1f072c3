//! MuQ-MuLan's layout, as written: `config.json` and the weights of both towers, and a folder for each of the two models
//! that the configuration names, with their configurations and the text model's `tokenizer.json`.
//!
//! The package `muq` makes the towers from the named models' own checkpoints before it takes these weights. Those
//! checkpoints are no part of a loaded model: the package has them from the hub, by their names.

use std::path::{Component, Path};

use fs_err as fs;
use serde_json::{Value, json};
use solfa_signal::features::MelConfig;

use super::{check_mel, check_same, mel_conformer::muq_json};
use crate::checkpoint::save::{CheckpointFolder, named_tensors};
use crate::checkpoint::{CheckpointError, MulanModel, NamedTensor, TensorValues, mulan};
use crate::model::{JointSpaceHeadConfig, QueryKeyNormTransformerConfig};

/// The five objects of `config.json`, or why there are none.
fn config_json(model: &MulanModel) -> Result<Value, String> {
    let config = &model.config;
    let text = &config.text_head;
    let text_dim = match (text.has_projection, text.input_dim == text.transformer.dim) {
        (true, true) => return Err("it has no projection of texts to their own width".into()),
        (true, false) => json!(text.input_dim),
        (false, _) => Value::Null,
    };
    if !config.audio_head.has_projection {
        return Err("it has no audio tower without a projection".into());
    }
    let mut text_transformer = transformer_json(&text.transformer)?;
    text_transformer["max_seq_len"] = json!(config.text_network.maximum_tokens());
    Ok(json!({
        "mulan": {
            "sr": mulan::SAMPLE_RATE,
            "clip_secs": clip_seconds(config.clip_samples)?,
            "dim_latent": text.latent_dim,
            "decoupled_contrastive_learning": true,
            "hierarchical_contrastive_loss": false,
            "hierarchical_contrastive_loss_layers": null,
            "sigmoid_contrastive_loss": false,
            "rank_contrast": true,
        },
        "audio_model": {
            "name": model.audio.model_name,
            "model_dim": config.audio_head.input_dim,
            "use_layer_idx": config.audio_layer,
        },
        "text_model": { "name": model.text.model_name, "model_dim": text_dim, "use_layer_idx": -1 },
        "audio_transformer": transformer_json(&config.audio_head.transformer)?,
        "text_transformer": text_transformer,
    }))
}

/// Seconds that are read as just so many samples.
fn clip_seconds(samples: usize) -> Result<f64, String> {
    let seconds = samples as f64 / f64::from(mulan::SAMPLE_RATE);
    [seconds, seconds.next_up(), seconds.next_down()]
        .into_iter()
        .find(|seconds| seconds * f64::from(mulan::SAMPLE_RATE) == samples as f64)
        .ok_or_else(|| format!("no number of seconds is read as the {samples} samples of a clip"))
}

fn transformer_json(config: &QueryKeyNormTransformerConfig) -> Result<Value, String> {
    let &QueryKeyNormTransformerConfig { dim, num_layers, num_heads, head_dim, intermediate_size, .. } = config;
    let multiple =
        (1..=mulan::LARGEST_FEED_FORWARD_MULTIPLE).find(|multiple| dim * multiple * 2 / 3 == intermediate_size);
    let Some(multiple) = multiple else {
        return Err(format!("it has no feed-forward of {intermediate_size} at a width of {dim}"));
    };
    Ok(json!({
        "dim": dim,
        "tf_depth": num_layers,
        "heads": num_heads,
        "dim_head": head_dim,
        "attn_dropout": 0.0,
        "ff_dropout": 0.0,
        "ff_mult": multiple,
    }))
}

/// MuQ's own configuration, without a tokenizer: it is no part of the towers.
fn audio_json(model: &MulanModel) -> Value {
    let audio = &model.audio;
    let fold = if model.config.audio_network.time_strides == [2, 2] { 4 } else { 2 };
    muq_json(&model.config.audio_network, fold, (audio.mel_mean, audio.mel_deviation), None)
}

/// XLM-RoBERTa's own configuration.
fn text_json(model: &MulanModel) -> Value {
    let (network, tokens) = (&model.config.text_network, model.text.tokenizer.special_tokens());
    json!({
        "model_type": "xlm-roberta",
        "architectures": ["XLMRobertaModel"],
        "vocab_size": network.vocabulary_size,
        "hidden_size": network.hidden_size,
        "num_hidden_layers": network.num_layers,
        "num_attention_heads": network.num_heads,
        "intermediate_size": network.intermediate_size,
        "hidden_act": "gelu",
        "max_position_embeddings": network.num_positions,
        "type_vocab_size": network.num_token_types,
        "layer_norm_eps": network.layer_norm_epsilon,
        "position_embedding_type": "absolute",
        "bos_token_id": tokens.start,
        "pad_token_id": tokens.padding,
        "eos_token_id": tokens.end,
    })
}

/// The folders of the two models that the configuration names, below the checkpoint's: the last parts of the names, or
/// the whole names where the last parts are equal.
fn folders(model: &MulanModel) -> Result<[String; 2], String> {
    let names = [&model.audio.model_name, &model.text.model_name];
    let parts = names.map(|name| {
        let parts: Option<Vec<&str>> = Path::new(name)
            .components()
            .map(|part| if let Component::Normal(part) = part { part.to_str() } else { None })
            .collect();
        parts.filter(|parts| !parts.is_empty()).ok_or_else(|| format!("no folder beside it can be called {name:?}"))
    });
    let [audio, text] = parts;
    let (audio, text) = (audio?, text?);
    let folders = match audio.last() == text.last() {
        true => [audio.join("/"), text.join("/")],
        false => [audio, text].map(|parts| parts.last().copied().unwrap_or_default().to_owned()),
    };
    if folders[0] == folders[1] {
        return Err(format!("both towers' models are called {:?}", folders[0]));
    }
    Ok(folders)
}

pub(super) fn check(model: &MulanModel) -> Result<(), String> {
    check_mel(&model.audio.mel, MelConfig::muq())?;
    folders(model)?;
    let config = config_json(model)?;
    let read = mulan::config_of_json(config, audio_json(model), text_json(model))?;
    let without_biases = |head: &JointSpaceHeadConfig| JointSpaceHeadConfig {
        transformer: QueryKeyNormTransformerConfig { has_norm_biases: false, ..head.transformer.clone() },
        ..head.clone()
    };
    // Biases of norms are known by their tensors.
    let mut expected = model.config.clone();
    expected.audio_head = without_biases(&expected.audio_head);
    expected.text_head = without_biases(&expected.text_head);
    check_same("towers", &expected, &read)
}

pub(super) fn write(files: &mut CheckpointFolder, weights: &str, model: &MulanModel) -> Result<(), CheckpointError> {
    let tokenizer = &model.text.tokenizer;
    let path = tokenizer.path();
    let tokenizer_bytes = fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
    tokenizer.check_unchanged(&tokenizer_bytes)?;

    let mut tensors = named_tensors(&model.audio.network, mulan::AUDIO_NETWORK);
    tensors.extend(mulan::head_tensors(&model.audio.head, &mulan::AUDIO_HEAD));
    tensors.extend(named_tensors(&model.text.network, mulan::TEXT_NETWORK));
    tensors.extend(mulan::head_tensors(&model.text.head, &mulan::TEXT_HEAD));
    if let Some(scale) = model.logit_scale {
        let values = TensorValues::Floats(vec![scale.ln() as f32].into());
        tensors.push(NamedTensor { name: mulan::TEMPERATURE.into(), shape: vec![1, 1, 1], values });
    }
    let config = config_json(model).map_err(|reason| files.config_error(reason))?;
    let [audio_folder, text_folder] = folders(model).map_err(|reason| files.config_error(reason))?;
    files.safetensors(weights, tensors)?;
    files.json(&format!("{audio_folder}/config.json"), &audio_json(model))?;
    files.json(&format!("{text_folder}/config.json"), &text_json(model))?;
    files.bytes(&format!("{text_folder}/tokenizer.json"), &tokenizer_bytes)?;
    files.json("config.json", &config)
}
