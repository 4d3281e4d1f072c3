//! Mel-frequency cepstral coefficients as the speech toolkit Kaldi has them: what the first k-means teacher of HuBERT
//! (Hsu et al. 2021, arXiv:2106.07447, sec. III-B) was fitted to.
//!
//! Unlike [`Mfcc`](super::Mfcc), frame `t` *begins* at sample `t * hop_samples`, and the clip is not continued past its ends;
//! every frame has its mean taken off and its high frequencies raised, bands are sums of powers as natural logarithms, and
//! higher coefficients are raised ("liftered"). The definition is that of torchaudio 2.11, `compliance.kaldi.mfcc` with
//! `use_energy=False` and without dither.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use super::error::{FeatureError, check_count, check_quantity};
use super::mfcc::orthonormal_cosines;
use super::{FeatureSpec, assert_fits, encode_clips};
use crate::audio::Waveform;
use crate::encoder::{EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice};
use crate::frames::Frames;

/// The longest window that can be configured, in samples.
const MAXIMUM_WINDOW_SAMPLES: usize = 1 << 20;

/// The most bands that can be configured.
const MAXIMUM_MELS: usize = 1 << 12;

/// The share of a sample that is taken off the next one, which raises high frequencies.
const PREEMPHASIS: f64 = 0.97;

/// How the Hann window is flattened ("povey").
const WINDOW_EXPONENT: f64 = 0.85;

/// The smallest energy of a band: the rounding of single precision.
const SMALLEST_ENERGY: f64 = f32::EPSILON as f64;

/// The period of the sine that raises higher coefficients is twice this.
const LIFTER: f64 = 22.0;

/// What the coefficients are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KaldiMfccConfig {
    /// Sample rate of the clips in Hz.
    pub sample_rate: u32,
    /// Length of a frame; its transform is the next power of two.
    pub window_samples: usize,
    /// Samples from one frame to the next.
    pub hop_samples: usize,
    /// Number of mel bands.
    pub num_mels: usize,
    /// Where the lowest band begins, in Hz; the highest ends at the Nyquist frequency.
    pub minimum_hz: f64,
    /// Coefficients kept, counted from the mean.
    pub num_coefficients: usize,
}

impl KaldiMfccConfig {
    /// Kaldi's defaults at a sample rate, rounded down to whole samples: 25 ms every 10 ms, 23 bands from 20 Hz.
    pub fn standard(sample_rate: u32, num_coefficients: usize) -> Self {
        let rate = sample_rate as usize;
        Self {
            sample_rate,
            window_samples: rate * 25 / 1000,
            hop_samples: rate / 100,
            num_mels: 23,
            minimum_hz: 20.0,
            num_coefficients,
        }
    }

    fn validate(&self) -> Result<(), FeatureError> {
        check_count("sample_rate", self.sample_rate as usize, 1..=u32::MAX as usize)?;
        check_count("window_samples", self.window_samples, 2..=MAXIMUM_WINDOW_SAMPLES)?;
        // A longer hop would leave out sound.
        check_count("hop_samples", self.hop_samples, 1..=self.window_samples)?;
        check_count("num_mels", self.num_mels, 1..=MAXIMUM_MELS)?;
        let nyquist_hz = f64::from(self.sample_rate) / 2.0;
        check_quantity("minimum_hz", self.minimum_hz, 0.0..=nyquist_hz.next_down())?;
        check_count("num_coefficients", self.num_coefficients, 1..=self.num_mels)
    }
}

/// The first cosine coefficients of Kaldi's mel spectrum: an encoder of one layer, `[frames, coefficients]`.
pub struct KaldiMfcc {
    config: KaldiMfccConfig,
    spec: EncoderSpec,
    window: Vec<f64>,
    transform: Arc<dyn RealToComplex<f64>>,
    /// Of each band: its first bin, and its weights from there on.
    bands: Vec<(usize, Vec<f64>)>,
    /// `[coefficients, mels]`, raised.
    cosines: Vec<f64>,
}

impl KaldiMfcc {
    /// Prepares window, bands and cosine transform.
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible.
    pub fn new(config: KaldiMfccConfig) -> Result<Self, FeatureError> {
        config.validate()?;
        let mut spec = FeatureSpec {
            name: "kaldi-mfcc",
            numerics_version: 1,
            sample_rate: config.sample_rate,
            dim: config.num_coefficients,
            hop_samples: config.hop_samples,
            minimum_samples: config.window_samples,
            context_samples: Some(config.window_samples),
        }
        .into_encoder_spec(&config)?;
        spec.edge_samples = config.window_samples - config.hop_samples;
        let steps = (config.window_samples - 1) as f64;
        let hann = |index: usize| 0.5 - 0.5 * (std::f64::consts::TAU * index as f64 / steps).cos();
        let window = (0..config.window_samples).map(|index| hann(index).max(0.0).powf(WINDOW_EXPONENT)).collect();
        let mut cosines = orthonormal_cosines(config.num_coefficients, config.num_mels);
        for (number, row) in cosines.chunks_exact_mut(config.num_mels).enumerate() {
            let raised = 1.0 + 0.5 * LIFTER * (std::f64::consts::PI * number as f64 / LIFTER).sin();
            row.iter_mut().for_each(|cosine| *cosine *= raised);
        }
        let transform = RealFftPlanner::new().plan_fft_forward(config.window_samples.next_power_of_two());
        Ok(Self { spec, window, transform, bands: bands(&config), cosines, config })
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &KaldiMfccConfig {
        &self.config
    }

    /// The coefficients of every frame: `[(num_samples - window_samples) / hop_samples + 1, num_coefficients]`.
    ///
    /// # Panics
    /// If the waveform is at another rate or too short; [`Encoder::encode`] returns an error there.
    pub fn compute(&self, waveform: &Waveform) -> Frames {
        assert_fits(&self.spec, waveform);
        let (num_mels, dim) = (self.config.num_mels, self.config.num_coefficients);
        let (mut input, mut spectrum) = (self.transform.make_input_vec(), self.transform.make_output_vec());
        let mut scratch = self.transform.make_scratch_vec();
        let mut data = Vec::new();
        for samples in waveform.samples().windows(self.config.window_samples).step_by(self.config.hop_samples) {
            self.shape(samples, &mut input);
            // Fails for buffers of another length only, and these are its own.
            let transformed = self.transform.process_with_scratch(&mut input, &mut spectrum, &mut scratch);
            debug_assert!(transformed.is_ok(), "{transformed:?}");
            let energies = self.bands.iter().map(|(first, weights)| {
                let bins = weights.iter().zip(&spectrum[*first..]);
                let energy: f64 = bins.map(|(weight, bin)| weight * bin.norm_sqr()).sum();
                // Not `max`, which would hide a NaN.
                (if energy < SMALLEST_ENERGY { SMALLEST_ENERGY } else { energy }).ln()
            });
            let energies: Vec<f64> = energies.collect();
            data.extend(self.cosines.chunks_exact(num_mels).map(|cosines| {
                cosines.iter().zip(&energies).map(|(cosine, energy)| cosine * energy).sum::<f64>() as f32
            }));
        }
        let num_frames = data.len() / dim;
        Frames::new(data, num_frames, dim, self.spec.frames_per_second(0))
    }

    /// One frame without its mean, with its high frequencies raised, under the window; zeros follow.
    fn shape(&self, samples: &[f32], input: &mut [f64]) {
        let mean = samples.iter().copied().map(f64::from).sum::<f64>() / samples.len() as f64;
        input.fill(0.0);
        let mut previous = f64::from(samples[0]) - mean;
        for ((input, &sample), window) in input.iter_mut().zip(samples).zip(&self.window) {
            let sample = f64::from(sample) - mean;
            *input = window * (sample - PREEMPHASIS * previous);
            previous = sample;
        }
    }
}

impl Encoder for KaldiMfcc {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        encode_clips(&self.spec, clips, layers, |clip| self.compute(clip))
    }
}

/// Triangles that are equal on the mel scale `1127 ln(1 + hz / 700)` and straight on it too. The bin at the Nyquist
/// frequency is in none.
fn bands(config: &KaldiMfccConfig) -> Vec<(usize, Vec<f64>)> {
    let mels = |hz: f64| 1127.0 * (hz / 700.0).ln_1p();
    let fft_samples = config.window_samples.next_power_of_two();
    let bin_hz = f64::from(config.sample_rate) / fft_samples as f64;
    let lowest = mels(config.minimum_hz);
    let step = (mels(f64::from(config.sample_rate) / 2.0) - lowest) / (config.num_mels + 1) as f64;
    (0..config.num_mels)
        .map(|band| {
            let [begin, peak, end] = [0.0, 1.0, 2.0].map(|corner| lowest + (band as f64 + corner) * step);
            let weight = |bin: usize| {
                let mel = mels(bin as f64 * bin_hz);
                ((mel - begin) / (peak - begin)).min((end - mel) / (end - peak))
            };
            let first = (0..fft_samples / 2).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            (first, (first..fft_samples / 2).map(weight).take_while(|&weight| weight > 0.0).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::deltas::with_deltas;
    use super::super::golden;
    use super::*;
    use crate::testing::{assert_golden, check_encoder};

    #[test]
    fn keeps_the_laws_of_encoders() {
        check_encoder(&KaldiMfcc::new(KaldiMfccConfig::standard(16_000, 13)).unwrap(), 16_000);
        check_encoder(&KaldiMfcc::new(KaldiMfccConfig::standard(24_000, 20)).unwrap(), 12_345);
    }

    #[test]
    fn equals_torchaudio_with_its_derivatives() {
        let path = format!("{}/../../fixtures/golden/kaldi-mfcc/outputs.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = fs_err::read(path).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let wave = Waveform::new(golden::input(16_000).samples()[..16_000].to_vec(), 16_000);
        for num_coefficients in [13, 20] {
            let name = format!("mfcc_{num_coefficients}");
            let view = tensors.tensor(&name).unwrap();
            let expected: Vec<f32> = view.data().as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
            let mfcc = KaldiMfcc::new(KaldiMfccConfig::standard(16_000, num_coefficients)).unwrap().compute(&wave);
            let frames = with_deltas(&mfcc, 2);
            assert_eq!([frames.num_frames(), frames.dim()], view.shape());
            assert_golden(&name, frames.data(), &expected, 1e-4);
        }
    }

    #[test]
    fn impossible_configurations_are_errors() {
        let error = |config| KaldiMfcc::new(config).err().unwrap().to_string();
        let standard = KaldiMfccConfig::standard(16_000, 13);
        assert_eq!(
            error(KaldiMfccConfig { num_coefficients: 24, ..standard.clone() }),
            "num_coefficients is 24: expected 1 to 23"
        );
        assert!(error(KaldiMfccConfig { hop_samples: 401, ..standard.clone() }).contains("hop_samples is 401"));
        assert!(error(KaldiMfccConfig { minimum_hz: 8_000.0, ..standard }).contains("minimum_hz is 8000"));
        assert!(KaldiMfcc::new(KaldiMfccConfig::standard(10, 13)).is_err());
    }
}
