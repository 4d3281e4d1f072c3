//! A file of which stretches are used as memory.
#![allow(unsafe_code, reason = "mapping a file into memory is unsafe by nature: see the SAFETY comment")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fs_err as fs;
use memmap2::MmapOptions;

use super::CheckpointError;

/// A file that is open for as long as stretches of it may be asked for.
#[derive(Clone, Debug)]
pub(crate) struct MappedFile {
    file: Arc<fs::File>,
    num_bytes: usize,
}

impl MappedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io_error = |source| CheckpointError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io_error)?;
        let num_bytes = file.metadata().map_err(io_error)?.len() as usize;
        if num_bytes == 0 {
            return Err(CheckpointError::Damaged {
                path: path.to_owned(),
                reason: "the file is empty (0 bytes)".into(),
            });
        }
        Ok(Self { file: Arc::new(file), num_bytes })
    }

    pub(crate) fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// A stretch of the file, as a mapping of its own: with the last handle to it, its memory goes back, whoever uses
    /// other stretches.
    ///
    /// # Panics
    /// If it reaches beyond the file's end.
    pub(crate) fn stretch(&self, range: Range<usize>) -> Result<Bytes, CheckpointError> {
        assert!(range.start <= range.end && range.end <= self.num_bytes, "{range:?} of {} bytes", self.num_bytes);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let io_error = |source| CheckpointError::Io { path: self.file.path().to_owned(), source };
        let mut options = MmapOptions::new();
        options.offset(range.start as u64).len(range.len());
        // SAFETY: the mapping is read-only and private to this process. What Rust cannot rule out is another process that
        // changes or truncates the file meanwhile; like every program that maps weights, this one relies on nobody editing
        // a checkpoint in place while it is in use (a download or a save replaces the file, which leaves the mapping
        // valid).
        let mapping = unsafe { options.map(self.file.file()) }.map_err(io_error)?;
        Ok(Bytes::from_owner(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_the_files_bytes_and_outlives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, [1, 2, 3, 4]).unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!((file.num_bytes(), &file.stretch(2..2).unwrap()[..]), (4, &[][..]));
        let tail = file.stretch(2..4).unwrap();
        drop(file);
        fs::remove_file(&path).unwrap();
        assert_eq!(&tail[..], [3, 4]);
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
