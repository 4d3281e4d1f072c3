//! A random filter of the second order.
//!
//! Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients": low-pass, high-pass, and
//! band-pass with a gain of 1 at its centre.

use serde::{Deserialize, Serialize};

use super::error::{check_range, check_value};
use super::{RandomStream, ViewError};

/// Filters a clip by one of several kinds, at a frequency drawn uniformly on a logarithmic scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// How often the view is applied: 0 to 1.
    #[serde(default = "super::always")]
    pub probability: f64,
    /// The kinds, each as likely as the others.
    pub kinds: Vec<FilterKind>,
    /// The lowest cutoff or centre frequency in Hz.
    pub minimum_hz: f64,
    /// The highest cutoff or centre frequency in Hz, below half the sample rate.
    pub maximum_hz: f64,
    /// The quality: 0.707 leaves no peak at the cutoff; a band-pass is `1 / quality` times its centre wide.
    #[serde(default = "default_quality")]
    pub quality: f64,
}

fn default_quality() -> f64 {
    std::f64::consts::FRAC_1_SQRT_2
}

/// What a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterKind {
    /// What lies below the frequency.
    LowPass,
    /// What lies above it.
    HighPass,
    /// What lies around it.
    BandPass,
}

impl Filter {
    pub(super) fn validate(&self, sample_rate: u32) -> Result<(), ViewError> {
        check_value("filter", "probability", self.probability, 0.0, 1.0)?;
        if self.kinds.is_empty() {
            return Err(ViewError::Empty { view: "filter", field: "kinds" });
        }
        let highest = 0.499 * f64::from(sample_rate);
        check_range("filter", ["minimum_hz", "maximum_hz"], [self.minimum_hz, self.maximum_hz], 1.0, highest)?;
        check_value("filter", "quality", self.quality, 0.05, 100.0)
    }

    /// Filters the samples, which silence goes before.
    ///
    /// # Panics
    /// If there are no kinds.
    pub fn apply(&self, samples: &mut [f32], sample_rate: u32, random: &mut RandomStream) {
        let kind = self.kinds[random.below(self.kinds.len() as u64) as usize];
        let hertz = libm::exp(random.range(libm::log(self.minimum_hz), libm::log(self.maximum_hz)));
        Biquad::new(kind, hertz / f64::from(sample_rate), self.quality).run(samples);
    }
}

/// A filter's coefficients, divided by that of the newest output.
struct Biquad {
    input: [f64; 3],
    output: [f64; 2],
}

impl Biquad {
    /// `frequency` is a share of the sample rate.
    fn new(kind: FilterKind, frequency: f64, quality: f64) -> Self {
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * frequency);
        let alpha = sine / (2.0 * quality);
        let scale = 1.0 / (1.0 + alpha);
        let input = match kind {
            FilterKind::LowPass => [(1.0 - cosine) / 2.0, 1.0 - cosine, (1.0 - cosine) / 2.0],
            FilterKind::HighPass => [(1.0 + cosine) / 2.0, -(1.0 + cosine), (1.0 + cosine) / 2.0],
            FilterKind::BandPass => [alpha, 0.0, -alpha],
        };
        Self {
            input: input.map(|coefficient| coefficient * scale),
            output: [-2.0 * cosine * scale, (1.0 - alpha) * scale],
        }
    }

    /// The transposed direct form II, in double precision.
    fn run(&self, samples: &mut [f32]) {
        let mut state = [0.0; 2];
        for sample in samples {
            let input = f64::from(*sample);
            let output = self.input[0] * input + state[0];
            state[0] = self.input[1] * input - self.output[0] * output + state[1];
            state[1] = self.input[2] * input - self.output[1] * output;
            *sample = output as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClipSeed, root_mean_square};
    use super::*;

    const RATE: u32 = 24_000;

    /// How much of a tone of `hertz` comes through, in decibels.
    fn response(kind: FilterKind, cutoff: f64, quality: f64, hertz: f64) -> f64 {
        let filter = Filter { probability: 1.0, kinds: vec![kind], minimum_hz: cutoff, maximum_hz: cutoff, quality };
        filter.validate(RATE).unwrap();
        let tone = |index: usize| (std::f64::consts::TAU * hertz * index as f64 / f64::from(RATE)).sin() as f32;
        let mut samples: Vec<f32> = (0..48_000).map(tone).collect();
        let before = root_mean_square(&samples[24_000..]);
        filter.apply(&mut samples, RATE, &mut ClipSeed { seed: 0, step: 0, clip: 0 }.stream("filter"));
        20.0 * (root_mean_square(&samples[24_000..]) / before).log10()
    }

    #[test]
    fn responses_are_those_of_the_second_order() {
        let q = default_quality();
        for (kind, hertz, expected, tolerance) in [
            (FilterKind::LowPass, 1000.0, -3.01, 0.05),
            (FilterKind::LowPass, 50.0, 0.0, 0.05),
            (FilterKind::LowPass, 4000.0, -25.0, 2.0),
            (FilterKind::HighPass, 1000.0, -3.01, 0.05),
            (FilterKind::HighPass, 250.0, -24.1, 1.0),
            (FilterKind::HighPass, 9000.0, 0.0, 0.05),
            (FilterKind::BandPass, 1000.0, 0.0, 0.05),
        ] {
            let found = response(kind, 1000.0, q, hertz);
            assert!((found - expected).abs() < tolerance, "{kind:?} at {hertz} Hz: {found:.2} dB, {expected} expected");
        }
        // A band-pass of quality 5 is 200 Hz wide at 1 kHz: -3 dB at its edges.
        let edge = response(FilterKind::BandPass, 1000.0, 5.0, 1000.0 * (1.0 + 1.0 / 100.0_f64).sqrt() + 100.0);
        assert!((edge + 3.01).abs() < 0.3, "{edge}");
    }

    #[test]
    fn every_kind_and_many_frequencies_are_drawn() {
        let filter = Filter {
            probability: 1.0,
            kinds: vec![FilterKind::LowPass, FilterKind::HighPass],
            minimum_hz: 200.0,
            maximum_hz: 4000.0,
            quality: default_quality(),
        };
        let impulse = |clip| {
            let mut samples = [0.0; 400];
            samples[0] = 1.0;
            filter.apply(&mut samples, RATE, &mut ClipSeed { seed: 0, step: 0, clip }.stream("filter"));
            samples
        };
        let sums: Vec<f32> = (0..40).map(|clip| impulse(clip).iter().sum()).collect();
        let low_passes = sums.iter().filter(|&&sum| (sum - 1.0).abs() < 0.05).count();
        assert!((8..32).contains(&low_passes), "{sums:?}");
        assert_ne!(impulse(0)[..3], impulse(1)[..3]);
    }

    #[test]
    fn impossible_values_are_named() {
        let filter = Filter { probability: 1.0, kinds: Vec::new(), minimum_hz: 1.0, maximum_hz: 2.0, quality: 1.0 };
        assert_eq!(filter.validate(RATE).unwrap_err().to_string(), "filter: `kinds` is empty, at least 1 expected");
        let filter = Filter { kinds: vec![FilterKind::LowPass], maximum_hz: 12_000.0, ..filter };
        let error = filter.validate(RATE).unwrap_err().to_string();
        assert!(error.contains("`maximum_hz` is 12000"), "{error}");
    }
}
