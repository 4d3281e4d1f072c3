//! Targets on disk: fitted centroids, and labels that were computed once for a collection.
//!
//! Both are safetensors files, which any program reads, with a description of what they belong to in their metadata. A file
//! that belongs to something else is refused with every difference. They are written whole or not at all.
//!
//! Unlike the rest of [`targets`](super), this module stands above [`checkpoint`](crate::checkpoint).

mod error;
mod kmeans_file;
mod label_store;
mod label_writer;

pub use error::{Difference, StoredTargetError};
pub use kmeans_file::{KMeansDescription, load_kmeans, save_kmeans};
pub use label_store::{ExpectedLabels, LabelDescription, LabelStore};
pub use label_writer::{LabelWriter, write_labels};
