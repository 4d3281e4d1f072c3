//! Area under the receiver operating characteristic.
//!
//! The probability that an item with the label scores above one without it, where equal scores count one half: the
//! statistic of Mann and Whitney over the number of pairs. J. A. Hanley and B. J. McNeil, *The meaning and use of the area
//! under a receiver operating characteristic (ROC) curve*, Radiology, 1982. 0.5 is chance, 1 is perfect.
//!
//! **Classes without an item that has the label, or without one that has it not, have no area.** They are left out of the
//! macro mean, and [`ClassScores::left_out`] names them. (scikit-learn refuses such data; torchmetrics counts them as 0 in
//! the mean.)

use super::multi_label::{ClassScores, MultiLabel, Ranked};

/// The area for each class, and their mean (`roc_auc_score(average="macro")` of scikit-learn where every class has both
/// kinds of items). O(n log n) for n items of a class.
pub fn roc_auc<S: Copy + Into<f64> + Sync>(tags: &MultiLabel<S>) -> ClassScores {
    tags.for_each_class(area)
}

/// The area over all pairs of an item and a class as one list (`average="micro"`). `None` where no pair has a label, or
/// all have one.
pub fn roc_auc_micro<S: Copy + Into<f64> + Sync>(tags: &MultiLabel<S>) -> Option<f64> {
    tags.for_all(area)
}

/// Counted in whole numbers, so it is exact up to one division.
fn area(items: &Ranked) -> Option<f64> {
    let (num_positive, num_negative) = items.num_positive_and_negative();
    if num_positive == 0 || num_negative == 0 {
        return None;
    }
    let (mut negatives_below, mut half_pairs) = (0u128, 0u128);
    for (positives, negatives) in items.ties() {
        half_pairs += u128::from(positives) * (2 * negatives_below + u128::from(negatives));
        negatives_below += u128::from(negatives);
    }
    Some(half_pairs as f64 / (2.0 * num_positive as f64 * num_negative as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_class(labels: &[bool], scores: &[f32]) -> Option<f64> {
        roc_auc(&MultiLabel::new(labels, scores, 1).unwrap()).per_class[0]
    }

    #[test]
    fn pairs_counted_by_hand() {
        // Of 2 x 2 pairs, 0.8 is above both negatives, 0.35 above one.
        assert_eq!(one_class(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]), Some(0.75));
        assert_eq!(one_class(&[true, false], &[2.0, -2.0]), Some(1.0));
        assert_eq!(one_class(&[false, true], &[2.0, -2.0]), Some(0.0));
    }

    #[test]
    fn equal_scores_count_one_half() {
        assert_eq!(one_class(&[true, false, true, false], &[0.5; 4]), Some(0.5));
        assert_eq!(one_class(&[true, false, false], &[0.5, 0.5, 0.1]), Some(0.75));
        assert_eq!(one_class(&[true, false], &[0.0, -0.0]), Some(0.5));
    }

    #[test]
    fn classes_of_one_kind_are_left_out() {
        let labels = [true, true, false, true, false, false, false, true, false];
        let scores = [0.9, 0.5, 0.5, 0.8, 0.1, 0.5, 0.7, 0.9, 0.5];
        let tags = MultiLabel::new(&labels, &scores, 3).unwrap();
        let found = roc_auc(&tags);
        assert_eq!(found.per_class, [Some(1.0), Some(1.0), None]);
        assert_eq!((found.macro_average, found.left_out()), (Some(1.0), vec![2]));

        let found = roc_auc(&MultiLabel::new(&[true, true], &[0.1, 0.2], 2).unwrap());
        assert_eq!((found.per_class, found.macro_average), (vec![None, None], None));
    }

    #[test]
    fn micro_ranks_all_pairs_together() {
        // Positives 0.9, 0.2; negatives 0.1, 0.5: three of four pairs are in order.
        let tags = MultiLabel::new(&[true, false, false, true], &[0.9f32, 0.5, 0.1, 0.2], 2).unwrap();
        assert_eq!(roc_auc_micro(&tags), Some(0.75));
        assert_eq!(roc_auc(&tags).per_class, [Some(1.0), Some(0.0)]);
        assert_eq!(roc_auc_micro(&MultiLabel::new(&[true], &[0.5f32], 1).unwrap()), None);
    }
}
