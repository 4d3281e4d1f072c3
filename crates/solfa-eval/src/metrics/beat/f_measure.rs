//! F-measure of beats: right is what is at most 70 ms from a beat that no other estimate has.
//!
//! S. Dixon, *Evaluation of the audio beat tracking system BeatRoot*, Journal of New Music Research, 2007.

use super::check;
use crate::metrics::error::MetricError;
use crate::metrics::f_measure::FMeasure;
use crate::metrics::matching::match_events;

/// The largest distance of a match, in seconds.
pub const BEAT_WINDOW_SECONDS: f64 = 0.07;

/// Precision, recall and F-measure of beats in seconds, as many matched as can be. A data set's score is the mean over its
/// tracks; [`PooledFMeasure`](super::PooledFMeasure) is MARBLE's other way.
///
/// # Errors
/// If a time is not finite or later than 30,000 s, or times descend.
pub fn beat_f_measure(reference: &[f64], estimate: &[f64], window_seconds: f64) -> Result<FMeasure, MetricError> {
    check(reference, estimate)?;
    let matches = match_events(reference, estimate, window_seconds).len();
    Ok(FMeasure::from_counts(matches, reference.len(), estimate.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        // The window is closed; two estimates do not share a beat.
        let found = beat_f_measure(&[1.0, 2.0, 3.0], &[1.0625, 2.0, 2.01, 3.125], 0.0625).unwrap();
        assert_eq!((found.precision, found.recall), (0.5, 2.0 / 3.0));
        assert_eq!(beat_f_measure(&[1.0], &[], 0.07), Ok(FMeasure::ZERO));
    }
}
