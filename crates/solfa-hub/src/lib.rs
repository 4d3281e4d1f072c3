//! A model's name to its files: the catalogue of known models, the Hugging Face cache, downloads.

pub mod catalogue;
pub mod hub;
