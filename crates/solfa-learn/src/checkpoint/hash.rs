//! What names a set of weights: the SHA-256 of its files.

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

use super::CheckpointError;

/// SHA-256 of one file's bytes, in hexadecimal: the hash that the Hugging Face hub shows for it. For several files, the
/// SHA-256 of their hashes in order, one a line.
pub(crate) fn sha256_of_files(files: &[PathBuf]) -> Result<String, CheckpointError> {
    let hashes = files.iter().map(|file| sha256_of_file(file)).collect::<Result<Vec<_>, _>>()?;
    match hashes.as_slice() {
        [hash] => Ok(hash.clone()),
        several => Ok(to_hexadecimal(&Sha256::digest(several.join("\n")))),
    }
}

fn sha256_of_file(path: &Path) -> Result<String, CheckpointError> {
    /// Read through a buffer, not the mapping: hashing must not make every page of the mapping resident.
    const BUFFER_BYTES: usize = 1 << 20;
    let io_error = |source| CheckpointError::Io { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(io_error)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file.read(&mut buffer).map_err(io_error)?;
        if read == 0 {
            return Ok(to_hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Two digits a byte.
pub(super) fn to_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_its_own_hash_and_several_have_the_hash_of_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let hash = sha256_of_files(std::slice::from_ref(&path)).unwrap();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let two = sha256_of_files(&[path.clone(), path]).unwrap();
        assert_eq!(two, to_hexadecimal(&Sha256::digest(format!("{hash}\n{hash}"))));
    }
}
