//! Gaussian accuracy: how near the nearest estimate is to every beat.
//!
//! A. T. Cemgil, B. Kappen, P. Desain and H. Honing, *On tempo tracking: tempogram representation and Kalman filtering*,
//! Journal of New Music Research, 2000. With `d` the distance from a beat to the nearest estimate, the sum over beats of
//! `exp(-d^2 / (2 sigma^2))`, over the mean of the two numbers of beats; sigma is 40 ms.

use super::variations::metrical_variations;
use super::{check, nearest};
use crate::metrics::error::MetricError;

/// Standard deviation of the window, in seconds.
pub const CEMGIL_SIGMA_SECONDS: f64 = 0.04;

/// Gaussian accuracy of beats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cemgil {
    /// Against the reference.
    pub score: f64,
    /// The best of the reference, its off-beats, its double, and its two halves.
    pub best_metric_level: f64,
}

/// Gaussian accuracy of beats in seconds. Both scores are 0 where a list is empty.
///
/// # Errors
/// If a time is not finite or later than 30,000 s, or times descend.
pub fn cemgil(reference: &[f64], estimate: &[f64]) -> Result<Cemgil, MetricError> {
    check(reference, estimate)?;
    if reference.is_empty() || estimate.is_empty() {
        return Ok(Cemgil { score: 0.0, best_metric_level: 0.0 });
    }
    let scores = metrical_variations(reference).map(|beats| {
        let hits: f64 = beats
            .iter()
            .map(|&beat| (-nearest(estimate, beat).1.powi(2) / (2.0 * CEMGIL_SIGMA_SECONDS.powi(2))).exp())
            .sum();
        hits / (0.5 * (estimate.len() + beats.len()) as f64)
    });
    Ok(Cemgil { score: scores[0], best_metric_level: scores.into_iter().fold(0.0, f64::max) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sigma_off_by_hand() {
        let found = cemgil(&[1.0, 2.0], &[1.04, 2.0]).unwrap();
        assert!((found.score - (1.0 + (-0.5f64).exp()) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn half_the_tempo_is_another_metric_level() {
        let reference: Vec<f64> = (0..10).map(f64::from).collect();
        let estimate: Vec<f64> = reference.iter().copied().skip(1).step_by(2).collect();
        let found = cemgil(&reference, &estimate).unwrap();
        assert!((found.score - 5.0 / 7.5).abs() < 1e-12);
        assert_eq!(found.best_metric_level, 1.0);
    }
}
