//! Goto's score: whether the beat was tracked at all.
//!
//! M. Goto and Y. Muraoka, *Issues in evaluating beat tracking systems*, IJCAI workshop on issues in AI and music, 1997. Each
//! beat of the reference but the first and the last has a window up to half-way to its neighbours. With exactly one estimate
//! in it, its error is that estimate's distance as a share of the half-window; otherwise it is 1. The score is 1 where the
//! longest run of beats with errors of at most 0.35 is longer than a quarter of the piece, and its errors have a mean below
//! 0.2 (of their sizes) and a standard deviation below 0.2.
//!
//! Where the run begins and ends follows `mir_eval`: with two wrong beats only (the first and the last, which always count
//! as wrong), the run ends before the last but one; otherwise it includes the wrong beats at its two ends.

use super::check;
use crate::metrics::error::MetricError;

/// The largest error of a beat that is right, as a share of its half-window.
const LARGEST_ERROR: f64 = 0.35;
/// The mean of errors, without their sign, must be below this.
const LARGEST_MEAN: f64 = 0.2;
/// The standard deviation of errors must be below this.
const LARGEST_DEVIATION: f64 = 0.2;
/// The run must be longer than this share of the beats that have windows.
const SHORTEST_SHARE: f64 = 0.25;

/// 1 where the beat was tracked, 0 where it was not. Beats are in seconds; 0 where a list is empty.
///
/// # Errors
/// If a time is not finite or later than 30,000 s, or times descend.
pub fn goto(reference: &[f64], estimate: &[f64]) -> Result<f64, MetricError> {
    check(reference, estimate)?;
    if reference.len() < 3 || estimate.is_empty() {
        return Ok(0.0);
    }
    let errors = errors_of_beats(reference, estimate);
    let wrong: Vec<usize> = (0..errors.len()).filter(|&beat| errors[beat].abs() > LARGEST_ERROR).collect();
    let run = if let [first, last] = wrong[..] {
        Some(first + 1..last - 1)
    } else {
        let length = wrong.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        let is_long = length as f64 - 1.0 > SHORTEST_SHARE * (reference.len() as f64 - 2.0);
        let longest = wrong.windows(2).find(|pair| pair[1] - pair[0] == length);
        longest.filter(|_| is_long).map(|pair| pair[0]..pair[1] + 1)
    };
    Ok(if run.is_some_and(|run| is_steady(&errors[run])) { 1.0 } else { 0.0 })
}

/// The signed error of every beat; 1 for the first, the last, and those without exactly one estimate.
fn errors_of_beats(reference: &[f64], estimate: &[f64]) -> Vec<f64> {
    let mut errors = vec![1.0; reference.len()];
    for (beats, error) in reference.windows(3).zip(&mut errors[1..]) {
        let (before, after) = (0.5 * (beats[1] - beats[0]), 0.5 * (beats[2] - beats[1]));
        let first = estimate.partition_point(|&time| time < beats[1] - before);
        let end = estimate.partition_point(|&time| time < beats[1] + after);
        if end == first + 1 {
            let offset = estimate[first] - beats[1];
            *error = offset / if offset < 0.0 { before } else { after };
        }
    }
    errors
}

/// One error or none has no standard deviation, and is not enough.
fn is_steady(errors: &[f64]) -> bool {
    if errors.len() < 2 {
        return false;
    }
    let count = errors.len() as f64;
    let mean_size = errors.iter().map(|error| error.abs()).sum::<f64>() / count;
    let mean = errors.iter().sum::<f64>() / count;
    let variance = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / (count - 1.0);
    mean_size < LARGEST_MEAN && variance.sqrt() < LARGEST_DEVIATION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(count: usize) -> Vec<f64> {
        (0..count).map(|index| index as f64 * 0.5).collect()
    }

    #[test]
    fn errors_are_shares_of_the_half_window() {
        let errors = errors_of_beats(&[0.0, 1.0, 2.0, 4.0, 5.0], &[0.0, 0.75, 2.5, 4.0, 4.1]);
        assert_eq!(errors, [1.0, -0.5, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn steady_beats_are_tracked_and_others_are_not() {
        let reference = beats(40);
        assert_eq!(goto(&reference, &reference), Ok(1.0));
        let late = |share: f64| -> Vec<f64> { reference.iter().map(|beat| beat + share * 0.25).collect() };
        assert_eq!(goto(&reference, &late(0.1)), Ok(1.0));
        assert_eq!(goto(&reference, &late(0.3)), Ok(0.0), "every beat is right, but the mean error is too large");
        let half: Vec<f64> = reference.iter().copied().step_by(2).collect();
        assert_eq!(goto(&reference, &half), Ok(0.0));
    }

    #[test]
    fn a_long_run_is_enough() {
        // Beats 21 to 118 are tracked. With the wrong ones at the ends of the run, 2 of 100 have an error of 1, and the
        // deviation is 0.14.
        assert_eq!(goto(&beats(120), &beats(120)[21..]), Ok(1.0));
        // With 2 of 20 it is 0.31.
        assert_eq!(goto(&beats(40), &beats(40)[21..]), Ok(0.0));
        // 18 of 118 are less than a quarter.
        assert_eq!(goto(&beats(120), &beats(120)[101..]), Ok(0.0));
    }

    #[test]
    fn short_references_have_no_run() {
        for count in 0..5 {
            assert_eq!(goto(&beats(count), &beats(count)), Ok(0.0), "{count}");
        }
        assert_eq!(goto(&beats(5), &beats(5)), Ok(1.0));
    }
}
