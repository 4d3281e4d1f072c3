//! Music with exact labels.
//!
//! A composer writes pieces of which key, chords, beats, structure, melody and instruments are known exactly, and a
//! renderer makes sound of them, or of any MIDI file. It is for sanity and for comparison on one's own machine; it does
//! not stand for real data.
//!
//! - [`compose`] makes a piece of a seed: [`events`] that are played, and the [`labels`] of what is known.
//! - [`midi`] reads and writes Standard MIDI Files, with the annotations that stand beside them.
//! - [`render`] makes sound: by a SoundFont, or by a small synthesiser of its own.
//! - [`suite`] writes a folder of pieces and single notes with a data set for each task.
//! - [`tracks`] makes as many pieces as are asked for, to train on without files.
//!
//! This crate must not know: encoders, probes, tensors.

mod dice;

pub mod compose;
pub mod events;
pub mod instruments;
pub mod labels;
pub mod midi;
pub mod render;
pub mod suite;
pub mod tracks;
