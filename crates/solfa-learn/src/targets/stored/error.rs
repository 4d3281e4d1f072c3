//! Why targets cannot be stored or used.

use std::fmt;
use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::targets::KMeansError;

/// Why targets cannot be stored or used.
#[derive(Debug, thiserror::Error)]
pub enum StoredTargetError {
    /// A file that cannot be read or written, or is damaged.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// Values that are no centroids.
    #[error("{path}: {source}", path = path.display())]
    KMeans {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: KMeansError,
    },
    /// A file without the description that it should have, or with another program's.
    #[error("{path}: expected {expected}, found {found}", path = path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Targets that belong to something else.
    #[error("{path}: {what}:{list}", path = path.display(), list = Listed(differences))]
    Other {
        /// The file.
        path: PathBuf,
        /// What they are, in words: `labels of another data set`.
        what: &'static str,
        /// Everything that is not as expected.
        differences: Vec<Difference>,
    },
    /// A setting that cannot be.
    #[error("labels: `{field}` is {value}, {expected} expected")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is possible.
        expected: &'static str,
    },
    /// Windows that come in another order than their tracks'.
    #[error(
        "labels: a window of track {track} comes after one of track {last}; {num_tracks} tracks are expected in order"
    )]
    Order {
        /// The window's track.
        track: usize,
        /// The last track before it.
        last: usize,
        /// Tracks in all.
        num_tracks: usize,
    },
    /// More windows of a track than were described.
    #[error("labels: track {track} has more than the {maximum} windows that are expected at most")]
    TooManyWindows {
        /// The track.
        track: usize,
        /// How many were described.
        maximum: u32,
    },
    /// A window with another number of codes.
    #[error("labels: window {window} of track {track}: expected {expected} codes, found {found}")]
    Length {
        /// The track.
        track: usize,
        /// Its window.
        window: usize,
        /// Codes of all codebooks and frames.
        expected: usize,
        /// Codes given.
        found: usize,
    },
    /// A code that its codebook does not have.
    #[error(
        "labels: window {window} of track {track}, codebook {codebook}, frame {frame}: expected a code below \
         {num_codes}, found {found}"
    )]
    NoSuchCode {
        /// The track.
        track: usize,
        /// Its window.
        window: usize,
        /// The codebook.
        codebook: usize,
        /// The frame in the window.
        frame: usize,
        /// Codes that there are.
        num_codes: usize,
        /// The number.
        found: u32,
    },
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub field: String,
    /// What it should be.
    pub expected: String,
    /// What it is in the file.
    pub found: String,
}

struct Listed<'differences>(&'differences [Difference]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Difference { field, expected, found } in self.0 {
            write!(formatter, "\n  {field}: expected {expected}, found {found}")?;
        }
        Ok(())
    }
}
