//! The configuration of a run: the same parts for every method, and one that is the method's own.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::checkpoint::EncoderConfig;
use crate::data::{LoaderThreads, SamplingConfig};
use crate::train::TrainingConfig;

/// A method's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig<M> {
    /// The name of the method: one of [`RECIPES`](super::RECIPES).
    pub recipe: String,
    /// Decides everything that is drawn: weights, clips, views, masks.
    #[serde(default)]
    pub seed: u64,
    /// What learns, and what it sees.
    pub encoder: EncoderConfig,
    /// What is the method's own.
    pub method: M,
    /// How batches are drawn.
    pub sampling: SamplingConfig,
    /// How the network is trained.
    pub training: TrainingConfig,
    /// How far ahead batches are read. No choice here changes what is in a batch.
    #[serde(default)]
    pub loader: LoaderThreads,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No method has this name.
    #[error("recipe: expected one of {}, found `{found}`{}", expected.join(", "), hint(nearest))]
    UnknownRecipe {
        /// The name.
        found: String,
        /// The methods.
        expected: Vec<&'static str>,
        /// The method whose name is most like it.
        nearest: Option<String>,
    },
    /// A key that no configuration of this method has.
    #[error("{key}: no such key{} (there are {})", hint(nearest), expected.join(", "))]
    UnknownKey {
        /// The key, with those that it is nested in.
        key: String,
        /// Keys that may stand there.
        expected: Vec<String>,
        /// The one that is most like it.
        nearest: Option<String>,
    },
    /// A value that cannot be used, or a key that is missing.
    #[error("{}{reason}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
    Value {
        /// The key, as far as it is known.
        key: String,
        /// What was expected and what was found.
        reason: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

impl ConfigError {
    /// A value that cannot be used; `reason` begins with its name.
    pub fn of(reason: impl Into<String>) -> Self {
        Self::Value { key: String::new(), reason: reason.into() }
    }
}

/// Changes one key of a configuration, as `training.steps=500` says. What follows the first `=` is a TOML value, or else a
/// text. Tables on the way are made where they are not there.
///
/// # Errors
/// A text without `=`, or a key within what is no table.
pub fn set(table: &mut Table, assignment: &str) -> Result<(), ConfigError> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(ConfigError::of(format!("expected key=value, as in training.steps=500, found `{assignment}`")));
    };
    let (key, text) = (key.trim(), value.trim());
    let value = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut names: Vec<&str> = key.split('.').collect();
    let last = names.pop().filter(|last| !last.is_empty());
    let Some(last) = last else { return Err(ConfigError::of(format!("expected key=value, found `{assignment}`"))) };
    let mut inner = table;
    for (depth, name) in names.iter().enumerate() {
        let nested = inner.entry(*name).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(nested) = nested else {
            let reason = format!("is {nested}, which holds no `{}`", key.split('.').nth(depth + 1).unwrap_or_default());
            return Err(ConfigError::Value { key: names[..=depth].join("."), reason });
        };
        inner = nested;
    }
    inner.insert(last.to_owned(), value);
    Ok(())
}

/// Reads a configuration of a method.
///
/// # Errors
/// [`ConfigError`] with the key, and the nearest known one where there is no such key.
pub(super) fn parse<M: DeserializeOwned>(table: &Table) -> Result<RunConfig<M>, ConfigError> {
    let config: RunConfig<M> = serde_path_to_error::deserialize(table.clone()).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        explained(path, error.into_inner().message())
    })?;
    config.encoder.check().map_err(ConfigError::of)?;
    Ok(config)
}

/// The configuration with every default filled in.
///
/// # Errors
/// A value that TOML cannot hold.
pub(super) fn resolved<M: Serialize>(config: &RunConfig<M>) -> Result<Table, ConfigError> {
    Table::try_from(config).map_err(|error| ConfigError::of(error.to_string()))
}

/// Serde's message as an error with the keys that it names.
fn explained(path: String, message: &str) -> ConfigError {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, [found, known @ ..]) = (message.starts_with("unknown field"), quoted.as_slice()) {
        // The path ends with the unknown key, unless serde knew it only after a `kind`.
        let key = match path.as_str() {
            "" => (*found).to_owned(),
            path if path == *found || path.ends_with(&format!(".{found}")) => path.to_owned(),
            path => format!("{path}.{found}"),
        };
        let expected = known.iter().map(|&name| name.to_owned()).collect();
        return ConfigError::UnknownKey { key, expected, nearest: nearest(found, known.iter().copied()) };
    }
    ConfigError::Value { key: path, reason: message.trim().to_owned() }
}

/// The name that is most like another one, where one is like it.
pub(super) fn nearest<'known>(name: &str, known: impl IntoIterator<Item = &'known str>) -> Option<String> {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let best = known.into_iter().max_by(|first, second| likeness(first).total_cmp(&likeness(second)))?;
    (likeness(best) > 0.7).then(|| best.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_as_a_value_of_toml_or_as_a_text() {
        let mut table: Table = "[training]\nsteps = 3".parse().unwrap();
        for assignment in ["training.steps=500", "seed = 7", "method.mask.kind=blocks", "a.list=[1, 2]", "x=\"5\""] {
            set(&mut table, assignment).unwrap();
        }
        let expected =
            "seed = 7\nx = \"5\"\n[training]\nsteps = 500\n[method.mask]\nkind = \"blocks\"\n[a]\nlist = [1, 2]";
        assert_eq!(table, expected.parse().unwrap());
        let error = set(&mut table, "seed.inner=1").unwrap_err().to_string();
        assert_eq!(error, "seed: is 7, which holds no `inner`");
        assert!(set(&mut table, "steps").unwrap_err().to_string().contains("expected key=value"));
        assert!(set(&mut table, "=5").unwrap_err().to_string().contains("expected key=value"));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let message = "unknown field `stpes`, expected one of `steps`, `seed`";
        let error = explained("training.stpes".into(), message);
        let expected = "training.stpes: no such key; did you mean `steps`? (there are steps, seed)";
        assert_eq!(error.to_string(), expected);
        assert_eq!(explained("training".into(), message).to_string(), expected, "whatever the path says");
        let other = explained("x".into(), "unknown field `zzz`, expected `steps`").to_string();
        assert_eq!(other, "x.zzz: no such key (there are steps)");
        assert_eq!(explained("seed".into(), "invalid type").to_string(), "seed: invalid type");
    }
}
