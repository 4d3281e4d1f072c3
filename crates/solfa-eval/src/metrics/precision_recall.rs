//! Precision, recall and F-measure, from counts.

/// Which share of what was found is right, which share of what there is was found, and their harmonic mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PrecisionRecall {
    /// Right ones among those found, from 0 to 1; 0 where nothing was found.
    pub precision: f64,
    /// Found ones among those that there are, from 0 to 1; 0 where there are none.
    pub recall: f64,
    /// `2 precision recall / (precision + recall)`; 0 where both are 0.
    pub f_measure: f64,
}

impl PrecisionRecall {
    /// Of the two shares.
    pub fn new(precision: f64, recall: f64) -> Self {
        let sum = precision + recall;
        let f_measure = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        Self { precision, recall, f_measure }
    }

    /// Of the number of right ones, of those that there are, and of those found.
    pub fn from_counts(num_right: usize, num_reference: usize, num_estimate: usize) -> Self {
        let share = |count: usize| if count == 0 { 0.0 } else { num_right as f64 / count as f64 };
        Self::new(share(num_estimate), share(num_reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_counts() {
        let scores = PrecisionRecall::from_counts(2, 4, 3);
        assert_eq!((scores.precision, scores.recall), (2.0 / 3.0, 0.5));
        assert!((scores.f_measure - 4.0 / 7.0).abs() < 1e-15);
    }

    #[test]
    fn nothing_scores_nothing() {
        assert_eq!(PrecisionRecall::from_counts(0, 0, 0), PrecisionRecall::default());
        assert_eq!(PrecisionRecall::from_counts(0, 3, 0), PrecisionRecall::default());
    }
}
