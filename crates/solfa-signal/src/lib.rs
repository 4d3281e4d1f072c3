//! Sound to frames: everything of Solfa that needs no tensor framework.
//!
//! Data flows one way through this crate:
//!
//! 1. [`audio`] decodes a file, mixes it down and resamples it; what comes out is a [`Waveform`](audio::Waveform), which
//!    always knows its sample rate.
//! 2. An [`Encoder`](encoder::Encoder) turns waveforms into [`Frames`](frames::Frames): series of vectors at a known
//!    rate, one series per layer. The hand-made [`features`] are encoders, and so is every network of `solfa-learn`.
//! 3. [`windows`] cuts a recording into clips of the length that an encoder was made for.
//! 4. [`extract`] runs an encoder over a recording of any length, window by window in bounded memory, stitches the
//!    windows back together and pools them.
//!
//! # Example
//!
//! The mel spectrogram of a recording, as one vector and as all of its frames:
//!
//! ```
//! use std::path::Path;
//!
//! use solfa_signal::audio::{self, Resampled, Resampler};
//! use solfa_signal::encoder::{Encoder, LayerChoice};
//! use solfa_signal::extract::{ExtractedContent, extract};
//! use solfa_signal::features::{MelConfig, MelSpectrogram};
//! use solfa_signal::frames::Pooling;
//! use solfa_signal::windows::{Tail, WindowLength, WindowPlan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = Path::new("../../fixtures/audio/rainy.wav");
//! let mel = MelSpectrogram::new(MelConfig::muq())?;
//! let plan = WindowPlan::new(mel.spec(), WindowLength::Default, None, Tail::Overlap)?;
//!
//! let source = Resampled::new(audio::open(path)?, mel.spec().sample_rate, Resampler::SincHann)?;
//! let layers = extract(source, &mel, &plan, &LayerChoice::All, Pooling::Mean)?;
//! let ExtractedContent::Pooled(vector) = &layers[0].content else { unreachable!("a mean is a vector") };
//! assert_eq!(vector.len(), 128);
//!
//! let source = Resampled::new(audio::open(path)?, mel.spec().sample_rate, Resampler::SincHann)?;
//! let layers = extract(source, &mel, &plan, &LayerChoice::All, Pooling::None)?;
//! let ExtractedContent::Frames(frames) = &layers[0].content else { unreachable!("nothing was pooled") };
//! assert_eq!((frames.num_frames(), frames.dim(), frames.frames_per_second()), (801, 128, 100.0));
//! # Ok(())
//! # }
//! ```
//!
//! This crate must not know: tensors, checkpoints, output files, the command line.

pub mod audio;
pub mod encoder;
pub mod extract;
pub mod features;
pub mod frames;
pub mod testing;
pub mod windows;

/// The Rust of the README is compiled with the examples of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
