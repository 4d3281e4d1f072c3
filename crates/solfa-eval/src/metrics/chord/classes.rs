//! Chords as 25 classes: twelve major (0 to 11, C to B), twelve minor (12 to 23), and no chord (24).
//!
//! Two mappings of labels to these classes. [`majmin_class`] is the vocabulary of the `majmin` comparison, so that what a
//! classifier is trained on is what is scored. [`marble_class`] is MARBLE v2's, for comparisons with published numbers. They
//! differ in three ways:
//!
//! | label | [`majmin_class`] | [`marble_class`] |
//! |---|---|---|
//! | `X`, not known | ignored | 24, as if nobody played |
//! | `C:maj/2`, a bass outside of the triad | ignored up to the augmented fifth | 0: the triad is contained |
//! | `C:maj(b3)`, both thirds | ignored | 12: minor counts first |

use super::comparisons::{is_major, is_minor};
use super::{Chord, MetricError};

/// Number of classes.
pub const NUM_CHORD_CLASSES: usize = 25;

/// The class of `N`.
pub const NO_CHORD_CLASS: usize = 24;

const ROOTS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];

/// The class of a chord, or nothing where the comparison `majmin` ignores it: what is neither major nor minor up to the
/// augmented fifth, and `X`.
pub fn majmin_class(chord: &Chord) -> Option<usize> {
    let encoding = chord.encode();
    let notes = encoding.semitones?;
    match encoding.root.map(usize::from) {
        None => Some(NO_CHORD_CLASS),
        Some(root) if is_major(notes) => Some(root),
        Some(root) if is_minor(notes) => Some(12 + root),
        Some(_) => None,
    }
}

/// The class of a chord by MARBLE v2's rule: contains the minor triad, else contains the major triad, else ignored; `N` and
/// `X` are no chord.
pub fn marble_class(chord: &Chord) -> Option<usize> {
    const MAJOR: u16 = 1 | 1 << 4 | 1 << 7;
    const MINOR: u16 = 1 | 1 << 3 | 1 << 7;
    let encoding = chord.encode();
    match (encoding.root.map(usize::from), encoding.semitones) {
        (None, _) | (_, None) => Some(NO_CHORD_CLASS),
        (Some(root), Some(notes)) if notes & MINOR == MINOR => Some(12 + root),
        (Some(root), Some(notes)) if notes & MAJOR == MAJOR => Some(root),
        _ => None,
    }
}

/// The label of a class in Harte's syntax: `C:maj`, `Eb:min`, `N`.
///
/// # Errors
/// If there is no such class.
pub fn chord_class_label(class: usize) -> Result<String, MetricError> {
    match class {
        0..12 => Ok(format!("{}:maj", ROOTS[class])),
        12..24 => Ok(format!("{}:min", ROOTS[class - 12])),
        NO_CHORD_CLASS => Ok("N".to_owned()),
        _ => Err(MetricError::OutOfRange {
            what: "a class of chords",
            index: 0,
            expected: format!("a class from 0 to {NO_CHORD_CLASS}"),
            found: class.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(label: &str) -> (Option<usize>, Option<usize>) {
        let chord = Chord::parse(label).unwrap();
        (majmin_class(&chord), marble_class(&chord))
    }

    #[test]
    fn both_mappings_agree_on_plain_chords() {
        for (label, class) in [("C", 0), ("B:7", 11), ("Db:min7", 13), ("C#:min/5", 13), ("N", 24), ("G:maj6", 7)] {
            assert_eq!(classes(label), (Some(class), Some(class)), "{label}");
        }
        assert_eq!(classes("C:dim"), (None, None));
        assert_eq!(classes("C:sus4"), (None, None));
    }

    #[test]
    fn they_differ_as_the_table_says() {
        assert_eq!(classes("X"), (None, Some(24)));
        assert_eq!(classes("C:maj/2"), (None, Some(0)));
        assert_eq!(classes("C:maj/4"), (None, Some(0)));
        assert_eq!(classes("C:maj(b3)"), (None, Some(12)));
    }

    #[test]
    fn labels_read_back() {
        for class in 0..NUM_CHORD_CLASSES {
            assert_eq!(classes(&chord_class_label(class).unwrap()), (Some(class), Some(class)));
        }
        assert!(chord_class_label(25).unwrap_err().to_string().contains("0 to 24"));
    }
}
