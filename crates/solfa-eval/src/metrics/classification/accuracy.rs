//! The share of items whose class is right, and which classes are taken for which.

use crate::metrics::check::{check_length, check_not_empty};
use crate::metrics::error::MetricError;

/// The share of items whose class is right, from 0 to 1.
///
/// # Errors
/// If there are no items, or the lists have different lengths.
pub fn accuracy(reference: &[usize], estimate: &[usize]) -> Result<f64, MetricError> {
    check_not_empty("classes", reference.len())?;
    check_length("classes", reference.len(), estimate.len())?;
    let hits = reference.iter().zip(estimate).filter(|(reference, estimate)| reference == estimate).count();
    Ok(hits as f64 / reference.len() as f64)
}

/// How often each class was taken for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: Vec<u64>,
    num_classes: usize,
}

impl ConfusionMatrix {
    /// Items of class `reference` that were taken for class `estimate`.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn count(&self, reference: usize, estimate: usize) -> u64 {
        assert!(estimate < self.num_classes, "class {estimate} of {}", self.num_classes);
        self.counts[reference * self.num_classes + estimate]
    }

    /// For each class of the reference, how often it was taken for each class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.num_classes)
    }

    /// How many classes there are.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }
}

/// Counts how often each class was taken for each.
///
/// # Errors
/// If there are no items, the lists have different lengths, or a class is not below `num_classes`.
pub fn confusion_matrix(
    reference: &[usize],
    estimate: &[usize],
    num_classes: usize,
) -> Result<ConfusionMatrix, MetricError> {
    check_not_empty("classes", reference.len())?;
    check_length("classes", reference.len(), estimate.len())?;
    for (what, classes) in [("classes of the reference", reference), ("classes of the estimate", estimate)] {
        if let Some(index) = classes.iter().position(|&class| class >= num_classes) {
            return Err(MetricError::OutOfRange {
                what,
                index,
                expected: format!("a class below {num_classes}"),
                found: classes[index].to_string(),
            });
        }
    }
    let mut counts = vec![0; num_classes * num_classes];
    for (&reference, &estimate) in reference.iter().zip(estimate) {
        counts[reference * num_classes + estimate] += 1;
    }
    Ok(ConfusionMatrix { counts, num_classes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        let (reference, estimate) = ([0, 0, 1, 2], [0, 1, 1, 0]);
        assert_eq!(accuracy(&reference, &estimate), Ok(0.5));
        let matrix = confusion_matrix(&reference, &estimate, 3).unwrap();
        assert_eq!(matrix.rows().collect::<Vec<_>>(), [[1, 1, 0], [0, 1, 0], [1, 0, 0]]);
        assert_eq!((matrix.count(0, 1), matrix.count(1, 0), matrix.num_classes()), (1, 0, 3));
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(accuracy(&[], &[]), Err(MetricError::Empty { what: "classes" }));
        assert!(accuracy(&[1], &[1, 2]).unwrap_err().to_string().contains("1 values are expected"));
        let error = confusion_matrix(&[0, 1], &[0, 3], 2).unwrap_err().to_string();
        assert_eq!(error, "classes of the estimate: value 1 is 3, and a class below 2 is expected");
    }
}
