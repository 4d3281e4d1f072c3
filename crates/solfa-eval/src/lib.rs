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
//! - [`metrics`] scores estimates against references, [`decode`] makes events of activations, [`annotation`] reads what
//!   people wrote down, and [`score`] joins them.
//!
//! - [`dataset`] says which recordings there are and what is known of them; [`results`] is the table that every measured
//!   number goes to; [`similarity`] compares layers without any labels; [`report`] is the page that people look at.
//!
//! This crate must not know: tensors and their devices, how sound is decoded, the command line.

pub mod annotation;
pub mod cache;
pub mod dataset;
pub mod decode;
pub mod metrics;
pub mod report;
pub mod results;
pub mod score;
pub mod similarity;
pub mod statistics;
pub mod store;
pub mod tag;
pub mod task;
