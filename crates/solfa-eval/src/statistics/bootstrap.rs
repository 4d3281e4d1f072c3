//! The bootstrap (Efron 1979): how a score would spread if other tracks had been drawn from the same world.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How often tracks are drawn anew.
pub const BOOTSTRAP_DRAWS: usize = 1000;

/// The ends of a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The 95 % percentile interval of a score over tracks, drawn with replacement `draws` times.
///
/// `score` gets the numbers of the drawn tracks; a draw without a score (no positive example, say) is left out. `None` for
/// fewer than two tracks, or where more than half of the draws have no score. Draw `i` has a stream of random numbers of
/// its own, so the result does not depend on the number of threads.
pub fn bootstrap_interval(
    num_tracks: usize,
    draws: usize,
    seed: u64,
    score: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Option<Interval> {
    if num_tracks < 2 {
        return None;
    }
    let mut scores: Vec<f64> = (0..draws as u64)
        .into_par_iter()
        .filter_map(|draw| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(draw);
            let tracks: Vec<usize> = (0..num_tracks).map(|_| random.random_range(0..num_tracks)).collect();
            score(&tracks).filter(|score| score.is_finite())
        })
        .collect();
    if scores.len() * 2 < draws.max(1) {
        return None;
    }
    scores.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&scores, 0.025), high: quantile(&scores, 0.975) })
}

/// The interval of a weighted mean of tracks' own values. Tracks without a value (`None`) are drawn and do not count.
pub fn bootstrap_mean(values: &[(Option<f64>, f64)], draws: usize, seed: u64) -> Option<Interval> {
    bootstrap_interval(values.len(), draws, seed, |tracks| weighted_mean(tracks.iter().map(|&track| values[track])))
}

/// The mean of the values that are there, each with its weight.
pub(crate) fn weighted_mean(values: impl Iterator<Item = (Option<f64>, f64)>) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, weight) in values {
        if let Some(value) = value {
            sum += value * weight;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| sum / weights)
}

/// The quantile of values that ascend, between neighbours by a straight line.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_near_its_normal_one() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let values: Vec<(Option<f64>, f64)> = (0..400).map(|_| (Some(random.random::<f64>()), 1.0)).collect();
        let mean = values.iter().filter_map(|(value, _)| *value).sum::<f64>() / 400.0;
        let found = bootstrap_mean(&values, BOOTSTRAP_DRAWS, 7).unwrap();
        // The deviation of a uniform variable is 1/√12.
        let half = 1.96 / 12.0_f64.sqrt() / 20.0;
        assert!((found.low - (mean - half)).abs() < 0.2 * half, "{found:?} around {mean}");
        assert!((found.high - (mean + half)).abs() < 0.2 * half, "{found:?} around {mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values: Vec<(Option<f64>, f64)> = (0..50).map(|index| (Some(f64::from(index % 7)), 1.0)).collect();
        assert_eq!(bootstrap_mean(&values, 200, 3), bootstrap_mean(&values, 200, 3));
        assert_ne!(bootstrap_mean(&values, 200, 3), bootstrap_mean(&values, 200, 4));
    }

    #[test]
    fn equal_values_have_no_spread_and_one_track_no_interval() {
        let found = bootstrap_mean(&[(Some(0.5), 1.0), (Some(0.5), 2.0)], 100, 1).unwrap();
        assert_eq!((found.low, found.high), (0.5, 0.5));
        assert_eq!(bootstrap_mean(&[(Some(0.5), 1.0)], 100, 1), None);
        assert_eq!(bootstrap_mean(&[(None, 1.0), (None, 1.0)], 100, 1), None);
    }

    #[test]
    fn weights_count() {
        let values = [(Some(1.0), 3.0), (Some(0.0), 1.0), (None, 100.0)];
        assert_eq!(weighted_mean(values.into_iter()), Some(0.75));
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&[0.0, 1.0, 2.0, 3.0], 0.5), 1.5);
        assert_eq!(quantile(&[0.0, 10.0], 0.025), 0.25);
        assert_eq!(quantile(&[4.0], 0.9), 4.0);
    }
}
