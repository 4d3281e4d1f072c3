//! What every output says of itself.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Embedding, EmbeddingSpace};

/// The metadata of an output: its space, and the recording where it holds one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`EmbeddingSpace::space_id`] of `space`.
    pub space_id: String,
    /// The recording, as it was given; `None` for a table of many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Length of the recording, in seconds; `None` for a table of many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// What the vectors are.
    #[serde(flatten)]
    pub space: EmbeddingSpace,
}

/// Fields that are text. All others are JSON where metadata can hold nothing but strings.
const TEXT_FIELDS: [&str; 10] = [
    "space_id",
    "path",
    "model",
    "encoder_identity",
    "weights_sha256",
    "pooling",
    "tail",
    "resampler",
    "dtype",
    "program_version",
];

impl Metadata {
    /// The metadata of a table.
    pub(super) fn of_table(space: &EmbeddingSpace) -> Self {
        Self { space_id: space.space_id(), path: None, duration_seconds: None, space: space.clone() }
    }

    /// The metadata of one recording.
    pub(super) fn of_recording(space: &EmbeddingSpace, embedding: &Embedding) -> Self {
        Self {
            path: Some(embedding.path.clone()),
            duration_seconds: Some(embedding.duration_seconds),
            ..Self::of_table(space)
        }
    }

    /// Every field as a string, for formats whose metadata are strings: text as it is, numbers and lists as JSON,
    /// fields without a value left out.
    pub(super) fn to_strings(&self) -> io::Result<BTreeMap<String, String>> {
        let Value::Object(fields) = serde_json::to_value(self)? else {
            return Err(io::Error::other("metadata is not a JSON object"));
        };
        let as_string = |(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        };
        Ok(fields.into_iter().filter_map(as_string).collect())
    }

    /// The reverse of [`Metadata::to_strings`].
    pub(super) fn from_strings(strings: BTreeMap<String, String>) -> serde_json::Result<Self> {
        // A field of a later version may be text that this table does not know.
        let as_value = |(name, text): (String, String)| {
            let value = match TEXT_FIELDS.contains(&name.as_str()) {
                true => Value::String(text),
                false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            };
            (name, value)
        };
        let fields = strings.into_iter().map(as_value).collect();
        serde_json::from_value(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{pooled_embedding, pooled_space};

    #[test]
    fn metadata_survives_strings_and_json() {
        // Text that looks like a number stays text.
        let space = EmbeddingSpace { model: "5".to_owned(), weights_sha256: None, ..pooled_space() };
        let metadata = Metadata::of_recording(&space, &pooled_embedding("null"));
        let strings = metadata.to_strings().unwrap();
        assert_eq!(strings["layers"], "[0,5]");
        assert_eq!(strings["window_seconds"], "30.0");
        assert!(!strings.contains_key("weights_sha256"));
        assert_eq!(Metadata::from_strings(strings).unwrap(), metadata);
        let json = serde_json::to_string(&metadata).unwrap();
        assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), metadata);
    }
}
