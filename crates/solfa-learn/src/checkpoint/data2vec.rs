//! data2vec's and music2vec's released layout: Hugging Face's `config.json` and weights.
//!
//! `m-a-p/music2vec-v1`, `facebook/data2vec-audio-base` and whatever the library's `Data2VecAudioModel` saves. Baevski et
//! al. 2022, arXiv:2202.03555; Li et al. 2022, "MAP-Music2Vec", arXiv:2212.02508.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;
use serde_json::Value;

use super::json::read_object;
use super::preprocessor::{self, Preprocessor};
use super::waveform_transformer::{self, FamilyFields, Settings, SharedFields, WaveformTransformerModel, segments};
use super::{CheckpointError, KeyTable, TensorSource};
use crate::model::{FrontendNorm, NormPlacement, PositionalConvolutionConfig};

/// The sample rate of all published models, where no file says another.
const SAMPLE_RATE: u32 = 16_000;

/// The fields of data2vec's configuration that a forward pass depends on, beside [`SharedFields`].
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Data2VecFields {
    /// The number of convolutions here; HuBERT's field of this name is the number of taps.
    num_conv_pos_embeddings: usize,
    conv_pos_kernel_size: usize,
}

impl Default for Data2VecFields {
    fn default() -> Self {
        Self { num_conv_pos_embeddings: 5, conv_pos_kernel_size: 19 }
    }
}

/// Reads `config.json` and the preprocessor's configuration beside it.
pub(super) fn read(path: &Path) -> Result<Settings, CheckpointError> {
    let shared: SharedFields = read_object(path, "a data2vec's configuration")?;
    let fields: Data2VecFields = read_object(path, "a data2vec's configuration")?;
    let preprocessor = Preprocessor::find(super::folder_of(path))?;
    resolve(&shared, &fields, preprocessor).map_err(|reason| CheckpointError::Config { path: path.to_owned(), reason })
}

/// What a reader makes of a configuration that is yet to be written, with the preprocessor's beside it.
pub(super) fn of_json(config: &Value, preprocessor: Preprocessor) -> Result<Settings, String> {
    let shared = SharedFields::deserialize(config).map_err(|fault| fault.to_string())?;
    let fields = Data2VecFields::deserialize(config).map_err(|fault| fault.to_string())?;
    resolve(&shared, &fields, Some(preprocessor))
}

fn resolve(
    shared: &SharedFields,
    fields: &Data2VecFields,
    preprocessor: Option<Preprocessor>,
) -> Result<Settings, String> {
    let network = shared.resolve(FamilyFields {
        frontend_norm: FrontendNorm::FramesOfEveryLayer,
        extra_dim: 0,
        has_projection_norm: true,
        positions: PositionalConvolutionConfig::Stacked {
            num_layers: fields.num_conv_pos_embeddings,
            kernel: fields.conv_pos_kernel_size,
            groups: shared.num_conv_pos_embedding_groups,
        },
        norm_placement: NormPlacement::After,
        deep_norm: false,
    })?;
    let (preprocessor, notes) = match preprocessor {
        Some(preprocessor) => (preprocessor, Vec::new()),
        None => {
            let note = format!(
                "no {} lies beside the weights: clips are taken at {SAMPLE_RATE} Hz, and each is normalised to mean 0 \
                 and variance 1, as the published models do",
                preprocessor::FILE_NAME
            );
            (Preprocessor { sample_rate: SAMPLE_RATE, is_normalized: true }, vec![note])
        }
    };
    Ok(Settings {
        name: "data2vec-audio",
        sample_rate: preprocessor.sample_rate,
        is_normalized: preprocessor.is_normalized,
        cqt: None,
        network,
        notes,
    })
}

/// The names of the network's tensors.
pub(super) const SEGMENTS: &[(&str, &str)] = segments![("stacked_positions", "pos_conv_embed")];

const MASK: (&str, &str) = ("*masked_spec_embed", "stands for masked frames in training");
const ADAPTER: (&str, &str) = ("adapter.*", "shortens the last hidden state for decoders, after all hidden states");

/// Tensors of the network alone that it does not use.
const UNUSED: &[(&str, &str)] = &[MASK, ADAPTER];

/// Tensors of the library's models for tasks that the network does not use.
const UNUSED_OF_TASKS: &[(&str, &str)] = &[
    MASK,
    ("data2vec_audio.adapter.*", ADAPTER.1),
    ("lm_head.*", "head of a model for speech recognition"),
    ("projector.*", "head of a model for classification"),
    ("classifier.*", "head of a model for classification"),
    ("layer_weights", "a classification model's weights of layers"),
    ("tdnn.*", "head of a model for speaker recognition"),
    ("feature_extractor.*", "head of a model for speaker recognition"),
    ("objective.*", "head of a model for speaker recognition"),
];

/// What the library's models for tasks put before every name.
const PREFIXES: [&str; 2] = ["", "data2vec_audio."];

/// Builds the model from its tensors.
pub(super) fn load(
    settings: &Settings,
    source: &TensorSource,
    device: &Device,
) -> Result<WaveformTransformerModel, CheckpointError> {
    let prefix = waveform_transformer::prefix_of(source, &PREFIXES);
    let unused = if prefix.is_empty() { UNUSED } else { UNUSED_OF_TASKS };
    waveform_transformer::load(settings, KeyTable { prefix, segments: SEGMENTS, unused }, source, device)
}
