//! From activations to events: beats and downbeats by a dynamic Bayesian network, peaks, smoothed classes.
//!
//! An activation is a number for each frame, at `frames_per_second`; frame `n` stands for the time `n / frames_per_second`.
//! Whoever knows that an encoder's frames have their middles elsewhere adds that to the times.
//!
//! This module must not know: what gave the activations, files, scores.

pub mod activations;
pub mod beat_network;
pub mod peaks;
pub mod smoothing;

mod error;

pub use error::DecodeError;

use error::{check_finite, check_frames_per_second};
