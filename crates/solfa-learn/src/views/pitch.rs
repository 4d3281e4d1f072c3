//! A random pitch at the same tempo: stretched by the phase vocoder, then played at the speed that makes up for it.

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::phase_vocoder::PhaseVocoder;
use super::speed::change_speed;
use super::{RandomStream, ViewError};

/// Shifts a clip up or down by an interval drawn uniformly in semitones. Timbre shifts with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PitchShift {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The lowest shift in semitones.
    pub minimum_semitones: f64,
    /// The highest shift in semitones.
    pub maximum_semitones: f64,
    /// Whether only whole semitones are drawn.
    #[serde(default)]
    pub whole_semitones: bool,
}

impl PitchShift {
    pub(super) fn validate(&self) -> Result<(), ViewError> {
        check_value("pitch-shift", "probability", self.probability, 0.0, 1.0)?;
        let shifts = [self.minimum_semitones, self.maximum_semitones];
        check_range("pitch-shift", ["minimum_semitones", "maximum_semitones"], shifts, -24.0, 24.0)?;
        if self.whole_semitones && self.minimum_semitones.ceil() > self.maximum_semitones.floor() {
            let expected = format!("a whole number from {} on within the range", self.minimum_semitones);
            let (field, value) = ("maximum_semitones", self.maximum_semitones);
            return Err(ViewError::Value { view: "pitch-shift", field, value, expected });
        }
        Ok(())
    }

    /// The clip at a random pitch and its own length.
    pub(super) fn apply(&self, samples: &[f32], vocoder: &PhaseVocoder, random: &mut RandomStream) -> Vec<f32> {
        let semitones = if self.whole_semitones {
            let (low, high) = (self.minimum_semitones.ceil(), self.maximum_semitones.floor());
            low + random.below((high - low) as u64 + 1) as f64
        } else {
            random.range(self.minimum_semitones, self.maximum_semitones)
        };
        shift_pitch(samples, semitones, vocoder)
    }
}

/// The clip shifted by an interval, to the cent or so: the ratio of frequencies is rounded to thousandths.
fn shift_pitch(samples: &[f32], semitones: f64, vocoder: &PhaseVocoder) -> Vec<f32> {
    let ratio = (libm::exp2(semitones / 12.0) * 1000.0).round() / 1000.0;
    let mut shifted = change_speed(vocoder.stretch(samples, 1.0 / ratio), ratio);
    // Rounding up twice may have left a sample too many, and rounding a quotient one too few.
    shifted.resize(samples.len(), 0.0);
    shifted
}

#[cfg(test)]
mod tests {
    use super::super::phase_vocoder::tests::{loudest_hertz, tone};
    use super::super::{ClipSeed, root_mean_square};
    use super::*;

    #[test]
    fn a_tone_is_shifted_and_keeps_its_length_and_level() {
        let vocoder = PhaseVocoder::new(24_000);
        for (semitones, expected) in [(12.0, 880.0), (-12.0, 220.0), (1.0, 466.16), (-5.0, 329.63), (0.0, 440.0)] {
            let shifted = shift_pitch(&tone(440.0, 48_000), semitones, &vocoder);
            assert_eq!(shifted.len(), 48_000);
            let found = loudest_hertz(&shifted[8_000..40_000]);
            assert!((found - expected).abs() < 1.0, "{semitones} semitones: {found} Hz, {expected} expected");
            let level = root_mean_square(&shifted[8_000..40_000]) / std::f64::consts::FRAC_1_SQRT_2;
            assert!((level - 1.0).abs() < 0.02, "{semitones} semitones: {level} of the level");
        }
    }

    #[test]
    fn whole_semitones_are_drawn_from_end_to_end() {
        let vocoder = PhaseVocoder::new(24_000);
        let shift =
            PitchShift { probability: 1.0, minimum_semitones: -1.0, maximum_semitones: 1.0, whole_semitones: true };
        shift.validate().unwrap();
        let mut found: Vec<u32> = (0..12)
            .map(|clip| {
                let mut random = ClipSeed { seed: 0, step: 0, clip }.stream("pitch");
                loudest_hertz(&shift.apply(&tone(440.0, 24_000), &vocoder, &mut random)[4_000..20_000]).round() as u32
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [415, 440, 466]);
        let none = PitchShift { minimum_semitones: 0.2, maximum_semitones: 0.8, ..shift };
        assert!(none.validate().unwrap_err().to_string().contains("a whole number"));
    }
}
