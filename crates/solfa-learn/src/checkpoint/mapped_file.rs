//! A file as memory, shared by all tensors that are cut from it.
#![allow(unsafe_code, reason = "mapping a file into memory is unsafe by nature: see the SAFETY comments")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fs_err as fs;
use memmap2::Mmap;

use super::CheckpointError;

/// A whole file as memory. It lives as long as the last of its regions.
#[derive(Debug)]
pub(super) struct MappedFile(Arc<Mmap>);

impl MappedFile {
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io_error = |source| CheckpointError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io_error)?;
        if file.metadata().map_err(io_error)?.len() == 0 {
            let reason = "the file is empty (0 bytes)".into();
            return Err(CheckpointError::Damaged { path: path.to_owned(), reason });
        }
        // SAFETY: the mapping is read-only and private to this process. What Rust cannot rule out is another process that
        // changes or truncates the file meanwhile; like every program that maps weights, this one relies on nobody editing
        // a checkpoint in place while it is in use (a download or a save replaces the file, which leaves the mapping
        // valid).
        let mapping = unsafe { Mmap::map(file.file()) }.map_err(io_error)?;
        Ok(Self(Arc::new(mapping)))
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Some bytes, whose memory is given back as soon as nobody uses them any more: who packs one tensor after the other
    /// never has the whole file in memory.
    ///
    /// # Panics
    /// If they do not lie within the file.
    pub(super) fn region(&self, range: Range<usize>) -> Bytes {
        assert!(range.start <= range.end && range.end <= self.0.len(), "a region of {} bytes", self.0.len());
        Bytes::from_owner(Region { mapping: Arc::clone(&self.0), range })
    }
}

struct Region {
    mapping: Arc<Mmap>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        &self.mapping[self.range.clone()]
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is of a file and read-only, so nothing is lost with its pages: who reads on them, a
        // neighbouring tensor for one, has them from the file again.
        #[cfg(unix)]
        let _ = unsafe {
            self.mapping.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, self.range.start, self.range.len())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_the_files_bytes_and_outlives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let bytes: Vec<u8> = (0..20_000u32).map(|value| value as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let (head, tail) = (file.region(0..9_000), file.region(9_000..20_000));
        drop(file);
        fs::remove_file(&path).unwrap();
        assert_eq!(head[..], bytes[..9_000]);
        drop(head);
        assert_eq!(tail[..], bytes[9_000..], "what a neighbour gave back is still there");
    }

    #[test]
    fn an_empty_or_absent_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        assert!(MappedFile::open(&path).unwrap_err().to_string().contains("weights"));
        fs::write(&path, []).unwrap();
        assert!(MappedFile::open(&path).unwrap_err().to_string().contains("0 bytes"));
    }
}
