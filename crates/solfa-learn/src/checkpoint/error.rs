//! Why a checkpoint could not be loaded or written.

use std::fmt;
use std::path::PathBuf;

use super::TensorSource;

/// Why a checkpoint could not be loaded or written. Every variant names the file, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file could not be read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that did not fit on its disk.
    #[error("the disk is full: cannot write {path}", path = path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// A folder without weights that are understood.
    #[error("{path}: no weights found: expected {expected}; found {found}", path = path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// File names that would do.
        expected: &'static str,
        /// File names that are there.
        found: String,
    },
    /// A configuration or statistics file that is not understood.
    #[error("{path}: {reason}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// A layout that cannot hold a model.
    #[error("{model} cannot be written as {format}: {reason}; expected {fitting}")]
    Format {
        /// What the model is.
        model: &'static str,
        /// The layout's name.
        format: &'static str,
        /// What it has no place for.
        reason: String,
        /// The layouts that can hold the model.
        fitting: String,
    },
    /// A folder in which other weights than those that are written would be found first.
    #[error(
        "{folder}: expected a folder without other weights than those that are replaced, found {found}: move them away, \
         or give another folder",
        folder = folder.display()
    )]
    OtherWeights {
        /// The folder.
        folder: PathBuf,
        /// Names of weight files.
        found: String,
    },
    /// A pickle with something else in it than tensors and plain data. Nothing in a pickle is ever run.
    #[error(
        "{path}: refused: expected tensors and plain data, found {found} at `{place}` (nothing in the file was run)",
        path = path.display()
    )]
    NotData {
        /// The file.
        path: PathBuf,
        /// Where in the pickle: keys joined by dots.
        place: String,
        /// The Python function or class that is called there.
        found: String,
    },
    /// A weight file that is truncated or damaged.
    #[error("{path}: the weight file is damaged or truncated: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The tensors are not those of the model.
    #[error("{path}: the weights do not fit the model:{mismatch}", path = path.display())]
    Mismatch {
        /// The weight file, or the first of several.
        path: PathBuf,
        /// All names that do not fit.
        mismatch: Box<Mismatch>,
    },
}

/// All tensors that do not fit a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Names that the model needs and the file lacks, with the expected shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Names that the file has and nobody knows, with their shape.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Names whose shape is another one: expected, then found.
    pub mis_shaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Names whose values are no floats, with the type found.
    pub not_floats: Vec<(String, String)>,
}

impl Mismatch {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.mis_shaped.is_empty()
            && self.not_floats.is_empty()
    }

    /// Whether a tensor is there with its shape; what is wrong is noted.
    pub(crate) fn check_shape(&mut self, source: &TensorSource, name: &str, expected: &[usize]) -> bool {
        match source.shape(name) {
            None => self.missing.push((name.to_owned(), expected.to_vec())),
            Some(found) if found != expected => {
                self.mis_shaped.push((name.to_owned(), expected.to_vec(), found.to_vec()));
            }
            Some(_) => return true,
        }
        false
    }

    /// Notes all tensors below a prefix that nobody used.
    pub(crate) fn add_unexpected(&mut self, source: &TensorSource, prefix: &str, is_used: impl Fn(&str) -> bool) {
        let unused = source.shapes().filter(|(name, _)| name.starts_with(prefix) && !is_used(name));
        self.unexpected.extend(unused.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
    }

    /// The error that it is, if anything does not fit.
    pub(crate) fn into_result(self, source: &TensorSource) -> Result<(), CheckpointError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(CheckpointError::Mismatch { path: source.files()[0].clone(), mismatch: Box::new(self) })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A wrong configuration makes hundreds of names wrong: the first ones show what is the matter.
        const NAMES_SHOWN: usize = 12;
        let mut list = |title: &str, lines: Vec<String>| -> fmt::Result {
            if lines.is_empty() {
                return Ok(());
            }
            write!(formatter, "\n  {title} ({}):", lines.len())?;
            for line in lines.iter().take(NAMES_SHOWN) {
                write!(formatter, "\n    {line}")?;
            }
            if lines.len() > NAMES_SHOWN {
                write!(formatter, "\n    ... and {} more", lines.len() - NAMES_SHOWN)?;
            }
            Ok(())
        };
        list("missing from the file", self.missing.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect())?;
        list(
            "in the file and not part of the model",
            self.unexpected.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect(),
        )?;
        list(
            "of another shape",
            self.mis_shaped
                .iter()
                .map(|(name, expected, found)| format!("{name}: expected {expected:?}, found {found:?}"))
                .collect(),
        )?;
        list(
            "of another type",
            self.not_floats.iter().map(|(name, found)| format!("{name}: expected floats, found {found}")).collect(),
        )
    }
}
