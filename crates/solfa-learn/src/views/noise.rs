//! Random white noise.

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::{RandomStream, ViewError, amplitude_of_decibels, root_mean_square};

/// Adds white Gaussian noise at a ratio of signal to noise drawn uniformly in decibels. A silent clip stays silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The lowest ratio in dB, the most noise.
    pub minimum_snr_db: f64,
    /// The highest ratio in dB, the least noise.
    pub maximum_snr_db: f64,
}

impl Noise {
    pub(super) fn validate(&self) -> Result<(), ViewError> {
        check_value("noise", "probability", self.probability, 0.0, 1.0)?;
        let values = [self.minimum_snr_db, self.maximum_snr_db];
        check_range("noise", ["minimum_snr_db", "maximum_snr_db"], values, -60.0, 120.0)
    }

    /// Adds noise whose level follows from the root mean square of the whole clip.
    pub fn apply(&self, samples: &mut [f32], random: &mut RandomStream) {
        let ratio = random.range(self.minimum_snr_db, self.maximum_snr_db);
        let deviation = root_mean_square(samples) * amplitude_of_decibels(-ratio);
        random.normals(deviation, samples, |sample, noise| *sample += noise);
    }
}

#[cfg(test)]
mod tests {
    use solfa_signal::testing::musical_signal;

    use super::super::ClipSeed;
    use super::*;

    #[test]
    fn the_noise_has_the_ratio_that_was_asked_for() {
        let clean = musical_signal(24_000, 24_000, 3).into_samples();
        for ratio in [0.0, 20.0] {
            let noise = Noise { probability: 1.0, minimum_snr_db: ratio, maximum_snr_db: ratio };
            let mut noisy = clean.clone();
            noise.apply(&mut noisy, &mut ClipSeed { seed: 1, step: 2, clip: 3 }.stream("noise"));
            let added: Vec<f32> = noisy.iter().zip(&clean).map(|(noisy, clean)| noisy - clean).collect();
            let found = 20.0 * (root_mean_square(&clean) / root_mean_square(&added)).log10();
            assert!((found - ratio).abs() < 0.2, "{found} dB instead of {ratio}");
            let neighbours: f64 = added.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum();
            assert!((neighbours / 24_000.0 / root_mean_square(&added).powi(2)).abs() < 0.03, "the noise is white");
        }
    }

    #[test]
    fn silence_stays_silent() {
        let noise = Noise { probability: 1.0, minimum_snr_db: 0.0, maximum_snr_db: 10.0 };
        let mut samples = [0.0; 100];
        noise.apply(&mut samples, &mut ClipSeed { seed: 1, step: 2, clip: 3 }.stream("noise"));
        assert_eq!(samples, [0.0; 100]);
        noise.apply(&mut [], &mut ClipSeed { seed: 1, step: 2, clip: 3 }.stream("noise"));
    }
}
