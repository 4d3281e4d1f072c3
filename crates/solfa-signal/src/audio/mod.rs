//! Sound in: decode, mix down, resample.
//!
//! Every stage hands on a [`Waveform`], so no function of this project takes bare samples. Recordings of any length
//! flow through as blocks: [`MonoSource`] is the one shape of a stream of sound, and
//! [`Resampled`] wraps one.

mod aac;
mod decode;
mod error;
mod ffmpeg;
mod mixdown;
mod mp4;
mod mpeg;
mod ogg;
mod peak;
mod resample;
mod sniff;
mod source;
mod stretch;
mod waveform;

pub use decode::{open, read};
pub use error::AudioError;
pub use ffmpeg::find_ffmpeg;
pub use peak::{Scaled, peak_gain};
pub(crate) use resample::bessel_i0;
pub use resample::{Resampled, Resampler, resample};
pub use source::{MonoSource, WaveformSource};
pub use stretch::{count_samples, read_resampled_stretch, read_stretch};
pub use waveform::Waveform;
