//! The formats that embeddings are written in.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::StoreError;

/// A format of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One tensor `layer_<i>` per layer, metadata in the header.
    Safetensors,
    /// One NumPy array: one layer. Metadata in a sidecar `<name>.npy.json`.
    Npy,
    /// A NumPy archive with one array `layer_<i>` per layer and an entry `metadata.json`.
    Npz,
    /// One row per recording and one list column `layer_<i>` per layer.
    Parquet,
    /// One JSON object per line and recording. Metadata in a sidecar `<name>.jsonl.json`.
    Jsonl,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Safetensors, Self::Npy, Self::Npz, Self::Parquet, Self::Jsonl];

    /// The name on the command line, which is the extension of its files as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format whose extension a path ends in, in any case; `None` for another extension or none.
    pub fn from_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        Self::ALL.into_iter().find(|format| extension.eq_ignore_ascii_case(format.name()))
    }

    /// Whether one file can hold many recordings.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Parquet | Self::Jsonl)
    }

    /// Whether metadata stands in a second file, `<name>.json`.
    pub(super) fn has_sidecar(self) -> bool {
        matches!(self, Self::Npy | Self::Jsonl)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| StoreError::UnknownFormat {
            expected: Self::ALL.map(Self::name).join(", "),
            found: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_extensions_lead_to_formats() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert_eq!(Format::from_path(&Path::new("music/a.b").with_extension(format.name())), Some(format));
        }
        assert_eq!(Format::from_path(Path::new("A.NPZ")), Some(Format::Npz));
        for none in ["music", "music/a.flac", ".npz", "npz", "music.npz/a"] {
            assert_eq!(Format::from_path(Path::new(none)), None, "{none}");
        }
        let error = "csv".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, "`csv` is not an output format: expected safetensors, npy, npz, parquet, jsonl");
    }
}
