//! The tempo of a piece: the two that people tap, as MIREX and `mir_eval` have them.

use std::path::Path;

use super::AnnotationError;
use super::lines::Lines;

/// Two tempi, and how many people tap the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TempoAnnotation {
    /// Beats a minute, in the order of the file. One of them may be 0.
    pub tempi: [f64; 2],
    /// The share of the first, from 0 to 1.
    pub weight: f64,
}

/// Reads the one line `tempo tempo weight`.
///
/// # Errors
/// If the file cannot be read, has not one line, a tempo is negative or both are 0, or the weight is not from 0 to 1.
pub fn read_tempo(path: &Path) -> Result<TempoAnnotation, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut tempo = None;
    for row in lines.rows() {
        let [first, second, weight] = row.numbers("tempo tempo weight")?;
        if tempo.is_some() {
            return Err(row.error("one line alone", row.text));
        }
        if first < 0.0 || second < 0.0 || first.max(second) == 0.0 {
            return Err(row.error("two tempi that are not negative, one at least above 0,", row.text));
        }
        if !(0.0..=1.0).contains(&weight) {
            return Err(row.error("a weight from 0 to 1", weight));
        }
        tempo = Some(TempoAnnotation { tempi: [first, second], weight });
    }
    tempo.ok_or_else(|| lines.content("`tempo tempo weight`", "nothing is"))
}

/// Reads the one number of a file: beats per minute, 0 where there is no tempo.
///
/// # Errors
/// If the file cannot be read, or is not one line with a number that is not negative.
pub fn read_beats_per_minute(path: &Path) -> Result<f64, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut tempo = None;
    for row in lines.rows() {
        let [number] = row.numbers("beats per minute")?;
        if tempo.is_some() {
            return Err(row.error("one line alone", row.text));
        }
        if number < 0.0 {
            return Err(row.error("a tempo that is not negative", number));
        }
        tempo = Some(number);
    }
    tempo.ok_or_else(|| lines.content("`beats per minute`", "nothing is"))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn a_tempo_is_read() {
        let folder = Folder::new();
        let tempo = read_tempo(&folder.write("a.txt", "60.5\t121 0.7\n")).unwrap();
        assert_eq!(tempo, TempoAnnotation { tempi: [60.5, 121.0], weight: 0.7 });
        assert_refused(
            read_tempo,
            &[
                ("", "`tempo tempo weight` is expected, and nothing is found"),
                ("60 120", "`tempo tempo weight` is expected, and `60 120` is found"),
                ("-60 120 0.5", "two tempi that are not negative"),
                ("0 0 0.5", "one at least above 0"),
                ("60 120 2", "a weight from 0 to 1 is expected, and `2` is found"),
                ("60 120 1\n60 120 1", "line 2: one line alone"),
            ],
        );
    }

    #[test]
    fn a_number_alone_is_read() {
        let folder = Folder::new();
        assert_eq!(read_beats_per_minute(&folder.write("a.bpm", "174")).unwrap(), 174.0);
        assert_eq!(read_beats_per_minute(&folder.write("b.bpm", "0.0\n")).unwrap(), 0.0);
        assert_refused(
            read_beats_per_minute,
            &[
                ("", "`beats per minute` is expected, and nothing is found"),
                ("60 120", "`beats per minute` is expected, and `60 120` is found"),
                ("-60", "a tempo that is not negative is expected, and `-60` is found"),
                ("60\n60", "line 2: one line alone"),
                ("NaN", "a finite number"),
            ],
        );
    }
}
