//! Views: what a network is shown of a track. Crops, changes of the sound, and masks, on plain samples.
//!
//! | view | what |
//! |---|---|
//! | [`CropConfig`] | one random crop of a track, or two that are some distance apart |
//! | [`Gain`] | louder or softer |
//! | [`Noise`] | white noise at some ratio of signal to noise |
//! | [`Filter`] | a random low-pass, high-pass or band-pass |
//! | [`Speed`] | faster or slower, pitch and tempo together |
//! | [`TimeStretch`] | faster or slower at the same pitch |
//! | [`PitchShift`] | higher or lower at the same tempo |
//! | [`Mix`] | another clip in the background |
//! | [`BlockMask`] | blocks of the waveform replaced by noise, with the flags of the tokens below them |
//! | [`SpanMaskConfig`] | spans of frames to be hidden |
//!
//! A [`ViewChain`] applies changes of the sound in order. Every view of every clip draws from a random stream of its own,
//! named by run, step, clip and view ([`ClipSeed`]), so that it does not matter what was drawn before, or on which thread.
//!
//! This module must not know: tensors, files, networks.

mod block_mask;
mod chain;
mod crop;
mod error;
mod filter;
mod gain;
mod mix;
mod noise;
mod phase_vocoder;
mod pitch;
mod random;
mod span_mask;
mod speed;
mod time;

pub use block_mask::{BlockMask, BlockMaskConfig};
pub use chain::{NoOtherClips, OtherClips, ViewChain, ViewConfig};
pub use crop::{CropConfig, CropPlan, PairConfig, WindowsConfig};
pub use error::ViewError;
pub use filter::{Filter, FilterKind};
pub use gain::Gain;
pub use mix::Mix;
pub use noise::Noise;
pub use pitch::PitchShift;
pub use random::{ClipSeed, RandomStream};
pub use span_mask::{SpanMaskConfig, equalize_masks};
pub use speed::Speed;
pub use time::TimeStretch;

/// The root of the mean of the squares; 0 of nothing.
fn root_mean_square(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// A level in decibels as a factor of amplitudes.
fn amplitude_of_decibels(decibels: f64) -> f64 {
    libm::exp10(decibels / 20.0)
}

/// The probability of a view that is always applied.
fn always() -> f64 {
    1.0
}
