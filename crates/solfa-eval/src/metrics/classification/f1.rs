//! F1: the harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)` of a class (scikit-learn's `f1_score`).
//!
//! **Where the denominator is zero**, that is, where a class is neither in the reference nor in the estimate, F1 is 0, and
//!
//! - with one class per item, the class is left out of the macro mean, as scikit-learn does it where no list of labels is
//!   given;
//! - with several labels per item, it is part of the mean, as scikit-learn does it with matrices (`zero_division=0`).

use super::accuracy::confusion_matrix;
use super::multi_label::MultiLabel;
use crate::metrics::error::MetricError;

/// F1 of every class, and two averages.
#[derive(Clone, Debug, PartialEq)]
pub struct F1 {
    /// By class; 0 where nothing has the class and nothing is taken for it.
    pub per_class: Vec<f64>,
    /// Mean over classes, each counting the same; the head of the file says which. `None` where there are none.
    pub macro_average: Option<f64>,
    /// F1 of the counts of all classes together. With one class per item this is the accuracy.
    pub micro_average: f64,
}

/// F1 where each item has one class.
///
/// # Errors
/// If there are no items, the lists have different lengths, or a class is not below `num_classes`.
pub fn f1_multi_class(reference: &[usize], estimate: &[usize], num_classes: usize) -> Result<F1, MetricError> {
    let confusion = confusion_matrix(reference, estimate, num_classes)?;
    let counts: Vec<(u64, u64, u64)> = (0..num_classes)
        .map(|class| {
            let hits = confusion.count(class, class);
            let estimated: u64 = (0..num_classes).map(|other| confusion.count(other, class)).sum();
            let present: u64 = (0..num_classes).map(|other| confusion.count(class, other)).sum();
            (hits, estimated - hits, present - hits)
        })
        .collect();
    Ok(averages(&counts, |&(hits, false_alarms, misses)| hits + false_alarms + misses > 0))
}

/// F1 where each item has any number of labels, and scores of at least `threshold` say that it has one.
///
/// # Errors
/// If the threshold is NaN.
pub fn f1_multi_label<S: Copy + Into<f64> + Sync>(tags: &MultiLabel<S>, threshold: f64) -> Result<F1, MetricError> {
    if threshold.is_nan() {
        return Err(MetricError::NotFinite { what: "threshold", index: 0, value: threshold });
    }
    let counts: Vec<(u64, u64, u64)> = (0..tags.num_classes()).map(|class| tags.counts(class, threshold)).collect();
    Ok(averages(&counts, |_| true))
}

fn averages(counts: &[(u64, u64, u64)], is_averaged: impl Fn(&(u64, u64, u64)) -> bool) -> F1 {
    let per_class: Vec<f64> = counts.iter().map(|&counts| f1(counts)).collect();
    let averaged: Vec<f64> =
        counts.iter().zip(&per_class).filter(|(counts, _)| is_averaged(counts)).map(|(_, &score)| score).collect();
    let macro_average = (!averaged.is_empty()).then(|| averaged.iter().sum::<f64>() / averaged.len() as f64);
    let total = counts.iter().fold((0, 0, 0), |sum, add| (sum.0 + add.0, sum.1 + add.1, sum.2 + add.2));
    F1 { per_class, macro_average, micro_average: f1(total) }
}

fn f1((hits, false_alarms, misses): (u64, u64, u64)) -> f64 {
    match 2 * hits + false_alarms + misses {
        0 => 0.0,
        total => 2.0 * hits as f64 / total as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_each_by_hand() {
        // Class 0: 1 hit, 1 false alarm, 1 miss; class 1: 1 hit, 1 false alarm; class 2: 1 miss; class 3 is nowhere.
        let found = f1_multi_class(&[0, 0, 1, 2], &[0, 1, 1, 0], 4).unwrap();
        assert_eq!(found.per_class, [0.5, 2.0 / 3.0, 0.0, 0.0]);
        assert!((found.macro_average.unwrap() - 7.0 / 18.0).abs() < 1e-15, "class 3 is left out");
        assert_eq!(found.micro_average, 0.5);
    }

    #[test]
    fn several_labels_each_by_hand() {
        // Class 0: 1 hit, 1 miss; class 1: 1 false alarm; class 2 is nowhere and counts as 0. The threshold is included.
        let labels = [true, false, false, true, false, false];
        let tags = MultiLabel::new(&labels, &[0.5f32, 0.9, 0.1, 0.49, 0.2, 0.3], 3).unwrap();
        let found = f1_multi_label(&tags, 0.5).unwrap();
        assert_eq!(found.per_class, [2.0 / 3.0, 0.0, 0.0]);
        assert!((found.macro_average.unwrap() - 2.0 / 9.0).abs() < 1e-15);
        assert_eq!(found.micro_average, 0.5);
        assert!(f1_multi_label(&tags, f64::NAN).is_err());
    }
}
