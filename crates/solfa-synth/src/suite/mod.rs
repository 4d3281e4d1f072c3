//! Data sets that need no download: pieces and single notes, rendered, with a file of labels for each task.
//!
//! # Layout
//!
//! `audio/piece-0000.wav` and `audio/note-0000.wav`: mono, 16 bits, 24 kHz unless another rate is asked for. One JSON
//! lines file for each task: `key.jsonl`, `chords.jsonl`, `beats.jsonl`, `tempo.jsonl`, `structure.jsonl`,
//! `melody.jsonl`, `onsets.jsonl`, `instruments.jsonl`, `style.jsonl` of pieces, and `note-pitch.jsonl`,
//! `note-instrument.jsonl` of notes. Paths in them are relative to the folder. `manifest.json` says what all of it was made
//! of.
//!
//! # Splits
//!
//! Three fifths are for training, one fifth each for validation and test. In each split keys and styles come equally
//! often as far as their numbers allow, and are shuffled separately, so that neither says anything of the other; the
//! same holds for pitches and instruments of notes.
//!
//! This is for sanity and for comparison on one's own machine. It does not stand for real data.

mod files;
mod material;
mod rendered;
mod writer;

pub use material::{NOTE_PITCHES, NOTE_SECONDS};
pub use rendered::{RenderedFile, render_files};
pub use writer::{SuiteSettings, SuiteSummary, write_suite};

pub use files::{wav_bytes, write_whole};

use solfa_eval::store::StoreError;

use crate::compose::ComposeError;
use crate::midi::MidiError;
use crate::render::RenderError;

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Too few pieces or notes.
    #[error("{found} {what}: expected {expected}")]
    Settings {
        /// `pieces` or `notes`.
        what: &'static str,
        /// How many were asked for.
        found: usize,
        /// How many there can be.
        expected: &'static str,
    },
    /// The folder holds something else.
    #[error(
        "{path}: holds a suite of other settings ({what}: {found} there, {expected} asked for); choose another folder"
    )]
    Other {
        /// The manifest.
        path: String,
        /// What differs.
        what: String,
        /// What is there.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// A manifest that cannot be understood.
    #[error("{path}: not the manifest of a suite: {reason}")]
    Manifest {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: cannot be written or read: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] StoreError),
    /// A piece cannot be composed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// A piece cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A MIDI file cannot be read.
    #[error(transparent)]
    Midi(#[from] MidiError),
}

#[cfg(test)]
mod tests;
