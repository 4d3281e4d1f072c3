//! Reading embeddings back.

use std::path::Path;

use super::{Embedding, Metadata, StoreError, safetensors};

/// An embedding as it stands in a file.
#[derive(Debug)]
pub struct StoredEmbedding {
    /// What the file says of itself; its `space_id` decides what the vectors may be compared with.
    pub metadata: Metadata,
    /// The vectors. Pooled ones are in memory; frames stay in the file until they are asked for, and are not checked
    /// again for NaN.
    pub embedding: Embedding,
}

/// Reads a `.safetensors` output of this program.
///
/// # Errors
/// [`StoreError::Io`] where the file cannot be read, [`StoreError::Damaged`] where it is cut short, is not an output
/// of this program, or does not hold what its metadata say.
pub fn read_embedding(path: &Path) -> Result<StoredEmbedding, StoreError> {
    let (metadata, embedding) = safetensors::read(path)?;
    Ok(StoredEmbedding { metadata, embedding })
}
