//! Beats with their places in the bar: `.beats` files, and Harmonix' `beats_and_downbeats`.

use std::path::Path;

use super::AnnotationError;
use super::events::check_follows;
use super::lines::Lines;

/// One beat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beat {
    /// When, in seconds.
    pub time: f64,
    /// Its number in the bar: 1 is the downbeat. `None` where the file does not say.
    pub position: Option<u32>,
}

/// Reads `time`, `time position` or `time position bar` on each line, in order.
///
/// # Errors
/// If the file cannot be read, or a line is not such a beat or comes before the one above it.
pub fn read_beats(path: &Path) -> Result<Vec<Beat>, AnnotationError> {
    const FORM: &str = "time [position [bar]]";
    let lines = Lines::read(path)?;
    let mut beats: Vec<Beat> = Vec::new();
    for row in lines.rows() {
        let columns: Vec<&str> = row.numeric_columns().collect();
        if columns.is_empty() || columns.len() > 3 {
            return Err(row.error(format!("`{FORM}`"), row.text));
        }
        let time = row.number(columns[0])?;
        check_follows(&row, beats.last().map(|beat| beat.time), time)?;
        let position = match columns.get(1) {
            None => None,
            Some(text) => {
                let position = position(row.number(text)?);
                Some(position.ok_or_else(|| row.error("a beat's number in the bar, a whole number", text))?)
            }
        };
        if let Some(bar) = columns.get(2) {
            row.number(bar)?;
        }
        beats.push(Beat { time, position });
    }
    Ok(beats)
}

/// A whole number that a beat in a bar can have; some files write it as `1.0`.
pub(super) fn position(number: f64) -> Option<u32> {
    (number.fract() == 0.0 && (0.0..=1000.0).contains(&number)).then_some(number as u32)
}

/// The times of the beats that are first in their bar.
pub fn downbeats(beats: &[Beat]) -> Vec<f64> {
    beats.iter().filter(|beat| beat.position == Some(1)).map(|beat| beat.time).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn every_form_is_read() {
        let folder = Folder::new();
        let times = read_beats(&folder.write("a.txt", "0.5\n1.0\n")).unwrap();
        assert_eq!(times[1], Beat { time: 1.0, position: None });
        let beats = read_beats(&folder.write("a.beats", "0.5 4\n1.0\t1\n1.5 2.0\n")).unwrap();
        assert_eq!(downbeats(&beats), [1.0]);
        assert_eq!(beats[2].position, Some(2));
        let harmonix = read_beats(&folder.write("b.txt", "0.0\t1\t1\n0.48\t2\t1\n0.96\t1\t2\n")).unwrap();
        assert_eq!(downbeats(&harmonix), [0.0, 0.96]);
    }

    #[test]
    fn hostile_files_are_refused() {
        assert_refused(
            read_beats,
            &[
                ("1.0 1\n0.5 2", "line 2: a time of 1 s"),
                ("1.0 1.5", "a whole number is expected, and `1.5` is found"),
                ("1.0 -1", "a whole number is expected, and `-1` is found"),
                ("1 2 3 4", "`time [position [bar]]` is expected"),
                ("1 1 x", "a finite number is expected, and `x` is found"),
            ],
        );
    }
}
