//! Hugging Face's `preprocessor_config.json`: what is done to a waveform before a network sees it.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::sizes::check_sample_rate;
use super::{CheckpointError, json};

/// The name of the file, beside the weights.
pub(super) const FILE_NAME: &str = "preprocessor_config.json";

/// What happens to a waveform before the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preprocessor {
    /// In Hz.
    pub(super) sample_rate: u32,
    /// Whether every clip is brought to mean 0 and variance 1.
    pub(super) is_normalized: bool,
}

/// The fields of the library's `Wav2Vec2FeatureExtractor` that one clip without padding depends on, with its defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct PreprocessorFields {
    feature_extractor_type: String,
    sampling_rate: u32,
    do_normalize: bool,
}

/// The only kind of preprocessor that these networks have.
const KIND: &str = "Wav2Vec2FeatureExtractor";

impl Default for PreprocessorFields {
    fn default() -> Self {
        Self { feature_extractor_type: KIND.into(), sampling_rate: 16_000, do_normalize: true }
    }
}

impl Preprocessor {
    /// The file, as the library writes it. `has_mask` says whether frames of padding are masked.
    pub(super) fn to_json(self, has_mask: bool) -> Value {
        json!({
            "feature_extractor_type": KIND,
            "feature_size": 1,
            "sampling_rate": self.sample_rate,
            "do_normalize": self.is_normalized,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": has_mask,
        })
    }

    /// Reads the file in `folder`; none where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, is of another kind, or has impossible values.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let fields: PreprocessorFields = json::read_object(&path, "a preprocessor's configuration")?;
        let PreprocessorFields { feature_extractor_type, sampling_rate, do_normalize } = fields;
        let config_error = |reason: String| CheckpointError::Config { path: path.clone(), reason };
        if feature_extractor_type != KIND {
            return Err(config_error(format!(
                "feature_extractor_type: expected \"{KIND}\", found {feature_extractor_type:?}"
            )));
        }
        let sample_rate = check_sample_rate("sampling_rate", sampling_rate).map_err(config_error)?;
        Ok(Some(Self { sample_rate, is_normalized: do_normalize }))
    }
}
