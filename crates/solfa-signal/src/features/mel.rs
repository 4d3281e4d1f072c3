//! Mel spectrogram: the spectrum gathered into bands that are narrow at low pitches and wide at high ones.
//!
//! The definition is that of torchaudio 2.11 (`transforms.MelSpectrogram` followed by `AmplitudeToDB`), on which MuQ,
//! MusicFM and the multi-view encoders were trained. The scales are those of HTK (Young et al., *The HTK Book*, sec.
//! 5.4) and of Slaney's *Auditory Toolbox* (1998).

use serde::{Deserialize, Serialize};

use super::error::{FeatureError, check_count, check_quantity};
use super::stft::{FRAMES_TOGETHER, Spectrum, Stft, StftConfig, torch_hann_window};
use super::{FeatureSpec, assert_fits, encode_clips};
use crate::audio::Waveform;
use crate::encoder::{EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice, sha256_hex};
use crate::frames::Frames;

/// The most bands that can be configured; published front ends have up to a few hundred.
const MAXIMUM_MELS: usize = 1 << 14;

/// Frequencies beyond this are a typing mistake at any sample rate.
const MAXIMUM_HZ: f64 = 1e7;

/// How pitch is measured in mels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// Logarithmic throughout: `2595 log10(1 + hz / 700)`.
    Htk,
    /// Linear up to 1 kHz, logarithmic above.
    Slaney,
}

impl MelScale {
    /// Mels at which Slaney's scale turns from linear to logarithmic, at 1 kHz.
    const SLANEY_LOGARITHMIC_FROM: f64 = 15.0;
    /// Mels per Hz of Slaney's linear part.
    const SLANEY_MELS_PER_HZ: f64 = 3.0 / 200.0;

    /// Slaney's logarithmic part: 27 mels for a factor of 6.4.
    fn slaney_log_step() -> f64 {
        6.4f64.ln() / 27.0
    }

    /// Hz to mels.
    fn mels(self, hz: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
            Self::Slaney if hz < 1000.0 => hz * Self::SLANEY_MELS_PER_HZ,
            Self::Slaney => Self::SLANEY_LOGARITHMIC_FROM + (hz / 1000.0).ln() / Self::slaney_log_step(),
        }
    }

    /// Mels to Hz, rounded after every operation as torchaudio does.
    fn hz(self, mels: f32) -> f32 {
        let logarithmic_from = Self::SLANEY_LOGARITHMIC_FROM as f32;
        match self {
            Self::Htk => 700.0 * (10f64.powf(f64::from(mels / 2595.0)) as f32 - 1.0),
            Self::Slaney if mels < logarithmic_from => (1.0 / Self::SLANEY_MELS_PER_HZ) as f32 * mels,
            Self::Slaney => {
                let exponent = Self::slaney_log_step() as f32 * (mels - logarithmic_from);
                1000.0 * f64::from(exponent).exp() as f32
            }
        }
    }
}

/// How the energies of the bands, which span many orders of magnitude, are made even.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Compression {
    /// Energies as they are.
    None,
    /// `ln(energy + offset)`.
    Log {
        /// What silence is raised to, above 0.
        offset: f64,
    },
    /// Decibels relative to 1: `10 log10(max(energy, floor))` of powers, 20 instead of 10 for magnitudes.
    Decibels {
        /// The smallest energy that is told from silence, above 0 (torchaudio's `amin`).
        floor: f64,
        /// Range below the clip's loudest value, in dB; what is further below is raised to its edge. The frames then
        /// depend on the whole clip.
        range_decibels: Option<f64>,
    },
}

impl Compression {
    /// Decibels with torchaudio's floor of 1e-10.
    pub fn decibels(range_decibels: Option<f64>) -> Self {
        Self::Decibels { floor: 1e-10, range_decibels }
    }

    fn validate(self) -> Result<(), FeatureError> {
        match self {
            Self::None => Ok(()),
            Self::Log { offset } => check_quantity("offset", offset, f64::MIN_POSITIVE..=f64::MAX),
            Self::Decibels { floor, range_decibels } => {
                check_quantity("floor", floor, f64::MIN_POSITIVE..=f64::MAX)?;
                range_decibels.map_or(Ok(()), |range| check_quantity("range_decibels", range, 0.0..=f64::MAX))
            }
        }
    }

    /// Compresses one energy; the range below the loudest value is applied afterwards.
    fn apply(self, energy: f64, decibels_per_bel: f64) -> f64 {
        match self {
            Self::None => energy,
            Self::Log { offset } => (energy + offset).ln(),
            // Not `max`, which would hide a NaN.
            Self::Decibels { floor, .. } if energy < floor => decibels_per_bel * floor.log10(),
            Self::Decibels { .. } => decibels_per_bel * energy.log10(),
        }
    }
}

/// What a mel spectrogram is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConfig {
    /// Frames and spectrum.
    pub stft: StftConfig,
    /// Number of bands.
    pub num_mels: usize,
    /// Where the lowest band begins, in Hz.
    pub minimum_hz: f64,
    /// Where the highest band ends, in Hz; the Nyquist frequency where absent. Bands beyond the Nyquist frequency are
    /// empty.
    pub maximum_hz: Option<f64>,
    /// The scale on which the bands are equally wide.
    pub scale: MelScale,
    /// Whether each band is divided by its width in Hz, so that noise is level (torchaudio's `norm="slaney"`); if not,
    /// each has a peak of 1.
    pub area_normalized: bool,
    /// How energies become values.
    pub compression: Compression,
}

impl MelConfig {
    /// The front end of MuQ (arXiv:2501.01108) and MusicFM (arXiv:2311.03318): 24 kHz, 100 frames per second, 128 bands
    /// on the HTK scale, decibels.
    ///
    /// Both drop the last frame and normalise with statistics that belong to their checkpoints.
    pub fn muq() -> Self {
        Self {
            stft: StftConfig::power(24_000, 2048, 240),
            num_mels: 128,
            minimum_hz: 0.0,
            maximum_hz: None,
            scale: MelScale::Htk,
            area_normalized: false,
            compression: Compression::decibels(None),
        }
    }

    /// The front end of the multi-view encoders of arXiv:2404.09177: 16 kHz, 31.25 frames per
    /// second, 128 bands on Slaney's scale up to 11,025 Hz, the highest of them empty, and 100 dB of range.
    pub fn multi_view() -> Self {
        Self {
            stft: StftConfig { unit_energy_window: true, ..StftConfig::power(16_000, 1024, 512) },
            num_mels: 128,
            minimum_hz: 0.0,
            maximum_hz: Some(11_025.0),
            scale: MelScale::Slaney,
            area_normalized: false,
            compression: Compression::decibels(Some(100.0)),
        }
    }

    fn validate(&self) -> Result<(), FeatureError> {
        check_count("num_mels", self.num_mels, 1..=MAXIMUM_MELS)?;
        check_quantity("minimum_hz", self.minimum_hz, 0.0..=MAXIMUM_HZ)?;
        check_quantity("maximum_hz", self.highest_hz(), self.minimum_hz.next_up()..=MAXIMUM_HZ)?;
        self.compression.validate()
    }

    /// Where the highest band ends. Half of an odd sample rate is rounded down, as in torchaudio.
    fn highest_hz(&self) -> f64 {
        self.maximum_hz.unwrap_or(f64::from(self.stft.sample_rate / 2))
    }

    /// Range below the clip's loudest value, where there is one.
    fn range_decibels(&self) -> Option<f64> {
        match self.compression {
            Compression::Decibels { range_decibels, .. } => range_decibels,
            Compression::None | Compression::Log { .. } => None,
        }
    }
}

/// Bands of the spectrum, evenly spaced in pitch: an encoder of one layer, `[frames, mels]`.
pub struct MelSpectrogram {
    config: MelConfig,
    spec: EncoderSpec,
    stft: Stft,
    window: Vec<f32>,
    bands: Vec<Band>,
}

/// The weights of one band: zero outside of the bins stored.
struct Band {
    first_bin: usize,
    weights: Vec<f64>,
}

impl Band {
    /// The band's energy in each frame, of its power or magnitude in every bin.
    fn energies(&self, bins: &[[f64; FRAMES_TOGETHER]]) -> [f64; FRAMES_TOGETHER] {
        // What a sum of floats begins with.
        let mut energies = [-0.0; FRAMES_TOGETHER];
        for (weight, bins) in self.weights.iter().zip(&bins[self.first_bin..]) {
            for (energy, bin) in energies.iter_mut().zip(bins) {
                *energy += weight * bin;
            }
        }
        energies
    }
}

impl MelSpectrogram {
    /// Prepares the transform and the bands.
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible.
    pub fn new(config: MelConfig) -> Result<Self, FeatureError> {
        Self::from_parts(config, None)
    }

    /// Prepares the transform with a window and bands that were stored with a model, in place of those that the
    /// configuration defines: what is stored is what the model was trained on.
    ///
    /// # Shapes
    /// - window: `[window_samples]`
    /// - filters: `[bins, num_mels]`, row by row
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible, or the stored parts have other sizes.
    pub fn from_stored(config: MelConfig, window: &[f32], filters: &[f32]) -> Result<Self, FeatureError> {
        Self::from_parts(config, Some(StoredParts { window, filters }))
    }

    fn from_parts(config: MelConfig, stored: Option<StoredParts<'_>>) -> Result<Self, FeatureError> {
        let window = match &stored {
            Some(stored) => stored.window.to_vec(),
            None => {
                // Checked before the window is made, which may be of any length.
                config.stft.validate()?;
                // Single precision holds it: it is rounded as PyTorch's is.
                torch_hann_window(config.stft.window_samples).into_iter().map(|weight| weight as f32).collect()
            }
        };
        let stft = Stft::with_window(config.stft.clone(), Some(window.iter().copied().map(f64::from).collect()))?;
        config.validate()?;
        let spec = FeatureSpec {
            name: "mel",
            numerics_version: 1,
            sample_rate: config.stft.sample_rate,
            dim: config.num_mels,
            hop_samples: config.stft.hop_samples,
            minimum_samples: config.stft.minimum_samples(),
            context_samples: if config.range_decibels().is_some() { None } else { Some(config.stft.fft_samples / 2) },
        };
        let (spec, bands) = match stored {
            None => (spec.into_encoder_spec(&config)?, bands(&config)),
            Some(stored) => (spec.into_encoder_spec(&(&config, stored.digest()))?, stored.bands(&config)?),
        };
        Ok(Self { config, spec, stft, window, bands })
    }

    /// The window and the bands as [`from_stored`](Self::from_stored) takes them. Made anew of them, the transform gives
    /// the same values to the bit.
    ///
    /// # Shapes
    /// - window: `[window_samples]`
    /// - filters: `[bins, num_mels]`, row by row
    pub fn stored_parts(&self) -> (Vec<f32>, Vec<f32>) {
        let num_mels = self.config.num_mels;
        let mut filters = vec![0.0; self.config.stft.num_bins() * num_mels];
        for (mel, Band { first_bin, weights }) in self.bands.iter().enumerate() {
            for (bin, &weight) in (*first_bin..).zip(weights) {
                // Computed in single precision, or stored in it.
                filters[bin * num_mels + mel] = weight as f32;
            }
        }
        (self.window.clone(), filters)
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// The bands of every frame: `[num_samples / hop_samples + 1, num_mels]`.
    ///
    /// # Panics
    /// If the waveform is at another rate or too short; [`Encoder::encode`] returns an error there.
    pub fn compute(&self, waveform: &Waveform) -> Frames {
        assert_fits(&self.spec, waveform);
        let decibels_per_bel = match self.config.stft.spectrum {
            Spectrum::Magnitude => 20.0,
            Spectrum::Power => 10.0,
        };
        let dim = self.config.num_mels;
        let mut data = self.stft.map_together(waveform.samples(), dim, |bins, frames| {
            for (number, band) in self.bands.iter().enumerate() {
                for (frame, energy) in frames.chunks_exact_mut(dim).zip(band.energies(bins)) {
                    frame[number] = self.config.compression.apply(energy, decibels_per_bel) as f32;
                }
            }
        });
        if let Some(range) = self.config.range_decibels() {
            let loudest = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let quietest = (f64::from(loudest) - range) as f32;
            // Not `max`, which would hide a NaN.
            data.iter_mut().filter(|value| **value < quietest).for_each(|value| *value = quietest);
        }
        let num_frames = data.len() / dim;
        Frames::new(data, num_frames, dim, self.spec.frames_per_second(0))
    }
}

impl Encoder for MelSpectrogram {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        encode_clips(&self.spec, clips, layers, |clip| self.compute(clip))
    }
}

/// A window and bands that come with a model.
struct StoredParts<'values> {
    window: &'values [f32],
    filters: &'values [f32],
}

impl StoredParts<'_> {
    /// SHA-256 of all values: they belong to the identity.
    fn digest(&self) -> String {
        let bytes: Vec<u8> = self.window.iter().chain(self.filters).flat_map(|value| value.to_le_bytes()).collect();
        sha256_hex(bytes)
    }

    fn bands(&self, config: &MelConfig) -> Result<Vec<Band>, FeatureError> {
        let num_mels = config.num_mels;
        let expected = config.stft.num_bins() * num_mels;
        if self.filters.len() != expected {
            return Err(FeatureError::Count {
                field: "weights of the bands",
                value: self.filters.len(),
                minimum: expected,
                maximum: expected,
            });
        }
        let band = |mel| {
            let weights: Vec<f64> = self.filters[mel..].iter().step_by(num_mels).copied().map(f64::from).collect();
            let is_used = |weight: &f64| *weight != 0.0;
            let first_bin = weights.iter().position(is_used).unwrap_or(0);
            let past_bin = weights.iter().rposition(is_used).map_or(first_bin, |last| last + 1);
            Band { first_bin, weights: weights[first_bin..past_bin].to_vec() }
        };
        Ok((0..num_mels).map(band).collect())
    }
}

/// Triangles that begin at the previous band's peak and end at the next one's.
///
/// In single precision, operation by operation as in torchaudio's `melscale_fbanks`: its corners are up to 0.003 Hz off,
/// which a bin just inside a triangle shows.
fn bands(config: &MelConfig) -> Vec<Band> {
    let bins_hz = evenly_spaced(0.0, f64::from(config.stft.sample_rate / 2), config.stft.num_bins());
    let (lowest, highest) = (config.scale.mels(config.minimum_hz), config.scale.mels(config.highest_hz()));
    let corners_hz: Vec<f32> =
        evenly_spaced(lowest, highest, config.num_mels + 2).into_iter().map(|mels| config.scale.hz(mels)).collect();
    corners_hz
        .windows(3)
        .map(|corners| {
            let [begin, peak, end] = [corners[0], corners[1], corners[2]];
            let peak_weight = if config.area_normalized { 2.0 / (end - begin) } else { 1.0 };
            let first_bin = bins_hz.partition_point(|&hz| hz <= begin);
            let past_bin = bins_hz.partition_point(|&hz| hz < end).max(first_bin);
            let weight = |&hz: &f32| {
                let rising = (hz - begin) / (peak - begin);
                let falling = (end - hz) / (end - peak);
                f64::from(rising.min(falling) * peak_weight)
            };
            Band { first_bin, weights: bins_hz[first_bin..past_bin].iter().map(weight).collect() }
        })
        .collect()
}

/// `count` values from `first` to `last`, rounded as `torch.linspace` does: the second half is counted from the end.
fn evenly_spaced(first: f64, last: f64, count: usize) -> Vec<f32> {
    let (first, last) = (first as f32, last as f32);
    let step = (last - first) / (count - 1) as f32;
    (0..count)
        .map(
            |index| {
                if index < count / 2 { first + step * index as f32 } else { last - step * (count - 1 - index) as f32 }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::testing::{assert_golden, check_encoder, musical_signal};

    fn mel(config: MelConfig) -> MelSpectrogram {
        MelSpectrogram::new(config).unwrap()
    }

    #[test]
    fn stored_parts_take_the_place_of_the_configurations() {
        let config = MelConfig::muq();
        let computed = mel(config.clone());
        let (window, mut filters) = computed.stored_parts();
        assert_eq!((window.len(), filters.len()), (2048, 1025 * 128));
        let clip = musical_signal(24_000, 24_000, 1);
        let stored = MelSpectrogram::from_stored(config.clone(), &window, &filters).unwrap();
        assert_eq!(stored.compute(&clip), computed.compute(&clip));
        assert_ne!(stored.spec().identity, computed.spec().identity);

        filters[300 * 128 + 64] += 0.5;
        let other = MelSpectrogram::from_stored(config.clone(), &window, &filters).unwrap();
        assert_ne!(other.compute(&clip), computed.compute(&clip));
        assert_ne!(other.spec().identity, stored.spec().identity);
        assert_eq!(other.stored_parts(), (window.clone(), filters.clone()));
        let multi_view = mel(MelConfig::multi_view());
        let (window_of_other, filters_of_other) = multi_view.stored_parts();
        let again = MelSpectrogram::from_stored(MelConfig::multi_view(), &window_of_other, &filters_of_other).unwrap();
        let clip = musical_signal(16_000, 16_000, 1);
        assert_eq!(again.compute(&clip), multi_view.compute(&clip));
        assert!(MelSpectrogram::from_stored(config.clone(), &window[1..], &filters).is_err());
        assert!(MelSpectrogram::from_stored(config, &window, &filters[1..]).is_err());
    }

    #[test]
    fn keeps_the_laws_of_encoders() {
        check_encoder(&mel(MelConfig::muq()), 24_000);
        check_encoder(&mel(MelConfig::multi_view()), 16_000);
        check_encoder(
            &mel(MelConfig {
                stft: StftConfig { spectrum: Spectrum::Magnitude, ..StftConfig::power(22_050, 1023, 333) },
                num_mels: 40,
                minimum_hz: 30.0,
                maximum_hz: Some(8000.0),
                area_normalized: true,
                compression: Compression::Log { offset: 1e-6 },
                ..MelConfig::muq()
            }),
            12_000,
        );
        check_encoder(&mel(MelConfig { compression: Compression::None, ..MelConfig::muq() }), 12_000);
    }

    /// torchaudio works in single precision, and 5 of these 25,728 values, 95 dB below the loudest, show its rounding:
    /// they are up to 1.6e-4 of rms (0.004 dB) off, and PyTorch 2.15 itself is 1.8e-4 off this output of PyTorch 2.14.
    #[test]
    fn equals_torchaudio_on_the_htk_scale() {
        let frames = mel(MelConfig::muq()).compute(&golden::input(24_000));
        assert_golden("muq", frames.data(), &golden::output("mel_htk_24k_2048_240_128_db"), 2e-4);
    }

    #[test]
    fn equals_torchaudio_on_slaneys_scale() {
        let config = MelConfig { maximum_hz: None, ..MelConfig::multi_view() };
        let frames = mel(config).compute(&golden::input(16_000));
        let expected = golden::output("mel_slaney_16k_1024_512_128_normalized_topdb100");
        assert_golden("slaney", frames.data(), &expected, 1e-4);
    }

    #[test]
    fn scales_return_where_they_came_from_and_meet_at_known_points() {
        for scale in [MelScale::Htk, MelScale::Slaney] {
            for hz in [0.0, 60.0, 999.0, 1000.0, 1001.0, 11_025.0] {
                let returned = f64::from(scale.hz(scale.mels(hz) as f32));
                assert!((returned - hz).abs() < 1e-4 + 1e-6 * hz, "{scale:?} {hz} {returned}");
            }
        }
        assert!((MelScale::Htk.mels(1000.0) - 999.985_537).abs() < 1e-6);
        assert!((MelScale::Slaney.mels(1000.0) - 15.0).abs() < 1e-12);
        assert!((MelScale::Slaney.mels(6400.0) - 42.0).abs() < 1e-12);
    }

    #[test]
    fn bands_beyond_the_nyquist_frequency_are_empty() {
        let bands = bands(&MelConfig::multi_view());
        let empty = bands.iter().filter(|band| band.weights.is_empty()).count();
        assert_eq!(bands.last().map(|band| band.weights.len()), Some(0));
        assert!((1..30).contains(&empty), "{empty}");
    }

    #[test]
    fn a_range_lifts_what_is_further_below_the_loudest_value() {
        let clip = musical_signal(16_000, 16_000, 1);
        let frames =
            mel(MelConfig { compression: Compression::decibels(Some(20.0)), ..MelConfig::multi_view() }).compute(&clip);
        let loudest = frames.data().iter().copied().fold(f32::MIN, f32::max);
        let quietest = frames.data().iter().copied().fold(f32::MAX, f32::min);
        assert!((loudest - quietest - 20.0).abs() < 1e-4);
    }

    #[test]
    fn impossible_configurations_are_named() {
        let error = |config| MelSpectrogram::new(config).err().unwrap().to_string();
        assert!(error(MelConfig { num_mels: 0, ..MelConfig::muq() }).starts_with("num_mels is 0"));
        assert!(error(MelConfig { minimum_hz: -1.0, ..MelConfig::muq() }).starts_with("minimum_hz is -1"));
        assert!(error(MelConfig { minimum_hz: 12_000.0, ..MelConfig::muq() }).starts_with("maximum_hz is 12000"));
        assert!(error(MelConfig { maximum_hz: Some(f64::NAN), ..MelConfig::muq() }).starts_with("maximum_hz is NaN"));
        let silent_floor = Compression::Decibels { floor: 0.0, range_decibels: None };
        assert!(error(MelConfig { compression: silent_floor, ..MelConfig::muq() }).starts_with("floor is 0"));
    }

    #[test]
    fn a_configuration_survives_json_and_refuses_unknown_keys() {
        for config in [MelConfig::muq(), MelConfig::multi_view()] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<MelConfig>(&text).unwrap(), config);
            assert!(serde_json::from_str::<MelConfig>(&text.replacen('{', r#"{"n_mels":1,"#, 1)).is_err());
        }
    }
}
