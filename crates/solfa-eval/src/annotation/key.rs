//! The key of a piece: `mir_eval`'s files.

use std::path::Path;

use super::AnnotationError;
use super::lines::Lines;

/// Reads the one line `tonic mode`, separated by spaces or a tab, as `C# minor`. What it says is not looked at.
///
/// # Errors
/// If the file cannot be read, has not one line, or that line has not two words.
pub fn read_key(path: &Path) -> Result<String, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut key = None;
    for row in lines.rows() {
        let mut words = row.text.split_whitespace();
        let (Some(tonic), Some(mode), None) = (words.next(), words.next(), words.next()) else {
            return Err(row.error("`tonic mode`, such as `C# minor`,", row.text));
        };
        if key.is_some() {
            return Err(row.error("one key alone", row.text));
        }
        key = Some(format!("{tonic} {mode}"));
    }
    key.ok_or_else(|| lines.content("a key", "nothing is"))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn a_key_is_read() {
        let folder = Folder::new();
        assert_eq!(read_key(&folder.write("a.txt", "# of the piece\nC#\tminor\n")).unwrap(), "C# minor");
        assert_refused(
            read_key,
            &[
                ("", "a key is expected, and nothing is found"),
                ("C", "`tonic mode`, such as `C# minor`, is expected, and `C` is found"),
                ("C major\nG major", "line 2: one key alone is expected"),
            ],
        );
    }
}
