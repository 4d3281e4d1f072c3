//! A value over time: `mir_eval`'s melodies.

use std::path::Path;

use super::AnnotationError;
use super::lines::Lines;

/// Values at ascending times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries {
    /// Seconds.
    pub times: Vec<f64>,
    /// One for each time; of a melody, Hz.
    pub values: Vec<f64>,
}

/// Reads `time value` on each line, at times that ascend and are not negative.
///
/// # Errors
/// If the file cannot be read, or a line is not so.
pub fn read_time_series(path: &Path) -> Result<TimeSeries, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut series = TimeSeries::default();
    for row in lines.rows() {
        let [time, value] = row.numbers("time value")?;
        row.check_time(time)?;
        if time < 0.0 {
            return Err(row.error("a time that is not negative", time));
        }
        if let Some(&last) = series.times.last()
            && time <= last
        {
            return Err(row.error(format!("a time after {last} s, which comes before it,"), time));
        }
        series.times.push(time);
        series.values.push(value);
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn frames_are_read() {
        let folder = Folder::new();
        let series = read_time_series(&folder.write("a.txt", "0.0 0\n0.01\t220.5\n0.02,-100\n")).unwrap();
        assert_eq!((series.times, series.values), (vec![0.0, 0.01, 0.02], vec![0.0, 220.5, -100.0]));
    }

    #[test]
    fn hostile_files_are_refused() {
        assert_refused(
            read_time_series,
            &[
                ("0 1\n0 2", "line 2: a time after 0 s, which comes before it, is expected, and `0` is found"),
                ("-1 1", "not negative"),
                ("0 nan", "a finite number"),
                ("0", "`time value` is expected"),
            ],
        );
    }
}
