//! Files that appear under their name whole or not at all.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{CheckpointError, folder_of};

/// How the name of a file ends that is not whole yet; it begins with a dot.
const PARTIAL_SUFFIX: &str = ".partial";

/// A file that is whole on the disk under a temporary name. It is removed unless it is committed.
#[derive(Debug)]
pub(crate) struct StagedFile {
    path: PathBuf,
    temporary: PathBuf,
}

impl StagedFile {
    pub(crate) fn write(path: PathBuf, bytes: &[u8]) -> Result<Self, CheckpointError> {
        Self::write_with(path, |file| file.write_all(bytes)).map(|(staged, ())| staged)
    }

    /// The same for a file that is written piece by piece.
    pub(crate) fn write_with<T>(
        path: PathBuf,
        write: impl FnOnce(&mut BufWriter<fs::File>) -> std::io::Result<T>,
    ) -> Result<(Self, T), CheckpointError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let staged = Self { temporary: path.with_file_name(format!(".{name}{PARTIAL_SUFFIX}")), path };
        let written = fs::File::create(&staged.temporary).and_then(|file| {
            let mut file = BufWriter::new(file);
            let result = write(&mut file)?;
            file.flush()?;
            file.get_ref().sync_all()?;
            Ok(result)
        });
        match written {
            Ok(result) => Ok((staged, result)),
            Err(error) => Err(write_error(&staged.path, error)),
        }
    }

    /// The name that the file gets.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file that has the name now, if there is one.
    pub(crate) fn remove_target(&self) -> Result<(), CheckpointError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(write_error(&self.path, error)),
            _ => Ok(()),
        }
    }

    /// Gives the file its name, in place of a file that had it, so that it still has it after a loss of power.
    pub(crate) fn commit(self) -> Result<(), CheckpointError> {
        let renamed = fs::rename(&self.temporary, &self.path).and_then(|()| sync_folder(folder_of(&self.path)));
        renamed.map_err(|error| write_error(&self.path, error))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // After a commit there is nothing of that name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Whether a file of this name was left by a program that was killed while it wrote.
pub(crate) fn is_partial(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(PARTIAL_SUFFIX)
}

/// Why a file could not be written.
pub(crate) fn write_error(path: &Path, source: std::io::Error) -> CheckpointError {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => CheckpointError::Full { path: path.to_owned() },
        _ => CheckpointError::Write { path: path.to_owned(), source },
    }
}

/// A name stays after a loss of power once its folder is on the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_after_the_commit_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let staged = StagedFile::write(path.clone(), b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let temporary = folder.path().join(".a.txt.partial");
        assert!(temporary.is_file() && is_partial(".a.txt.partial") && !is_partial("a.txt"));
        staged.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(StagedFile::write(path.clone(), b"never").unwrap());
        assert_eq!((fs::read(&path).unwrap(), temporary.exists()), (b"new".to_vec(), false));
    }

    #[test]
    fn a_write_that_fails_part_way_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let result = StagedFile::write_with(path.clone(), |file| {
            file.write_all(b"half")?;
            Err::<(), _>(ErrorKind::StorageFull.into())
        });
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("the disk is full: cannot write ") && error.ends_with("a.txt"), "{error}");
        assert_eq!((fs::read(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (b"old".to_vec(), 1));
    }
}
