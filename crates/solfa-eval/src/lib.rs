//! Frames to numbers that people read.
//!
//! An encoder turns a recording into series of vectors, one series per layer. This crate takes it from there:
//!
//! - [`store`] puts embeddings on disk, as safetensors, npy, npz, parquet or jsonl. Every output says which
//!   [`EmbeddingSpace`](store::EmbeddingSpace) its vectors live in, and two vectors may be compared exactly when the
//!   `space_id` of their spaces is the same. Outputs appear whole or not at all, whatever happens to the process that
//!   writes them, and recordings of any length are written in bounded memory.
//!
//! - [`tag`] scores a recording against labels in the joint space of a music-text model: zero-shot tagging.
//!
//! Probes, metrics and reports build on what the store holds, and come next to it.
//!
//! This crate must not know: tensors and their devices, how sound is decoded, the command line.

pub mod store;
pub mod tag;
