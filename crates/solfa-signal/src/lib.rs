//! Sound to frames: everything of Solfa that needs no tensor framework.
//!
//! Data flows one way through this crate:
//!
//! 1. [`audio`] decodes a file, mixes it down, resamples it and cuts it into windows; what comes out is a
//!    [`Waveform`](audio::Waveform), which always knows its sample rate.
//! 2. An [`Encoder`](encoder::Encoder) turns waveforms into [`Frames`](frames::Frames): series of vectors at a known
//!    rate, one series per layer. The hand-made [`features`] are encoders, and so is every network of `solfa-learn`.
//! 3. [`extract`] runs an encoder over a recording of any length, window by window in bounded memory, stitches the
//!    windows back together and pools them.
//!
//! This crate must not know: tensors, checkpoints, output files, the command line.

pub mod audio;
pub mod encoder;
pub mod extract;
pub mod features;
pub mod frames;
pub mod testing;
