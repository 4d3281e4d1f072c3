//! Embeddings on disk: what is written, in which formats, and how it is never half there.
//!
//! - [`EmbeddingSpace`] says what the vectors are; its [`space_id`](EmbeddingSpace::space_id) says whether two vectors
//!   may be compared.
//! - An [`Embedding`] is what one recording gives: a vector per layer, or all frames of each layer, gathered by a
//!   [`FrameSpool`] in bounded memory.
//! - [`write_embedding`] writes one file per recording, and [`output_state`] says whether such a file is whole and of a
//!   given space. [`TableWriter`] writes one jsonl or parquet table of many recordings and continues interrupted ones.
//! - [`read_embedding`] reads a safetensors output back.
//! - [`write_tokens`], [`write_attention`] and [`write_vectors`] write what a model gives beside embeddings.
//!
//! # No half files
//!
//! Everything is written under a temporary name in the folder of the output (`.<name>.<random>.partial`), synced, and
//! renamed into place. Where a format has no room for metadata (npy, jsonl), a sidecar `<name>.json` stands in place
//! before the file that it describes, and an older file is removed before its sidecar is replaced: a file under its
//! final name always has its own sidecar. A process that is killed can leave a `.partial` file behind, never a
//! shortened output; [`remove_abandoned`] removes those.
//!
//! This module must not know: encoders, how a recording was cut into windows, what the command line looks like.

mod attention;
mod embedding;
mod error;
mod format;
pub(crate) mod hash;
mod journal;
mod jsonl;
mod metadata;
mod npy;
mod npz;
mod parquet;
mod read;
mod safetensors;
mod space;
mod spool;
pub(crate) mod staged;
mod table;
mod tokens;
mod vectors;
mod writer;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod full_disk;

pub use attention::{AttentionFolder, write_attention};
pub use embedding::{EmbeddedLayer, Embedding, LayerValues};
pub use error::StoreError;
pub use format::Format;
pub use metadata::Metadata;
pub use read::{StoredEmbedding, read_embedding};
pub use space::{DTYPE, EmbeddingSpace, NUMERICS_VERSION};
pub use spool::{FrameSeries, FrameSpool, SPOOL_MEMORY_BYTES};
pub(crate) use staged::StagedFile;
pub use staged::{remove_abandoned, write_whole};
pub use table::TableWriter;
pub use tokens::write_tokens;
pub use vectors::{TextVector, write_vectors};
pub use writer::{OutputState, output_state, write_embedding};
