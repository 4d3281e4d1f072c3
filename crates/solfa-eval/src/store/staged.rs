//! Files that appear under their name whole or not at all.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::StoreError;

/// Longest part of an output's name that goes into its temporary name, in bytes: the two must fit the 255 bytes that
/// file systems allow.
pub(crate) const NAME_BYTES: usize = 200;

/// What every temporary name ends in.
pub(crate) const TEMPORARY_SUFFIX: &str = ".partial";

/// Bytes gathered before they are handed to the operating system.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is written in full under a temporary name. It is removed unless it is committed.
pub(crate) struct StagedFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl StagedFile {
    /// Writes what will be the file at `path`: creates its folder, lets `write` fill a temporary file there, and syncs
    /// it to the disk.
    pub(crate) fn write(
        path: &Path,
        write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
    ) -> Result<Self, StoreError> {
        let folder = folder_of(path);
        std::fs::create_dir_all(folder).map_err(|error| StoreError::io("create the folder", folder, error))?;
        let failed = |error| StoreError::io("write", path, error);
        let mut file = temporary_file(path, folder).map_err(failed)?;
        // Where there are no locks, nothing is ever taken for abandoned either.
        let _ = file.as_file().try_lock();
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file.as_file_mut());
        write(&mut writer).and_then(|()| writer.flush()).map_err(failed)?;
        drop(writer);
        file.as_file().sync_all().map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Gives the file its name, in place of a file that had it.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        let Self { path, file } = self;
        file.persist(&path).map_err(|error| StoreError::io("write", &path, error.error))?;
        Ok(())
    }
}

/// Writes a file that appears under its name whole or not at all, in place of one that had it. Its folder is created.
///
/// # Errors
/// [`StoreError::Io`], or [`StoreError::Full`] where the disk is full; nothing is left then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    StagedFile::write(path, |out| out.write_all(bytes))?.commit()
}

/// The folder that a file stands in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Removes the temporary files that processes which were killed have left of `outputs` and their sidecars.
///
/// A process holds a lock on the file that it writes, so those of others that are running are left alone. A folder that
/// cannot be read is one that nothing can be written to either: that shows where it matters.
pub fn remove_abandoned(outputs: &[PathBuf]) {
    let mut folders: BTreeMap<&Path, HashSet<String>> = BTreeMap::new();
    for output in outputs {
        if let Some(prefix) = temporary_prefix(output) {
            let sidecar = format!("{prefix}json.");
            folders.entry(folder_of(output)).or_default().extend([prefix, sidecar]);
        }
    }
    for (folder, prefixes) in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_temporary = name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|stem| {
                let random_start = stem.rfind('.').map_or(0, |dot| dot + 1);
                prefixes.contains(&stem[..random_start])
            });
            if is_temporary && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
                // One that cannot be removed is in nobody's way.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// What the temporary name of an output starts with, before some random letters.
fn temporary_prefix(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    Some(format!(".{}.", &name[..name.floor_char_boundary(NAME_BYTES)]))
}

fn temporary_file(path: &Path, folder: &Path) -> io::Result<NamedTempFile> {
    let Some(prefix) = temporary_prefix(path) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"));
    };
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY_SUFFIX);
    // As for any other output, the umask decides who may read it; temporary files are private otherwise.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn nothing_has_the_name_before_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/out.npy");
        let staged = StagedFile::write(&path, |out| out.write_all(b"whole")).unwrap();
        let during = names(path.parent().unwrap());
        assert!(
            during.len() == 1 && during[0].starts_with(".out.npy.") && during[0].ends_with(".partial"),
            "{during:?}"
        );
        staged.commit().unwrap();
        assert_eq!(names(path.parent().unwrap()), ["out.npy"]);
        assert_eq!(fs_err::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.npy");
        fs_err::write(&path, "old").unwrap();
        let result = StagedFile::write(&path, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(result.map(|_| ()), Err(StoreError::Full { path: full, .. }) if full == path));
        assert_eq!(names(folder.path()), ["out.npy"]);
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
    }

    #[test]
    fn only_what_nobody_writes_any_more_is_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.npy");
        let staged = StagedFile::write(&output, |_| Ok(())).unwrap();
        let living = names(folder.path());
        for name in [
            ".out.npy.aB3dE6.partial",
            ".other.npy.aB3dE6.partial",
            "out.npy.partial",
            ".out.npy.aB3dE6",
            ".out.npy.json.aB3dE6.partial",
        ] {
            fs_err::write(folder.path().join(name), "").unwrap();
        }
        remove_abandoned(&[output.clone(), folder.path().join("absent/out.npy")]);
        let mut left = names(folder.path());
        left.sort();
        let mut expected = [&living[0], ".other.npy.aB3dE6.partial", "out.npy.partial", ".out.npy.aB3dE6"];
        expected.sort();
        assert_eq!(left, expected);
        staged.commit().unwrap();
        assert!(output.exists());
    }

    #[test]
    fn long_names_and_folders_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("é".repeat(120) + ".npy");
        StagedFile::write(&long, |_| Ok(())).unwrap().commit().unwrap();

        fs_err::write(folder.path().join("file"), "").unwrap();
        let error = StagedFile::write(&folder.path().join("file/out.npy"), |_| Ok(())).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("cannot create the folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn outputs_are_as_readable_as_other_files() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs_err::metadata(folder.path().join(name)).unwrap().permissions().mode();
        fs_err::write(folder.path().join("other"), "").unwrap();
        StagedFile::write(&folder.path().join("ours"), |_| Ok(())).unwrap().commit().unwrap();
        assert_eq!(mode("ours"), mode("other"));
    }
}
