//! A file as memory, shared by all tensors that are cut from it.
#![allow(unsafe_code, reason = "mapping a file into memory is unsafe by nature: see the SAFETY comment")]

use std::path::Path;

use bytes::Bytes;
use fs_err as fs;
use memmap2::Mmap;

use super::CheckpointError;

/// Maps a whole file. Slices of the result share the mapping, which lives as long as the last of them.
pub(super) fn map_file(path: &Path) -> Result<Bytes, CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(io_error)?;
    if file.metadata().map_err(io_error)?.len() == 0 {
        return Err(CheckpointError::Damaged { path: path.to_owned(), reason: "the file is empty (0 bytes)".into() });
    }
    // SAFETY: the mapping is read-only and private to this process. What Rust cannot rule out is another process that
    // changes or truncates the file meanwhile; like every program that maps weights, this one relies on nobody editing
    // a checkpoint in place while it is in use (a download or a save replaces the file, which leaves the mapping valid).
    let mapping = unsafe { Mmap::map(file.file()) }.map_err(io_error)?;
    Ok(Bytes::from_owner(mapping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_has_the_files_bytes_and_outlives_its_first_handle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, [1, 2, 3, 4]).unwrap();
        let tail = map_file(&path).unwrap().slice(2..);
        fs::remove_file(&path).unwrap();
        assert_eq!(&tail[..], [3, 4]);
    }

    #[test]
    fn an_empty_or_absent_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        assert!(map_file(&path).unwrap_err().to_string().contains("weights"));
        fs::write(&path, []).unwrap();
        assert!(map_file(&path).unwrap_err().to_string().contains("0 bytes"));
    }
}
