//! One file per command.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod embed;
pub(crate) mod export;
pub(crate) mod layers;
pub(crate) mod models;
pub(crate) mod pretrain;
pub(crate) mod probe;
pub(crate) mod report;
pub(crate) mod score;
pub(crate) mod synth;
pub(crate) mod tag;
pub(crate) mod tokens;
