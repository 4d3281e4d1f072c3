//! The key of a piece: `mir_eval`'s files.

use std::path::Path;

use super::AnnotationError;
use super::lines::Lines;
use crate::metrics::MetricError;
use crate::metrics::key::KeyLabel;

/// Reads the one line `tonic mode`, separated by spaces or a tab, as `C# minor`; or `X`, which says that there is no key.
///
/// # Errors
/// If the file cannot be read, has not one line, or that line is no key.
pub fn read_key(path: &Path) -> Result<KeyLabel, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut key = None;
    for row in lines.rows() {
        if key.is_some() {
            return Err(row.error("one key alone", row.text));
        }
        key = Some(parse_key(row.text).map_err(|expected| row.error(expected, row.text))?);
    }
    key.ok_or_else(|| lines.content("a key", "nothing is"))
}

/// A key, or what would be one.
pub(super) fn parse_key(text: &str) -> Result<KeyLabel, String> {
    text.parse().map_err(|error| match error {
        MetricError::Label { reason, .. } => format!("a key ({reason})"),
        other => format!("a key ({other})"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn a_key_is_read() {
        let folder = Folder::new();
        let key = read_key(&folder.write("a.txt", "# of the piece\nC#\tminor\n")).unwrap();
        assert_eq!(key, "Db minor".parse().unwrap());
        assert_eq!(read_key(&folder.write("b.txt", "X\n")).unwrap(), KeyLabel::Unknown);
        assert_refused(
            read_key,
            &[
                ("", "a key is expected, and nothing is found"),
                ("C", "line 1: a key (a tonic and a mode are expected"),
                ("C maj", "a key (the mode is `major`, `minor` or `other`) is expected, and `C maj` is found"),
                ("C major\nG major", "line 2: one key alone is expected"),
            ],
        );
    }
}
