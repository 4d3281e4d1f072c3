//! The Hugging Face cache on disk, in the layout of Python's `huggingface_hub`:
//!
//! ```text
//! models--ORG--NAME/
//!     blobs/HASH              a file's content, under the hash that the hub gives it
//!     refs/main               the commit that a branch or tag was at
//!     snapshots/COMMIT/NAME   a link to a blob
//!     .no_exist/COMMIT/NAME   an empty file: that commit has no such file
//! ```
//!
//! `blobs/HASH.part` and `blobs/HASH.lock` are as the crate `hf-hub` has them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

use crate::error::HubError;
use crate::reference::RepositoryReference;
use crate::wanted::{Wanted, Weights, shards_of};

/// Bytes of the largest index of shards that is read: ten times what the largest models need.
pub(crate) const LARGEST_INDEX: u64 = 64 << 20;

/// Tells the temporary files of this process from each other.
static NUM_REFERENCES_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// What counts as having the files that are taken where they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Optional {
    /// Each is there, or known not to exist.
    Known,
    /// They may be missing.
    MayBeMissing,
}

/// The part of the cache that belongs to one repository.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryCache {
    folder: PathBuf,
}

impl RepositoryCache {
    pub(crate) fn new(cache_folder: &Path, repository: &RepositoryReference) -> Self {
        Self { folder: cache_folder.join(format!("models--{}", repository.name().replace('/', "--"))) }
    }

    /// Where a content is.
    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// Where the start of a content is whose download broke off.
    pub(crate) fn part(&self, hash: &str) -> PathBuf {
        self.blob(&format!("{hash}.part"))
    }

    /// The file that whoever downloads a content holds a lock on.
    pub(crate) fn lock(&self, hash: &str) -> PathBuf {
        self.blob(&format!("{hash}.lock"))
    }

    /// The folder of one commit's files.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    fn marker_of_absence(&self, commit: &str, name: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(name)
    }

    /// The commit that a revision was at when it was last asked for. A commit is its own.
    fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// The folder with the wanted files of a revision, if all of them are there.
    pub(crate) fn find(&self, revision: &str, wanted: &Wanted, optional: Optional) -> Option<PathBuf> {
        let commit = self.commit_of(revision)?;
        let snapshot = self.snapshot(&commit);
        let is_there = |name: &str| snapshot.join(name).is_file();
        let is_settled = |name: &str| is_there(name) || self.marker_of_absence(&commit, name).is_file();
        let has_weights = match wanted.weights(is_there) {
            None | Some(Some(Weights::Whole(_))) => true,
            Some(Some(shards @ Weights::Shards(_))) => {
                let names = read_index(&snapshot.join(shards.name())).and_then(|index| shards_of(&index).ok());
                names.is_some_and(|names| names.iter().all(|name| is_there(name)))
            }
            Some(None) => false,
        };
        let is_whole = has_weights
            && wanted.required().iter().all(|name| is_there(name))
            && (optional == Optional::MayBeMissing || wanted.optional().iter().all(|name| is_settled(name)));
        is_whole.then_some(snapshot)
    }

    /// Notes that a commit has no such file.
    pub(crate) fn mark_absent(&self, commit: &str, name: &str) -> Result<(), HubError> {
        let marker = self.marker_of_absence(commit, name);
        create_folder_of(&marker)?;
        fs::write(&marker, b"").map_err(io_error(&marker, "cannot be written"))
    }

    /// Notes the commit that a revision is at. A commit needs no note.
    pub(crate) fn write_reference(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
            return Ok(());
        }
        let reference = self.folder.join("refs").join(revision);
        create_folder_of(&reference)?;
        // Beside the folder of references, where nobody takes it for one.
        let number = NUM_REFERENCES_WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("ref.{}.{number}.partial", std::process::id()));
        fs::write(&temporary, commit).map_err(io_error(&temporary, "cannot be written"))?;
        fs::rename(&temporary, &reference).map_err(io_error(&reference, "cannot be written"))
    }

    /// Gives a content its name in a commit's folder. Where links are not to be had, the content moves there.
    pub(crate) fn point(&self, commit: &str, name: &str, hash: &str) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(name);
        if pointer.is_file() {
            return Ok(());
        }
        create_folder_of(&pointer)?;
        // A link to a content that was removed is in the way.
        if pointer.is_symlink() {
            fs::remove_file(&pointer).map_err(io_error(&pointer, "cannot be removed"))?;
        }
        let linked = link(&Path::new("../../blobs").join(hash), &pointer);
        match linked {
            Ok(()) => Ok(()),
            // Another process was faster.
            Err(_) if pointer.is_file() => Ok(()),
            Err(_) => fs::rename(self.blob(hash), &pointer).map_err(io_error(&pointer, "cannot be written")),
        }
    }
}

#[cfg(unix)]
fn link(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

#[cfg(windows)]
fn link(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.iter().collect::<PathBuf>(), pointer)
}

#[cfg(not(any(unix, windows)))]
fn link(_target: &Path, _pointer: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An index of shards, if it can be read and is not absurdly large.
pub(crate) fn read_index(path: &Path) -> Option<Vec<u8>> {
    (fs::metadata(path).ok()?.len() <= LARGEST_INDEX).then(|| fs::read(path).ok()).flatten()
}

/// Whether a text is a git commit: 40 hexadecimal digits.
pub(crate) fn is_commit(text: &str) -> bool {
    is_hexadecimal(text, 40)
}

/// Whether a text is this many hexadecimal digits, in lower case.
pub(crate) fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Creates the folder that a file is to stand in.
pub(crate) fn create_folder_of(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(io_error(folder, "the folder cannot be created"))
}

/// An error about a file of the cache.
pub(crate) fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Io { path, action, source }
}
