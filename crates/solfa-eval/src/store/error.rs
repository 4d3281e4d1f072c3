//! What can go wrong between embeddings and files.

use std::io;
use std::path::{Path, PathBuf};

/// Why an embedding was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A value is NaN or infinite. It is never written.
    #[error("layer {layer} is not finite: {value} at {}dimension {dimension}", in_frame(*frame))]
    NonFinite {
        /// The layer's number.
        layer: usize,
        /// Frame of the value; `None` for a pooled vector.
        frame: Option<u64>,
        /// Dimension of the value.
        dimension: usize,
        /// The value.
        value: f32,
    },
    /// The description of the vectors contradicts itself.
    #[error("embedding space: `{field}` is {found}, expected {expected}")]
    Space {
        /// Name of the field.
        field: &'static str,
        /// What would fit.
        expected: String,
        /// What was found.
        found: String,
    },
    /// An embedding does not fit the space that it is to be written under.
    #[error("{path}: expected {expected}, found {found}")]
    Embedding {
        /// The recording, as in [`Embedding::path`](super::Embedding::path).
        path: String,
        /// What the space asks for.
        expected: String,
        /// What the embedding has.
        found: String,
    },
    /// A name that is not a format.
    #[error("`{found}` is not an output format: expected {expected}")]
    UnknownFormat {
        /// The names that exist.
        expected: String,
        /// The name given.
        found: String,
    },
    /// Several layers for a format that holds one array.
    #[error(
        "{}: npy holds one layer, found layers {found:?}; choose one layer, or write npz or safetensors",
        path.display()
    )]
    OneLayerOnly {
        /// The output.
        path: PathBuf,
        /// Numbers of the layers.
        found: Vec<usize>,
    },
    /// A table was asked for in a format that has no rows.
    #[error("{}: a table of many recordings is jsonl or parquet, found {found}", path.display())]
    NotATable {
        /// The output.
        path: PathBuf,
        /// The format asked for.
        found: super::Format,
    },
    /// Another process writes the same table.
    #[error("{}: another process is writing this table", path.display())]
    InUse {
        /// The table's journal.
        path: PathBuf,
    },
    /// The disk is full. Nothing was left under the output's name.
    #[error("the disk is full: cannot {action} {}", path.display())]
    Full {
        /// What was being done.
        action: &'static str,
        /// The file or folder that it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written or read.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder that it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its format and metadata promise.
    #[error("{} is damaged or not an output of this program: expected {expected}, found {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl StoreError {
    /// The error for a failed `action` on `path`, with a full disk told apart wherever a library wrapped it.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        if is_full(&source) { Self::Full { action, path, source } } else { Self::Io { action, path, source } }
    }

    /// The error for a file that breaks its promises.
    pub(crate) fn damaged(path: impl AsRef<Path>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Damaged { path: path.as_ref().to_owned(), expected: expected.into(), found: found.to_string() }
    }
}

fn is_full(error: &io::Error) -> bool {
    let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if full(error.kind()) {
                return true;
            }
            // `source` of an I/O error skips the error that it wraps.
            cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        } else {
            cause = error.source();
        }
    }
    false
}

fn in_frame(frame: Option<u64>) -> String {
    frame.map_or_else(String::new, |frame| format!("frame {frame}, "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_through_wrapping() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [full(), io::Error::other(full()), io::Error::other(::parquet::errors::ParquetError::from(full()))]
        {
            let error = StoreError::io("write", "/music/a.npz", error);
            assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
            assert_eq!(error.to_string(), "the disk is full: cannot write /music/a.npz");
        }
        let other = StoreError::io("write", "a.npz", io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(other.to_string(), "cannot write a.npz");
    }

    #[test]
    fn non_finite_values_say_where() {
        let error = StoreError::NonFinite { layer: 5, frame: Some(3), dimension: 7, value: f32::NAN };
        assert_eq!(error.to_string(), "layer 5 is not finite: NaN at frame 3, dimension 7");
        let error = StoreError::NonFinite { layer: 5, frame: None, dimension: 7, value: f32::INFINITY };
        assert_eq!(error.to_string(), "layer 5 is not finite: inf at dimension 7");
    }
}
