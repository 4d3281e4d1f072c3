//! Frames with several labels at once, such as the keys of a piano: counted over all recordings together.
//!
//! MARBLE's score of transcription by frames: every cell of `[frames, keys]` is one decision, and precision, recall and F are
//! of the counts of all recordings, not means of theirs.

use super::FMeasure;
use super::MetricError;

/// Counts of cells, which add up over recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellCounts {
    /// On in both.
    pub in_both: usize,
    /// On in the reference.
    pub in_reference: usize,
    /// On in the estimate.
    pub in_estimate: usize,
}

impl CellCounts {
    /// Adds the cells of one recording: `reference` and `estimate` are `[frames x labels]`, in any order that is the same.
    ///
    /// # Errors
    /// If they differ in length.
    pub fn add(&mut self, reference: &[bool], estimate: &[bool]) -> Result<(), MetricError> {
        if reference.len() != estimate.len() {
            let (expected, found) = (reference.len(), estimate.len());
            return Err(MetricError::LengthMismatch { what: "cells of frames and labels", expected, found });
        }
        for (&reference, &estimate) in reference.iter().zip(estimate) {
            self.in_both += usize::from(reference && estimate);
            self.in_reference += usize::from(reference);
            self.in_estimate += usize::from(estimate);
        }
        Ok(())
    }

    /// Precision, recall and F-measure of all that was added.
    pub fn scores(&self) -> FMeasure {
        FMeasure::from_counts(self.in_both, self.in_reference, self.in_estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_pooled() {
        let mut counts = CellCounts::default();
        counts.add(&[true, true, false, false], &[true, false, true, false]).unwrap();
        counts.add(&[true], &[true]).unwrap();
        assert_eq!(counts, CellCounts { in_both: 2, in_reference: 3, in_estimate: 3 });
        assert_eq!(counts.scores().f_measure, 2.0 / 3.0);
        assert_eq!(CellCounts::default().scores(), FMeasure::ZERO);
        assert!(counts.add(&[true], &[]).is_err());
    }
}
