//! Why there are no clips.

use std::path::{Path, PathBuf};

use solfa_signal::audio::AudioError;

use crate::checkpoint::CheckpointError;
use crate::views::ViewError;

/// Why tracks cannot be read, packed or sampled.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A recording could not be decoded.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A configuration of views is impossible.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A track has fewer samples than its header promised.
    #[error("{name}: damaged: {expected} samples expected from sample {start} on, {found} found")]
    TooShort {
        /// The track.
        name: String,
        /// Where the samples begin.
        start: u64,
        /// Their number.
        expected: usize,
        /// Samples found.
        found: usize,
    },
    /// A track could not be made or read for a reason of its source's own.
    #[error("{name}: {reason}")]
    Track {
        /// The track.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Reading a track failed with a panic.
    #[error("{name}: reading it failed with a panic")]
    Panicked {
        /// The track.
        name: String,
    },
    /// The collection has no tracks.
    #[error("there are no tracks: 0 recordings found, at least 1 expected")]
    NoTracks,
    /// No track is long enough.
    #[error(
        "none of {count} tracks is long enough: at least {needed_seconds:.2} s are needed, and the longest has \
         {longest_seconds:.2} s"
    )]
    AllShort {
        /// Tracks whose length is known.
        count: usize,
        /// The shortest length that would do.
        needed_seconds: f64,
        /// The longest length found.
        longest_seconds: f64,
    },
    /// No track can be read.
    #[error("none of {count} tracks can be read; the first is {name}: {reason}")]
    AllDamaged {
        /// Tracks tried.
        count: usize,
        /// The first of them.
        name: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// A batch has more clips than there are tracks, and no track may be in it twice.
    #[error(
        "a batch of {clips_per_batch} clips of different tracks takes as many tracks, and {num_tracks} can be used"
    )]
    FewTracks {
        /// Clips of a batch.
        clips_per_batch: usize,
        /// Tracks that can be used.
        num_tracks: usize,
    },
    /// A setting has a value that cannot be.
    #[error("`{field}` is {value}, {expected} expected")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A file could not be read or written.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A packed store is damaged.
    #[error("{path}: damaged: {expected} expected, {found} found", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A packed store is there already.
    #[error("{path}: a packed store is there already; remove it to make another", path = path.display())]
    Exists {
        /// Its index.
        path: PathBuf,
    },
    /// Another process is packing into the same folder.
    #[error("{path}: another process is writing it", path = path.display())]
    Busy {
        /// The file that it holds.
        path: PathBuf,
    },
    /// The loader failed before, and gives no more batches.
    #[error("the loader has stopped after an error")]
    Stopped,
}

impl DataError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), expected: expected.into(), found: found.into() }
    }
}

impl From<CheckpointError> for DataError {
    /// Of mapping a file, which is the one thing of `checkpoint` that is used here.
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Io { path, source } => Self::Io { action: "read", path, source },
            CheckpointError::Damaged { path, reason } => {
                Self::Damaged { path, expected: "a file of samples".into(), found: reason }
            }
            error => Self::Track { name: "mapping".into(), reason: error.to_string() },
        }
    }
}
