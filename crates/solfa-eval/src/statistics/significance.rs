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

/// Compares two systems by the mean of their tracks' values. Tracks that either has no value for are left out; `None` where
/// fewer than two are left.
///
/// # Panics
/// If the systems have different numbers of tracks.
pub fn paired_permutation(
    first: &[Option<f64>],
    second: &[Option<f64>],
    permutations: usize,
    seed: u64,
) -> Option<Comparison> {
    assert_eq!(first.len(), second.len(), "paired_permutation: two systems on different tracks");
    let differences: Vec<f64> = first.iter().zip(second).filter_map(|(a, b)| Some((*a)? - (*b)?)).collect();
    if differences.len() < 2 {
        return None;
    }
    let mean = |swapped: &dyn Fn(usize) -> bool| {
        let signed = differences.iter().enumerate().map(|(track, value)| if swapped(track) { -value } else { *value });
        signed.sum::<f64>() / differences.len() as f64
    };
    randomize(differences.len(), permutations, seed, |swaps| Some(mean(&|track| swaps[track])))
}

/// Compares two systems by a score that is not a mean of tracks, such as ROC-AUC.
///
/// `difference` gets, for each track, whether the two systems' results are swapped, and gives the first's score less the
/// second's.
pub fn paired_randomization(
    num_tracks: usize,
    permutations: usize,
    seed: u64,
    difference: impl Fn(&[bool]) -> Option<f64> + Sync,
) -> Option<Comparison> {
    if num_tracks < 2 { None } else { randomize(num_tracks, permutations, seed, difference) }
}

fn randomize(
    num_tracks: usize,
    permutations: usize,
    seed: u64,
    difference: impl Fn(&[bool]) -> Option<f64> + Sync,
) -> Option<Comparison> {
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

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn six_equal_differences_have_the_exact_p_value() {
        // Of 64 ways to swap, only the two extreme ones are as large: p = 2/64.
        let found = paired_permutation(&some(&[1.0; 6]), &some(&[0.0; 6]), 20_000, 1).unwrap();
        assert_eq!(found.difference, 1.0);
        assert!((found.p_value - 2.0 / 64.0).abs() < 0.005, "{found:?}");
    }

    #[test]
    fn the_same_system_does_not_differ() {
        let values = some(&[0.1, 0.9, 0.4, 0.7]);
        let found = paired_permutation(&values, &values, 1000, 1).unwrap();
        assert_eq!((found.difference, found.p_value), (0.0, 1.0));
    }

    #[test]
    fn tracks_without_a_value_are_left_out() {
        let first = [Some(1.0), None, Some(1.0), Some(1.0)];
        let second = [Some(0.0), Some(1.0), None, Some(0.0)];
        assert_eq!(paired_permutation(&first, &second, 100, 1).unwrap().difference, 1.0);
        assert_eq!(paired_permutation(&first[..2], &second[..2], 100, 1), None);
    }

    #[test]
    fn a_score_of_the_whole_agrees_with_that_of_its_tracks() {
        let (first, second) = (some(&[0.9, 0.8, 0.7, 0.9, 0.6, 0.9]), some(&[0.7, 0.8, 0.5, 0.6, 0.65, 0.7]));
        let by_tracks = paired_permutation(&first, &second, 5000, 3).unwrap();
        let whole = paired_randomization(6, 5000, 3, |swaps| {
            let signed = (0..6).map(|track| {
                let difference = first[track]? - second[track]?;
                Some(if swaps[track] { -difference } else { difference })
            });
            Some(signed.sum::<Option<f64>>()? / 6.0)
        });
        assert_eq!(whole, Some(by_tracks));
    }
}
