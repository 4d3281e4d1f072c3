//! Files for the tests of the readers.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs_err::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

/// What a result's error says.
pub(super) fn message<T, E: std::fmt::Display>(result: Result<T, E>) -> String {
    result.err().expect("an error").to_string()
}

/// Asserts that each text is refused, and that the error names the file and says what is given.
pub(super) fn assert_refused<T, E: std::fmt::Display>(read: impl Fn(&Path) -> Result<T, E>, cases: &[(&str, &str)]) {
    let folder = Folder::new();
    for (text, reason) in cases {
        let path = folder.write("hostile.txt", text);
        let error = message(read(&path));
        assert!(error.starts_with(&*path.to_string_lossy()), "{error}");
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}
