//! Music with exact labels.
//!
//! A composer writes pieces of which key, chords, beats, structure, melody and instruments are known exactly, and a
//! renderer makes sound of them, or of any MIDI file. It is for sanity and for comparison on one's own machine; it does
//! not stand for real data.
//!
//! This crate must not know: encoders, probes, tensors.
