//! The F-measure that MARBLE reports: matches counted over all clips of a data set.

use super::check;
use crate::metrics::error::MetricError;
use crate::metrics::f_measure::FMeasure;
use crate::metrics::matching::match_events;

/// F-measure of the counts of all clips together, as MARBLE has it for beats and downbeats.
///
/// It differs from `mir_eval`'s evaluation in three ways: clips with many beats count more than others, nothing before
/// 5 s is left out, and **where neither side has an event in any clip, the score is 1**. MARBLE also rounds references and
/// estimates to the frames of an encoder before it compares them; that is left to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PooledFMeasure {
    matches: usize,
    references: usize,
    estimates: usize,
}

impl PooledFMeasure {
    /// Counts one clip. Times are in seconds.
    ///
    /// # Errors
    /// If a time is not finite or later than 30,000 s, or times descend.
    pub fn add(&mut self, reference: &[f64], estimate: &[f64], window_seconds: f64) -> Result<(), MetricError> {
        check(reference, estimate)?;
        self.matches += match_events(reference, estimate, window_seconds).len();
        self.references += reference.len();
        self.estimates += estimate.len();
        Ok(())
    }

    /// The score of all clips so far.
    pub fn score(&self) -> FMeasure {
        if self.references == 0 && self.estimates == 0 {
            return FMeasure { precision: 1.0, recall: 1.0, f_measure: 1.0 };
        }
        FMeasure::from_counts(self.matches, self.references, self.estimates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_pooled() {
        let mut pooled = PooledFMeasure::default();
        assert_eq!(pooled.score().f_measure, 1.0);
        pooled.add(&[], &[], 0.07).unwrap();
        assert_eq!(pooled.score().f_measure, 1.0);
        pooled.add(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 0.07).unwrap();
        pooled.add(&[1.0], &[2.0], 0.07).unwrap();
        assert_eq!(pooled.score().f_measure, 0.75);
        assert!(pooled.add(&[f64::NAN], &[], 0.07).is_err());

        let mut nothing_found = PooledFMeasure::default();
        nothing_found.add(&[1.0], &[], 0.07).unwrap();
        assert_eq!(nothing_found.score(), FMeasure::ZERO);
    }
}
