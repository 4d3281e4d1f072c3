//! Mel-frequency cepstral coefficients: the shape of the mel spectrum, with its fine detail left out.
//!
//! Davis and Mermelstein, 1980: the cosine transform (DCT-II, orthonormal) of the mel spectrum in decibels, of which
//! the first coefficients are kept. The definition is that of torchaudio 2.11 (`transforms.MFCC`).

use serde::{Deserialize, Serialize};

use super::error::{FeatureError, check_count};
use super::mel::{Compression, MelConfig, MelSpectrogram};
use super::stft::StftConfig;
use super::{FeatureSpec, encode_clips};
use crate::audio::Waveform;
use crate::encoder::{EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice};
use crate::frames::Frames;

/// What the coefficients are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MfccConfig {
    /// The mel spectrum that is transformed.
    pub mel: MelConfig,
    /// Coefficients kept, counted from the mean.
    pub num_coefficients: usize,
}

impl MfccConfig {
    /// 13 coefficients, 50 times per second at 24 kHz: torchaudio's defaults (HTK scale, decibels, 80 dB of range) with
    /// transforms of 2048 samples.
    pub fn standard() -> Self {
        let mel = MelConfig {
            stft: StftConfig::power(24_000, 2048, 480),
            compression: Compression::decibels(Some(80.0)),
            ..MelConfig::muq()
        };
        Self { mel, num_coefficients: 13 }
    }
}

/// The first cosine coefficients of the mel spectrum: an encoder of one layer, `[frames, coefficients]`.
pub struct Mfcc {
    config: MfccConfig,
    spec: EncoderSpec,
    mel: MelSpectrogram,
    /// `[coefficients, mels]`
    cosines: Vec<f64>,
}

impl Mfcc {
    /// Prepares the mel spectrogram and the cosine transform.
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible.
    pub fn new(config: MfccConfig) -> Result<Self, FeatureError> {
        let mel = MelSpectrogram::new(config.mel.clone())?;
        check_count("num_coefficients", config.num_coefficients, 1..=config.mel.num_mels)?;
        let spec = FeatureSpec {
            name: "mfcc",
            numerics_version: 1,
            sample_rate: mel.spec().sample_rate,
            dim: config.num_coefficients,
            hop_samples: config.mel.stft.hop_samples,
            minimum_samples: mel.spec().minimum_samples,
            context_samples: mel.spec().context_samples,
        }
        .into_encoder_spec(&config)?;
        let cosines = orthonormal_cosines(config.num_coefficients, config.mel.num_mels);
        Ok(Self { config, spec, mel, cosines })
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &MfccConfig {
        &self.config
    }

    /// The coefficients of every frame: `[num_samples / hop_samples + 1, num_coefficients]`.
    ///
    /// # Panics
    /// If the waveform is at another rate or too short; [`Encoder::encode`] returns an error there.
    pub fn compute(&self, waveform: &Waveform) -> Frames {
        let mel = self.mel.compute(waveform);
        let (num_mels, dim) = (mel.dim(), self.config.num_coefficients);
        let mut data = Vec::with_capacity(mel.num_frames() * dim);
        for bands in mel.data().chunks_exact(num_mels) {
            data.extend(self.cosines.chunks_exact(num_mels).map(|cosines| {
                cosines.iter().zip(bands).map(|(cosine, &band)| cosine * f64::from(band)).sum::<f64>() as f32
            }));
        }
        Frames::new(data, mel.num_frames(), dim, self.spec.frames_per_second(0))
    }
}

impl Encoder for Mfcc {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        encode_clips(&self.spec, clips, layers, |clip| self.compute(clip))
    }
}

/// The first rows of the orthonormal DCT-II: `[num_rows, size]`.
pub(super) fn orthonormal_cosines(num_rows: usize, size: usize) -> Vec<f64> {
    let mut cosines = Vec::with_capacity(num_rows * size);
    for row in 0..num_rows {
        let scale = (if row == 0 { 1.0 } else { 2.0 } / size as f64).sqrt();
        let step = std::f64::consts::PI * row as f64 / size as f64;
        cosines.extend((0..size).map(|column| scale * (step * (column as f64 + 0.5)).cos()));
    }
    cosines
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::testing::{assert_golden, check_encoder};

    #[test]
    fn keeps_the_laws_of_encoders() {
        check_encoder(&Mfcc::new(MfccConfig::standard()).unwrap(), 24_000);
    }

    #[test]
    fn equals_torchaudio() {
        let frames = Mfcc::new(MfccConfig::standard()).unwrap().compute(&golden::input(24_000));
        assert_golden("mfcc", frames.data(), &golden::output("mfcc_24k_13_2048_480"), 1e-4);
    }

    #[test]
    fn the_cosine_transform_is_orthonormal() {
        let cosines = orthonormal_cosines(8, 8);
        for (row, first) in cosines.chunks_exact(8).enumerate() {
            for (column, second) in cosines.chunks_exact(8).enumerate() {
                let product: f64 = first.iter().zip(second).map(|(a, b)| a * b).sum();
                let expected = if row == column { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn only_a_local_mel_spectrum_gives_local_coefficients() {
        let standard = MfccConfig::standard();
        assert_eq!(Mfcc::new(standard.clone()).unwrap().spec().context_samples, None);
        let mel = MelConfig { compression: Compression::decibels(None), ..standard.mel };
        assert_eq!(Mfcc::new(MfccConfig { mel, ..standard }).unwrap().spec().context_samples, Some(1024));
    }

    #[test]
    fn more_coefficients_than_bands_are_an_error() {
        let config = MfccConfig { num_coefficients: 129, ..MfccConfig::standard() };
        assert_eq!(Mfcc::new(config).err().unwrap().to_string(), "num_coefficients is 129: expected 1 to 128");
    }
}
