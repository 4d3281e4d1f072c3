//! A random tempo at the same pitch.

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::phase_vocoder::PhaseVocoder;
use super::{RandomStream, ViewError};

/// Plays a clip faster (above 1) or slower at the same pitch, by a rate drawn uniformly. Sharp attacks are smeared over
/// some tens of milliseconds, as a phase vocoder does it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeStretch {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The lowest rate: at 0.5 a clip lasts twice as long.
    pub minimum_rate: f64,
    /// The highest rate.
    pub maximum_rate: f64,
}

impl TimeStretch {
    pub(super) fn validate(&self) -> Result<(), ViewError> {
        check_value("time-stretch", "probability", self.probability, 0.0, 1.0)?;
        let rates = [self.minimum_rate, self.maximum_rate];
        check_range("time-stretch", ["minimum_rate", "maximum_rate"], rates, 0.25, 4.0)
    }

    /// Samples needed so that at least `num_samples` come out at every rate.
    pub(super) fn input_samples(&self, num_samples: usize) -> usize {
        (num_samples as f64 * self.maximum_rate.max(1.0)).ceil() as usize
    }

    /// The clip at a random tempo: `ceil(samples / rate)` samples.
    pub(super) fn apply(&self, samples: &[f32], vocoder: &PhaseVocoder, random: &mut RandomStream) -> Vec<f32> {
        vocoder.stretch(samples, random.range(self.minimum_rate, self.maximum_rate))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClipSeed;
    use super::*;

    #[test]
    fn enough_goes_in_for_what_must_come_out() {
        let vocoder = PhaseVocoder::new(8_000);
        let stretch = TimeStretch { probability: 1.0, minimum_rate: 0.8, maximum_rate: 1.37 };
        stretch.validate().unwrap();
        for num_samples in [1, 100, 5_001] {
            let input = vec![0.1; stretch.input_samples(num_samples)];
            assert!(vocoder.stretch(&input, 1.37).len() >= num_samples);
            for clip in 0..5 {
                let seed = ClipSeed { seed: 0, step: 0, clip };
                let output = stretch.apply(&input, &vocoder, &mut seed.stream("time"));
                assert!(output.len() >= num_samples);
            }
        }
        assert!(TimeStretch { maximum_rate: 5.0, ..stretch }.validate().is_err());
    }
}
