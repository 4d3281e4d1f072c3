//! One file from a hub into the cache: resumed, and verified before it gets its name.

use std::io::{self, Read, Write};
use std::path::Path;

use fs_err as fs;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::cache::{RepositoryCache, create_folder_of, io_error};
use crate::client::{Client, Content};
use crate::error::HubError;
use crate::progress::DownloadProgress;

/// Bytes read and written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Gets a file of a commit into the cache, if it is not there.
///
/// The content is written to `blobs/HASH.part`, where a later call continues after a failure; it gets its name once its
/// length and hash are what the hub says, and only then a snapshot points at it.
pub(crate) fn download(
    client: &Client,
    cache: &RepositoryCache,
    commit: &str,
    file: &str,
    progress: &mut dyn DownloadProgress,
) -> Result<(), HubError> {
    if cache.snapshot(commit).join(file).is_file() {
        return Ok(());
    }
    let content = client.content(file)?;
    let blob = cache.blob(&content.hash);
    create_folder_of(&blob)?;
    let _lock = lock(&cache.lock(&content.hash), file, progress)?;
    // Another process may have finished it while this one waited, and another commit may have the same content.
    if !(blob.is_file() && verify(&blob, file, &content).is_ok()) {
        Transfer { client, file, content: &content, part: &cache.part(&content.hash) }.run(progress)?;
        let part = cache.part(&content.hash);
        fs::rename(&part, &blob).map_err(io_error(&blob, "cannot be written"))?;
    }
    cache.point(commit, file, &content.hash)
}

/// Waits until no other process downloads the same content. The lock ends with the handle.
fn lock(path: &Path, file: &str, progress: &mut dyn DownloadProgress) -> Result<fs::File, HubError> {
    let handle = fs::File::create(path).map_err(io_error(path, "cannot be written"))?;
    match handle.file().try_lock() {
        Ok(()) => Ok(handle),
        Err(std::fs::TryLockError::WouldBlock) => {
            progress.waiting(file);
            handle.file().lock().map_err(io_error(path, "cannot be locked"))?;
            Ok(handle)
        }
        // Not every file system has locks. The hash then tells if two processes wrote at once.
        Err(std::fs::TryLockError::Error(_)) => Ok(handle),
    }
}

/// One content on its way.
struct Transfer<'a> {
    client: &'a Client,
    file: &'a str,
    content: &'a Content,
    part: &'a Path,
}

impl Transfer<'_> {
    /// Fills the part with the whole content, verified.
    fn run(&self, progress: &mut dyn DownloadProgress) -> Result<(), HubError> {
        let kept = self.kept_bytes()?;
        match self.attempt(kept, progress) {
            Err(HubError::Integrity { .. }) if kept > 0 => {
                // What an earlier call left may have been the fault.
                self.discard()?;
                self.attempt(0, progress)
            }
            outcome => outcome,
        }
        .inspect_err(|error| {
            if matches!(error, HubError::Integrity { .. }) {
                // The next call starts anew even if this fails: the length or the hash will be wrong again.
                let _ = self.discard();
            }
        })?;
        progress.file_finished(self.file);
        Ok(())
    }

    /// Bytes of an earlier call that may be the start of the content.
    fn kept_bytes(&self) -> Result<u64, HubError> {
        match fs::metadata(self.part) {
            Ok(metadata) if metadata.len() <= self.content.size => Ok(metadata.len()),
            Ok(_) => self.discard().map(|()| 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(io_error(self.part, "cannot be read")(error)),
        }
    }

    fn discard(&self) -> Result<(), HubError> {
        fs::remove_file(self.part).map_err(io_error(self.part, "cannot be removed"))
    }

    /// Adds what is missing after the first `kept` bytes, and verifies all.
    fn attempt(&self, kept: u64, progress: &mut dyn DownloadProgress) -> Result<(), HubError> {
        let Content { size, .. } = *self.content;
        if kept < size || size == 0 {
            self.receive(kept, progress)?;
        } else {
            progress.file_started(self.file, size, kept);
        }
        verify(self.part, self.file, self.content)
    }

    fn receive(&self, kept: u64, progress: &mut dyn DownloadProgress) -> Result<(), HubError> {
        let Content { size, .. } = *self.content;
        let mut answer = self.client.open(self.file, kept)?;
        let start = match answer.status {
            206 => match answer.content_range() {
                Some((start, total)) if start == kept && total == size => kept,
                found => return Err(self.mismatch(format!("bytes from {kept} of {size}"), format!("{found:?}"))),
            },
            // The server knows no ranges, and sends the whole file.
            200 => 0,
            _ => return Err(self.mismatch(format!("bytes from {kept} of {size}"), "none".into())),
        };
        let mut options = fs::OpenOptions::new();
        let mut part = if start == 0 { options.write(true).create(true).truncate(true) } else { options.append(true) }
            .open(self.part)
            .map_err(io_error(self.part, "cannot be written"))?;
        progress.file_started(self.file, size, start);
        let mut received = start;
        let mut buffer = vec![0; BUFFER_BYTES];
        let outcome = loop {
            match answer.body.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    let wanted = usize::try_from(size - received).unwrap_or(usize::MAX);
                    if count > wanted {
                        return Err(self.mismatch(format!("{size} bytes"), "more".into()));
                    }
                    part.write_all(&buffer[..count]).map_err(|error| self.write_error(error, received))?;
                    received += count as u64;
                    progress.advanced(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error.to_string()),
            }
        };
        // On the disk before it gets its name: a name without its content would be taken for the whole file.
        part.file().sync_all().map_err(|error| self.write_error(error, received))?;
        if received == size {
            return Ok(());
        }
        let reason = outcome.err().unwrap_or_else(|| "the server ended it".into());
        Err(HubError::Interrupted { file: self.file.to_owned(), received, expected: size, reason })
    }

    fn write_error(&self, error: io::Error, received: u64) -> HubError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                HubError::DiskFull { path: self.part.to_owned(), missing: self.content.size - received }
            }
            _ => io_error(self.part, "cannot be written")(error),
        }
    }

    fn mismatch(&self, expected: String, found: String) -> HubError {
        HubError::Integrity { file: self.file.to_owned(), expected, found }
    }
}

/// Checks a file's length and hash.
fn verify(path: &Path, file: &str, content: &Content) -> Result<(), HubError> {
    let failed = |error| io_error(path, "cannot be read")(error);
    let mismatch = |expected: String, found: String| HubError::Integrity { file: file.to_owned(), expected, found };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length != content.size {
        return Err(mismatch(format!("{} bytes", content.size), format!("{length} bytes")));
    }
    let hash = hash_of(path, length, content.hash.len()).map_err(failed)?;
    if hash == content.hash { Ok(()) } else { Err(mismatch(content.hash.clone(), hash)) }
}

/// The hash of a file, of the kind that has this many digits: SHA-256, or git's for a blob.
fn hash_of(path: &Path, length: u64, digits: usize) -> io::Result<String> {
    let file = fs::File::open(path)?;
    if digits == 64 {
        return digest::<Sha256>(file, Sha256::new());
    }
    digest::<Sha1>(file, Sha1::new_with_prefix(format!("blob {length}\0")))
}

fn digest<Hash: Digest>(mut file: impl Read, mut hash: Hash) -> io::Result<String> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `sha256sum` and `git hash-object`.
    #[test]
    fn hashes_are_those_of_the_hub() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_of(&path, 3, 64).unwrap(), sha256);
        let git = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";
        assert_eq!(hash_of(&path, 3, 40).unwrap(), git);
        let content = |hash: &str, size| Content { hash: hash.to_owned(), size };
        assert!(verify(&path, "file", &content(git, 3)).is_ok());
        let error = verify(&path, "file", &content(git, 4)).unwrap_err().to_string();
        assert!(error.contains("expected 4 bytes, found 3 bytes"), "{error}");
        let error = verify(&path, "file", &content(&"0".repeat(64), 3)).unwrap_err().to_string();
        assert!(error.contains(&format!("expected {}, found {sha256}", "0".repeat(64))), "{error}");
    }
}
