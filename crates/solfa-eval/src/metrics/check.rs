//! What every score asks of its inputs.

use super::error::MetricError;

/// The latest time that an event may have, in seconds; later ones are probably in another unit. `mir_eval` has the same
/// limit.
const LATEST_EVENT_SECONDS: f64 = 30_000.0;

/// Times of events are finite, do not descend (two may be equal), and are at most 30,000 s. They may be negative.
pub(super) fn check_events(what: &'static str, times: &[f64]) -> Result<(), MetricError> {
    check_finite(what, times.iter().copied())?;
    if let Some(index) = times.iter().position(|&time| time > LATEST_EVENT_SECONDS) {
        return Err(MetricError::OutOfRange {
            what,
            index,
            expected: format!("a time of at most {LATEST_EVENT_SECONDS} s"),
            found: format!("{} s", times[index]),
        });
    }
    if let Some(index) = times.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(MetricError::NotSorted {
            what,
            index: index + 1,
            found: format!("{} s", times[index + 1]),
            before: format!("{} s", times[index]),
        });
    }
    Ok(())
}

/// No value is NaN or infinite.
pub(super) fn check_finite(what: &'static str, values: impl IntoIterator<Item = f64>) -> Result<(), MetricError> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, value)) => Err(MetricError::NotFinite { what, index, value }),
        None => Ok(()),
    }
}

/// Two series have the same length.
pub(super) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), MetricError> {
    if expected == found { Ok(()) } else { Err(MetricError::LengthMismatch { what, expected, found }) }
}

/// A row-major matrix has whole rows; how many.
pub(super) fn check_rows(what: &'static str, num_values: usize, width: usize) -> Result<usize, MetricError> {
    check_not_empty(what, num_values)?;
    check_not_empty("columns", width)?;
    match num_values % width {
        0 => Ok(num_values / width),
        rest => Err(MetricError::OutOfRange {
            what,
            index: num_values - 1,
            expected: format!("a last row of {width} values"),
            found: format!("the end of a row of {rest}"),
        }),
    }
}

/// Something is there.
pub(super) fn check_not_empty(what: &'static str, count: usize) -> Result<(), MetricError> {
    if count == 0 { Err(MetricError::Empty { what }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole() {
        assert_eq!(check_rows("scores", 6, 3), Ok(2));
        let message = |count, width| check_rows("scores", count, width).unwrap_err().to_string();
        assert_eq!(message(7, 3), "scores: value 6 is the end of a row of 1, and a last row of 3 values is expected");
        assert_eq!(message(0, 3), "scores: there is nothing to score");
        assert_eq!(message(7, 0), "columns: there is nothing to score");
    }

    #[test]
    fn events_are_checked() {
        check_events("beats", &[]).unwrap();
        check_events("beats", &[-1.0, 0.0, 0.0, 30_000.0]).unwrap();
        let message = |times: &[f64]| check_events("beats", times).unwrap_err().to_string();
        assert!(message(&[0.0, f64::NAN]).contains("value 1 is NaN"));
        assert!(message(&[0.0, f64::INFINITY]).contains("value 1 is inf"));
        assert!(message(&[0.0, 2.0, 1.0]).contains("number 2 (1 s) does not come after the one before it (2 s)"));
        assert!(message(&[0.0, 30_001.0]).contains("30001 s"));
    }
}
