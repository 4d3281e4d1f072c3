//! Constant-Q transform: one bin per fraction of a semitone, each with a window of the same number of cycles.
//!
//! Brown, *Calculation of a constant Q spectral transform* (1991), as nnAudio 0.3.4 defines it (`features.cqt.CQT`, its
//! kernels normalised to an L1 norm of 1 and scaled by the square root of their length, as in librosa): the magnitude
//! that MERT (arXiv:2306.00107) learns to predict.
//!
//! nnAudio multiplies every frame by every kernel, of which the longest lasts two seconds. Here a stretch of sound is
//! transformed once, and each bin gathers its band of that spectrum: summed modulo the number of frames, the band is
//! the spectrum of the bin's values at every hop, which one short inverse transform returns (Velasco et al.,
//! *Constructing an invertible constant-Q transform with non-stationary Gabor frames*, 2011). The spectrum of a
//! windowed cosine is known in closed form and falls with the cube of the distance, so a band is all of the kernel but
//! one part in a million.

use std::f64::consts::PI;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use serde::{Deserialize, Serialize};

use super::error::{FeatureError, check_count, check_quantity};
use super::stft::{Padding, sample_at};
use super::{FeatureSpec, assert_fits, encode_clips};
use crate::audio::Waveform;
use crate::encoder::{EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice};
use crate::frames::Frames;

/// The most bins that can be configured.
const MAXIMUM_BINS: usize = 1 << 12;

/// The longest kernel that can be configured, in samples.
const MAXIMUM_KERNEL_SAMPLES: usize = 1 << 19;

/// The longest hop that can be configured, in samples.
const MAXIMUM_HOP_SAMPLES: usize = 1 << 17;

/// Half the width of the shortest kernel's band, in units of `sample_rate / kernel length`: at distance `c` a Hann
/// window's spectrum is `1 / (pi c^3)` of its peak, 1.2e-6 here. Longer kernels give larger values, by the square root
/// of their length, and have wider bands in these units, by the sixth root, so that every bin leaves out as much.
const BAND_LOBES: f64 = 64.0;

/// What the bins are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CqtConfig {
    /// Sample rate of the clips in Hz.
    pub sample_rate: u32,
    /// Samples from one frame to the next.
    pub hop_samples: usize,
    /// Frequency of the lowest bin in Hz.
    pub minimum_hz: f64,
    /// Number of bins; the highest must not lie above the Nyquist frequency.
    pub num_bins: usize,
    /// Bins per octave.
    pub bins_per_octave: usize,
    /// Length of the windows relative to that which just separates neighbouring bins.
    pub filter_scale: f64,
    /// How the clip goes on past its ends.
    pub padding: Padding,
}

impl CqtConfig {
    /// The CQT that MERT predicts: 24 kHz, 50 frames per second, 336 bins from C1, 48 to the octave, silence around the
    /// clip.
    pub fn mert() -> Self {
        Self {
            sample_rate: 24_000,
            hop_samples: 480,
            minimum_hz: 32.7,
            num_bins: 336,
            bins_per_octave: 48,
            filter_scale: 1.0,
            padding: Padding::Zeros,
        }
    }

    /// Frequency of a bin in Hz.
    pub fn bin_hz(&self, bin: usize) -> f64 {
        self.minimum_hz * 2f64.powf(bin as f64 / self.bins_per_octave as f64)
    }

    /// Length of a bin's kernel in samples, a whole number.
    pub fn kernel_samples(&self, bin: usize) -> f64 {
        let quality = self.filter_scale / (2f64.powf(1.0 / self.bins_per_octave as f64) - 1.0);
        (quality * f64::from(self.sample_rate) / self.bin_hz(bin)).ceil()
    }

    /// Half the longest kernel, rounded up.
    fn context_samples(&self) -> usize {
        (self.kernel_samples(0) / 2.0).ceil() as usize
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`FeatureError`] for the first that is impossible.
    pub fn validate(&self) -> Result<(), FeatureError> {
        let nyquist_hz = f64::from(self.sample_rate) / 2.0;
        check_count("sample_rate", self.sample_rate as usize, 1..=u32::MAX as usize)?;
        check_count("hop_samples", self.hop_samples, 1..=MAXIMUM_HOP_SAMPLES)?;
        check_count("num_bins", self.num_bins, 1..=MAXIMUM_BINS)?;
        check_count("bins_per_octave", self.bins_per_octave, 1..=MAXIMUM_BINS)?;
        check_quantity("minimum_hz", self.minimum_hz, f64::MIN_POSITIVE..=nyquist_hz)?;
        check_quantity("filter_scale", self.filter_scale, f64::MIN_POSITIVE..=f64::MAX)?;
        check_quantity("the highest bin in Hz", self.bin_hz(self.num_bins - 1), self.minimum_hz..=nyquist_hz)?;
        let (shortest, longest) = (self.kernel_samples(self.num_bins - 1), self.kernel_samples(0));
        check_quantity("the shortest kernel in samples", shortest, 3.0..=MAXIMUM_KERNEL_SAMPLES as f64)?;
        check_quantity("the longest kernel in samples", longest, 3.0..=MAXIMUM_KERNEL_SAMPLES as f64)
    }
}

/// The magnitude of every bin: an encoder of one layer, `[frames, bins]`.
///
/// With [`Padding::Zeros`] a clip of any length is well defined, however much shorter than the kernels; with
/// [`Padding::Reflect`] it must be longer than half the longest kernel.
///
/// A frame beyond the reach of `context_samples` from a window's edge is that of the whole recording up to one part in a
/// million, not to the bit: it depends in its rounding on where in its block it stands.
pub struct Cqt {
    config: CqtConfig,
    spec: EncoderSpec,
    bands: Vec<Band>,
    /// Frames that a block computes but cannot use, on either side: a kernel centred there reaches past the block.
    guard_frames: usize,
    /// Factors that delay a block's spectrum by half a sample.
    half_sample_delay: Vec<Complex<f64>>,
    block: Arc<dyn RealToComplex<f64>>,
    frames: Arc<dyn Fft<f64>>,
}

/// The band of the block's spectrum that one bin gathers.
struct Band {
    /// The first coefficient, counted as if the spectrum of the block went on periodically in both directions.
    first: isize,
    /// The kernel's spectrum there, which is real: the kernel is symmetric about its centre.
    weights: Vec<f32>,
    /// Whether the kernel has an odd number of samples, so that its centre lies half a sample before the frame's.
    half_sample_early: bool,
}

impl Cqt {
    /// Computes the bands; for MERT's configuration they take 26 MB.
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible.
    pub fn new(config: CqtConfig) -> Result<Self, FeatureError> {
        config.validate()?;
        let context_samples = config.context_samples();
        let spec = FeatureSpec {
            name: "cqt",
            numerics_version: 1,
            sample_rate: config.sample_rate,
            dim: config.num_bins,
            hop_samples: config.hop_samples,
            minimum_samples: match config.padding {
                Padding::Reflect => context_samples + 1,
                Padding::Zeros => 1,
            },
            context_samples: Some(context_samples),
        }
        .into_encoder_spec(&config)?;
        let guard_frames = context_samples.div_ceil(config.hop_samples);
        // Eight guards to a block waste a quarter of the work at most, and 64 frames make short kernels worth a block.
        let block_frames = (8 * guard_frames).next_power_of_two().max(64);
        let block_samples = block_frames * config.hop_samples;
        let bands = (0..config.num_bins).into_par_iter().map(|bin| band(&config, bin, block_samples)).collect();
        Ok(Self {
            bands,
            guard_frames,
            half_sample_delay: half_sample_delay(block_samples),
            block: RealFftPlanner::new().plan_fft_forward(block_samples),
            frames: FftPlanner::new().plan_fft_inverse(block_frames),
            config,
            spec,
        })
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &CqtConfig {
        &self.config
    }

    /// The magnitude of every bin at every frame: `[num_samples / hop_samples + 1, num_bins]`.
    ///
    /// # Panics
    /// If the waveform is at another rate or too short; [`Encoder::encode`] returns an error there.
    pub fn compute(&self, waveform: &Waveform) -> Frames {
        assert_fits(&self.spec, waveform);
        let dim = self.config.num_bins;
        let num_frames = waveform.num_samples() / self.config.hop_samples + 1;
        let usable_frames = self.frames.len() - 2 * self.guard_frames;
        let mut data = vec![0.0; num_frames * dim];
        data.par_chunks_mut(usable_frames * dim).enumerate().for_each(|(block, rows)| {
            self.compute_block(waveform.samples(), block * usable_frames, rows);
        });
        Frames::new(data, num_frames, dim, self.spec.frames_per_second(0))
    }

    /// Computes the frames from `first_frame` on, as many as `rows` has room for: `[frames, bins]`.
    fn compute_block(&self, samples: &[f32], first_frame: usize, rows: &mut [f32]) {
        let first_sample = (first_frame as isize - self.guard_frames as isize) * self.config.hop_samples as isize;
        let on_time = self.block_spectrum(samples, first_sample);
        let delayed: Vec<_> = on_time.iter().zip(&self.half_sample_delay).map(|(value, delay)| value * delay).collect();
        let mut scratch = vec![Complex::default(); self.frames.get_inplace_scratch_len()];
        let mut values = vec![Complex::default(); self.frames.len()];
        for (bin, band) in self.bands.iter().enumerate() {
            values.fill(Complex::default());
            band.gather(if band.half_sample_early { &delayed } else { &on_time }, &mut values);
            self.frames.process_with_scratch(&mut values, &mut scratch);
            for (row, value) in rows.chunks_exact_mut(self.config.num_bins).zip(&values[self.guard_frames..]) {
                row[bin] = value.norm_sqr().sqrt() as f32;
            }
        }
    }

    /// Every coefficient of the spectrum of a block, negative frequencies in its second half.
    fn block_spectrum(&self, samples: &[f32], first_sample: isize) -> Vec<Complex<f64>> {
        let mut block = self.block.make_input_vec();
        for (value, position) in block.iter_mut().zip(first_sample..) {
            *value = sample_at(samples, position, self.config.padding);
        }
        let mut spectrum = self.block.make_output_vec();
        let done = self.block.process(&mut block, &mut spectrum);
        debug_assert!(done.is_ok(), "the buffers were made by the transform itself");
        let num_samples = block.len();
        spectrum.resize(num_samples, Complex::default());
        for index in num_samples / 2 + 1..num_samples {
            spectrum[index] = spectrum[num_samples - index].conj();
        }
        spectrum
    }
}

impl Encoder for Cqt {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        encode_clips(&self.spec, clips, layers, |clip| self.compute(clip))
    }
}

impl Band {
    /// Adds the weighted band to `values`, modulo their number.
    fn gather(&self, spectrum: &[Complex<f64>], values: &mut [Complex<f64>]) {
        let mut position = self.first.rem_euclid(spectrum.len() as isize) as usize;
        let mut weights = self.weights.as_slice();
        // The spectrum is a whole number of times as long as the values, so that both begin again together.
        while !weights.is_empty() {
            let slot = position % values.len();
            let (now, later) = weights.split_at(weights.len().min(values.len() - slot));
            for ((value, coefficient), &weight) in values[slot..].iter_mut().zip(&spectrum[position..]).zip(now) {
                *value += coefficient * f64::from(weight);
            }
            position = (position + now.len()) % spectrum.len();
            weights = later;
        }
    }
}

/// The factors that delay the spectrum of a block by half a sample.
fn half_sample_delay(block_samples: usize) -> Vec<Complex<f64>> {
    let step = -PI / block_samples as f64;
    (0..block_samples).map(|index| Complex::from_polar(1.0, step * index as f64)).collect()
}

/// The spectrum of a bin's kernel at the frequencies of a block, divided by the length of the block for the inverse
/// transform.
fn band(config: &CqtConfig, bin: usize, block_samples: usize) -> Band {
    let length = config.kernel_samples(bin);
    let centre = config.bin_hz(bin) / f64::from(config.sample_rate) * block_samples as f64;
    // At most one period of the spectrum: beyond it the same coefficients would be counted twice.
    let lobes = BAND_LOBES * (length / config.kernel_samples(config.num_bins - 1)).powf(1.0 / 6.0);
    let reach = (lobes * block_samples as f64 / length).min((block_samples / 2) as f64 - 1.0);
    let first = (centre - reach).ceil() as isize;
    let last = (centre + reach).floor() as isize;
    let half_sample_early = length % 2.0 == 1.0;
    // The L1 norm of the windowed cosine is half its length; nnAudio scales by the square root of the length.
    let scale = length.sqrt() / (length / 2.0) / block_samples as f64;
    let weights = (first..=last)
        .map(|coefficient| {
            let frequency = (coefficient as f64 - centre) / block_samples as f64;
            // A delay by half a sample changes sign from one period of the spectrum to the next.
            let next_period = coefficient.div_euclid(block_samples as isize) % 2 != 0;
            let sign = if half_sample_early && next_period { -1.0 } else { 1.0 };
            (sign * scale * hann_spectrum(length, frequency)) as f32
        })
        .collect();
    Band { first, weights, half_sample_early }
}

/// The Fourier transform, about its centre, of the periodic Hann window of `length` samples, at `frequency` in cycles
/// per sample: the sum of `(0.5 + 0.5 cos(2 pi t / length)) cos(2 pi frequency t)` over its samples.
///
/// The three sums of cosines are geometric series; together they are `-0.5 sin(length x) cot(x) sin(d)^2 /
/// (sin(x)^2 - sin(d)^2)` with `x = pi frequency` and `d = pi / length`.
fn hann_spectrum(length: f64, frequency: f64) -> f64 {
    let (sine, cosine) = (PI * frequency).sin_cos();
    let lobe = (PI / length).sin().powi(2);
    let distance = sine * sine - lobe;
    if sine.abs() < 1e-9 * lobe.sqrt() {
        return length / 2.0;
    }
    if distance.abs() < 1e-9 * lobe {
        return length / 4.0;
    }
    -0.5 * (PI * length * frequency).sin() * cosine / sine * lobe / distance
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::super::stft::hann_window;
    use super::*;
    use crate::testing::{assert_close, assert_golden, check_encoder, musical_signal};

    /// A quarter of an octave's resolution of MERT's and eight times its speed, so that tests are quick.
    fn small() -> CqtConfig {
        CqtConfig { sample_rate: 8_000, hop_samples: 160, num_bins: 80, bins_per_octave: 12, ..CqtConfig::mert() }
    }

    fn cqt(config: CqtConfig) -> Cqt {
        Cqt::new(config).unwrap()
    }

    #[test]
    fn keeps_the_laws_of_encoders() {
        check_encoder(&cqt(small()), 20_000);
        check_encoder(&cqt(CqtConfig { padding: Padding::Reflect, hop_samples: 147, ..small() }), 20_000);
    }

    /// nnAudio sums up to 50,459 products in single precision: its own rounding is all of the 6.5e-5 of rms between them
    /// (run in double precision, nnAudio is 6.4e-5 off this output as well).
    #[test]
    fn equals_nnaudio() {
        let frames = cqt(CqtConfig::mert()).compute(&golden::input(24_000));
        assert_golden("cqt", frames.data(), &golden::output("cqt_24k_hop480_336bins_48"), 1e-4);
    }

    /// nnAudio's own way: every frame times every kernel, in the time domain.
    fn frame_times_kernel(config: &CqtConfig, samples: &[f32]) -> Vec<f32> {
        let num_frames = samples.len() / config.hop_samples + 1;
        let mut expected = Vec::new();
        for frame in 0..num_frames {
            for bin in 0..config.num_bins {
                let length = config.kernel_samples(bin) as usize;
                let first = (frame * config.hop_samples) as isize - length.div_ceil(2) as isize;
                let step = std::f64::consts::TAU * config.bin_hz(bin) / f64::from(config.sample_rate);
                let window = hann_window(length);
                let sum: Complex<f64> = (first..)
                    .zip(&window)
                    .enumerate()
                    .map(|(index, (position, weight))| {
                        let sample = sample_at(samples, position, config.padding);
                        Complex::from_polar(sample * weight, -step * index as f64)
                    })
                    .sum();
                let norm: f64 = window.iter().sum();
                expected.push((sum.norm_sqr().sqrt() / norm * (length as f64).sqrt()) as f32);
            }
        }
        expected
    }

    /// Over several blocks, odd and even kernels, and up to the Nyquist frequency, where bands wrap round.
    #[test]
    fn equals_frame_times_kernel() {
        for padding in [Padding::Zeros, Padding::Reflect] {
            let config =
                CqtConfig { minimum_hz: 500.0, num_bins: 36, hop_samples: 40, filter_scale: 0.5, padding, ..small() };
            let config = CqtConfig { num_bins: 37, ..config };
            let clip = musical_signal(6_000, 8_000, 3);
            let actual = cqt(config.clone()).compute(&clip);
            let expected = frame_times_kernel(&config, clip.samples());
            assert_close("cqt", actual.data(), &expected, 2e-5);
        }
    }

    #[test]
    fn a_sine_has_its_maximum_in_its_bin() {
        let config = small();
        let step = std::f64::consts::TAU * config.bin_hz(45) / 8_000.0;
        let sine = (0..16_000).map(|index| (step * f64::from(index)).sin() as f32).collect();
        let frames = cqt(config).compute(&Waveform::new(sine, 8_000));
        let frame = frames.frame(50);
        let loudest = (0..80).max_by(|&a, &b| frame[a].total_cmp(&frame[b]));
        assert_eq!(loudest, Some(45));
    }

    #[test]
    fn a_shift_by_whole_hops_shifts_the_frames() {
        let clip = musical_signal(16_000, 8_000, 9);
        let shifted = Waveform::new(clip.samples()[3 * 160..].to_vec(), 8_000);
        let cqt = cqt(small());
        let (frames, shifted) = (cqt.compute(&clip), cqt.compute(&shifted));
        let guard = cqt.guard_frames;
        let (begin, end) = (guard + 1, shifted.num_frames() - guard - 1);
        assert_close("cqt", shifted.slice(begin..end), frames.slice(begin + 3..end + 3), 1e-5);
    }

    #[test]
    fn the_windows_spectrum_is_the_sum_that_defines_it() {
        for length in [3usize, 7, 16, 33] {
            for frequency in [0.0, 0.013, 0.2, 1.0 / length as f64, -1.0 / length as f64, 0.49] {
                let expected: f64 = hann_window(length)
                    .iter()
                    .enumerate()
                    .map(|(index, weight)| {
                        let time = index as f64 - length as f64 / 2.0;
                        weight * (std::f64::consts::TAU * frequency * time).cos()
                    })
                    .sum();
                let actual = hann_spectrum(length as f64, frequency);
                assert!((actual - expected).abs() < 1e-6, "{length} {frequency}: {actual} {expected}");
            }
        }
    }

    #[test]
    fn impossible_configurations_are_named() {
        let error = |config| Cqt::new(config).err().unwrap().to_string();
        let config = CqtConfig::mert();
        assert!(error(CqtConfig { num_bins: 500, ..config.clone() }).starts_with("the highest bin in Hz is "));
        assert!(error(CqtConfig { minimum_hz: 1.0, ..config.clone() }).starts_with("the longest kernel in samples is"));
        assert!(error(CqtConfig { minimum_hz: 0.0, ..config.clone() }).starts_with("minimum_hz is 0"));
        assert!(error(CqtConfig { bins_per_octave: 0, ..config.clone() }).starts_with("bins_per_octave is 0"));
        assert!(error(CqtConfig { filter_scale: f64::NAN, ..config.clone() }).starts_with("filter_scale is NaN"));
        assert!(error(CqtConfig { hop_samples: 0, ..config }).starts_with("hop_samples is 0"));
    }
}
