//! HuBERT's and MERT's released layout: Hugging Face's `config.json` and weights.
//!
//! `m-a-p/MERT-v0`, `m-a-p/MERT-v1-95M` and `m-a-p/MERT-v1-330M` (`model_type` "mert_model" or "music_hubert", in code of
//! their own), and whatever the library's `HubertModel` saves ("hubert"), which musicHuBERT and many copies of MERT are.
//! Hsu et al. 2021, arXiv:2106.07447; Li et al. 2023, arXiv:2306.00107.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;
use serde_json::Value;
use solfa_signal::features::CqtConfig;

use super::json::read_object;
use super::preprocessor::{self, Preprocessor};
use super::sizes::check_sample_rate;
use super::waveform_transformer::{self, FamilyFields, Settings, SharedFields, WaveformTransformerModel, segments};
use super::{CheckpointError, KeyTable, TensorSource};
use crate::model::{FrontendNorm, NormPlacement, PositionalConvolutionConfig, WaveformTransformerConfig};

/// Whose meaning the configuration's fields have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigDialect {
    /// The library itself.
    Library,
    /// MERT's own code.
    Mert,
}

/// MERT's sample rate, where no file says another.
const MERT_SAMPLE_RATE: u32 = 24_000;

/// Frames per second of the constant-Q transform in MERT's code, whatever the sample rate.
const CQT_FRAMES_PER_SECOND: u32 = 50;

/// Octaves that the bins of the constant-Q transform are divided into in MERT's code.
const CQT_OCTAVES: usize = 7;

/// The fields of HuBERT's and MERT's configurations that a forward pass depends on, beside [`SharedFields`].
#[derive(Debug, Deserialize)]
#[serde(default)]
struct HubertFields {
    feat_extract_norm: String,
    feat_proj_layer_norm: bool,
    num_conv_pos_embeddings: usize,
    conv_pos_batch_norm: bool,
    do_stable_layer_norm: bool,
    adapter_attn_dim: Option<usize>,
    sample_rate: Option<u32>,
    feature_extractor_cqt: bool,
    feature_extractor_cqt_bins: usize,
    deepnorm: bool,
    /// MERT-v1-330M has 32 here. MERT's own layers, which only `deepnorm` uses, divide attention logits by it, subtract
    /// their maximum, and multiply by it again: a shift that softmax does not see, against overflow in half precision.
    /// The library's layers, which the releases run on, never read it.
    #[serde(rename = "attention_relax")]
    _attention_relax: Value,
}

impl Default for HubertFields {
    fn default() -> Self {
        Self {
            feat_extract_norm: "group".into(),
            feat_proj_layer_norm: true,
            num_conv_pos_embeddings: 128,
            conv_pos_batch_norm: false,
            do_stable_layer_norm: false,
            adapter_attn_dim: None,
            sample_rate: None,
            feature_extractor_cqt: false,
            feature_extractor_cqt_bins: 336,
            deepnorm: false,
            _attention_relax: Value::Null,
        }
    }
}

/// Reads `config.json` and the preprocessor's configuration beside it.
pub(super) fn read(path: &Path, dialect: ConfigDialect) -> Result<Settings, CheckpointError> {
    let shared: SharedFields = read_object(path, "a HuBERT's configuration")?;
    let fields: HubertFields = read_object(path, "a HuBERT's configuration")?;
    let preprocessor = Preprocessor::find(super::folder_of(path))?;
    fields
        .resolve(&shared, preprocessor, dialect)
        .map_err(|reason| CheckpointError::Config { path: path.to_owned(), reason })
}

/// What a reader makes of a configuration that is yet to be written, with the preprocessor's beside it.
pub(super) fn of_json(config: &Value, preprocessor: Preprocessor, dialect: ConfigDialect) -> Result<Settings, String> {
    let shared = SharedFields::deserialize(config).map_err(|fault| fault.to_string())?;
    let fields = HubertFields::deserialize(config).map_err(|fault| fault.to_string())?;
    fields.resolve(&shared, Some(preprocessor), dialect)
}

impl HubertFields {
    fn resolve(
        &self,
        shared: &SharedFields,
        preprocessor: Option<Preprocessor>,
        dialect: ConfigDialect,
    ) -> Result<Settings, String> {
        let frontend_norm = match self.feat_extract_norm.as_str() {
            "group" => FrontendNorm::ChannelsOfFirstLayer,
            "layer" => FrontendNorm::FramesOfEveryLayer,
            other => return Err(format!("feat_extract_norm: expected \"group\" or \"layer\", found {other:?}")),
        };
        if self.conv_pos_batch_norm {
            return Err("conv_pos_batch_norm: expected false (positions with weight norm), found true".into());
        }
        if let Some(width) = self.adapter_attn_dim {
            return Err(format!("adapter_attn_dim: expected none (layers without adapters), found {width}"));
        }
        // The library knows no such residuals: its model of these weights has the plain ones.
        if dialect == ConfigDialect::Library && self.deepnorm {
            return Err("deepnorm: expected false with model_type hubert (it is MERT's), found true".into());
        }
        if self.deepnorm && self.do_stable_layer_norm {
            return Err("deepnorm: expected false with do_stable_layer_norm, found true".into());
        }
        let network = shared.resolve(FamilyFields {
            frontend_norm,
            extra_dim: if self.feature_extractor_cqt { self.feature_extractor_cqt_bins } else { 0 },
            has_projection_norm: self.feat_proj_layer_norm,
            positions: PositionalConvolutionConfig::WeightNormed {
                kernel: self.num_conv_pos_embeddings,
                groups: shared.num_conv_pos_embedding_groups,
            },
            norm_placement: if self.do_stable_layer_norm { NormPlacement::Before } else { NormPlacement::After },
            deep_norm: self.deepnorm,
        })?;
        let (preprocessor, notes) = self.preprocessor(preprocessor)?;
        let cqt = self.feature_extractor_cqt.then(|| self.cqt(&network, preprocessor.sample_rate)).transpose()?;
        Ok(Settings {
            name: match dialect {
                ConfigDialect::Library => "hubert",
                ConfigDialect::Mert => "mert",
            },
            sample_rate: preprocessor.sample_rate,
            is_normalized: preprocessor.is_normalized,
            cqt,
            network,
            notes,
        })
    }

    /// What is done to a waveform, and what had to be taken for granted.
    fn preprocessor(&self, found: Option<Preprocessor>) -> Result<(Preprocessor, Vec<String>), String> {
        if let Some(sample_rate) = self.sample_rate {
            check_sample_rate("sample_rate", sample_rate)?;
        }
        let file = preprocessor::FILE_NAME;
        match (found, self.sample_rate) {
            (Some(found), Some(sample_rate)) if found.sample_rate != sample_rate => {
                let note = format!(
                    "config.json gives a sample rate of {sample_rate} Hz and {file} one of {} Hz; the latter is used",
                    found.sample_rate
                );
                Ok((found, vec![note]))
            }
            (Some(found), _) => Ok((found, Vec::new())),
            (None, sample_rate) => {
                let source = if sample_rate.is_some() { "which config.json gives" } else { "which is MERT's" };
                let sample_rate = sample_rate.unwrap_or(MERT_SAMPLE_RATE);
                let note = format!(
                    "no {file} lies beside the weights: clips are taken at {sample_rate} Hz, {source}, and each is \
                     normalised to mean 0 and variance 1, as MERT does"
                );
                Ok((Preprocessor { sample_rate, is_normalized: true }, vec![note]))
            }
        }
    }

    /// The constant-Q transform that MERT's code makes, where it fits the convolutions.
    fn cqt(&self, network: &WaveformTransformerConfig, sample_rate: u32) -> Result<CqtConfig, String> {
        // The transform is made for the rate that config.json gives.
        if let Some(expected) = self.sample_rate
            && expected != sample_rate
        {
            return Err(format!(
                "feature_extractor_cqt: expected a sampling_rate of {expected} Hz in {}, as sample_rate here, found \
                 {sample_rate}",
                preprocessor::FILE_NAME
            ));
        }
        let hop_samples = (sample_rate / CQT_FRAMES_PER_SECOND) as usize;
        let expected = network.frontend.hop_samples();
        if hop_samples != expected {
            return Err(format!(
                "feature_extractor_cqt: expected a sample_rate whose {CQT_FRAMES_PER_SECOND}th part is the {expected} \
                 samples of a frame of the convolutions, so that both can be joined, found {sample_rate} / \
                 {CQT_FRAMES_PER_SECOND} = {hop_samples}"
            ));
        }
        let num_bins = self.feature_extractor_cqt_bins;
        let config = CqtConfig {
            sample_rate,
            hop_samples,
            num_bins,
            bins_per_octave: num_bins / CQT_OCTAVES,
            ..CqtConfig::mert()
        };
        config.validate().map_err(|error| format!("feature_extractor_cqt_bins: found {num_bins}: {error}"))?;
        Ok(config)
    }
}

/// The names of the network's tensors, with weight norm in PyTorch's older spelling.
pub(super) const SEGMENTS: &[(&str, &str)] =
    segments![("weight_normed_positions", "pos_conv_embed.conv"), ("gain", "weight_g"), ("direction", "weight_v")];

/// The same with weight norm as a parametrisation, PyTorch's newer spelling.
const SEGMENTS_PARAMETRIZED: &[(&str, &str)] = segments![
    ("weight_normed_positions", "pos_conv_embed.conv"),
    ("gain", "parametrizations.weight.original0"),
    ("direction", "parametrizations.weight.original1")
];

const MASK: (&str, &str) = ("*masked_spec_embed", "stands for masked frames in training");

/// Tensors of the network alone that it does not use.
const UNUSED: &[(&str, &str)] = &[
    MASK,
    ("final_proj.*", "head of pre-training, kept by conversions from fairseq"),
    ("label_embs_concat", "codes of pre-training, kept by conversions from fairseq"),
];

/// Tensors of the library's models for tasks that the network does not use.
const UNUSED_OF_TASKS: &[(&str, &str)] = &[
    MASK,
    ("lm_head.*", "head of a model for speech recognition"),
    ("projector.*", "head of a model for classification"),
    ("classifier.*", "head of a model for classification"),
    ("layer_weights", "a classification model's weights of layers"),
];

/// What the models for tasks of the library and of MERT's code put before every name.
const PREFIXES: [&str; 4] = ["", "hubert.", "mert_model.", "music_hubert."];

/// Builds the model from its tensors.
pub(super) fn load(
    settings: &Settings,
    source: &TensorSource,
    device: &Device,
) -> Result<WaveformTransformerModel, CheckpointError> {
    let prefix = waveform_transformer::prefix_of(source, &PREFIXES);
    let is_parametrized = source.shapes().any(|(name, _)| name.ends_with("parametrizations.weight.original0"));
    let table = KeyTable {
        prefix,
        segments: if is_parametrized { SEGMENTS_PARAMETRIZED } else { SEGMENTS },
        unused: if prefix.is_empty() { UNUSED } else { UNUSED_OF_TASKS },
    };
    waveform_transformer::load(settings, table, source, device)
}
