//! The layouts of HuBERT, MERT and data2vec, as written: `config.json`, `preprocessor_config.json`, `model.safetensors`.
//!
//! The vector that stands for masked frames in the library's own training is not among the weights of a loaded model, so
//! the configuration switches that masking off. The kernels of MERT's constant-Q transform are not written either: they
//! are what its configuration defines, and the reference makes them anew.

use serde_json::{Map, Value, json};
use solfa_signal::features::Cqt;

use super::{ExportFormat, check_same};
use crate::checkpoint::hubert::ConfigDialect;
use crate::checkpoint::preprocessor::{self, Preprocessor};
use crate::checkpoint::save::{CheckpointFolder, named_tensors};
use crate::checkpoint::{CheckpointError, KeyTable, WaveformTransformerModel, data2vec, hubert};
use crate::model::{FrontendNorm, NormPlacement, PositionalConvolutionConfig};

/// `config.json`, or why there is none.
fn config_json(model: &WaveformTransformerModel, format: ExportFormat) -> Result<Value, String> {
    let (network, transformer) = (&model.config, &model.config.transformer);
    let (kind, class) = match format {
        ExportFormat::MertHf => ("mert_model", "MERTModel"),
        ExportFormat::Data2VecHf => ("data2vec-audio", "Data2VecAudioModel"),
        _ => ("hubert", "HubertModel"),
    };
    let convolutions = &network.frontend.convolutions;
    let list = |size: fn(&crate::model::ConvolutionSize) -> usize| convolutions.iter().map(size).collect::<Vec<_>>();
    let shared = json!({
        "model_type": kind,
        "architectures": [class],
        "hidden_size": transformer.hidden_size,
        "num_hidden_layers": transformer.num_layers,
        "num_attention_heads": transformer.num_heads,
        "intermediate_size": transformer.intermediate_size,
        "hidden_act": "gelu",
        "layer_norm_eps": transformer.layer_norm_epsilon,
        "feat_extract_activation": "gelu",
        "conv_dim": list(|size| size.channels),
        "conv_kernel": list(|size| size.kernel),
        "conv_stride": list(|size| size.stride),
        "conv_bias": network.frontend.has_bias,
        "num_feat_extract_layers": convolutions.len(),
        "apply_spec_augment": false,
        "mask_time_prob": 0.0,
        "mask_feature_prob": 0.0,
        "torch_dtype": "float32",
    });
    let own = match (format, network.positions) {
        (ExportFormat::Data2VecHf, PositionalConvolutionConfig::Stacked { num_layers, kernel, groups }) => json!({
            "num_conv_pos_embeddings": num_layers,
            "conv_pos_kernel_size": kernel,
            "num_conv_pos_embedding_groups": groups,
        }),
        (
            ExportFormat::HubertHf | ExportFormat::MertHf,
            PositionalConvolutionConfig::WeightNormed { kernel, groups },
        ) => json!({
            "feat_extract_norm": match network.frontend.norm {
                FrontendNorm::ChannelsOfFirstLayer => "group",
                FrontendNorm::FramesOfEveryLayer => "layer",
            },
            "feat_proj_layer_norm": network.has_projection_norm,
            "num_conv_pos_embeddings": kernel,
            "num_conv_pos_embedding_groups": groups,
            "conv_pos_batch_norm": false,
            "do_stable_layer_norm": transformer.norm_placement == NormPlacement::Before,
        }),
        (_, found) => return Err(format!("it has other convolutions for positions than {found:?}")),
    };
    let of_mert = match format {
        ExportFormat::MertHf => json!({
            "sample_rate": model.sample_rate,
            "feature_extractor_cqt": model.cqt.is_some(),
            "feature_extractor_cqt_bins": if model.cqt.is_some() { network.extra_dim } else { 336 },
            "deepnorm": transformer.deep_norm,
            "attention_relax": -1.0,
        }),
        _ => json!({}),
    };
    let mut fields = Map::new();
    for object in [shared, own, of_mert] {
        if let Value::Object(object) = object {
            fields.extend(object);
        }
    }
    Ok(Value::Object(fields))
}

fn preprocessor_of(model: &WaveformTransformerModel) -> Preprocessor {
    Preprocessor { sample_rate: model.sample_rate, is_normalized: model.is_normalized }
}

pub(super) fn check(model: &WaveformTransformerModel, format: ExportFormat) -> Result<(), String> {
    let (config, preprocessor) = (config_json(model, format)?, preprocessor_of(model));
    let read = match format {
        ExportFormat::Data2VecHf => data2vec::of_json(&config, preprocessor)?,
        ExportFormat::MertHf => hubert::of_json(&config, preprocessor, ConfigDialect::Mert)?,
        _ => hubert::of_json(&config, preprocessor, ConfigDialect::Library)?,
    };
    check_same("network", &model.config, &read.network)?;
    check_same("constant-Q transform", &model.cqt.as_ref().map(Cqt::config), &read.cqt.as_ref())?;
    check_same("preprocessor", &(model.sample_rate, model.is_normalized), &(read.sample_rate, read.is_normalized))
}

pub(super) fn write(
    files: &mut CheckpointFolder,
    weights: &str,
    model: &WaveformTransformerModel,
    format: ExportFormat,
) -> Result<(), CheckpointError> {
    let config = config_json(model, format).map_err(|reason| files.config_error(reason))?;
    let segments = if format == ExportFormat::Data2VecHf { data2vec::SEGMENTS } else { hubert::SEGMENTS };
    files.safetensors(weights, named_tensors(&model.network, KeyTable { prefix: "", segments, unused: &[] }))?;
    // Models that norm every frame were trained with masks, as the library says of them.
    let has_mask = model.config.frontend.norm == FrontendNorm::FramesOfEveryLayer;
    files.json(preprocessor::FILE_NAME, &preprocessor_of(model).to_json(has_mask))?;
    files.json("config.json", &config)
}
