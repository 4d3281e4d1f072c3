//! Beats: how well estimated times agree with those that listeners tapped.
//!
//! Times are in seconds and ascend. The suite is that of M. E. P. Davies, N. Degara and M. D. Plumbley, *Evaluation methods
//! for musical audio beat tracking algorithms*, Technical Report C4DM-TR-09-06, Queen Mary University of London, 2009, as
//! `mir_eval` computes it. Downbeats are scored by the same functions.
//!
//! Lists with too few beats for a score, and empty ones, score 0, as in `mir_eval`. Negative times are allowed, equal ones
//! too; times that descend, that are not finite, or that are later than 30,000 s are errors.

mod cemgil;
mod continuity;
mod f_measure;
mod goto;
mod information_gain;
mod p_score;
mod pooled;
mod variations;

pub use cemgil::{CEMGIL_SIGMA_SECONDS, Cemgil, cemgil};
pub use continuity::{CONTINUITY_TOLERANCE, Continuity, continuity};
pub use f_measure::{BEAT_WINDOW_SECONDS, beat_f_measure};
pub use goto::goto;
pub use information_gain::information_gain;
pub use p_score::p_score;
pub use pooled::PooledFMeasure;

use super::check::check_events;
use super::error::MetricError;

/// Beats before this time, in seconds, are left out of the suite: listeners need to find the beat before they tap to it.
pub const TRIM_SECONDS: f64 = 5.0;

/// The events at or after a time, in seconds.
pub fn trim(times: &[f64], earliest_seconds: f64) -> Vec<f64> {
    times.iter().copied().filter(|&time| time >= earliest_seconds).collect()
}

/// Every score of the suite. All are from 0 to 1 (the first Cemgil score may be a little above 1 where several beats of a
/// reference are at one time), and 1 is perfect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeatScores {
    /// F-measure with a window of 70 ms.
    pub f_measure: f64,
    /// Gaussian accuracy, at the reference's metric level and at the best one.
    pub cemgil: Cemgil,
    /// 1 where a quarter of the piece is tracked without a break.
    pub goto: f64,
    /// Cross-correlation of both, as McKinney defined it.
    pub p_score: f64,
    /// Correct beats, continuous or in total, at the correct metric level or at any.
    pub continuity: Continuity,
    /// How far the histogram of errors is from a flat one.
    pub information_gain: f64,
}

impl BeatScores {
    /// Checks both lists, leaves out what comes before `earliest_seconds` ([`TRIM_SECONDS`] in `mir_eval`'s evaluation),
    /// and computes all scores.
    ///
    /// # Errors
    /// If a time is not finite or later than 30,000 s, times descend, or all beats of the reference are at one time.
    pub fn new(reference: &[f64], estimate: &[f64], earliest_seconds: f64) -> Result<Self, MetricError> {
        check(reference, estimate)?;
        let (reference, estimate) = (&trim(reference, earliest_seconds), &trim(estimate, earliest_seconds));
        Ok(Self {
            f_measure: beat_f_measure(reference, estimate, BEAT_WINDOW_SECONDS)?.f_measure,
            cemgil: cemgil(reference, estimate)?,
            goto: goto(reference, estimate)?,
            p_score: p_score(reference, estimate)?,
            continuity: continuity(reference, estimate)?,
            information_gain: information_gain(reference, estimate)?,
        })
    }

    /// Every score with the name that `mir_eval` gives it, in its order.
    pub fn named(&self) -> [(&'static str, f64); 10] {
        [
            ("F-measure", self.f_measure),
            ("Cemgil", self.cemgil.score),
            ("Cemgil Best Metric Level", self.cemgil.best_metric_level),
            ("Goto", self.goto),
            ("P-score", self.p_score),
            ("Correct Metric Level Continuous", self.continuity.correct_level_continuous),
            ("Correct Metric Level Total", self.continuity.correct_level_total),
            ("Any Metric Level Continuous", self.continuity.any_level_continuous),
            ("Any Metric Level Total", self.continuity.any_level_total),
            ("Information gain", self.information_gain),
        ]
    }
}

fn check(reference: &[f64], estimate: &[f64]) -> Result<(), MetricError> {
    check_events("beats of the reference", reference)?;
    check_events("beats of the estimate", estimate)
}

/// The place of the event nearest to `time`, and how far it is: the first of those that are equally near. `times` ascend
/// and are not empty.
fn nearest(times: &[f64], time: f64) -> (usize, f64) {
    let after = times.partition_point(|&other| other < time);
    let distance = |index: usize| (time - times[index]).abs();
    let mut index = match after {
        0 => 0,
        _ if after == times.len() || distance(after - 1) <= distance(after) => after - 1,
        _ => after,
    };
    let smallest = distance(index);
    while index > 0 && distance(index - 1) <= smallest {
        index -= 1;
    }
    (index, smallest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::golden::{assert_golden_scores, numbers, read};

    #[test]
    fn scores_are_those_of_mir_eval() {
        let (inputs, outputs) = (read("mir-metrics", "inputs.json"), read("mir-metrics", "outputs.json"));
        let mut cases = 0;
        for (name, case) in inputs.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("beat_")) {
            let [reference, estimate] = ["reference", "estimate"].map(|side| numbers(&case[side]));
            let golden = &outputs["scores"][name];
            let scores = BeatScores::new(&reference, &estimate, TRIM_SECONDS).unwrap();
            let untrimmed = beat_f_measure(&reference, &estimate, BEAT_WINDOW_SECONDS).unwrap().f_measure;
            let (mut actual, mut expected): (Vec<f64>, Vec<f64>) =
                scores.named().iter().map(|(score, value)| (value, golden[score].as_f64().unwrap())).unzip();
            actual.push(untrimmed);
            expected.push(golden["F-measure (no trim)"].as_f64().unwrap());
            assert_golden_scores(name, &actual, &expected);
            cases += 1;
        }
        assert_eq!(cases, 6);
    }

    fn steady(count: usize, period: f64) -> Vec<f64> {
        (0..count).map(|index| 6.0 + index as f64 * period).collect()
    }

    #[test]
    fn a_perfect_estimate_has_ones_everywhere() {
        let beats = steady(40, 0.5);
        let scores = BeatScores::new(&beats, &beats, TRIM_SECONDS).unwrap();
        for (name, score) in scores.named() {
            assert!((score - 1.0).abs() < 1e-12, "{name}: {score}");
        }
    }

    #[test]
    fn too_few_beats_score_zero() {
        let beats = steady(40, 0.5);
        for (reference, estimate) in [(&beats[..], &[][..]), (&[], &beats), (&[], &[]), (&[1.0, 2.0], &beats)] {
            let scores = BeatScores::new(reference, estimate, TRIM_SECONDS).unwrap();
            assert!(scores.named().iter().all(|(_, score)| *score == 0.0), "{scores:?}");
        }
        let one = BeatScores::new(&beats[..1], &beats[..1], TRIM_SECONDS).unwrap();
        assert_eq!((one.f_measure, one.cemgil.score), (1.0, 1.0));
        assert_eq!((one.goto, one.p_score, one.continuity.any_level_total, one.information_gain), (0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn bad_times_are_errors_even_where_they_are_trimmed() {
        let beats = steady(4, 0.5);
        for wrong in [&[2.0, 1.0, 7.0][..], &[f64::NAN, 7.0], &[7.0, f64::INFINITY], &[7.0, 40_000.0]] {
            assert!(BeatScores::new(wrong, &beats, TRIM_SECONDS).is_err(), "{wrong:?}");
            assert!(BeatScores::new(&beats, wrong, TRIM_SECONDS).is_err(), "{wrong:?}");
            assert!(beat_f_measure(wrong, &beats, 0.07).is_err() && goto(wrong, &beats).is_err());
            assert!(cemgil(wrong, &beats).is_err() && p_score(wrong, &beats).is_err());
            assert!(continuity(wrong, &beats).is_err() && information_gain(wrong, &beats).is_err());
        }
        BeatScores::new(&[-3.0, -1.0, 7.0], &beats, TRIM_SECONDS).unwrap();
        BeatScores::new(&[-3.0, -1.0, 7.0], &[-2.0, 1.0], -10.0).unwrap();
    }

    #[test]
    fn trimming_keeps_the_limit() {
        assert_eq!(trim(&[4.9, 5.0, 5.1], 5.0), [5.0, 5.1]);
    }

    #[test]
    fn the_nearest_is_the_first_of_equals() {
        let times = [1.0, 1.0, 2.0, 4.0, 4.0];
        assert_eq!(nearest(&times, 0.0), (0, 1.0));
        assert_eq!(nearest(&times, 1.5), (0, 0.5));
        assert_eq!(nearest(&times, 1.75), (2, 0.25));
        assert_eq!(nearest(&times, 3.5), (3, 0.5));
        assert_eq!(nearest(&times, 9.0), (3, 5.0));
    }
}
