//! Which files of a repository are wanted, and the choice among those that are there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The configuration that every model in Hugging Face's layout has.
const CONFIGURATION: &str = "config.json";
/// The rules that text is cut into tokens by.
const TOKENIZER: &str = "tokenizer.json";
/// What a model does to sound before its first layer.
const PREPROCESSOR: &str = "preprocessor_config.json";
/// Hugging Face's names of weights in one file, best first: safetensors hold nothing that could be run.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// What the name of an index of shards has after the name of the whole file.
const INDEX_SUFFIX: &str = ".index.json";

/// Which files of a repository are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// A model in Hugging Face's layout: `config.json` and weights (`model.safetensors`, `pytorch_model.bin`, or shards
    /// of either with their index; the first of these that is there), with `preprocessor_config.json` and
    /// `tokenizer.json` where there are such.
    Model,
    /// `config.json` alone: the sizes of a model whose weights lie in another file.
    Configuration,
    /// `config.json` and `tokenizer.json`: a text model whose weights lie in another file.
    ConfigurationAndTokenizer,
    /// Exactly these files. The first is the one to open.
    Exactly(&'static [&'static str]),
}

impl Wanted {
    /// The files as a list, for error messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Model => format!("{CONFIGURATION} and {} (or its shards)", WEIGHTS.join(" or ")),
            Self::Configuration => CONFIGURATION.to_owned(),
            Self::ConfigurationAndTokenizer => format!("{CONFIGURATION} and {TOKENIZER}"),
            Self::Exactly(names) => names.join(" and "),
        }
    }

    /// Files whose names are known beforehand and that must be there.
    pub(crate) fn required(&self) -> &'static [&'static str] {
        match self {
            Self::Model | Self::Configuration => &[CONFIGURATION],
            Self::ConfigurationAndTokenizer => &[CONFIGURATION, TOKENIZER],
            Self::Exactly(names) => names,
        }
    }

    /// Files that are taken where they are there.
    pub(crate) fn optional(&self) -> &'static [&'static str] {
        match self {
            Self::Model => &[PREPROCESSOR, TOKENIZER],
            Self::Configuration | Self::ConfigurationAndTokenizer | Self::Exactly(_) => &[],
        }
    }

    /// The file of weights among those that are there: `None` where none is wanted, `Some(None)` where none is there.
    pub(crate) fn weights(&self, is_there: impl Fn(&str) -> bool) -> Option<Option<Weights>> {
        (*self == Self::Model).then(|| {
            WEIGHTS.into_iter().flat_map(|name| [Weights::Whole(name), Weights::Shards(name)]).find(|weights| {
                let name = weights.name();
                is_there(&name)
            })
        })
    }

    /// The file to open in a folder of these files, where it is not the folder that is opened.
    pub(crate) fn file_to_open(&self) -> Option<&'static str> {
        match self {
            Self::Exactly(names) => names.first().copied(),
            Self::Model | Self::Configuration | Self::ConfigurationAndTokenizer => None,
        }
    }
}

/// Weights in one file, or in several that an index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    Whole(&'static str),
    /// By the name that the whole file would have.
    Shards(&'static str),
}

impl Weights {
    /// The name of the file, or of the index.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Whole(name) => name.to_owned(),
            Self::Shards(name) => format!("{name}{INDEX_SUFFIX}"),
        }
    }
}

/// The names of shards in an index, in order.
///
/// # Errors
/// What was expected and what was found, where the text is no index or names a file that is not beside it.
pub(crate) fn shards_of(index: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let Index { weight_map } = serde_json::from_slice(index)
        .map_err(|error| format!("expected an index of shards in JSON, found this fault: {error}"))?;
    let names: BTreeSet<String> = weight_map.into_values().collect();
    if names.is_empty() {
        return Err("expected the names of shards in `weight_map`, found none".into());
    }
    match names.iter().find(|name| !is_plain_name(name)) {
        Some(name) => Err(format!("expected names of files beside the index, found {name:?}")),
        None => Ok(names.into_iter().collect()),
    }
}

/// Whether a name is that of a file in the same folder, in characters that mean nothing to a shell, a path or an URL.
pub(crate) fn is_plain_name(name: &str) -> bool {
    /// What file systems allow, less what is put after it.
    const LONGEST: usize = 200;
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.') && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safetensors_come_before_pickles_and_whole_files_before_shards() {
        let chosen = |there: &[&str]| {
            let weights = Wanted::Model.weights(|name| there.contains(&name)).unwrap();
            weights.map(Weights::name)
        };
        let all =
            ["pytorch_model.bin.index.json", "pytorch_model.bin", "model.safetensors.index.json", "model.safetensors"];
        for end in (1..=all.len()).rev() {
            assert_eq!(chosen(&all[..end]).as_deref(), Some(all[end - 1]));
        }
        assert_eq!(chosen(&["tf_model.h5"]), None);
        assert_eq!(Wanted::Configuration.weights(|_| true), None);
    }

    #[test]
    fn an_index_names_files_beside_it_only() {
        let shards = |name: &str| shards_of(format!("{{\"weight_map\": {{\"a\": {name:?}}}}}").as_bytes());
        assert_eq!(shards("model-00001-of-00002.safetensors").unwrap(), ["model-00001-of-00002.safetensors"]);
        for hostile in ["../x", "/etc/passwd", "a/b", "", ".ssh", "a\\b", "C:x", "a%2Fb", "a?b", "a#b", "a\nb"] {
            let error = shards(hostile).unwrap_err();
            assert!(error.contains("beside the index"), "{hostile}: {error}");
        }
        assert!(shards_of(b"{\"weight_map\": {}}").unwrap_err().contains("found none"));
        assert!(shards_of(b"{}").is_err());
        assert!(shards_of(b"\xff").is_err());
        assert_eq!(shards_of(br#"{"weight_map": {"a": "2", "b": "1", "c": "2"}}"#).unwrap(), ["1", "2"]);
    }
}
