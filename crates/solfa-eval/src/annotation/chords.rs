//! Chords over time, in Harte's syntax: Isophonics' and Billboard's `.lab` files.

use std::path::Path;

use super::AnnotationError;
use super::intervals::labelled_rows;
use super::lines::Lines;
use crate::metrics::MetricError;
use crate::metrics::chord::Chord;
use crate::metrics::intervals::LabelledIntervals;

/// Reads `start end chord` on each line, in seconds, in order and without overlaps.
///
/// # Errors
/// If the file cannot be read, or a line is no such interval or its label no chord.
pub fn read_chords(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    labelled_rows(&Lines::read(path)?, |row, label| match check_chord(label) {
        Ok(()) => Ok(()),
        Err(expected) => Err(row.error(expected, label)),
    })
}

/// What would be a chord, where the label is none.
pub(super) fn check_chord(label: &str) -> Result<(), String> {
    match Chord::parse(label) {
        Ok(_) => Ok(()),
        Err(MetricError::Label { reason, .. }) => Err(format!("a chord in Harte's syntax ({reason})")),
        Err(other) => Err(format!("a chord in Harte's syntax ({other})")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn chords_are_read() {
        let folder = Folder::new();
        let chords = read_chords(&folder.write("a.lab", "0.0 1.0 N\n1.0 2.5 E:min7/b3\n2.5 3.0 X\n")).unwrap();
        assert_eq!(chords.labels, ["N", "E:min7/b3", "X"]);
    }

    #[test]
    fn what_is_no_chord_is_named_with_its_line() {
        assert_refused(
            read_chords,
            &[
                ("0 1 C\n1 2 Cmaj7", "line 2: a chord in Harte's syntax (after the root `C`"),
                ("0 1 C:maj 7", "`maj 7` is no quality"),
            ],
        );
    }
}
