//! Tokens on disk.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::StoreError;
use super::staged::StagedFile;

/// Writes a safetensors file with one tensor `codes`, I64, `[codebooks, frames]`, whole or not at all.
///
/// # Errors
/// [`StoreError::Full`] or [`StoreError::Io`].
///
/// # Panics
/// If the codebooks have different numbers of frames: that is a mistake of the program, never of an input.
pub fn write_tokens(path: &Path, codes: &[Vec<i64>], metadata: &BTreeMap<&str, String>) -> Result<(), StoreError> {
    let num_frames = codes.first().map_or(0, Vec::len);
    assert!(codes.iter().all(|codebook| codebook.len() == num_frames), "write_tokens: codebooks of different lengths");
    let bytes: Vec<u8> = codes.iter().flatten().flat_map(|code| code.to_le_bytes()).collect();
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let staged = StagedFile::write(path, |out| {
        let view = TensorView::new(Dtype::I64, vec![codes.len(), num_frames], &bytes).map_err(io::Error::other)?;
        out.write_all(&serialize([("codes", view)], Some(metadata)).map_err(io::Error::other)?)
    })?;
    staged.commit()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn codes_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/codes.safetensors");
        write_tokens(&path, &[vec![1, 2, 3], vec![4, 5, 1023]], &BTreeMap::from([("model", "muq".to_owned())]))
            .unwrap();
        let bytes = fs_err::read(&path).unwrap();
        let codes = SafeTensors::deserialize(&bytes).unwrap().tensor("codes").unwrap();
        assert_eq!((codes.dtype(), codes.shape()), (Dtype::I64, [2, 3].as_slice()));
        let last: Vec<u8> = 1023i64.to_le_bytes().to_vec();
        assert_eq!(codes.data()[40..], last);
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["model"], "muq");
    }
}
