//! Why an annotation cannot be read.

use std::io;
use std::path::{Path, PathBuf};

/// Why an annotation cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AnnotationError {
    /// The file cannot be opened or read.
    #[error("{source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why; it names the file.
        source: io::Error,
    },
    /// The file is larger than any annotation.
    #[error("{}: {num_bytes} bytes, and an annotation of at most {limit} is expected", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        num_bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// The file is no UTF-8 text.
    #[error("{}, line {line}: text in UTF-8 is expected, and this is none", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A line is not what it should be.
    #[error("{}, line {line}: {expected} is expected, and `{found}` is found", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The label of a line is not one of its kind; the times of the line are right.
    #[error("{}, line {line}: {expected} is expected, and `{found}` is found", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What would be a label.
        expected: String,
        /// The label.
        found: String,
    },
    /// The file has not the lines that it should have.
    #[error("{}: {expected} is expected, and {found} found", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there, with its verb: `nothing is`.
        found: String,
    },
    /// A JAMS file that is no JSON.
    #[error("{}: JAMS is JSON, and this is none: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A MIDI file that is damaged, or none.
    #[error("{}: a MIDI file is expected, and {reason}", path.display())]
    Midi {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An observation of a JAMS file is not what it should be.
    #[error("{}, observation {index} of namespace {namespace}: {expected} is expected, and `{found}` is found", path.display())]
    Observation {
        /// The file.
        path: PathBuf,
        /// The namespace of the annotation.
        namespace: String,
        /// Its place in the annotation, from 0.
        index: usize,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl AnnotationError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path, .. }
            | Self::NotText { path, .. }
            | Self::Line { path, .. }
            | Self::Label { path, .. }
            | Self::Content { path, .. }
            | Self::Json { path, .. }
            | Self::Midi { path, .. }
            | Self::Observation { path, .. } => path,
        }
    }

    /// What is wrong, without the file in front: for lists that name the file in their own way.
    pub fn reason(&self) -> String {
        let message = self.to_string();
        let behind = message.strip_prefix(&*self.path().to_string_lossy()).unwrap_or(&message);
        behind.trim_start_matches([',', ':', ' ']).to_owned()
    }
}
