//! Comparisons and views as files of a folder of results.

use std::path::Path;

use serde::Serialize;

use crate::store::{StagedFile, StoreError};

/// Writes JSON, whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    StagedFile::write(path, |out| Ok(serde_json::to_writer(out, value)?))?.commit()
}

/// A name that every file system takes: letters, digits, `-`, `_` and `.` stay, anything else becomes `-`.
pub(super) fn file_name(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let name: String = text.chars().map(|character| if is_plain(character) { character } else { '-' }).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "unnamed".to_owned() } else { name[..name.len().min(100)].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_folder() {
        assert_eq!(file_name("untrained:muq@7"), "untrained-muq-7");
        assert_eq!(file_name("../a/b"), "-a-b");
        assert_eq!(file_name("é"), "-");
        assert_eq!(file_name(""), "unnamed");
        assert_eq!(file_name(&"a".repeat(300)).len(), 100);
    }

    #[test]
    fn json_appears_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("similarity/a.json");
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(fs_err::read_to_string(path).unwrap(), "[1,2]");
    }
}
