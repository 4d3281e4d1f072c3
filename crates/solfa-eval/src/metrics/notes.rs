//! Notes: onset, pitch and offset of a transcription.
//!
//! Bay, Ehmann, Downie: "Evaluation of multiple-F0 estimation and tracking systems", ISMIR 2009 (MIREX's note tracking);
//! Ycart, Liu, Benetos, Pearce: "Investigating the perceptual validity of evaluation metrics for automatic piano music
//! transcription", TISMIR 2020, weighs them. `mir_eval.transcription` (Raffel et al., ISMIR 2014) with its defaults is what
//! these numbers equal.
//!
//! A note is found where its onset is within 50 ms, its pitch within 50 cents and, where offsets count, its offset within
//! 50 ms or 20 % of the reference's length, whichever is more. Each note is in one pair at most, and there are as many
//! pairs as possible.

use super::FMeasure;
use super::MetricError;
use super::bipartite::maximum_matching;

/// One note.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Note {
    /// Where it starts, in seconds.
    pub onset: f64,
    /// Where it ends, in seconds.
    pub offset: f64,
    /// Its pitch in Hz.
    pub frequency: f64,
}

/// How far notes may be apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoteTolerances {
    /// Of onsets, in seconds.
    pub onset: f64,
    /// Of pitches, in cents.
    pub pitch: f64,
    /// Of offsets, in seconds.
    pub offset: f64,
    /// Of offsets, as a share of the reference note's length, where that is more.
    pub offset_ratio: f64,
}

impl Default for NoteTolerances {
    /// MIREX's: 50 ms, 50 cents, 50 ms or 20 %.
    fn default() -> Self {
        Self { onset: 0.05, pitch: 50.0, offset: 0.05, offset_ratio: 0.2 }
    }
}

/// What has to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteRule {
    /// Onset, pitch and offset.
    OnsetPitchOffset,
    /// Onset and pitch.
    OnsetPitch,
    /// The onset alone.
    Onset,
    /// The offset alone.
    Offset,
}

/// The largest set of pairs `(reference, estimate)` of notes that count as the same, sorted.
///
/// Times are compared to a tenth of a millisecond, so that 50 ms are 50 ms whatever rounding does.
///
/// # Errors
/// If a note is not finite, starts before 0, ends before it starts, or its pitch is not above 0 Hz.
pub fn match_notes(
    reference: &[Note],
    estimate: &[Note],
    rule: NoteRule,
    tolerances: &NoteTolerances,
) -> Result<Vec<(usize, usize)>, MetricError> {
    check("reference notes", reference)?;
    check("estimated notes", estimate)?;
    let edges = edges(reference, estimate, rule, tolerances);
    let pairs = maximum_matching(estimate.len(), reference.len(), &edges);
    let mut pairs: Vec<_> = pairs.into_iter().map(|(estimate, reference)| (reference, estimate)).collect();
    pairs.sort_unstable();
    Ok(pairs)
}

/// The mean over pairs of what both notes cover, as a share of what either covers; 0 where there is no pair.
pub fn average_overlap_ratio(reference: &[Note], estimate: &[Note], pairs: &[(usize, usize)]) -> f64 {
    let ratios: Vec<f64> = pairs
        .iter()
        .filter_map(|&(one, other)| Some((reference.get(one)?, estimate.get(other)?)))
        .map(|(one, other)| {
            (one.offset.min(other.offset) - one.onset.max(other.onset))
                / (one.offset.max(other.offset) - one.onset.min(other.onset))
        })
        .collect();
    if ratios.is_empty() { 0.0 } else { ratios.iter().sum::<f64>() / ratios.len() as f64 }
}

/// Every score of a transcription by `mir_eval`'s names, in its order; each from 0 to 1 (the average overlap ratio of
/// notes that only touch in their tolerances may be below 0).
///
/// Without notes on either side, all are 0.
///
/// # Errors
/// As [`match_notes`].
pub fn note_scores(reference: &[Note], estimate: &[Note]) -> Result<Vec<(&'static str, f64)>, MetricError> {
    let tolerances = NoteTolerances::default();
    let score = |rule| {
        let pairs = match_notes(reference, estimate, rule, &tolerances)?;
        let scores = FMeasure::from_counts(pairs.len(), reference.len(), estimate.len());
        Ok((scores, average_overlap_ratio(reference, estimate, &pairs)))
    };
    let (all, all_overlap) = score(NoteRule::OnsetPitchOffset)?;
    let (no_offset, no_offset_overlap) = score(NoteRule::OnsetPitch)?;
    let (onset, _) = score(NoteRule::Onset)?;
    let (offset, _) = score(NoteRule::Offset)?;
    Ok(vec![
        ("Precision", all.precision),
        ("Recall", all.recall),
        ("F-measure", all.f_measure),
        ("Average_Overlap_Ratio", all_overlap),
        ("Precision_no_offset", no_offset.precision),
        ("Recall_no_offset", no_offset.recall),
        ("F-measure_no_offset", no_offset.f_measure),
        ("Average_Overlap_Ratio_no_offset", no_offset_overlap),
        ("Onset_Precision", onset.precision),
        ("Onset_Recall", onset.recall),
        ("Onset_F-measure", onset.f_measure),
        ("Offset_Precision", offset.precision),
        ("Offset_Recall", offset.recall),
        ("Offset_F-measure", offset.f_measure),
    ])
}

/// Which pairs `(estimate, reference)` count as the same, by reference and then by estimate.
fn edges(reference: &[Note], estimate: &[Note], rule: NoteRule, tolerances: &NoteTolerances) -> Vec<(usize, usize)> {
    // Notes that are near in time are neighbours in the order of their onsets, or of their offsets.
    let time = |note: &Note| if rule == NoteRule::Offset { note.offset } else { note.onset };
    let mut order: Vec<usize> = (0..estimate.len()).collect();
    order.sort_by(|&one, &other| time(&estimate[one]).total_cmp(&time(&estimate[other])));
    let mut edges = Vec::new();
    for (number, note) in reference.iter().enumerate() {
        let offset_tolerance = tolerances.offset.max(tolerances.offset_ratio * (note.offset - note.onset));
        let window = if rule == NoteRule::Offset { offset_tolerance } else { tolerances.onset } + STEP_SECONDS;
        let first = order.partition_point(|&other| time(&estimate[other]) < time(note) - window);
        let near = order[first..].iter().take_while(|&&other| time(&estimate[other]) <= time(note) + window);
        let mut same: Vec<usize> = near
            .copied()
            .filter(|&other| {
                let other = &estimate[other];
                let onset = || distance(note.onset, other.onset) <= tolerances.onset;
                let pitch = || (1200.0 * (note.frequency.log2() - other.frequency.log2())).abs() <= tolerances.pitch;
                let offset = || distance(note.offset, other.offset) <= offset_tolerance;
                match rule {
                    NoteRule::OnsetPitchOffset => onset() && pitch() && offset(),
                    NoteRule::OnsetPitch => onset() && pitch(),
                    NoteRule::Onset => onset(),
                    NoteRule::Offset => offset(),
                }
            })
            .collect();
        same.sort_unstable();
        edges.extend(same.into_iter().map(|other| (other, number)));
    }
    edges
}

/// What distances are rounded to.
const STEP_SECONDS: f64 = 1e-4;

/// How far two times are apart, in whole tenths of a millisecond.
fn distance(one: f64, other: f64) -> f64 {
    const STEPS_PER_SECOND: f64 = 1e4;
    ((one - other).abs() * STEPS_PER_SECOND).round_ties_even() / STEPS_PER_SECOND
}

fn check(what: &'static str, notes: &[Note]) -> Result<(), MetricError> {
    for (index, note) in notes.iter().enumerate() {
        for value in [note.onset, note.offset, note.frequency] {
            if !value.is_finite() {
                return Err(MetricError::NotFinite { what, index, value });
            }
        }
        let expected = if note.onset < 0.0 {
            "an onset that is not negative"
        } else if note.offset <= note.onset {
            "an offset after the onset"
        } else if note.frequency <= 0.0 {
            "a pitch above 0 Hz"
        } else {
            continue;
        };
        let found = format!("{} s to {} s at {} Hz", note.onset, note.offset, note.frequency);
        return Err(MetricError::OutOfRange { what, index, expected: expected.to_owned(), found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::golden_cases::{Golden, numbers};
    use super::*;

    fn note(onset: f64, offset: f64, frequency: f64) -> Note {
        Note { onset, offset, frequency }
    }

    fn score(scores: &[(&'static str, f64)], name: &str) -> f64 {
        scores.iter().find(|(found, _)| *found == name).unwrap().1
    }

    fn notes(values: &Value) -> Vec<Note> {
        let rows = values.as_array().unwrap().iter().map(numbers);
        rows.map(|row| note(row[0], row[1], row[2])).collect()
    }

    #[test]
    fn golden_notes() {
        let golden = Golden::read("mir-notes");
        let cases = golden.cases("notes_");
        assert_eq!(cases.len(), 8);
        for case in &cases {
            let (reference, estimate) = (notes(&case.input["reference"]), notes(&case.input["estimate"]));
            case.assert_scores(&note_scores(&reference, &estimate).unwrap());
        }
    }

    #[test]
    fn rules_by_hand() {
        let reference = [note(0.0, 1.0, 440.0), note(1.0, 1.1, 220.0)];
        let estimate = [note(0.05, 1.2, 445.0), note(1.0, 1.2, 220.0)];
        let scores = note_scores(&reference, &estimate).unwrap();
        // The first offset is late by 20 % of the note's second; the second by 100 % of a short note.
        assert_eq!(score(&scores, "F-measure"), 0.5);
        assert_eq!(score(&scores, "F-measure_no_offset"), 1.0);
        assert_eq!(score(&scores, "Offset_Precision"), 0.5);
        let overlap = f64::midpoint(0.95 / 1.2, 0.1 / 0.2);
        assert!((score(&scores, "Average_Overlap_Ratio_no_offset") - overlap).abs() < 1e-12);
    }

    #[test]
    fn limits_are_closed_to_a_tenth_of_a_millisecond() {
        let reference = [note(1.0, 2.0, 440.0)];
        let found = |onset: f64, cents: f64| {
            let estimate = [note(onset, 2.0, 440.0 * 2f64.powf(cents / 1200.0))];
            match_notes(&reference, &estimate, NoteRule::OnsetPitch, &NoteTolerances::default()).unwrap().len()
        };
        assert_eq!((found(1.05, 0.0), found(1.050_04, 0.0), found(1.050_06, 0.0)), (1, 1, 0));
        assert_eq!((found(1.0, 49.9), found(1.0, 50.1)), (1, 0));
    }

    #[test]
    fn pairing_takes_back_a_first_choice() {
        // The first estimate is near both references, the second near the first only.
        let reference = [note(0.0, 1.0, 440.0), note(0.08, 1.0, 440.0)];
        let estimate = [note(0.04, 1.0, 440.0), note(0.0, 1.0, 440.0)];
        let pairs = match_notes(&reference, &estimate, NoteRule::OnsetPitch, &NoteTolerances::default()).unwrap();
        assert_eq!(pairs, [(0, 1), (1, 0)]);
    }

    #[test]
    fn nothing_scores_nothing() {
        for (reference, estimate) in [(vec![], vec![]), (vec![note(0.0, 1.0, 440.0)], vec![])] {
            assert!(note_scores(&reference, &estimate).unwrap().iter().all(|&(_, value)| value == 0.0));
        }
    }

    #[test]
    fn bad_notes_are_named() {
        let good = [note(0.0, 1.0, 440.0)];
        for (bad, reason) in [
            (note(1.0, 1.0, 440.0), "an offset after the onset"),
            (note(-1.0, 1.0, 440.0), "an onset that is not negative"),
            (note(0.0, 1.0, 0.0), "a pitch above 0 Hz"),
            (note(0.0, f64::INFINITY, 440.0), "value 0 is inf"),
        ] {
            let error = note_scores(&good, &[bad]).unwrap_err().to_string();
            assert!(error.contains("estimated notes") && error.contains(reason), "{error}");
        }
    }
}
