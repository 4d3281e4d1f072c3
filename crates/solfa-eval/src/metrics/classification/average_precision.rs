//! Average precision: the area under the curve of precision over recall, in steps.
//!
//! With `P_n` and `R_n` at the n-th of the distinct scores, from the highest down, it is the sum of `(R_n - R_{n-1}) P_n`:
//! no interpolation, and items of the same score enter together (scikit-learn's `average_precision_score`). Chance is the
//! share of items that have the label; 1 is perfect. M. Zhu, *Recall, precision and average precision*, University of
//! Waterloo, 2004.
//!
//! **Classes without an item that has the label have no average precision.** They are left out of the macro mean, and
//! [`ClassScores::left_out`] names them. (scikit-learn and torchmetrics count them as 0 in the mean.) A class that every
//! item has scores 1.

use super::multi_label::{ClassScores, MultiLabel, Ranked};

/// Average precision for each class, and their mean (`average="macro"`). O(n log n) for n items of a class.
pub fn average_precision<S: Copy + Into<f64> + Sync>(tags: &MultiLabel<S>) -> ClassScores {
    tags.for_each_class(area)
}

/// Average precision over all pairs of an item and a class as one list (`average="micro"`). `None` where no pair has a
/// label.
pub fn average_precision_micro<S: Copy + Into<f64> + Sync>(tags: &MultiLabel<S>) -> Option<f64> {
    tags.for_all(area)
}

fn area(items: &Ranked) -> Option<f64> {
    let (num_positive, _) = items.num_positive_and_negative();
    if num_positive == 0 {
        return None;
    }
    let (mut hits, mut retrieved, mut sum) = (0, 0, 0.0);
    for (positives, negatives) in items.ties().rev() {
        hits += positives;
        retrieved += positives + negatives;
        sum += positives as f64 * (hits as f64 / retrieved as f64);
    }
    Some(sum / num_positive as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_class(labels: &[bool], scores: &[f32]) -> Option<f64> {
        average_precision(&MultiLabel::new(labels, scores, 1).unwrap()).per_class[0]
    }

    #[test]
    fn steps_summed_by_hand() {
        // Hits at ranks 1 and 3: (1/1 + 2/3) / 2.
        let found = one_class(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
        assert!((found - 5.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn equal_scores_enter_together() {
        assert_eq!(one_class(&[true, false, false, false], &[0.5; 4]), Some(0.25));
        // One hit at the top; then two items at once, one of them a hit: 1/2 x 1 + 1/2 x 2/3.
        let found = one_class(&[true, false, true], &[0.9, 0.5, 0.5]).unwrap();
        assert!((found - 5.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn classes_without_a_positive_are_left_out() {
        let tags = MultiLabel::new(&[true, false, false, true, false, true], &[0.5f64; 6], 3).unwrap();
        let found = average_precision(&tags);
        assert_eq!(found.per_class, [Some(1.0), None, Some(0.5)]);
        assert_eq!((found.macro_average, found.left_out()), (Some(0.75), vec![1]));
        assert_eq!(average_precision_micro(&tags), Some(0.5));
        let nothing = MultiLabel::new(&[false; 2], &[0.5f64; 2], 2).unwrap();
        assert_eq!((average_precision(&nothing).macro_average, average_precision_micro(&nothing)), (None, None));
    }
}
