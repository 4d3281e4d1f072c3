//! Times alone: `mir_eval`'s beats and onsets.

use std::path::Path;

use super::AnnotationError;
use super::lines::{Lines, Row};

/// Reads one time in seconds a line, in order; two may be equal.
///
/// # Errors
/// If the file cannot be read, or a line is not a time that follows the one before.
pub fn read_events(path: &Path) -> Result<Vec<f64>, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut events = Vec::new();
    for row in lines.rows() {
        let [time] = row.numbers("time")?;
        check_follows(&row, events.last().copied(), time)?;
        events.push(time);
    }
    Ok(events)
}

/// That a time is one of seconds, and not before the last.
pub(super) fn check_follows(row: &Row<'_>, last: Option<f64>, time: f64) -> Result<(), AnnotationError> {
    row.check_time(time)?;
    match last {
        Some(last) if time < last => {
            Err(row.error(format!("a time of {last} s, which comes before it, or later"), time))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn times_are_read() {
        let folder = Folder::new();
        let path = folder.write("a.txt", "# beats\n0.5\n1.0\n\n1.0\n 1.5 \n");
        assert_eq!(read_events(&path).unwrap(), [0.5, 1.0, 1.0, 1.5]);
        assert!(read_events(&folder.write("empty.txt", "")).unwrap().is_empty());
    }

    #[test]
    fn hostile_files_are_refused() {
        assert_refused(
            read_events,
            &[
                ("0.5\nnan\n", "line 2: a finite number is expected, and `nan` is found"),
                ("inf", "line 1: a finite number"),
                (
                    "0.5\n0.4",
                    "line 2: a time of 0.5 s, which comes before it, or later is expected, and `0.4` is found",
                ),
                ("1 2", "line 1: `time` is expected, and `1 2` is found"),
                ("one", "a finite number is expected, and `one` is found"),
                ("44100000", "at most 30000"),
            ],
        );
    }
}
