//! JSON files that hold one object.

use std::path::Path;

use fs_err as fs;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::CheckpointError;

/// Reads a file that is one object. `expected` says what is looked for in it.
///
/// # Errors
/// A file that cannot be read, is no JSON object, or has other fields or values than the type.
pub(super) fn read_object<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, CheckpointError> {
    let text = fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
    let config_error = |fault: &dyn std::fmt::Display| CheckpointError::Config {
        path: path.to_owned(),
        reason: format!("expected {expected}, found {} bytes with this fault: {fault}", text.len()),
    };
    // Serde takes an array for the values of a structure's fields in order: a file like that is none of ours.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(config_error(&"no JSON object"));
    }
    serde_json::from_slice(&text).map_err(|error| config_error(&error))
}

/// An object within an object, for `#[serde(deserialize_with)]`: never an array, as in [`read_object`].
pub(super) fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let fields = Map::<String, Value>::deserialize(deserializer)?;
    serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)
}
