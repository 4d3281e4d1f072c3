//! Safetensors files of the project's own that say in their metadata what they hold.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};

use super::CheckpointError;
use super::mapped_file::MappedFile;
use super::source::check_length;

/// What values are stored as, the lowest byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredType {
    F32,
    U32,
    U16,
}

impl StoredType {
    pub(crate) fn num_bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::U16 => 2,
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::U32 => Dtype::U32,
            Self::U16 => Dtype::U16,
        }
    }
}

/// A file that is mapped into memory, with its one text of metadata.
#[derive(Clone, Debug)]
pub(crate) struct DescribedTensors {
    path: PathBuf,
    metadata: Metadata,
    data: Bytes,
}

impl DescribedTensors {
    /// Maps a file and checks its header against its length.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mapped = MappedFile::open(path)?;
        let mapping = mapped.stretch(0..mapped.num_bytes())?;
        let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
        check_length(&mapping).map_err(damaged)?;
        let (header_bytes, metadata) = SafeTensors::read_metadata(&mapping).map_err(|error| {
            damaged(format!("expected a safetensors file, found {} bytes with this fault: {error}", mapping.len()))
        })?;
        let data = mapping.slice(size_of::<u64>() + header_bytes..);
        Ok(Self { path: path.to_owned(), metadata, data })
    }

    /// The text under a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The type, shape and bytes of a tensor.
    pub(crate) fn tensor(
        &self,
        name: &str,
        possible: &[StoredType],
    ) -> Result<(StoredType, Vec<usize>, Bytes), CheckpointError> {
        let damaged = |reason: String| CheckpointError::Damaged { path: self.path.clone(), reason };
        let Some(info) = self.metadata.info(name) else {
            let found: Vec<String> = self.metadata.tensors().into_keys().collect();
            return Err(damaged(format!("expected a tensor `{name}`, found {found:?}")));
        };
        let Some(stored) = possible.iter().copied().find(|possible| possible.dtype() == info.dtype) else {
            return Err(damaged(format!("{name}: expected values of {possible:?}, found {:?}", info.dtype)));
        };
        let (start, end) = info.data_offsets;
        Ok((stored, info.shape.clone(), self.data.slice(start..end)))
    }
}

/// How a file begins: the length of its header, and the header, filled up with spaces to `padded` bytes, or to a multiple of
/// 8. Tensors lie in this order, and the widest types should come first.
pub(crate) fn described_header(
    (key, text): (&str, String),
    tensors: &[(&str, StoredType, &[usize])],
    padded: Option<usize>,
) -> io::Result<Vec<u8>> {
    let mut start: usize = 0;
    let mut infos = Vec::with_capacity(tensors.len());
    for &(name, stored, shape) in tensors {
        let end = shape.iter().try_fold(stored.num_bytes(), |bytes, size| bytes.checked_mul(*size));
        let end = end.and_then(|bytes| start.checked_add(bytes));
        let end = end.ok_or_else(|| io::Error::other(format!("{name}: {shape:?} is too large")))?;
        infos.push((
            name.to_owned(),
            TensorInfo { dtype: stored.dtype(), shape: shape.to_vec(), data_offsets: (start, end) },
        ));
        start = end;
    }
    let metadata = Metadata::new(Some(HashMap::from([(key.to_owned(), text)])), infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(padded.unwrap_or(0).max(header.len().next_multiple_of(size_of::<u64>())), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn text_and_tensors_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors: [(&str, StoredType, &[usize]); 2] =
            [("a", StoredType::F32, &[2]), ("b", StoredType::U16, &[3, 1])];
        for padded in [None, Some(400)] {
            let mut bytes = described_header(("what", "{\"a\": 1}".into()), &tensors, padded).unwrap();
            assert_eq!(bytes.len() % 8, 0);
            assert!(padded.is_none_or(|padded| bytes.len() == padded + 8));
            bytes.extend([0, 0, 128, 63, 0, 0, 0, 64, 1, 0, 2, 0, 3, 0]);
            fs::write(&path, &bytes).unwrap();
            let file = DescribedTensors::open(&path).unwrap();
            assert_eq!((file.text("what"), file.text("else")), (Some("{\"a\": 1}"), None));
            let (stored, shape, bytes) = file.tensor("b", &[StoredType::U32, StoredType::U16]).unwrap();
            assert_eq!((stored, shape, &bytes[..]), (StoredType::U16, vec![3, 1], &[1, 0, 2, 0, 3, 0][..]));
            let error = file.tensor("b", &[StoredType::F32]).unwrap_err().to_string();
            assert!(error.contains("b: expected values of [F32], found U16"), "{error}");
            let error = file.tensor("c", &[StoredType::F32]).unwrap_err().to_string();
            assert!(error.contains("expected a tensor `c`, found"), "{error}");
        }
    }
}
