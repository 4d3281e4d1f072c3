//! A loaded model at work: as an [`Encoder`](solfa_signal::encoder::Encoder), and as a tokenizer of recordings.

mod mel_conformer;
mod tokenize;

pub use mel_conformer::MelConformerEncoder;
pub use tokenize::{Tokens, tokenize};
