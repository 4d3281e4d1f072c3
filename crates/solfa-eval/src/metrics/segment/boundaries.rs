//! Boundaries of the parts of a song: are they found, and how far off are they?
//!
//! Hit rates: Turnbull, Lanckriet, Pampalk, Goto: "A supervised approach for detecting boundaries in music using difference
//! features and boosting", ISMIR 2007, which brought in the deviations too. Windows of 0.5 s and 3 s are MIREX's.

use super::super::FMeasure;
use super::super::MetricError;
use super::super::intervals::{Interval, check_intervals};
use super::super::matching::match_events;

/// The starts and ends of all intervals, ascending, each once, in steps of 10 microseconds.
pub fn boundaries(intervals: &[Interval]) -> Vec<f64> {
    const STEPS_PER_SECOND: f64 = 1e5;
    let ends = intervals.iter().flat_map(|interval| [interval.start, interval.end]);
    let mut times: Vec<f64> = ends.map(|time| (time * STEPS_PER_SECOND).round_ties_even() / STEPS_PER_SECOND).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    times
}

/// How many boundaries are found within `window` seconds, each paired with one other at most.
///
/// `trim` leaves out the first and the last boundary of both, which every estimate has right; `mir_eval` and MIREX count
/// them. 0 where either has no boundary.
///
/// # Errors
/// If an interval is none, or the window is not a number.
pub fn boundary_hit_rate(
    reference: &[Interval],
    estimate: &[Interval],
    window: f64,
    trim: bool,
) -> Result<FMeasure, MetricError> {
    if !window.is_finite() {
        return Err(MetricError::NotFinite { what: "the window of a hit rate", index: 0, value: window });
    }
    let (reference, estimate) =
        (checked("reference segments", reference, trim)?, checked("estimated segments", estimate, trim)?);
    let hits = match_events(&reference, &estimate, window).len();
    Ok(FMeasure::from_counts(hits, reference.len(), estimate.len()))
}

/// Medians of the distances from each boundary to the nearest one of the other, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundaryDeviation {
    /// From boundaries of the reference to the estimate's.
    pub reference_to_estimate: f64,
    /// From boundaries of the estimate to the reference's.
    pub estimate_to_reference: f64,
}

/// How far boundaries are from the nearest one of the other; nothing where either has no boundary (`mir_eval`: NaN).
///
/// # Errors
/// If an interval is none.
pub fn boundary_deviation(
    reference: &[Interval],
    estimate: &[Interval],
    trim: bool,
) -> Result<Option<BoundaryDeviation>, MetricError> {
    let (reference, estimate) =
        (checked("reference segments", reference, trim)?, checked("estimated segments", estimate, trim)?);
    let (Some(reference_to_estimate), Some(estimate_to_reference)) =
        (median_distance(&reference, &estimate), median_distance(&estimate, &reference))
    else {
        return Ok(None);
    };
    Ok(Some(BoundaryDeviation { reference_to_estimate, estimate_to_reference }))
}

fn checked(what: &'static str, intervals: &[Interval], trim: bool) -> Result<Vec<f64>, MetricError> {
    check_intervals(what, intervals)?;
    let mut times = boundaries(intervals);
    if trim {
        times.pop();
        times.drain(..times.len().min(1));
    }
    Ok(times)
}

/// The median distance of `times` from the nearest of `others`; both ascend.
fn median_distance(times: &[f64], others: &[f64]) -> Option<f64> {
    if times.is_empty() || others.is_empty() {
        return None;
    }
    let mut distances: Vec<f64> = times
        .iter()
        .map(|&time| {
            let after = others.partition_point(|&other| other < time);
            let nearest = |place: usize| others.get(place).map_or(f64::INFINITY, |other| (other - time).abs());
            nearest(after).min(after.checked_sub(1).map_or(f64::INFINITY, nearest))
        })
        .collect();
    distances.sort_by(f64::total_cmp);
    let middle = distances.len() / 2;
    Some(if distances.len() % 2 == 1 {
        distances[middle]
    } else {
        f64::midpoint(distances[middle - 1], distances[middle])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(times: &[f64]) -> Vec<Interval> {
        times.windows(2).map(|pair| Interval::new(pair[0], pair[1])).collect()
    }

    #[test]
    fn boundaries_are_rounded_and_unique() {
        let parts = [Interval::new(0.0, 1.000_001), Interval::new(1.000_002, 2.0)];
        assert_eq!(boundaries(&parts), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn hit_rate_by_hand() {
        let (reference, estimate) = (intervals(&[0.0, 10.0, 20.0, 30.0]), intervals(&[0.0, 10.4, 30.0]));
        let untrimmed = boundary_hit_rate(&reference, &estimate, 0.5, false).unwrap();
        assert_eq!((untrimmed.precision, untrimmed.recall), (1.0, 0.75));
        let trimmed = boundary_hit_rate(&reference, &estimate, 0.5, true).unwrap();
        assert_eq!((trimmed.precision, trimmed.recall), (1.0, 0.5));
        assert_eq!(boundary_hit_rate(&reference, &estimate, 0.3, true).unwrap(), FMeasure::ZERO);
        // One part alone has nothing but its ends.
        assert_eq!(boundary_hit_rate(&reference, &intervals(&[0.0, 30.0]), 3.0, true).unwrap(), FMeasure::ZERO);
        assert!(boundary_hit_rate(&reference, &estimate, f64::NAN, false).is_err());
    }

    #[test]
    fn deviation_by_hand() {
        let (reference, estimate) = (intervals(&[0.0, 10.0, 20.0, 30.0]), intervals(&[0.0, 11.0, 30.0]));
        let found = boundary_deviation(&reference, &estimate, false).unwrap().unwrap();
        assert_eq!((found.reference_to_estimate, found.estimate_to_reference), (0.5, 0.0));
        let found = boundary_deviation(&reference, &estimate, true).unwrap().unwrap();
        assert_eq!((found.reference_to_estimate, found.estimate_to_reference), (5.0, 1.0));
        assert_eq!(boundary_deviation(&reference, &[], false).unwrap(), None);
    }
}
