//! A packed store: all tracks of a collection, decoded once.
//!
//! A folder with two files. `samples.i16` holds the samples of all tracks one after another: mono, 16-bit, little-endian,
//! full scale at ±32768. `index.json` says where each track begins, how long it is, and what it was made from. The index
//! is written last, so a folder without one is no store. Reading maps the samples into memory: what is not asked for
//! costs nothing, and what was read lately comes from the system's cache.

mod read;
mod write;

pub use read::PackedTracks;
pub use write::{PackReport, pack};

use serde::{Deserialize, Serialize};

/// The file of samples.
const SAMPLES: &str = "samples.i16";

/// The index.
const INDEX: &str = "index.json";

/// What an index calls itself.
const FORMAT: &str = "solfa-packed-audio";

/// The version of the format.
const VERSION: u32 = 1;

/// How samples are stored.
const SAMPLE_FORMAT: &str = "int16-le";

/// Bytes of a sample.
const SAMPLE_BYTES: u64 = 2;

/// Full scale: a sample of 1 would be this, and is stored as the next lower number.
const FULL_SCALE: f32 = 32_768.0;

/// What `index.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: String,
    version: u32,
    sample_rate: u32,
    sample_format: String,
    /// How recordings were brought to that rate.
    resampler: Option<String>,
    /// Samples of all tracks.
    num_samples: u64,
    tracks: Vec<PackedTrack>,
    /// Tracks of the source that could not be read.
    skipped: Vec<Skipped>,
}

/// One track of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackedTrack {
    name: String,
    /// The first sample, counted in samples.
    offset: u64,
    num_samples: u64,
    /// SHA-256 of what it was made from.
    sha256: Option<String>,
    /// SHA-256 of its bytes in the store.
    samples_sha256: String,
    /// Samples beyond full scale, which were clipped.
    clipped_samples: u64,
}

/// One track that is not in a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    name: String,
    reason: String,
}

/// A hash in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
