//! Onsets: how many are found, and how many of those found are right.
//!
//! An estimate is right where it is at most 50 ms from a reference that no other estimate has. MIREX, audio onset
//! detection; S. Böck, F. Krebs and M. Schedl, *Evaluating the online capabilities of onset detection methods*, ISMIR 2012.

use super::check::check_events;
use super::error::MetricError;
use super::f_measure::FMeasure;
use super::matching::match_events;

/// The largest distance of a match, in seconds.
pub const ONSET_WINDOW_SECONDS: f64 = 0.05;

/// Precision, recall and F-measure of onsets in seconds. All are 0 where either list is empty.
///
/// # Errors
/// If a time is not finite or later than 30,000 s, or times descend.
pub fn onset_f_measure(reference: &[f64], estimate: &[f64], window_seconds: f64) -> Result<FMeasure, MetricError> {
    check_events("onsets of the reference", reference)?;
    check_events("onsets of the estimate", estimate)?;
    let matches = match_events(reference, estimate, window_seconds).len();
    Ok(FMeasure::from_counts(matches, reference.len(), estimate.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::golden::{assert_golden_scores, numbers, read};

    #[test]
    fn scores_are_those_of_mir_eval() {
        let (inputs, outputs) = (read("mir-metrics", "inputs.json"), read("mir-metrics", "outputs.json"));
        let mut cases = 0;
        for (name, case) in inputs.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("onset_")) {
            let [reference, estimate] = ["reference", "estimate"].map(|side| numbers(&case[side]));
            let found = onset_f_measure(&reference, &estimate, ONSET_WINDOW_SECONDS).unwrap();
            let expected =
                ["F-measure", "Precision", "Recall"].map(|score| outputs["scores"][name][score].as_f64().unwrap());
            assert_golden_scores(name, &[found.f_measure, found.precision, found.recall], &expected);
            cases += 1;
        }
        assert_eq!(cases, 6);
    }

    #[test]
    fn counted_by_hand() {
        let found = onset_f_measure(&[1.0, 2.0, 3.0, 4.0], &[1.04, 2.06, 3.0, 3.01], 0.05).unwrap();
        assert_eq!((found.precision, found.recall), (0.5, 0.5));
        assert_eq!(onset_f_measure(&[], &[1.0], 0.05), Ok(FMeasure::ZERO));
        assert!(onset_f_measure(&[2.0, 1.0], &[1.0], 0.05).is_err());
        assert!(onset_f_measure(&[1.0], &[f64::NAN], 0.05).is_err());
    }
}
