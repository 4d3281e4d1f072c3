//! Continuity: how much is tracked without a break, at the reference's metric level or at any.
//!
//! S. Hainsworth, *Techniques for the automated analysis of musical audio*, PhD thesis, University of Cambridge, 2004;
//! A. P. Klapuri, A. J. Eronen and J. T. Astola, *Analysis of the meter of acoustic musical signals*, IEEE Transactions on
//! Audio, Speech, and Language Processing, 2006. An estimate is right where it is less than 17.5 % of an interval from the
//! nearest beat, its interval differs from the reference's by less than 17.5 %, and no earlier estimate has that beat.
//! Shares are of the larger of the two numbers of beats.

use super::variations::metrical_variations;
use super::{check, nearest};
use crate::metrics::error::MetricError;

/// How far a beat and its interval may be off, as shares of the reference's interval.
pub const CONTINUITY_TOLERANCE: f64 = 0.175;

/// Four shares of right beats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Continuity {
    /// CMLc: the longest run, against the reference.
    pub correct_level_continuous: f64,
    /// CMLt: all, against the reference.
    pub correct_level_total: f64,
    /// AMLc: the longest run, against the best of the reference, its off-beats, its double, and its two halves.
    pub any_level_continuous: f64,
    /// AMLt: all, against the best of those.
    pub any_level_total: f64,
}

/// Continuity of beats in seconds. All are 0 where a list has fewer than two beats.
///
/// # Errors
/// If a time is not finite or later than 30,000 s, or times descend.
pub fn continuity(reference: &[f64], estimate: &[f64]) -> Result<Continuity, MetricError> {
    check(reference, estimate)?;
    if reference.len() < 2 || estimate.len() < 2 {
        return Ok(Continuity {
            correct_level_continuous: 0.0,
            correct_level_total: 0.0,
            any_level_continuous: 0.0,
            any_level_total: 0.0,
        });
    }
    let levels = metrical_variations(reference).map(|beats| continuous_and_total(&beats, estimate));
    let best = |share: fn(&(f64, f64)) -> f64| levels.iter().map(share).fold(0.0, f64::max);
    Ok(Continuity {
        correct_level_continuous: levels[0].0,
        correct_level_total: levels[0].1,
        any_level_continuous: best(|level| level.0),
        any_level_total: best(|level| level.1),
    })
}

/// `reference` has at least one beat, `estimate` at least two.
fn continuous_and_total(reference: &[f64], estimate: &[f64]) -> (f64, f64) {
    let mut is_taken = vec![false; reference.len()];
    let (mut total, mut run, mut longest_run) = (0usize, 0usize, 0usize);
    for (number, &beat) in estimate.iter().enumerate() {
        let (place, distance) = nearest(reference, beat);
        let is_right = !is_taken[place] && {
            // The first beat of either side looks forward, all others back.
            let is_first = number == 0 || place == 0;
            let interval = interval_at(reference, place, is_first);
            let estimated = interval_at(estimate, number, is_first);
            // Where the interval is 0, the quotients are infinite or not a number, and neither is below the tolerance.
            let phase = (distance / interval).abs();
            let period = (1.0 - estimated / interval).abs();
            phase < CONTINUITY_TOLERANCE && period < CONTINUITY_TOLERANCE
        };
        is_taken[place] |= is_right;
        run = if is_right { run + 1 } else { 0 };
        total += usize::from(is_right);
        longest_run = longest_run.max(run);
    }
    let count = reference.len().max(estimate.len()) as f64;
    (longest_run as f64 / count, total as f64 / count)
}

/// The interval from a beat to the next one, or from the one before it; whichever there is, at the ends. A single beat has
/// an interval of 0.
fn interval_at(beats: &[f64], place: usize, forward: bool) -> f64 {
    if forward && place + 1 < beats.len() {
        beats[place + 1] - beats[place]
    } else {
        beats[place] - beats[place.saturating_sub(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(count: usize) -> Vec<f64> {
        (0..count).map(|index| index as f64 * 0.5).collect()
    }

    #[test]
    fn a_break_ends_the_run_by_hand() {
        // Beat 4 of 10 is 0.1 s late: a phase of 20 %, and two wrong periods: of it and of the one after it (24 %).
        let mut estimate = beats(10);
        estimate[4] += 0.12;
        let found = continuity(&beats(10), &estimate).unwrap();
        assert_eq!((found.correct_level_continuous, found.correct_level_total), (0.4, 0.8));
    }

    #[test]
    fn off_beats_are_another_level() {
        let estimate: Vec<f64> = beats(10).iter().map(|beat| beat + 0.25).collect();
        let found = continuity(&beats(10), &estimate).unwrap();
        assert_eq!((found.correct_level_continuous, found.correct_level_total), (0.0, 0.0));
        assert_eq!((found.any_level_continuous, found.any_level_total), (0.9, 0.9));
    }

    #[test]
    fn equal_times_have_no_interval() {
        let found = continuity(&[1.0, 1.0, 1.0], &[1.0, 1.0]).unwrap();
        assert_eq!((found.correct_level_total, found.any_level_total), (0.0, 0.0));
    }
}
