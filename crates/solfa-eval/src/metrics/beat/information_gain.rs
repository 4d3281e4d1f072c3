//! Information gain: how far the histogram of beat errors is from a flat one.
//!
//! M. E. P. Davies, N. Degara and M. D. Plumbley, *Measuring the performance of beat tracking algorithms using a beat error
//! histogram*, IEEE Signal Processing Letters, 2011. The error of each beat of one list is its distance to the nearest of the
//! other, as a share of the interval there, from -0.5 to 0.5, in 41 bins. The score is `(log2 41 - H) / log2 41` with `H` the
//! larger entropy of the two directions. An estimate that has nothing to do with the reference has about 0.
//!
//! Two peculiarities are `mir_eval`'s: the interval is the one *before* a beat for errors below 0 and the one *after* it
//! otherwise, but for the last beat; and before the first beat it is the negative length of the whole list.

use super::{check, nearest};
use crate::metrics::error::MetricError;

/// Odd, so that one bin is centred at no error.
const NUM_BINS: usize = 41;

/// Information gain of beats in seconds. 0 where a list has fewer than two beats, or no error can be told because all
/// intervals are 0 (`mir_eval` gives NaN there).
///
/// # Errors
/// If a time is not finite or later than 30,000 s, or times descend.
pub fn information_gain(reference: &[f64], estimate: &[f64]) -> Result<f64, MetricError> {
    check(reference, estimate)?;
    if reference.len() < 2 || estimate.len() < 2 {
        return Ok(0.0);
    }
    let flat = (NUM_BINS as f64).log2();
    let entropy = entropy_of_errors(reference, estimate).max(entropy_of_errors(estimate, reference));
    Ok((flat - entropy) / flat)
}

/// In bits. Both lists have at least two beats.
fn entropy_of_errors(reference: &[f64], estimate: &[f64]) -> f64 {
    let mut histogram = [0u32; NUM_BINS];
    let mut count = 0u32;
    for &beat in estimate {
        let error = error_of(reference, beat);
        // Errors of an interval of 0 are not numbers.
        if error.is_finite() {
            histogram[bin_of(error)] += 1;
            count += 1;
        }
    }
    if count == 0 {
        return (NUM_BINS as f64).log2();
    }
    let shares = histogram.iter().filter(|&&number| number > 0).map(|&number| f64::from(number) / f64::from(count));
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

/// Above -0.5, and at most 0.5.
fn error_of(reference: &[f64], beat: f64) -> f64 {
    let (place, _) = nearest(reference, beat);
    let last = reference.len() - 1;
    let offset = beat - reference[place];
    let interval = if place == last {
        reference[last] - reference[last - 1]
    } else if offset < 0.0 {
        reference[place] - reference[place.checked_sub(1).unwrap_or(last)]
    } else {
        reference[place + 1] - reference[place]
    };
    let turns = offset / (0.5 * interval) * 0.5 + 0.5;
    // The remainder that has the sign of the divisor, for a divisor of -1: above -1, and at most 0.
    let remainder = turns % 1.0;
    (if remainder > 0.0 { remainder - 1.0 } else { remainder }) + 0.5
}

/// Bins include their lower edge; the last one includes its upper edge too.
fn bin_of(error: f64) -> usize {
    let edge = |index: usize| index as f64 * (1.0 / NUM_BINS as f64) - 0.5;
    let mut bin = (((error + 0.5) * NUM_BINS as f64) as usize).min(NUM_BINS - 1);
    // Rounding may have put an error that is at an edge on the wrong side of it.
    while bin > 0 && error < edge(bin) {
        bin -= 1;
    }
    while bin + 1 < NUM_BINS && error >= edge(bin + 1) {
        bin += 1;
    }
    bin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(count: usize) -> Vec<f64> {
        (0..count).map(|index| index as f64 * 0.5).collect()
    }

    #[test]
    fn a_constant_error_is_all_information() {
        assert_eq!(information_gain(&beats(10), &beats(10)), Ok(1.0));
        let late: Vec<f64> = beats(10).iter().map(|beat| beat + 0.1).collect();
        assert_eq!(entropy_of_errors(&beats(10), &late), 0.0);
        // From the other side, one beat of ten comes before the first and has another error.
        let entropy = -(0.1 * 0.1f64.log2() + 0.9 * 0.9f64.log2());
        let expected = 1.0 - entropy / 41f64.log2();
        assert!((information_gain(&beats(10), &late).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn two_bins_are_one_bit() {
        // Every other estimate is 0.1 s late.
        let reference = beats(8);
        let estimate: Vec<f64> =
            reference.iter().enumerate().map(|(index, beat)| beat + if index % 2 == 1 { 0.1 } else { 0.0 }).collect();
        assert_eq!(entropy_of_errors(&reference, &estimate), 1.0);
    }

    #[test]
    fn errors_are_shares_of_the_interval() {
        let reference = [1.0, 2.0, 4.0];
        assert_eq!(error_of(&reference, 1.25), 0.25);
        assert_eq!(error_of(&reference, 1.75), -0.25);
        assert_eq!(error_of(&reference, 2.5), 0.25);
        assert_eq!(error_of(&reference, 4.5), 0.25);
        assert_eq!(error_of(&reference, 5.0), 0.5);
        assert_eq!(error_of(&reference, 0.25), 0.25, "before the first beat: -0.75 of -3");
    }

    #[test]
    fn bins_include_their_lower_edge() {
        assert_eq!((bin_of(-0.5), bin_of(0.0), bin_of(0.5)), (0, 20, 40));
        for bin in 1..NUM_BINS {
            let edge = bin as f64 * (1.0 / 41.0) - 0.5;
            assert_eq!((bin_of(edge), bin_of(edge.next_down())), (bin, bin - 1));
        }
    }

    #[test]
    fn without_intervals_nothing_is_gained() {
        assert_eq!(information_gain(&[1.0, 1.0], &[1.0, 1.0]), Ok(0.0));
        assert_eq!(information_gain(&beats(4), &[1.0, 1.0]), Ok(0.0));
    }
}
