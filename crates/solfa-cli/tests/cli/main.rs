//! The command as its users meet it: the real binary, in folders of its own.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as tests do")]

mod common;

mod data;
mod data_sets;
mod determinism;
mod exit_codes;
mod export;
mod formats;
mod golden;
mod hostile;
mod inputs;
mod models;
mod pack;
mod pretrain;
mod probe;
mod report;
mod resume;
mod score;
mod songs;
mod synth;
mod tag;
mod training_report;
mod windows;
