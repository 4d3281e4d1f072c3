//! McKinney's P-score: how much of two trains of impulses coincides.
//!
//! M. F. McKinney, D. Moelants, M. E. P. Davies and A. Klapuri, *Evaluation of audio beat tracking and music tempo extraction
//! algorithms*, Journal of New Music Research, 2007. Beats are put on a grid of 10 ms; the score is the sum of the
//! cross-correlation of the two over lags of up to 0.2 times the median interval between beats of the reference, over the
//! larger of the two numbers of beats. It can be above 1 where one beat has several partners.

use super::check;
use crate::metrics::error::MetricError;

/// Places of the grid per second.
const GRID_HZ: f64 = 100.0;
/// The largest lag, as a share of the reference's median interval.
const WINDOW_SHARE: f64 = 0.2;

/// McKinney's P-score of beats in seconds. 0 where a list has fewer than two beats.
///
/// # Errors
/// If a time is not finite or later than 30,000 s, times descend, or all beats of the reference fall on one place of the
/// grid, so that they have no interval.
pub fn p_score(reference: &[f64], estimate: &[f64]) -> Result<f64, MetricError> {
    check(reference, estimate)?;
    if reference.len() < 2 || estimate.len() < 2 {
        return Ok(0.0);
    }
    let start = reference[0].min(estimate[0]);
    let places = |beats: &[f64]| -> Vec<i64> {
        let mut places: Vec<i64> = beats.iter().map(|beat| ((beat - start) * GRID_HZ).ceil() as i64).collect();
        places.dedup();
        places
    };
    let (references, estimates) = (places(reference), places(estimate));
    let Some(interval) = median_interval(&references) else {
        return Err(MetricError::OutOfRange {
            what: "beats of the reference",
            index: reference.len() - 1,
            expected: "a time more than 10 ms after the first beat's".to_owned(),
            found: format!("{} s", reference[reference.len() - 1]),
        });
    };
    let largest_lag = (WINDOW_SHARE * interval).round_ties_even() as i64;
    let (mut first, mut end, mut coincidences) = (0, 0, 0);
    for &place in &estimates {
        first += references[first..].partition_point(|&other| other < place - largest_lag);
        end += references[end..].partition_point(|&other| other <= place + largest_lag);
        coincidences += end - first;
    }
    Ok(coincidences as f64 / reference.len().max(estimate.len()) as f64)
}

fn median_interval(places: &[i64]) -> Option<f64> {
    let mut intervals: Vec<i64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
    intervals.sort_unstable();
    let middle = intervals.len() / 2;
    match intervals.len() {
        0 => None,
        count if count % 2 == 1 => Some(intervals[middle] as f64),
        _ => Some(0.5 * (intervals[middle - 1] + intervals[middle]) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coincidences_by_hand() {
        // Intervals of 0.5 s: lags of up to 0.1 s count. Estimates are at places 0, 60, 116 and 141 of the grid.
        let reference = [1.0, 1.5, 2.0, 2.5];
        assert_eq!(p_score(&reference, &[1.0, 1.59375, 2.15625, 2.40625]), Ok(0.75));
        assert_eq!(p_score(&reference, &[1.0, 1.5]), Ok(0.5));
        assert_eq!(p_score(&reference, &[1.0]), Ok(0.0));
    }

    #[test]
    fn a_reference_without_an_interval_is_an_error() {
        let error = p_score(&[1.0, 1.0], &[1.0, 2.0]).unwrap_err().to_string();
        assert!(error.contains("beats of the reference: value 1 is 1 s"), "{error}");
        assert_eq!(p_score(&[1.0, 2.0], &[1.0, 1.0]), Ok(0.5));
    }
}
