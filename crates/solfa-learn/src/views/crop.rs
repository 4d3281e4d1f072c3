//! Crops: where in a track a clip begins.
//!
//! One crop, uniformly anywhere in a track, for masked prediction; or two, whose distance is bounded, for objectives that
//! compare views of a track (Meseguer-Brocal et al. 2024, arXiv:2404.09177: two segments at least 4 s apart).

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::{RandomStream, ViewError};

/// What is cut out of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropConfig {
    /// The length of a crop in seconds.
    pub seconds: f64,
    /// Two crops instead of one, and how far they are apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairConfig>,
    /// Whether a crop is one of the windows that follow each other from the start of a track, instead of any part of it: for
    /// labels that were made window by window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowsConfig>,
}

/// Which windows of a track may be drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowsConfig {
    /// The most of them, from the first on; without it all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u32>,
}

/// How far two crops of a track are apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    /// The smallest distance between the starts of the two, in seconds. Below the crop's length they may overlap.
    pub minimum_distance_seconds: f64,
    /// The largest distance between the starts, in seconds; as far as the track goes without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_distance_seconds: Option<f64>,
}

/// A [`CropConfig`] at a sample rate.
#[derive(Clone, Debug, PartialEq)]
pub struct CropPlan {
    num_samples: usize,
    /// The distances between the starts of two crops, the largest included.
    distances: Option<(u64, u64)>,
    /// The most windows of a track, where crops are windows.
    windows: Option<u64>,
}

/// The longest crop or distance that can be configured, in seconds.
const MAXIMUM_SECONDS: f64 = 86_400.0;

impl CropPlan {
    /// The plan of a configuration. Lengths are rounded to whole samples.
    ///
    /// # Errors
    /// [`ViewError::Value`] for lengths that are not above 0, or a maximum distance below the minimum.
    pub fn new(config: &CropConfig, sample_rate: u32) -> Result<Self, ViewError> {
        let samples = |seconds: f64| (seconds * f64::from(sample_rate)).round() as u64;
        check_value("crop", "seconds", config.seconds, 1.0 / f64::from(sample_rate), MAXIMUM_SECONDS)?;
        let distances = match &config.pair {
            None => None,
            Some(PairConfig { minimum_distance_seconds: minimum, maximum_distance_seconds: maximum }) => {
                let fields = ["minimum_distance_seconds", "maximum_distance_seconds"];
                check_range("crop", fields, [*minimum, maximum.unwrap_or(MAXIMUM_SECONDS)], 0.0, MAXIMUM_SECONDS)?;
                Some((samples(*minimum), maximum.map_or(u64::MAX, samples)))
            }
        };
        let windows = config.windows.as_ref().map(|windows| windows.maximum.map_or(u64::MAX, u64::from));
        if windows.is_some() && distances.is_some() || windows == Some(0) {
            let (expected, value) = ("1 or more, and no `pair`".to_owned(), windows.unwrap_or(0) as f64);
            return Err(ViewError::Value { view: "crop", field: "windows", value, expected });
        }
        Ok(Self { num_samples: samples(config.seconds) as usize, distances, windows })
    }

    /// The length of a crop.
    pub fn num_samples(&self) -> usize {
        self.num_samples
    }

    /// Crops of each track: 1 or 2.
    pub fn num_crops(&self) -> usize {
        if self.distances.is_some() { 2 } else { 1 }
    }

    /// The shortest track that crops of `read_samples` fit into. That is the crop's length, and more where a view makes
    /// clips shorter.
    pub fn minimum_track_samples(&self, read_samples: usize) -> u64 {
        read_samples as u64 + self.distances.map_or(0, |(minimum, _)| minimum)
    }

    /// The starts of the crops of a track: one, or two in random order. Every pair of places that is allowed is as likely
    /// as any other.
    ///
    /// # Panics
    /// If the track is shorter than [`minimum_track_samples`](Self::minimum_track_samples).
    pub fn draw(&self, track_samples: u64, read_samples: usize, random: &mut RandomStream) -> Vec<u64> {
        assert!(track_samples >= self.minimum_track_samples(read_samples), "{track_samples} samples are too few");
        let last_start = track_samples - read_samples as u64;
        if let Some(maximum) = self.windows {
            let window = self.num_samples as u64;
            return vec![random.below((last_start / window + 1).min(maximum)) * window];
        }
        let Some((minimum, maximum)) = self.distances else { return vec![random.below(last_start + 1)] };
        let maximum = maximum.min(last_start);
        loop {
            // At least half of these fit.
            let first = random.below(last_start - minimum + 1);
            let second = first + minimum + random.below(maximum - minimum + 1);
            if second <= last_start {
                return if random.chance(0.5) { vec![first, second] } else { vec![second, first] };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClipSeed;
    use super::*;

    fn plan(seconds: f64, pair: Option<(f64, Option<f64>)>) -> Result<CropPlan, ViewError> {
        let pair = pair.map(|(minimum, maximum)| PairConfig {
            minimum_distance_seconds: minimum,
            maximum_distance_seconds: maximum,
        });
        CropPlan::new(&CropConfig { seconds, pair, windows: None }, 10)
    }

    fn random() -> RandomStream {
        ClipSeed { seed: 1, step: 2, clip: 3 }.stream("crop")
    }

    #[test]
    fn one_crop_lies_anywhere_in_the_track() {
        let plan = plan(1.0, None).unwrap();
        assert_eq!((plan.num_samples(), plan.num_crops(), plan.minimum_track_samples(12)), (10, 1, 12));
        let mut random = random();
        let mut counts = [0; 6];
        for _ in 0..6_000 {
            counts[plan.draw(15, 10, &mut random)[0] as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(plan.draw(10, 10, &mut random), [0]);
    }

    #[test]
    fn two_crops_keep_their_distance_and_every_pair_is_as_likely() {
        let plan = plan(1.0, Some((0.3, Some(0.5)))).unwrap();
        assert_eq!((plan.num_crops(), plan.minimum_track_samples(10)), (2, 13));
        let mut random = random();
        let mut counts = std::collections::BTreeMap::new();
        // Starts 0 to 6: distances of 3, 4 and 5 have 4, 3 and 2 places, in either order.
        for _ in 0..18_000 {
            let starts = plan.draw(16, 10, &mut random);
            assert!((3..=5).contains(&starts[0].abs_diff(starts[1])) && starts.iter().all(|&start| start <= 6));
            *counts.entry(starts).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 18);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
        let mut starts = plan.draw(13, 10, &mut random);
        starts.sort_unstable();
        assert_eq!(starts, [0, 3]);
    }

    #[test]
    fn without_a_largest_distance_the_whole_track_is_used() {
        let plan = plan(1.0, Some((0.0, None))).unwrap();
        let mut random = random();
        let distances: Vec<u64> =
            (0..500).map(|_| plan.draw(1_010, 10, &mut random)).map(|starts| starts[0].abs_diff(starts[1])).collect();
        assert!(distances.iter().any(|&distance| distance > 900) && distances.iter().any(|&distance| distance < 20));
    }

    #[test]
    fn impossible_lengths_are_named() {
        assert!(plan(0.0, None).unwrap_err().to_string().contains("`seconds` is 0"));
        let error = plan(1.0, Some((4.0, Some(3.0)))).unwrap_err().to_string();
        assert!(error.contains("`maximum_distance_seconds` is 3"), "{error}");
        assert!(parsed(r#"{"seconds": 1, "lenght": 2}"#).unwrap_err().contains("lenght"));
        assert!(parsed(r#"{"seconds": 1, "pair": {"minimum_distance_seconds": 4}}"#).is_ok());
    }

    fn parsed(text: &str) -> Result<CropConfig, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn windows_follow_each_other_from_the_start() {
        let plan = |maximum| {
            let config = CropConfig { seconds: 3.0, pair: None, windows: Some(WindowsConfig { maximum }) };
            CropPlan::new(&config, 10).unwrap()
        };
        let mut random = ClipSeed { seed: 1, step: 0, clip: 0 }.stream("crop");
        let mut starts = |plan: &CropPlan, samples| {
            let drawn: std::collections::BTreeSet<u64> =
                (0..200).flat_map(|_| plan.draw(samples, 30, &mut random)).collect();
            drawn.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(starts(&plan(None), 119), [0, 30, 60], "what is left at the end is no window");
        assert_eq!(starts(&plan(Some(2)), 119), [0, 30]);
        assert_eq!(starts(&plan(Some(9)), 30), [0]);
        let none = CropConfig { seconds: 3.0, pair: None, windows: Some(WindowsConfig { maximum: Some(0) }) };
        assert!(CropPlan::new(&none, 10).unwrap_err().to_string().contains("`windows` is 0"));
    }
}
