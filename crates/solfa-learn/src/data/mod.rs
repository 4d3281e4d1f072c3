//! Where the clips of a training run come from.
//!
//! | place | what |
//! |---|---|
//! | [`TrackSource`] | tracks that can be read in part: [`FileTracks`], [`PackedTracks`], or what a program generates |
//! | [`pack`] | decodes a source once, into a store that is mapped into memory |
//! | [`Collection`] | a source with the lengths of its tracks, and a hash of all that for the record of a run |
//! | [`Sampler`] | which track and which part of it is clip `n` of step `s`: a function of the seed and of these numbers |
//! | [`Loader`] | reads batches ahead on other threads and hands them out in the order of the steps |
//!
//! What is in a batch depends on the tracks, the configuration, the seed and the step, and on nothing else: not on
//! threads, and not on the step that a run was resumed at. A track that cannot be read is replaced by another in the same
//! way each time.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use solfa_learn::data::{AudioFile, Collection, FileTracks, Loader, LoaderThreads, Sampler, SamplingConfig};
//! use solfa_signal::audio::Resampler;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let files = ["rainy.wav", "shrine.ogg"].map(|name| AudioFile {
//!     name: name.into(),
//!     path: format!("../../fixtures/audio/{name}").into(),
//! });
//! let tracks = FileTracks::new(files.to_vec(), 24_000, Resampler::SincHann);
//! let collection = Collection::survey(Arc::new(tracks))?;
//! let config: SamplingConfig = serde_json::from_str(
//!     r#"{"clips_per_batch": 3, "crop": {"seconds": 2}, "views": [{"view": "gain", "minimum_db": -6, "maximum_db": 0}]}"#,
//! )?;
//! let sampler = Sampler::new(&collection, &config, 42)?;
//! let threads = LoaderThreads { threads: 2, batches_ahead: 2 };
//! let first_step = 1_000;
//! let mut loader = Loader::new(collection, sampler, threads, first_step)?;
//! let batch = loader.next_batch()?;
//! assert_eq!((batch.step, batch.clips.len(), batch.clips[0].crops[0].len()), (1_000, 3, 48_000));
//! # Ok(())
//! # }
//! ```
//!
//! This module must not know: tensors, networks, labels.

mod collection;
mod error;
mod files;
mod loader;
mod packed;
mod sampler;
mod source;

pub use collection::{Collection, SkippedTrack};
pub use error::DataError;
pub use files::{AudioFile, FileTracks};
pub use loader::{Batch, Clip, Loader, LoaderThreads};
pub use packed::{PackReport, PackedTracks, pack};
pub use sampler::{ClipPlace, EpochEnd, Sampler, SamplingConfig, ShortTracks};
pub use source::TrackSource;
