//! Chroma: the energy of the twelve pitch classes, whatever their octave.
//!
//! The constant-Q bins of every octave are added up pitch class by pitch class, each frame divided by its largest value
//! (Fujishima 1999; the definition is that of librosa 0.11, `feature.chroma_cqt`). The bins follow the recording's own
//! tuning.
//!
//! Measured against librosa on six clips: the same tuning, and chroma within 1e-4 of rms (the largest difference is
//! 8e-5), the rest being its single precision and the edges of its downsampling.

use serde::{Deserialize, Serialize};

use super::error::{FeatureError, check_count, check_quantity};
use super::octaves::Octaves;
use super::tuning::estimate_tuning;
use super::{FeatureSpec, assert_fits, encode_clips};
use crate::audio::Waveform;
use crate::encoder::{EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice};
use crate::frames::Frames;

/// The most bins per octave that can be configured.
const MAXIMUM_BINS_PER_OCTAVE: usize = 1 << 10;

/// The longest kernel and the longest hop that can be configured, in samples.
const MAXIMUM_SAMPLES: usize = 1 << 22;

/// Frequency of C1 in equal temperament from A = 440 Hz.
const C1_HZ: f64 = 32.703_195_662_574_83;

/// What the pitch classes are gathered from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChromaConfig {
    /// Sample rate of the clips in Hz.
    pub sample_rate: u32,
    /// Samples from one frame to the next.
    pub hop_samples: usize,
    /// Number of pitch classes, the first being C.
    pub num_chroma: usize,
    /// Bins per octave, a multiple of `num_chroma`: with three to a semitone, only its own third of a tone counts fully.
    pub bins_per_octave: usize,
    /// Number of octaves that are added up.
    pub num_octaves: usize,
    /// Frequency of the lowest bin in Hz, before tuning.
    pub minimum_hz: f64,
    /// How far the recording is tuned from A = 440 Hz, in bins from -0.5 to 0.5; estimated from each clip where absent,
    /// and the frames then depend on the whole clip.
    pub tuning_bins: Option<f64>,
}

impl ChromaConfig {
    /// librosa's defaults at 24 kHz and 50 frames per second: 12 pitch classes from 36 bins per octave, 7 octaves from
    /// C1, the tuning estimated.
    pub fn standard() -> Self {
        Self {
            sample_rate: 24_000,
            hop_samples: 480,
            num_chroma: 12,
            bins_per_octave: 36,
            num_octaves: 7,
            minimum_hz: C1_HZ,
            tuning_bins: None,
        }
    }

    /// The constant-Q bins of a recording.
    fn octaves(&self, tuning_bins: f64) -> Octaves {
        Octaves {
            sample_rate: f64::from(self.sample_rate),
            hop_samples: self.hop_samples,
            minimum_hz: self.minimum_hz * 2f64.powf(tuning_bins / self.bins_per_octave as f64),
            bins_per_octave: self.bins_per_octave,
            num_octaves: self.num_octaves,
        }
    }

    fn validate(&self) -> Result<(), FeatureError> {
        let nyquist_hz = f64::from(self.sample_rate) / 2.0;
        check_count("sample_rate", self.sample_rate as usize, 1..=u32::MAX as usize)?;
        check_count("hop_samples", self.hop_samples, 1..=MAXIMUM_SAMPLES)?;
        check_count("num_chroma", self.num_chroma, 1..=MAXIMUM_BINS_PER_OCTAVE)?;
        check_count("bins_per_octave", self.bins_per_octave, 2..=MAXIMUM_BINS_PER_OCTAVE)?;
        check_count("num_octaves", self.num_octaves, 1..=32)?;
        if !self.bins_per_octave.is_multiple_of(self.num_chroma) {
            return Err(FeatureError::NotAMultiple {
                field: "bins_per_octave",
                value: self.bins_per_octave,
                of: "num_chroma",
                factor: self.num_chroma,
            });
        }
        check_quantity("minimum_hz", self.minimum_hz, f64::MIN_POSITIVE..=nyquist_hz)?;
        check_quantity("tuning_bins", self.tuning_bins.unwrap_or(0.0), -0.5..=0.5)?;
        let sharpest = self.octaves(self.tuning_bins.unwrap_or(0.5));
        check_quantity("the end of the highest bin in Hz", sharpest.cutoff_hz(), self.minimum_hz..=nyquist_hz)?;
        let longest = self.octaves(self.tuning_bins.unwrap_or(-0.5)).longest_kernel_samples();
        check_quantity("the longest kernel in samples", longest, 1.0..=MAXIMUM_SAMPLES as f64)
    }

    /// The pitch class of each bin of an octave, counted from C: a semitone's bins lie around its pitch.
    fn chroma_of_bins(&self) -> Vec<usize> {
        let bins_per_chroma = self.bins_per_octave / self.num_chroma;
        let semitones_above_c = (12.0 * (self.minimum_hz / C1_HZ).log2()).rem_euclid(12.0);
        let lowest = (semitones_above_c * self.num_chroma as f64 / 12.0).round_ties_even() as usize;
        (0..self.bins_per_octave)
            .map(|bin| ((bin + bins_per_chroma / 2) / bins_per_chroma + lowest) % self.num_chroma)
            .collect()
    }
}

/// The pitch classes' energies, the largest of each frame being 1: an encoder of one layer, `[frames, chroma]`.
///
/// The frames of silence are all zero. A clip of any length is well defined: it is surrounded by silence.
pub struct Chroma {
    config: ChromaConfig,
    spec: EncoderSpec,
    chroma_of_bins: Vec<usize>,
}

impl Chroma {
    /// Checks the configuration; the kernels follow each clip's tuning and are computed with it.
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible.
    pub fn new(config: ChromaConfig) -> Result<Self, FeatureError> {
        config.validate()?;
        let spec = FeatureSpec {
            name: "chroma",
            numerics_version: 1,
            sample_rate: config.sample_rate,
            dim: config.num_chroma,
            hop_samples: config.hop_samples,
            minimum_samples: 1,
            context_samples: config.tuning_bins.map(|tuning| config.octaves(tuning).context_samples()),
        }
        .into_encoder_spec(&config)?;
        let chroma_of_bins = config.chroma_of_bins();
        Ok(Self { config, spec, chroma_of_bins })
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &ChromaConfig {
        &self.config
    }

    /// The pitch classes of every frame: `[num_samples / hop_samples + 1, num_chroma]`.
    ///
    /// # Panics
    /// If the waveform is at another rate or empty; [`Encoder::encode`] returns an error there.
    pub fn compute(&self, waveform: &Waveform) -> Frames {
        assert_fits(&self.spec, waveform);
        let ChromaConfig { sample_rate, bins_per_octave, num_chroma, .. } = self.config;
        let tuning_bins = self
            .config
            .tuning_bins
            .unwrap_or_else(|| estimate_tuning(waveform.samples(), sample_rate, bins_per_octave));
        let octaves = self.config.octaves(tuning_bins);
        let magnitudes = octaves.magnitudes(waveform.samples());
        let num_frames = magnitudes.len() / octaves.num_bins();
        let mut data = vec![0.0f32; num_frames * num_chroma];
        for (frame, bins) in data.chunks_exact_mut(num_chroma).zip(magnitudes.chunks_exact(octaves.num_bins())) {
            for octave in bins.chunks_exact(bins_per_octave) {
                for (&chroma, magnitude) in self.chroma_of_bins.iter().zip(octave) {
                    frame[chroma] += magnitude;
                }
            }
            let largest = frame.iter().copied().fold(0.0, f32::max);
            if largest >= f32::MIN_POSITIVE {
                frame.iter_mut().for_each(|value| *value /= largest);
            }
        }
        Frames::new(data, num_frames, num_chroma, self.spec.frames_per_second(0))
    }
}

impl Encoder for Chroma {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        encode_clips(&self.spec, clips, layers, |clip| self.compute(clip))
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::testing::{assert_golden, check_encoder};

    fn chroma(config: ChromaConfig) -> Chroma {
        Chroma::new(config).unwrap()
    }

    #[test]
    fn keeps_the_laws_of_encoders() {
        check_encoder(&chroma(ChromaConfig::standard()), 24_000);
        check_encoder(
            &chroma(ChromaConfig {
                sample_rate: 16_000,
                hop_samples: 512,
                num_octaves: 6,
                bins_per_octave: 24,
                num_chroma: 24,
                tuning_bins: Some(0.0),
                ..ChromaConfig::standard()
            }),
            16_000,
        );
    }

    #[test]
    fn equals_librosa() {
        let frames = chroma(ChromaConfig::standard()).compute(&golden::input(24_000));
        assert_golden("chroma", frames.data(), &golden::output("chroma_cqt_24k_hop480"), 1e-4);
    }

    #[test]
    fn a_note_has_its_maximum_in_its_class_whatever_the_lowest_bin() {
        let sine = |hz: f64| {
            let step = std::f64::consts::TAU * hz / 24_000.0;
            Waveform::new((0..24_000).map(|index| (step * f64::from(index)).sin() as f32).collect(), 24_000)
        };
        for minimum_hz in [C1_HZ, 55.0] {
            let chroma = chroma(ChromaConfig { minimum_hz, num_octaves: 6, ..ChromaConfig::standard() });
            for (hz, class) in [(440.0, 9), (880.0, 9), (261.63, 0), (392.0, 7)] {
                assert_eq!(chroma.compute(&sine(hz)).frame(25)[class], 1.0, "{hz} Hz from {minimum_hz} Hz");
            }
        }
    }

    #[test]
    fn silence_has_no_pitch_class() {
        let frames = chroma(ChromaConfig::standard()).compute(&Waveform::new(vec![0.0; 4_800], 24_000));
        assert!(frames.data().iter().all(|&value| value == 0.0));
    }

    #[test]
    fn impossible_configurations_are_named() {
        let error = |config| Chroma::new(config).err().unwrap().to_string();
        let config = ChromaConfig::standard();
        assert_eq!(
            error(ChromaConfig { bins_per_octave: 40, ..config.clone() }),
            "bins_per_octave is 40: expected a multiple of num_chroma, which is 12"
        );
        let above_nyquist = error(ChromaConfig { num_octaves: 9, ..config.clone() });
        assert!(above_nyquist.starts_with("the end of the highest bin in Hz is "), "{above_nyquist}");
        assert!(error(ChromaConfig { tuning_bins: Some(0.7), ..config.clone() }).starts_with("tuning_bins is 0.7"));
        assert!(error(ChromaConfig { num_chroma: 0, ..config }).starts_with("num_chroma is 0"));
    }
}
