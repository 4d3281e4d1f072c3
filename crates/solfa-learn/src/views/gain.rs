//! A random gain.

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::{RandomStream, ViewError, amplitude_of_decibels};

/// Makes a clip louder or softer, by a level drawn uniformly in decibels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The lowest gain in dB.
    pub minimum_db: f64,
    /// The highest gain in dB. Samples beyond ±1 are not clipped.
    pub maximum_db: f64,
}

impl Gain {
    pub(super) fn validate(&self) -> Result<(), ViewError> {
        check_value("gain", "probability", self.probability, 0.0, 1.0)?;
        check_range("gain", ["minimum_db", "maximum_db"], [self.minimum_db, self.maximum_db], -120.0, 120.0)
    }

    /// Multiplies the samples by one random factor.
    pub fn apply(&self, samples: &mut [f32], random: &mut RandomStream) {
        let factor = amplitude_of_decibels(random.range(self.minimum_db, self.maximum_db)) as f32;
        samples.iter_mut().for_each(|sample| *sample *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClipSeed;
    use super::*;

    #[test]
    fn the_gain_is_one_factor_within_the_range() {
        let gain = Gain { probability: 1.0, minimum_db: -6.0, maximum_db: 6.0 };
        let mut factors = Vec::new();
        for clip in 0..200 {
            let mut samples = [0.5, -0.25, 0.0];
            gain.apply(&mut samples, &mut ClipSeed { seed: 1, step: 0, clip }.stream("gain"));
            assert_eq!((samples[0], samples[2]), (-2.0 * samples[1], 0.0));
            factors.push(samples[0] / 0.5);
        }
        assert!(factors.iter().all(|factor| (0.501..1.996).contains(factor)), "{factors:?}");
        assert!(factors.iter().any(|&factor| factor < 0.6) && factors.iter().any(|&factor| factor > 1.7));
        let fixed = Gain { minimum_db: 20.0, maximum_db: 20.0, ..gain };
        let mut samples = [0.1];
        fixed.apply(&mut samples, &mut ClipSeed { seed: 1, step: 0, clip: 0 }.stream("gain"));
        assert!((samples[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn impossible_values_are_named() {
        let error = Gain { probability: 1.5, minimum_db: 0.0, maximum_db: 1.0 }.validate().unwrap_err();
        assert_eq!(error.to_string(), "gain: `probability` is 1.5, 0 to 1 expected");
        let error = Gain { probability: 1.0, minimum_db: 2.0, maximum_db: 1.0 }.validate().unwrap_err();
        assert_eq!(error.to_string(), "gain: `maximum_db` is 1, 2 to 120 expected");
        assert!(Gain { probability: 1.0, minimum_db: f64::NAN, maximum_db: 1.0 }.validate().is_err());
    }
}
