//! Notes: `mir_eval`'s transcriptions.

use std::path::Path;

use super::AnnotationError;
use super::lines::Lines;
use crate::metrics::notes::Note;

/// Reads `onset offset Hz` on each line, in any order; notes may sound together.
///
/// # Errors
/// If the file cannot be read, or a line is no such note.
pub fn read_notes(path: &Path) -> Result<Vec<Note>, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut notes = Vec::new();
    for row in lines.rows() {
        let [onset, offset, frequency] = row.numbers("onset offset Hz")?;
        row.check_time(offset)?;
        if onset < 0.0 {
            return Err(row.error("an onset that is not negative", onset));
        }
        if offset <= onset {
            return Err(row.error(format!("an offset after the onset at {onset} s"), offset));
        }
        if frequency <= 0.0 {
            return Err(row.error("a pitch above 0 Hz", frequency));
        }
        notes.push(Note { onset, offset, frequency });
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn notes_are_read_in_any_order() {
        let folder = Folder::new();
        let notes = read_notes(&folder.write("a.txt", "1.0 2.0 440\n0.5\t3.0\t220.5\n")).unwrap();
        assert_eq!(notes[1], Note { onset: 0.5, offset: 3.0, frequency: 220.5 });
    }

    #[test]
    fn hostile_files_are_refused() {
        assert_refused(
            read_notes,
            &[
                ("1 1 440", "an offset after the onset at 1 s is expected, and `1` is found"),
                ("-1 1 440", "an onset that is not negative"),
                ("0 1 0", "a pitch above 0 Hz is expected, and `0` is found"),
                ("0 1", "`onset offset Hz` is expected"),
                ("0 1 nan", "a finite number"),
            ],
        );
    }
}
