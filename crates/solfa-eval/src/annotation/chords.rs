//! Chords over time, in Harte's syntax: Isophonics' and Billboard's `.lab` files.

use std::path::Path;

use super::AnnotationError;
use super::intervals::labelled_rows;
use super::lines::{Lines, Row};
use crate::metrics::MetricError;
use crate::metrics::chord::Chord;
use crate::metrics::intervals::LabelledIntervals;

/// Reads `start end chord` on each line, in seconds, in order and without overlaps.
///
/// # Errors
/// If the file cannot be read, or a line is no such interval or its label no chord.
pub fn read_chords(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    labelled_rows(&Lines::read(path)?, 0.0, check_label)
}

/// By how much the intervals of a data set's chords may overlap, in seconds.
const DATA_SET_OVERLAP_SECONDS: f64 = 0.5;

/// Reads `start end chord` on each line as data sets have them: as [`read_chords`], but intervals of no length are passed
/// over, and one that begins up to half a second before the one above it ends cuts that one off. Isophonics has both, by
/// rounding.
///
/// # Errors
/// As [`read_chords`].
pub fn read_data_set_chords(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    labelled_rows(&Lines::read(path)?, DATA_SET_OVERLAP_SECONDS, check_label)
}

fn check_label(row: &Row<'_>, label: &str) -> Result<(), AnnotationError> {
    check_chord(label).map_err(|expected| row.label_error(expected, label))
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
    fn rounding_of_data_sets_is_put_right() {
        let folder = Folder::new();
        let path = folder.write("a.lab", "0.0 1.2 N\n1.0 1.0 D\n1.0 2.5 C\n2.5 3.0 G\n");
        let chords = read_data_set_chords(&path).unwrap();
        assert_eq!(chords.labels, ["N", "C", "G"]);
        assert_eq!(chords.intervals[0].end, 1.0);
        assert!(read_chords(&path).is_err());
        assert_refused(
            read_data_set_chords,
            &[
                ("0 5 C\n1 6 D", "line 2: a start at 4.5 s or later, where the interval of line 1 ends,"),
                ("0 0.4 C\n0 2 D", "line 2: a start after 0 s, that of line 1"),
                ("-1 1 C", "a start that is not negative"),
                ("0 1 H:maj", "line 1: a chord in Harte's syntax"),
            ],
        );
    }

    #[test]
    fn a_wrong_label_is_told_from_a_wrong_line() {
        let folder = Folder::new();
        let label = read_chords(&folder.write("a.lab", "0 1 H\n")).unwrap_err();
        assert!(matches!(label, AnnotationError::Label { line: 1, .. }));
        assert!(label.reason().starts_with("line 1: a chord in Harte's syntax"), "{}", label.reason());
        let line = read_chords(&folder.write("b.lab", "0 x C\n")).unwrap_err();
        assert_eq!(line.reason(), "line 1: a finite number is expected, and `x` is found");
        assert!(matches!(line, AnnotationError::Line { line: 1, .. }));
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
