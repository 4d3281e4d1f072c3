//! How well the attention that frames receive marks onsets or chord changes.
//!
//! Kong, Meseguer-Brocal, Lostanlen, Lagrange, Hennequin: Emergent musical properties of a transformer under contrastive
//! self-supervised learning, ISMIR 2025, shows that it does, by figures. How attention maps become events is not known from
//! what could be read of the paper, so the steps here are our own: the mean over heads and queries of the attention to each
//! frame, its peaks, one-to-one matching with the labels, and the same for events that know nothing of the music.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::SimilarityError;
use crate::metrics::matching::match_events;

/// The attention that each frame receives: the mean over heads and queries of `map`, `[heads, queries, keys]`.
///
/// # Errors
///
/// [`SimilarityError::Length`] where the number of values is another, [`SimilarityError::NotFinite`] at a NaN.
pub fn attention_received(map: &[f32], heads: usize, queries: usize, keys: usize) -> Result<Vec<f64>, SimilarityError> {
    let per_head = attention_received_per_head(map, heads, queries, keys)?;
    Ok((0..keys).map(|key| per_head.iter().map(|head| head[key]).sum::<f64>() / heads as f64).collect())
}

/// The attention that each frame receives from each head: the mean over queries.
///
/// # Errors
///
/// As [`attention_received`].
pub fn attention_received_per_head(
    map: &[f32],
    heads: usize,
    queries: usize,
    keys: usize,
) -> Result<Vec<Vec<f64>>, SimilarityError> {
    let expected = heads.checked_mul(queries).and_then(|rows| rows.checked_mul(keys)).filter(|&values| values > 0);
    if Some(map.len()) != expected {
        let expected = expected.unwrap_or(1);
        return Err(SimilarityError::Length { what: "values of an attention map", expected, found: map.len() });
    }
    if let Some(index) = map.iter().position(|value| !value.is_finite()) {
        let (item, dimension) = (index / keys, index % keys);
        return Err(SimilarityError::NotFinite { item, dimension, value: f64::from(map[index]) });
    }
    let of_head = |head: &[f32]| {
        let mut received = vec![0.0; keys];
        for row in head.chunks_exact(keys) {
            received.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        received.iter_mut().for_each(|sum| *sum /= queries as f64);
        received
    };
    Ok(map.chunks_exact(queries * keys).map(of_head).collect())
}

/// Which frames count as peaks.
///
/// [`decode::PeakPicking`](crate::decode::PeakPicking) is another rule: its threshold is in the unit of an activation from 0
/// to 1, where this one is in standard deviations because attention has no scale of its own, and here only the first of
/// equal neighbours may be a peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakPicking {
    /// A peak is the largest value within so many seconds on both sides; two peaks are further apart.
    pub distance_seconds: f64,
    /// A peak is above the mean of the values within so many seconds on both sides,
    pub mean_seconds: f64,
    /// and that by at least so many standard deviations of the whole series.
    pub threshold: f64,
}

impl Default for PeakPicking {
    fn default() -> Self {
        Self { distance_seconds: 0.05, mean_seconds: 0.5, threshold: 0.25 }
    }
}

impl PeakPicking {
    /// The frames that are peaks, in order. Of equal neighbours the first counts; a constant series has none.
    pub fn pick(&self, series: &[f64], frames_per_second: f64) -> Vec<usize> {
        let count = series.len().max(1) as f64;
        let mean = series.iter().sum::<f64>() / count;
        let deviation = (series.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        if deviation.is_nan() || deviation <= 0.0 {
            return Vec::new();
        }
        let reach = |seconds: f64| (seconds * frames_per_second).round().max(1.0) as usize;
        let (near, wide) = (reach(self.distance_seconds), reach(self.mean_seconds));
        let mut peaks: Vec<usize> = Vec::new();
        for (frame, &value) in series.iter().enumerate() {
            let around = |reach: usize| frame.saturating_sub(reach)..(frame + reach + 1).min(series.len());
            let is_largest = around(near).all(|other| {
                let of_other = series[other];
                if other < frame { of_other < value } else { of_other <= value }
            });
            let local = &series[around(wide)];
            let local_mean = local.iter().sum::<f64>() / local.len() as f64;
            let is_far = peaks.last().is_none_or(|&last| frame - last > near);
            if is_largest && is_far && value >= local_mean + self.threshold * deviation {
                peaks.push(frame);
            }
        }
        peaks
    }
}

/// Events that know nothing of the music, to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chance {
    /// As many events as there are peaks, anywhere in the track with equal probability.
    RandomPeaks,
    /// The peaks themselves, moved round the track by a random time: their spacing stays as it is, so that regular peaks
    /// beside regular onsets are not taken for knowledge.
    ShiftedPeaks,
}

/// How many events were marked, beside chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Salience {
    /// Number of peaks.
    pub num_peaks: u64,
    /// Number of events that are labelled.
    pub num_events: u64,
    /// Share of the peaks that mark an event; 0 without peaks.
    pub precision: f64,
    /// Share of the events that are marked; 0 without events.
    pub recall: f64,
    /// Their harmonic mean; 0 where both are.
    pub f_measure: f64,
    /// Peaks and events that are at most so many seconds apart may be a pair.
    pub tolerance_seconds: f64,
    /// What chance is here.
    pub chance: Chance,
    /// The mean F-measure of chance.
    pub chance_f_measure: f64,
    /// The share of random draws whose F-measure is at least as large, counted with this one among them: `(k + 1) / (n +
    /// 1)`.
    pub p_value: f64,
    /// Number of random draws.
    pub draws: u64,
}

/// How peaks are compared with events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SalienceSettings {
    /// See [`Salience::tolerance_seconds`].
    pub tolerance_seconds: f64,
    /// See [`Salience::chance`].
    pub chance: Chance,
    /// Number of random draws.
    pub draws: u32,
    /// Where they start from.
    pub seed: u64,
}

impl Default for SalienceSettings {
    /// 50 ms as for onsets, peaks moved at random, 1,000 draws.
    fn default() -> Self {
        Self { tolerance_seconds: 0.05, chance: Chance::ShiftedPeaks, draws: 1000, seed: 0 }
    }
}

/// Scores the times of peaks against the times of events in a track of `seconds`.
///
/// # Errors
///
/// [`SimilarityError::Setting`] where a time is not from 0 to `seconds`, or not in order, or a setting is out of range.
pub fn salience(
    peaks: &[f64],
    events: &[f64],
    seconds: f64,
    settings: &SalienceSettings,
) -> Result<Salience, SimilarityError> {
    let wrong = |what, expected, found: f64| Err(SimilarityError::Setting { what, expected, found: found.to_string() });
    if !(seconds > 0.0 && seconds.is_finite()) {
        return wrong("the length of the track", "a number of seconds above 0", seconds);
    }
    if !(settings.tolerance_seconds >= 0.0 && settings.tolerance_seconds.is_finite()) {
        return wrong("the tolerance", "a number of seconds not below 0", settings.tolerance_seconds);
    }
    for (what, times) in [("the time of a peak", peaks), ("the time of an event", events)] {
        if let Some(&time) = times.iter().find(|time| !(0.0..=seconds).contains(*time)) {
            return wrong(what, "a time within the track", time);
        }
        if let Some(pair) = times.windows(2).find(|pair| pair[0] > pair[1]) {
            return wrong(what, "a time not before the one before it", pair[1]);
        }
    }
    let score = |peaks: &[f64]| {
        let num_matched = match_events(events, peaks, settings.tolerance_seconds).len() as f64;
        let share = |of: usize| if of == 0 { 0.0 } else { num_matched / of as f64 };
        let total = (peaks.len() + events.len()) as f64;
        (share(peaks.len()), share(events.len()), if total > 0.0 { 2.0 * num_matched / total } else { 0.0 })
    };
    let (precision, recall, f_measure) = score(peaks);
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    let (mut sum, mut num_as_large) = (0.0, 0_u64);
    for _ in 0..settings.draws {
        let mut drawn: Vec<f64> = match settings.chance {
            Chance::RandomPeaks => peaks.iter().map(|_| random.random_range(0.0..seconds)).collect(),
            Chance::ShiftedPeaks => {
                let shift = random.random_range(0.0..seconds);
                peaks.iter().map(|time| (time + shift) % seconds).collect()
            }
        };
        drawn.sort_by(f64::total_cmp);
        let (_, _, by_chance) = score(&drawn);
        sum += by_chance;
        num_as_large += u64::from(by_chance >= f_measure);
    }
    let draws = u64::from(settings.draws);
    Ok(Salience {
        num_peaks: peaks.len() as u64,
        num_events: events.len() as u64,
        precision,
        recall,
        f_measure,
        tolerance_seconds: settings.tolerance_seconds,
        chance: settings.chance,
        chance_f_measure: sum / draws.max(1) as f64,
        p_value: (num_as_large + 1) as f64 / (draws + 1) as f64,
        draws,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_receive_is_worked_by_hand() {
        // Two heads, two queries, three keys.
        let map = [0.2, 0.3, 0.5, 0.4, 0.1, 0.5, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let per_head = attention_received_per_head(&map, 2, 2, 3).unwrap();
        assert!((per_head[0][0] - 0.3).abs() < 1e-7 && (per_head[1][1] - 0.5).abs() < 1e-7);
        let received = attention_received(&map, 2, 2, 3).unwrap();
        for (found, expected) in received.iter().zip([0.4, 0.35, 0.25]) {
            assert!((found - expected).abs() < 1e-7, "{received:?}");
        }
        assert!(attention_received(&map, 2, 2, 2).is_err() && attention_received(&[], 0, 2, 2).is_err());
        assert!(attention_received(&[f32::NAN], 1, 1, 1).is_err());
    }

    #[test]
    fn peaks_are_local_and_above_their_surroundings() {
        let series = [0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 3.0, 3.0, 0.0, 0.1, 0.0, 0.0];
        let picking = PeakPicking { distance_seconds: 0.1, mean_seconds: 0.4, threshold: 0.25 };
        assert_eq!(picking.pick(&series, 10.0), [2, 6]);
        assert!(picking.pick(&[1.0; 9], 10.0).is_empty() && picking.pick(&[], 10.0).is_empty());
        assert!(picking.pick(&[f64::NAN, 1.0, 2.0], 10.0).is_empty());
    }

    #[test]
    fn peaks_on_events_are_beyond_chance_and_others_are_not() {
        let events: Vec<f64> = (0..20).map(|index| 0.3 + 1.4 * f64::from(index) + 0.1 * f64::from(index % 3)).collect();
        for chance in [Chance::RandomPeaks, Chance::ShiftedPeaks] {
            let settings = SalienceSettings { chance, ..SalienceSettings::default() };
            let marked: Vec<f64> = events.iter().map(|time| time + 0.02).collect();
            let found = salience(&marked, &events, 30.0, &settings).unwrap();
            assert_eq!((found.precision, found.recall, found.f_measure), (1.0, 1.0, 1.0));
            // An event has 0.1 s of 30 s: a random peak meets one of 20 with a probability of about 1 / 15.
            assert!(found.p_value < 0.02 && found.chance_f_measure < 0.2, "{found:?}");
            let beside: Vec<f64> = (0..20).map(|index| 0.77 + 1.43 * f64::from(index)).collect();
            let found = salience(&beside, &events, 30.0, &settings).unwrap();
            assert!(found.p_value > 0.05, "{found:?}");
            assert_eq!(found, salience(&beside, &events, 30.0, &settings).unwrap(), "same seed, same result");
        }
    }

    #[test]
    fn nothing_to_mark_is_0_and_wrong_times_are_named() {
        let settings = SalienceSettings { draws: 10, ..SalienceSettings::default() };
        let found = salience(&[], &[1.0], 2.0, &settings).unwrap();
        assert_eq!((found.precision, found.recall, found.f_measure, found.p_value), (0.0, 0.0, 0.0, 1.0));
        let found = salience(&[1.0], &[], 2.0, &settings).unwrap();
        assert_eq!((found.f_measure, found.p_value), (0.0, 1.0));
        for (peaks, events, seconds) in
            [([1.0, 0.5], [0.0, 1.0], 2.0), ([0.5, 1.0], [0.0, 3.0], 2.0), ([0.5, f64::NAN], [0.0, 1.0], 2.0)]
        {
            assert!(matches!(salience(&peaks, &events, seconds, &settings), Err(SimilarityError::Setting { .. })));
        }
        assert!(salience(&[], &[], 0.0, &settings).is_err());
    }
}
