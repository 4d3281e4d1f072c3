//! A random speed: pitch and tempo together, as on a tape.
//!
//! The clip is taken to be at another sample rate than it is, and resampled. Speed factors are whole thousandths, so that
//! the resampler works between small whole numbers.

use serde::{Deserialize, Serialize};
use solfa_signal::audio::{Resampler, Waveform, resample};

use super::error::{check_range, check_value};
use super::{RandomStream, ViewError};

/// Speeds a clip up (above 1: higher and shorter) or slows it down, by a factor drawn uniformly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The lowest factor.
    pub minimum_factor: f64,
    /// The highest factor.
    pub maximum_factor: f64,
}

impl Speed {
    pub(super) fn validate(&self) -> Result<(), ViewError> {
        check_value("speed", "probability", self.probability, 0.0, 1.0)?;
        let factors = [self.minimum_factor, self.maximum_factor];
        check_range("speed", ["minimum_factor", "maximum_factor"], factors, 0.25, 4.0)
    }

    /// Samples needed so that at least `num_samples` come out at every factor.
    pub(super) fn input_samples(&self, num_samples: usize) -> usize {
        let thousandths = thousandths(self.maximum_factor).max(1000) as usize;
        (num_samples * thousandths).div_ceil(1000)
    }

    /// The clip at a random speed: `ceil(samples / factor)` samples.
    pub fn apply(&self, samples: Vec<f32>, random: &mut RandomStream) -> Vec<f32> {
        change_speed(samples, random.range(self.minimum_factor, self.maximum_factor))
    }
}

fn thousandths(factor: f64) -> u32 {
    (factor * 1000.0).round() as u32
}

/// The clip at `factor` times its speed, rounded to thousandths.
pub(super) fn change_speed(samples: Vec<f32>, factor: f64) -> Vec<f32> {
    let clip = Waveform::new(samples, thousandths(factor).max(1));
    match resample(&clip, 1000, Resampler::SincHann) {
        Ok(changed) => changed.into_samples(),
        // The filter of no pair of rates up to 4 to 1 in thousandths is too large.
        Err(error) => unreachable!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClipSeed;
    use super::*;

    #[test]
    fn a_tone_at_another_speed_is_another_tone() {
        let tone = |hertz: f64, count: usize| -> Vec<f32> {
            (0..count).map(|index| (std::f64::consts::TAU * hertz * index as f64 / 24_000.0).sin() as f32).collect()
        };
        for factor in [0.8, 0.999, 1.0, 1.25] {
            let changed = change_speed(tone(1000.0, 24_000), factor);
            assert_eq!(changed.len(), (24_000.0 / factor).ceil() as usize);
            let expected = tone(1000.0 * factor, changed.len());
            let inner = 100..changed.len() - 100;
            solfa_signal::testing::assert_close("speed", &changed[inner.clone()], &expected[inner], 5e-3);
        }
    }

    #[test]
    fn enough_goes_in_for_what_must_come_out() {
        let speed = Speed { probability: 1.0, minimum_factor: 0.7, maximum_factor: 1.3337 };
        speed.validate().unwrap();
        for num_samples in [1, 7, 999, 24_000] {
            for clip in 0..10 {
                let input = vec![0.1; speed.input_samples(num_samples)];
                let output = speed.apply(input, &mut ClipSeed { seed: 0, step: 0, clip }.stream("speed"));
                assert!(output.len() >= num_samples);
            }
            let highest = change_speed(vec![0.1; speed.input_samples(num_samples)], speed.maximum_factor);
            assert!(highest.len() >= num_samples && highest.len() <= num_samples + 1);
        }
        assert!(Speed { minimum_factor: 0.0, ..speed }.validate().is_err());
    }
}
