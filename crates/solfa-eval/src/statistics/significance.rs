//! Whether two systems differ on the same tracks: randomisation tests (Fisher 1935; for scores of whole systems,
//! approximate randomisation, Noreen 1989).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How often the systems' results are swapped at random.
pub const PERMUTATIONS: usize = 10_000;

/// What a comparison of two systems came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Score of the first less that of the second.
    pub difference: f64,
    /// How often chance alone gives a difference at least this large, either way; never 0.
    pub p_value: f64,
}

/// Compares two systems by a score on the same tracks: their results are swapped at random, track by track.
///
/// `difference` gets, for each track, whether the two systems' results are swapped, and gives the first's score less the
/// second's. `None` for fewer than two tracks, or where the score is not defined.
pub fn paired_randomization(
    num_tracks: usize,
    permutations: usize,
    seed: u64,
    difference: impl Fn(&[bool]) -> Option<f64> + Sync,
) -> Option<Comparison> {
    if num_tracks < 2 {
        return None;
    }
    let observed = difference(&vec![false; num_tracks])?;
    // Differences that are equal but for rounding count as equal.
    let bound = observed.abs() * (1.0 - 1e-9);
    let as_large = (0..permutations as u64)
        .into_par_iter()
        .filter(|&permutation| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(permutation);
            let swaps: Vec<bool> = (0..num_tracks).map(|_| random.random()).collect();
            difference(&swaps).is_none_or(|difference| difference.abs() >= bound)
        })
        .count();
    Some(Comparison { difference: observed, p_value: (as_large + 1) as f64 / (permutations + 1) as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_differences(differences: &[f64], permutations: usize) -> Option<Comparison> {
        paired_randomization(differences.len(), permutations, 1, |swapped| {
            let signed = differences.iter().zip(swapped).map(|(value, swapped)| if *swapped { -value } else { *value });
            Some(signed.sum::<f64>() / differences.len() as f64)
        })
    }

    #[test]
    fn six_equal_differences_have_the_exact_p_value() {
        // Of 64 ways to swap, only the two extreme ones are as large: p = 2/64.
        let found = of_differences(&[1.0; 6], 20_000).unwrap();
        assert_eq!(found.difference, 1.0);
        assert!((found.p_value - 2.0 / 64.0).abs() < 0.005, "{found:?}");
    }

    #[test]
    fn the_same_system_does_not_differ() {
        let found = of_differences(&[0.0; 5], 1000).unwrap();
        assert_eq!((found.difference, found.p_value), (0.0, 1.0));
    }

    #[test]
    fn nothing_is_said_of_one_track_or_of_no_score() {
        assert_eq!(of_differences(&[1.0], 100), None);
        assert_eq!(paired_randomization(5, 100, 1, |_| None), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_p_value() {
        let differences = [0.2, -0.1, 0.3, 0.4, -0.2, 0.1];
        assert_eq!(of_differences(&differences, 500), of_differences(&differences, 500));
    }
}
