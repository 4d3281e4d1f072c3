//! Why sound could not be read.

use std::path::PathBuf;

/// Why sound could not be read. Every variant about a file names it, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The file could not be opened or read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("{path}: the file is empty (0 bytes)", path = path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is not sound that can be decoded here.
    #[error("{path}: {reason}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found, what would be needed.
        reason: String,
    },
    /// The file is damaged.
    #[error("{path}: damaged after {seconds:.2} s of sound: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Sound decoded before the damage, in seconds.
        seconds: f64,
        /// What the decoder said.
        reason: String,
    },
    /// The file holds no sound at all.
    #[error("{path}: holds no sound: {found} samples found, at least 1 expected", path = path.display())]
    NoSound {
        /// The file.
        path: PathBuf,
        /// Samples found.
        found: u64,
    },
    /// A sample is NaN or infinite.
    #[error("{path}: the sample at {seconds:.4} s (channel {channel}) is {value}: finite samples expected", path = path.display())]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        seconds: f64,
        /// The channel, counted from 0.
        channel: usize,
        /// The value.
        value: f32,
    },
    /// The external `ffmpeg` program failed.
    #[error("{path}: {format} is left to ffmpeg ({program}), which failed after {seconds:.2} s of sound: {message}", path = path.display(), program = program.display())]
    Ffmpeg {
        /// The file.
        path: PathBuf,
        /// The program.
        program: PathBuf,
        /// What the file was recognised as.
        format: String,
        /// Sound decoded before the failure, in seconds.
        seconds: f64,
        /// What the program printed on its error stream, or its exit status where it printed nothing.
        message: String,
    },
    /// The resampler cannot work between two rates.
    #[error("cannot resample from {from} Hz to {to} Hz: {reason}")]
    Resample {
        /// The rate given.
        from: u32,
        /// The rate wanted.
        to: u32,
        /// Why not.
        reason: String,
    },
}
