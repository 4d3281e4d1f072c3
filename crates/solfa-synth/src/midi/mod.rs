//! Standard MIDI Files, in and out, and the annotations that stand beside them.
//!
//! This module must not know: how pieces are composed or rendered.

mod annotations;
mod read;
mod write;

use std::path::Path;

pub use annotations::add_annotations;
pub use read::{MidiPiece, parse, read};
use solfa_eval::annotation::AnnotationError;
pub use write::write;

/// Why a MIDI file or its annotations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MidiError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is damaged, or not a MIDI file, or one that cannot be played.
    #[error("{path}: not a MIDI file that can be played: {reason}")]
    Unplayable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A line of an annotation.
    #[error("{path}, line {line}: {reason}")]
    Annotation {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A piece has too many parts for MIDI's 16 channels.
    #[error("{found} parts do not fit the {expected} channels of a MIDI file")]
    Parts {
        /// Parts that are no drums.
        found: usize,
        /// Channels that are free for them.
        expected: usize,
    },
}

impl From<AnnotationError> for MidiError {
    fn from(error: AnnotationError) -> Self {
        match error {
            AnnotationError::Read { path, source } => Self::Io { path: path.display().to_string(), error: source },
            AnnotationError::Midi { path, reason } => Self::unplayable(&path, reason),
            other => Self::unplayable(other.path(), other.reason()),
        }
    }
}

impl MidiError {
    fn unplayable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unplayable { path: path.display().to_string(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests;
