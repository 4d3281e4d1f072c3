//! Models against their references, layouts of files, and files that are broken. One program: linking is what takes time.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as tests do")]

mod common;

mod export;
mod golden_mel_conformer;
mod golden_mert2;
mod golden_mulan;
mod golden_multi_view;
mod golden_vit1d;
mod golden_waveform_transformer;
mod hostile_checkpoints;
mod hostile_mulan;
mod hostile_waveform_transformers;
mod layouts;
mod layouts_waveform_transformer;
mod passes;
