//! Items with several labels each, and the scores that an estimate gives to every label.

use rayon::prelude::*;

use crate::metrics::check::{check_finite, check_length, check_rows};
use crate::metrics::error::MetricError;

/// Which labels each item has, and how strongly an estimate believes in each: two matrices `[items, classes]`, row-major.
///
/// Scores are `f32` or `f64`, on any scale: only their order counts, except where a threshold is given.
#[derive(Clone, Copy, Debug)]
pub struct MultiLabel<'a, S> {
    labels: &'a [bool],
    scores: &'a [S],
    num_classes: usize,
}

impl<'a, S: Copy + Into<f64> + Sync> MultiLabel<'a, S> {
    /// Checks the shapes and the scores.
    ///
    /// # Errors
    /// If there is no item or no class, the matrices have different sizes, they are not whole rows, or a score is not
    /// finite.
    pub fn new(labels: &'a [bool], scores: &'a [S], num_classes: usize) -> Result<Self, MetricError> {
        check_rows("labels", labels.len(), num_classes)?;
        check_length("scores", labels.len(), scores.len())?;
        check_finite("scores", scores.iter().map(|&score| score.into()))?;
        Ok(Self { labels, scores, num_classes })
    }

    /// How many items there are.
    pub fn num_items(&self) -> usize {
        self.labels.len() / self.num_classes
    }

    /// How many classes there are.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Every item's score for a class, with whether it has the label; in no order.
    fn class(&self, class: usize) -> impl Iterator<Item = (f64, bool)> {
        let scores = self.scores[class..].iter().step_by(self.num_classes);
        scores.zip(self.labels[class..].iter().step_by(self.num_classes)).map(|(&score, &label)| (score.into(), label))
    }

    /// A score for each class, in parallel; the mean of those that are defined.
    pub(super) fn for_each_class(&self, score: impl Fn(&Ranked) -> Option<f64> + Sync) -> ClassScores {
        let per_class: Vec<Option<f64>> = (0..self.num_classes)
            .into_par_iter()
            .map(|class| {
                let mut items: Vec<(u64, bool)> =
                    self.class(class).map(|(score, label)| (ascending_key(score), label)).collect();
                items.sort_unstable();
                score(&Ranked { items })
            })
            .collect();
        let defined = || per_class.iter().copied().flatten();
        let count = defined().count();
        let macro_average = (count > 0).then(|| defined().sum::<f64>() / count as f64);
        ClassScores { per_class, macro_average }
    }

    /// A score of all pairs of an item and a class as one list.
    pub(super) fn for_all(&self, score: impl Fn(&Ranked) -> Option<f64>) -> Option<f64> {
        let mut items: Vec<(u64, bool)> =
            self.scores.iter().zip(self.labels).map(|(&score, &label)| (ascending_key(score.into()), label)).collect();
        items.par_sort_unstable();
        score(&Ranked { items })
    }

    /// True positives, false positives and false negatives of a class, where scores of at least `threshold` say yes.
    pub(super) fn counts(&self, class: usize, threshold: f64) -> (u64, u64, u64) {
        self.class(class).fold((0, 0, 0), |(hits, false_alarms, misses), (score, label)| {
            let said = score >= threshold;
            (
                hits + u64::from(said && label),
                false_alarms + u64::from(said && !label),
                misses + u64::from(!said && label),
            )
        })
    }
}

/// A whole number that ascends with a finite float; both zeros have the same.
fn ascending_key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Items by ascending score.
pub(super) struct Ranked {
    items: Vec<(u64, bool)>,
}

impl Ranked {
    /// Numbers of items with and without the label.
    pub(super) fn num_positive_and_negative(&self) -> (u64, u64) {
        let positives = self.items.iter().filter(|(_, label)| *label).count();
        (positives as u64, (self.items.len() - positives) as u64)
    }

    /// For every distinct score, lowest first (or last, reversed): how many items with it have the label, and how many
    /// have not.
    pub(super) fn ties(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.items.chunk_by(|left, right| left.0 == right.0).map(|tie| {
            let positives = tie.iter().filter(|(_, label)| *label).count();
            (positives as u64, (tie.len() - positives) as u64)
        })
    }
}

/// A score for every class, and their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// By class; `None` where the score is not defined.
    pub per_class: Vec<Option<f64>>,
    /// Mean of those that are defined, each class counting the same; `None` where there are none.
    pub macro_average: Option<f64>,
}

impl ClassScores {
    /// Classes that the mean leaves out.
    pub fn left_out(&self) -> Vec<usize> {
        (0..self.per_class.len()).filter(|&class| self.per_class[class].is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_numbers_are_checked() {
        let labels = [true, false, true, false];
        let message = |result: Result<MultiLabel<f32>, MetricError>| result.unwrap_err().to_string();
        assert!(message(MultiLabel::new(&labels, &[0.0; 3], 2)).contains("scores: 4 values are expected"));
        assert!(message(MultiLabel::new(&labels, &[0.0; 4], 3)).contains("a last row of 3 values"));
        assert!(message(MultiLabel::new(&labels, &[0.0; 4], 0)).contains("columns: there is nothing"));
        assert!(message(MultiLabel::new(&[], &[], 2)).contains("labels: there is nothing"));
        assert!(message(MultiLabel::new(&labels, &[0.0, f32::NAN, 0.0, 0.0], 2)).contains("value 1 is NaN"));
    }

    #[test]
    fn keys_ascend_with_their_scores() {
        let scores = [-f64::MAX, -2.0, -1.0, -f64::MIN_POSITIVE, 0.0, f64::MIN_POSITIVE, 0.5, f64::MAX];
        assert!(scores.windows(2).all(|pair| ascending_key(pair[0]) < ascending_key(pair[1])));
        assert_eq!(ascending_key(-0.0), ascending_key(0.0));
    }
}
