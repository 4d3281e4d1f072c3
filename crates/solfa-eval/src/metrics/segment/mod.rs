//! Structure: where the parts of a song change, and which of them are alike.
//!
//! `mir_eval.segment` of Raffel et al. (ISMIR 2014) is what these numbers equal.

mod boundaries;
mod clustering;
mod hierarchy;

pub use boundaries::{BoundaryDeviation, boundaries, boundary_deviation, boundary_hit_rate};
pub use clustering::{Contingency, SAMPLE_SECONDS};
pub use hierarchy::hierarchy_scores;

use super::MetricError;
use super::intervals::{Interval, LabelledIntervals, check_ordered_intervals};

/// Labels of what an annotation leaves out, at its start and at its end.
const BEFORE: &str = "__T_MIN";
const AFTER: &str = "__T_MAX";

/// Every score of an estimate by `mir_eval`'s names, in its order. Deviations are in seconds, mutual information in nats,
/// all else from 0 to 1 (the adjusted ones may be below 0).
///
/// Both start at 0, and the estimate is cut or filled to the reference's end. Boundaries include the first and the last.
///
/// # Errors
/// If the reference is empty or shorter than 0.2 s, or intervals are not in order or overlap.
pub fn segment_scores(
    reference: &LabelledIntervals,
    estimate: &LabelledIntervals,
) -> Result<Vec<(&'static str, f64)>, MetricError> {
    for (what, segments) in [("reference segments", reference), ("estimated segments", estimate)] {
        if segments.labels.len() != segments.intervals.len() {
            let (expected, found) = (segments.intervals.len(), segments.labels.len());
            return Err(MetricError::LengthMismatch { what, expected, found });
        }
        check_ordered_intervals(what, &segments.intervals)?;
    }
    let end = reference.span().ok_or(MetricError::Empty { what: "reference segments" })?.end;
    let span = Interval::new(0.0, end);
    let (reference, estimate) = (reference.fitted(span, BEFORE, AFTER), estimate.fitted(span, BEFORE, AFTER));
    let narrow = boundary_hit_rate(&reference.intervals, &estimate.intervals, 0.5, false)?;
    let wide = boundary_hit_rate(&reference.intervals, &estimate.intervals, 3.0, false)?;
    let deviation = boundary_deviation(&reference.intervals, &estimate.intervals, false)?
        .ok_or(MetricError::Empty { what: "boundaries" })?;
    let labels = Contingency::of_segments(&reference, &estimate)?;
    let (pairwise, entropies, v_measure) =
        (labels.pairwise(), labels.normalized_conditional_entropy(), labels.v_measure());
    Ok(vec![
        ("Precision@0.5", narrow.precision),
        ("Recall@0.5", narrow.recall),
        ("F-measure@0.5", narrow.f_measure),
        ("Precision@3.0", wide.precision),
        ("Recall@3.0", wide.recall),
        ("F-measure@3.0", wide.f_measure),
        ("Ref-to-est deviation", deviation.reference_to_estimate),
        ("Est-to-ref deviation", deviation.estimate_to_reference),
        ("Pairwise Precision", pairwise.precision),
        ("Pairwise Recall", pairwise.recall),
        ("Pairwise F-measure", pairwise.f_measure),
        ("Rand Index", labels.rand_index()),
        ("Adjusted Rand Index", labels.adjusted_rand_index()),
        ("Mutual Information", labels.mutual_information()),
        ("Adjusted Mutual Information", labels.adjusted_mutual_information()),
        ("Normalized Mutual Information", labels.normalized_mutual_information()),
        ("NCE Over", entropies.precision),
        ("NCE Under", entropies.recall),
        ("NCE F-measure", entropies.f_measure),
        ("V Precision", v_measure.precision),
        ("V Recall", v_measure.recall),
        ("V-measure", v_measure.f_measure),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::golden_cases::{Golden, labelled};
    use super::*;

    #[test]
    fn golden_segments() {
        let golden = Golden::read("mir-metrics");
        let cases = golden.cases("segment_");
        assert_eq!(cases.len(), 6);
        for case in &cases {
            let reference = labelled(&case.input["reference_intervals"], &case.input["reference_labels"]);
            let estimate = labelled(&case.input["estimate_intervals"], &case.input["estimate_labels"]);
            // Issue 5 allows 1e-6 where samples in single precision are part of the definition; counts are exact in both.
            case.assert_scores(&segment_scores(&reference, &estimate).unwrap());
        }
    }

    fn segments(parts: &[(f64, f64, &str)]) -> LabelledIntervals {
        let mut segments = LabelledIntervals::default();
        for &(start, end, label) in parts {
            segments.push(start, end, label);
        }
        segments
    }

    #[test]
    fn an_estimate_is_fitted_to_the_reference() {
        let reference = segments(&[(0.0, 10.0, "verse"), (10.0, 20.0, "chorus")]);
        let longer = segments(&[(0.0, 10.0, "A"), (10.0, 25.0, "B")]);
        let scores = segment_scores(&reference, &longer).unwrap();
        assert!(
            scores
                .iter()
                .filter(|(name, _)| name.contains("F-measure") || name.contains("Rand"))
                .all(|&(_, v)| v == 1.0)
        );
        let nothing = segment_scores(&reference, &LabelledIntervals::default()).unwrap();
        assert!(nothing.iter().all(|(_, value)| value.is_finite()));
        assert_eq!(nothing[0], ("Precision@0.5", 1.0));
    }

    #[test]
    fn bad_input_is_named() {
        let good = segments(&[(0.0, 10.0, "verse")]);
        assert!(matches!(segment_scores(&LabelledIntervals::default(), &good), Err(MetricError::Empty { .. })));
        let unsorted = segments(&[(10.0, 20.0, "b"), (0.0, 10.0, "a")]);
        assert!(matches!(segment_scores(&good, &unsorted), Err(MetricError::NotSorted { index: 1, .. })));
        let endless = segments(&[(0.0, 1e300, "a")]);
        assert!(matches!(segment_scores(&endless, &good), Err(MetricError::OutOfRange { .. })));
    }
}
