//! Precision, recall, and their harmonic mean.

/// How many estimates are right, how much of the reference is found, and the harmonic mean of the two.
///
/// C. J. van Rijsbergen, *Information Retrieval*, 1979. Each is a share, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FMeasure {
    /// Matches as a share of the estimates.
    pub precision: f64,
    /// Matches as a share of the references.
    pub recall: f64,
    /// `2 precision recall / (precision + recall)`, and 0 where both are 0.
    pub f_measure: f64,
}

impl FMeasure {
    /// Nothing is found.
    pub const ZERO: Self = Self { precision: 0.0, recall: 0.0, f_measure: 0.0 };

    /// Of numbers of events. Where either side has none, all three are 0, as in `mir_eval`.
    pub fn from_counts(matches: usize, references: usize, estimates: usize) -> Self {
        if references == 0 || estimates == 0 {
            return Self::ZERO;
        }
        Self::from_shares(matches as f64 / estimates as f64, matches as f64 / references as f64)
    }

    /// Of precision and recall.
    pub fn from_shares(precision: f64, recall: f64) -> Self {
        if precision == 0.0 && recall == 0.0 {
            return Self::ZERO;
        }
        Self { precision, recall, f_measure: 2.0 * precision * recall / (precision + recall) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmonic_mean_of_the_two_shares() {
        let scores = FMeasure::from_counts(3, 4, 6);
        assert_eq!(scores, FMeasure { precision: 0.5, recall: 0.75, f_measure: 0.6 });
    }

    #[test]
    fn nothing_found_is_zero_and_not_undefined() {
        for (matches, references, estimates) in [(0, 3, 2), (0, 0, 2), (0, 3, 0), (0, 0, 0)] {
            assert_eq!(FMeasure::from_counts(matches, references, estimates), FMeasure::ZERO);
        }
    }
}
