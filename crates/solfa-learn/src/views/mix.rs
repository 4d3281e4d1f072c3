//! Another clip in the background.

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::{RandomStream, ViewError, amplitude_of_decibels, root_mean_square};

/// Adds a clip of another track at a level drawn uniformly, in decibels relative to the clip's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The lowest level in dB: at 0 both clips have the same root mean square.
    pub minimum_level_db: f64,
    /// The highest level in dB.
    pub maximum_level_db: f64,
}

impl Mix {
    pub(super) fn validate(&self) -> Result<(), ViewError> {
        check_value("mix", "probability", self.probability, 0.0, 1.0)?;
        let levels = [self.minimum_level_db, self.maximum_level_db];
        check_range("mix", ["minimum_level_db", "maximum_level_db"], levels, -120.0, 60.0)
    }

    /// Adds `other`, as far as it goes. Nothing is added to silence, nor of silence.
    pub fn apply(&self, samples: &mut [f32], other: &[f32], random: &mut RandomStream) {
        let level = amplitude_of_decibels(random.range(self.minimum_level_db, self.maximum_level_db));
        let loudness = root_mean_square(other);
        if loudness == 0.0 {
            return;
        }
        let factor = (level * root_mean_square(samples) / loudness) as f32;
        samples.iter_mut().zip(other).for_each(|(sample, other)| *sample += factor * other);
    }
}

#[cfg(test)]
mod tests {
    use solfa_signal::testing::musical_signal;

    use super::super::ClipSeed;
    use super::*;

    #[test]
    fn the_other_clip_has_the_level_that_was_asked_for() {
        let clip = musical_signal(8_000, 24_000, 1).into_samples();
        let other: Vec<f32> =
            musical_signal(8_000, 24_000, 2).into_samples().iter().map(|sample| 7.0 * sample).collect();
        let mix = Mix { probability: 1.0, minimum_level_db: -10.0, maximum_level_db: -10.0 };
        let mut mixed = clip.clone();
        mix.apply(&mut mixed, &other, &mut ClipSeed { seed: 0, step: 0, clip: 0 }.stream("mix"));
        let added: Vec<f32> = mixed.iter().zip(&clip).map(|(mixed, clip)| mixed - clip).collect();
        let level = 20.0 * (root_mean_square(&added) / root_mean_square(&clip)).log10();
        assert!((level + 10.0).abs() < 0.01, "{level}");
        let factor = added[4_000] / other[4_000];
        assert!(added.iter().zip(&other).all(|(added, other)| (added - factor * other).abs() < 1e-5));
    }

    #[test]
    fn silence_changes_nothing() {
        let mix = Mix { probability: 1.0, minimum_level_db: 0.0, maximum_level_db: 0.0 };
        let mut random = ClipSeed { seed: 0, step: 0, clip: 0 }.stream("mix");
        for (clip, other) in [([0.5, -0.5], [0.0, 0.0]), ([0.0, 0.0], [0.5, 0.5])] {
            let mut mixed = clip;
            mix.apply(&mut mixed, &other, &mut random);
            assert_eq!(mixed, clip);
        }
        let mut mixed = [0.5, 0.5, 0.25];
        mix.apply(&mut mixed, &[1.0], &mut random);
        assert_eq!(mixed[1..], [0.5, 0.25]);
    }
}
