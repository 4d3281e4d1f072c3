//! Chords: the comparisons of MIREX over time, and how well changes fit.
//!
//! `mir_eval.chord` of Raffel et al. (ISMIR 2014) is what these numbers equal. An estimate is cut to the reference's span
//! and filled with `N` up to it.

mod classes;
mod comparisons;
mod harte;
mod segmentation;

pub use classes::{NO_CHORD_CLASS, NUM_CHORD_CLASSES, chord_class_label, majmin_class, marble_class};
pub use comparisons::{ChordComparison, weighted_accuracy};
pub use harte::{Chord, ChordEncoding, Degree, Quality};
pub use segmentation::{Segmentation, segmentation};

use std::collections::HashMap;

use super::MetricError;
use super::intervals::{LabelledIntervals, check_ordered_intervals, merged};

/// Every score of an estimate by `mir_eval`'s names, in its order: twelve comparisons weighted with time, then `underseg`,
/// `overseg` and `seg`. All are from 0 to 1.
///
/// # Errors
/// If the reference is empty, intervals are not in order or overlap, or a label is no chord.
pub fn chord_scores(
    reference: &LabelledIntervals,
    estimate: &LabelledIntervals,
) -> Result<Vec<(&'static str, f64)>, MetricError> {
    let reference_chords = parse_all("reference chords", reference)?;
    let estimate_chords = parse_all("estimated chords", estimate)?;
    let Some(span) = reference.span() else {
        return Err(MetricError::Empty { what: "reference chords" });
    };
    let fitted = estimate.fitted(span, "N", "N");
    // Every label has been read: what was put in is `N`, and what was there is in the table.
    let mut known: HashMap<&str, Chord> = estimate.labels.iter().map(String::as_str).zip(estimate_chords).collect();
    known.insert("N", Chord::NoChord);
    let fitted_chords: Vec<&Chord> = fitted.labels.iter().filter_map(|label| known.get(label.as_str())).collect();

    let reference_encodings: Vec<ChordEncoding> = reference_chords.iter().map(Chord::encode).collect();
    let estimate_encodings: Vec<ChordEncoding> = fitted_chords.iter().map(|chord| chord.encode()).collect();
    let pieces = merged(&reference.intervals, &fitted.intervals);
    let durations: Vec<f64> = pieces.iter().map(|(piece, ..)| piece.duration()).collect();
    let mut scores = Vec::with_capacity(ChordComparison::ALL.len() + 3);
    for rule in ChordComparison::ALL {
        let compared: Vec<Option<bool>> = pieces
            .iter()
            .map(|&(_, reference, estimate)| rule.compare(reference_encodings[reference], estimate_encodings[estimate]))
            .collect();
        scores.push((rule.name(), weighted_accuracy(&compared, &durations)?));
    }
    let all_notes: Vec<_> = reference_chords.iter().map(Chord::encode_all_notes).collect();
    let reference_segments = segmentation::merge_equal_chords(reference, &all_notes);
    let all_notes: Vec<_> = fitted_chords.iter().map(|chord| chord.encode_all_notes()).collect();
    let estimate_segments = segmentation::merge_equal_chords(&fitted, &all_notes);
    let segmentation = segmentation(&reference_segments, &estimate_segments);
    scores.push(("underseg", segmentation.under));
    scores.push(("overseg", segmentation.over));
    scores.push(("seg", segmentation.minimum()));
    Ok(scores)
}

fn parse_all(what: &'static str, chords: &LabelledIntervals) -> Result<Vec<Chord>, MetricError> {
    if chords.labels.len() != chords.intervals.len() {
        return Err(MetricError::LengthMismatch { what, expected: chords.intervals.len(), found: chords.labels.len() });
    }
    check_ordered_intervals(what, &chords.intervals)?;
    chords.labels.iter().map(|label| Chord::parse(label)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::golden_cases::{Golden, labelled};
    use super::*;

    fn chords(parts: &[(f64, f64, &str)]) -> LabelledIntervals {
        let mut chords = LabelledIntervals::default();
        for &(start, end, label) in parts {
            chords.push(start, end, label);
        }
        chords
    }

    fn score(scores: &[(&'static str, f64)], name: &str) -> f64 {
        scores.iter().find(|(found, _)| *found == name).unwrap().1
    }

    #[test]
    fn golden_chords() {
        let golden = Golden::read("mir-metrics");
        let cases = golden.cases("chord_");
        assert_eq!(cases.len(), 6);
        for case in &cases {
            let reference = labelled(&case.input["intervals"], &case.input["reference"]);
            let estimate = labelled(&case.input["intervals"], &case.input["estimate"]);
            case.assert_scores(&chord_scores(&reference, &estimate).unwrap());
        }
    }

    #[test]
    fn an_estimate_is_cut_and_padded() {
        let reference = chords(&[(0.0, 2.0, "C"), (2.0, 4.0, "N")]);
        let short = chord_scores(&reference, &chords(&[(0.0, 1.0, "C")])).unwrap();
        assert_eq!(score(&short, "majmin"), 0.75);
        let long =
            chord_scores(&reference, &chords(&[(0.0, 2.0, "C:maj7"), (2.0, 3.0, "N"), (3.0, 9.0, "G")])).unwrap();
        assert_eq!((score(&long, "triads"), score(&long, "tetrads")), (0.75, 0.25));
        let nothing = chord_scores(&reference, &LabelledIntervals::default()).unwrap();
        assert_eq!(score(&nothing, "root"), 0.5);
    }

    #[test]
    fn the_same_is_perfect() {
        let reference = chords(&[(0.5, 2.0, "C:maj/3"), (2.0, 4.0, "A:min7"), (5.0, 6.0, "N")]);
        assert!(chord_scores(&reference, &reference).unwrap().iter().all(|&(_, value)| value == 1.0));
    }

    #[test]
    fn neighbours_of_one_chord_are_one_segment() {
        let reference = chords(&[(0.0, 4.0, "C")]);
        let cut = chords(&[(0.0, 1.0, "C"), (1.0, 4.0, "C:(3,5)")]);
        assert_eq!(score(&chord_scores(&reference, &cut).unwrap(), "overseg"), 1.0);
        let with_ninth = chords(&[(0.0, 1.0, "C"), (1.0, 4.0, "C:maj(9)")]);
        assert_eq!(score(&chord_scores(&reference, &with_ninth).unwrap(), "overseg"), 0.75);
    }

    #[test]
    fn bad_input_is_named() {
        let good = chords(&[(0.0, 4.0, "C")]);
        let overlapping = chords(&[(0.0, 4.0, "C"), (3.0, 5.0, "G")]);
        assert!(matches!(chord_scores(&good, &overlapping), Err(MetricError::NotSorted { index: 1, .. })));
        assert!(matches!(chord_scores(&LabelledIntervals::default(), &good), Err(MetricError::Empty { .. })));
        let misspelt = chords(&[(0.0, 4.0, "Cmaj7")]);
        let error = chord_scores(&good, &misspelt).unwrap_err().to_string();
        assert!(error.contains("`Cmaj7` cannot be read"), "{error}");
    }
}
