//! Tempi, in beats per minute.

use super::check::{check_finite, check_length, check_not_empty};
use super::error::MetricError;

/// How far a tempo may be from one of a reference's two, as a share of it: MIREX.
pub const TEMPO_DETECTION_TOLERANCE: f64 = 0.08;

/// How far a tempo may be from the reference, as a share of it: Gouyon et al.
pub const TEMPO_ACCURACY_TOLERANCE: f64 = 0.04;

/// Multiples of the reference that [`TempoAccuracy::accuracy_2`] takes for right.
const METRIC_LEVELS: [f64; 5] = [1.0, 2.0, 0.5, 3.0, 1.0 / 3.0];

/// Which of two tempi were found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TempoDetection {
    /// Weights of the references that were found, from 0 to 1.
    pub p_score: f64,
    /// At least one was found.
    pub one_correct: bool,
    /// Both were found.
    pub both_correct: bool,
}

/// Whether an estimate of two tempi found the two that listeners tap to: MIREX's score of audio tempo estimation.
///
/// A reference tempo is found where one of the two estimates is at most `tolerance` of it away. `weight` is the share of
/// listeners who tap to the first tempo. M. F. McKinney, D. Moelants, M. E. P. Davies and A. Klapuri, *Evaluation of audio
/// beat tracking and music tempo extraction algorithms*, Journal of New Music Research, 2007. A tempo of 0 stands for
/// none, and is never found.
///
/// # Errors
/// If a tempo is negative or not finite, both references are 0, or the weight or the tolerance is not from 0 to 1.
pub fn tempo_detection(
    reference: [f64; 2],
    weight: f64,
    estimate: [f64; 2],
    tolerance: f64,
) -> Result<TempoDetection, MetricError> {
    for (what, tempi) in [("tempi of the reference", reference), ("tempi of the estimate", estimate)] {
        check_finite(what, tempi)?;
        check_each(what, &tempi, "a tempo of 0 or more", |tempo| tempo >= 0.0)?;
    }
    if reference == [0.0; 2] {
        return Err(MetricError::Empty { what: "tempi of the reference" });
    }
    for (what, share) in [("weight of the first tempo", weight), ("tolerance", tolerance)] {
        check_each(what, &[share], "a share from 0 to 1", |share| (0.0..=1.0).contains(&share))?;
    }
    let [first, second] = reference
        .map(|tempo| tempo > 0.0 && estimate.iter().any(|estimate| (tempo - estimate).abs() / tempo <= tolerance));
    let p_score = f64::from(u8::from(first)) * weight + f64::from(u8::from(second)) * (1.0 - weight);
    Ok(TempoDetection { p_score, one_correct: first || second, both_correct: first && second })
}

/// How near the tempi of a data set's tracks are to the right ones.
///
/// F. Gouyon, A. Klapuri, S. Dixon, M. Alonso, G. Tzanetakis, C. Uhle and P. Cano, *An experimental comparison of audio
/// tempo induction algorithms*, IEEE Transactions on Audio, Speech, and Language Processing, 2006.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TempoAccuracy {
    /// Share of tracks whose tempo is at most 4 % off.
    pub accuracy_1: f64,
    /// Share of tracks whose tempo is at most 4 % from the reference, its double, half, triple or third.
    pub accuracy_2: f64,
    /// Mean absolute difference, in beats per minute.
    pub mean_absolute_error: f64,
}

/// One tempo for each track.
///
/// # Errors
/// If there are no tracks, the lists have different lengths, a reference is not above 0, or an estimate is negative or not
/// finite.
pub fn tempo_accuracy(reference: &[f64], estimate: &[f64]) -> Result<TempoAccuracy, MetricError> {
    check_not_empty("tempi", reference.len())?;
    check_length("tempi", reference.len(), estimate.len())?;
    check_finite("tempi of the reference", reference.iter().copied())?;
    check_finite("tempi of the estimate", estimate.iter().copied())?;
    check_each("tempi of the reference", reference, "a tempo above 0", |tempo| tempo > 0.0)?;
    check_each("tempi of the estimate", estimate, "a tempo of 0 or more", |tempo| tempo >= 0.0)?;
    let share = |levels: &[f64]| {
        let hits =
            reference.iter().zip(estimate).filter(|&(&reference, &estimate)| is_near(reference, estimate, levels));
        hits.count() as f64 / reference.len() as f64
    };
    let error: f64 = reference.iter().zip(estimate).map(|(reference, estimate)| (reference - estimate).abs()).sum();
    Ok(TempoAccuracy {
        accuracy_1: share(&METRIC_LEVELS[..1]),
        accuracy_2: share(&METRIC_LEVELS),
        mean_absolute_error: error / reference.len() as f64,
    })
}

/// The tempo of beats at these times in seconds, in order: 60 over the median of the distances that are above 0. `None` of
/// beats that have no such distance.
pub fn tempo_of_beats(beats: &[f64]) -> Option<f64> {
    let mut distances: Vec<f64> = beats.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 0.0).collect();
    distances.sort_by(f64::total_cmp);
    let middle = distances.len() / 2;
    let median = match distances.len() {
        0 => return None,
        odd if odd % 2 == 1 => distances[middle],
        _ => 0.5 * (distances[middle - 1] + distances[middle]),
    };
    Some(60.0 / median)
}

fn is_near(reference: f64, estimate: f64, levels: &[f64]) -> bool {
    levels.iter().any(|level| (estimate - level * reference).abs() <= TEMPO_ACCURACY_TOLERANCE * level * reference)
}

fn check_each(
    what: &'static str,
    values: &[f64],
    expected: &str,
    is_right: impl Fn(f64) -> bool,
) -> Result<(), MetricError> {
    match values.iter().position(|&value| !is_right(value)) {
        None => Ok(()),
        Some(index) => Err(MetricError::OutOfRange {
            what,
            index,
            expected: expected.to_owned(),
            found: values[index].to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::golden::{assert_golden_scores, numbers, read};

    #[test]
    fn detection_is_that_of_mir_eval() {
        let (inputs, outputs) = (read("mir-metrics", "inputs.json"), read("mir-metrics", "outputs.json"));
        let mut cases = 0;
        for (name, case) in inputs.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("tempo_")) {
            let [reference, estimate] =
                ["reference", "estimate"].map(|side| <[f64; 2]>::try_from(numbers(&case[side])).unwrap());
            let weight = case["weight"].as_f64().unwrap();
            let found = tempo_detection(reference, weight, estimate, TEMPO_DETECTION_TOLERANCE).unwrap();
            let expected = ["P-score", "One-correct", "Both-correct"]
                .map(|score| outputs["scores"][name][score].as_f64().unwrap());
            let [one, both] = [found.one_correct, found.both_correct].map(|truth| f64::from(u8::from(truth)));
            assert_golden_scores(name, &[found.p_score, one, both], &expected);
            cases += 1;
        }
        assert_eq!(cases, 6);
    }

    #[test]
    fn detection_by_hand() {
        let found = |reference, estimate| tempo_detection(reference, 0.75, estimate, 0.08).unwrap();
        let one = TempoDetection { p_score: 0.75, one_correct: true, both_correct: false };
        assert_eq!(found([100.0, 200.0], [108.0, 150.0]), one);
        assert_eq!(found([100.0, 0.0], [100.0, 0.0]), one);
        assert!(found([100.0, 200.0], [200.0, 100.0]).both_correct);
        assert_eq!(found([100.0, 200.0], [109.0, 0.0]).p_score, 0.0);
    }

    #[test]
    fn accuracies_by_hand() {
        // Right, double, off by 4 %, third, four times.
        let found = tempo_accuracy(&[100.0, 60.0, 100.0, 180.0, 50.0], &[100.0, 120.0, 104.0, 60.0, 200.0]).unwrap();
        assert_eq!((found.accuracy_1, found.accuracy_2), (0.4, 0.8));
        assert_eq!(found.mean_absolute_error, (60.0 + 4.0 + 120.0 + 150.0) / 5.0);
    }

    #[test]
    fn the_median_distance_of_beats_is_their_tempo() {
        for (beats, expected) in [
            (&[0.0, 0.5, 1.0, 3.0][..], Some(120.0)),
            (&[0.0, 0.5, 1.5], Some(80.0)),
            (&[0.0, 0.5, 0.5, 1.0], Some(120.0)),
            (&[1.0, 1.0], None),
            (&[1.0], None),
            (&[], None),
            (&[f64::NAN, 1.0], None),
        ] {
            assert_eq!(tempo_of_beats(beats), expected, "{beats:?}");
        }
    }

    #[test]
    fn bad_input_is_named() {
        let message =
            |reference, weight, estimate| tempo_detection(reference, weight, estimate, 0.08).unwrap_err().to_string();
        assert!(message([0.0, 0.0], 0.5, [100.0, 0.0]).contains("tempi of the reference: there is nothing"));
        assert!(message([100.0, -1.0], 0.5, [100.0, 0.0]).contains("value 1 is -1"));
        assert!(message([100.0, 0.0], 0.5, [f64::NAN, 0.0]).contains("tempi of the estimate: value 0 is NaN"));
        assert!(message([100.0, 0.0], 1.5, [100.0, 0.0]).contains("weight of the first tempo: value 0 is 1.5"));
        assert!(message([100.0, 0.0], f64::NAN, [100.0, 0.0]).contains("is NaN"));
        assert!(tempo_detection([100.0, 0.0], 0.5, [100.0, 0.0], -0.1).is_err());
        assert!(tempo_accuracy(&[], &[]).is_err());
        assert!(tempo_accuracy(&[0.0], &[100.0]).is_err());
        assert!(tempo_accuracy(&[100.0], &[]).is_err());
    }
}
