//! Short-time Fourier transform: the spectrum of overlapping, windowed frames.
//!
//! As `torch.stft(center=True)` and torchaudio's `Spectrogram` define it: frame `t` is centred on sample `t * hop`, the
//! clip is continued past its ends, and the window is a periodic Hann window in the middle of the transform.

use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use super::error::{FeatureError, check_count};
use super::{FeatureSpec, assert_fits, encode_clips};
use crate::audio::Waveform;
use crate::encoder::{EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice};
use crate::frames::Frames;

/// The longest transform that can be configured: more than a minute of sound per frame is a typing mistake.
const MAXIMUM_FFT_SAMPLES: usize = 1 << 20;

/// Frames that one thread computes before it takes more work.
const FRAMES_PER_TASK: usize = 32;

/// Frames whose bins lie side by side in [`Stft::map_together`].
pub(super) const FRAMES_TOGETHER: usize = 4;

/// How a clip goes on past its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Mirrored about its first and last sample, which are not repeated.
    Reflect,
    /// Silent.
    Zeros,
}

/// What is kept of a complex spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spectrum {
    /// The absolute value.
    Magnitude,
    /// The square of the absolute value.
    Power,
}

impl Spectrum {
    /// The value of one bin.
    pub(super) fn of(self, bin: Complex<f64>) -> f64 {
        match self {
            Self::Magnitude => bin.norm_sqr().sqrt(),
            Self::Power => bin.norm_sqr(),
        }
    }
}

/// How a clip is cut into frames and transformed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StftConfig {
    /// Sample rate of the clips in Hz.
    pub sample_rate: u32,
    /// Length of the transform; a frame has `fft_samples / 2 + 1` bins.
    pub fft_samples: usize,
    /// Length of the window, at most `fft_samples`: a shorter one sees less time at the same number of bins.
    pub window_samples: usize,
    /// Samples from one frame to the next.
    pub hop_samples: usize,
    /// How the clip goes on past its ends.
    pub padding: Padding,
    /// What is kept of the complex spectrum.
    pub spectrum: Spectrum,
    /// Whether the window is scaled to an energy of 1, so that values do not depend on its length (torchaudio's
    /// `normalized=True`).
    pub unit_energy_window: bool,
}

impl StftConfig {
    /// Reflected clips, a window as long as the transform, powers: the defaults of torchaudio's `Spectrogram`.
    pub fn power(sample_rate: u32, fft_samples: usize, hop_samples: usize) -> Self {
        Self {
            sample_rate,
            fft_samples,
            window_samples: fft_samples,
            hop_samples,
            padding: Padding::Reflect,
            spectrum: Spectrum::Power,
            unit_energy_window: false,
        }
    }

    /// Number of frequencies from 0 to the Nyquist frequency.
    pub fn num_bins(&self) -> usize {
        self.fft_samples / 2 + 1
    }

    /// The shortest clip that can be continued past its ends as configured.
    pub(super) fn minimum_samples(&self) -> usize {
        match self.padding {
            Padding::Reflect => self.fft_samples / 2 + 1,
            Padding::Zeros => 1,
        }
    }

    pub(super) fn validate(&self) -> Result<(), FeatureError> {
        check_count("sample_rate", self.sample_rate as usize, 1..=u32::MAX as usize)?;
        check_count("fft_samples", self.fft_samples, 2..=MAXIMUM_FFT_SAMPLES)?;
        check_count("window_samples", self.window_samples, 1..=self.fft_samples)?;
        check_count("hop_samples", self.hop_samples, 1..=u32::MAX as usize)
    }
}

/// The magnitude or power spectrum of every frame: an encoder of one layer, `[frames, bins]`.
///
/// Frame `t` sees samples `t * hop_samples - fft_samples / 2` up to, not including, `t * hop_samples +
/// fft_samples / 2`.
pub struct Stft {
    config: StftConfig,
    spec: EncoderSpec,
    transform: FrameTransform,
}

impl Stft {
    /// Prepares the window and the transform.
    ///
    /// # Errors
    /// [`FeatureError`] where a field of the configuration is impossible.
    pub fn new(config: StftConfig) -> Result<Self, FeatureError> {
        Self::with_window(config, None)
    }

    /// The transform under other weights than the Hann window's, `window_samples` of them.
    pub(super) fn with_window(config: StftConfig, window: Option<Vec<f64>>) -> Result<Self, FeatureError> {
        config.validate()?;
        let spec = FeatureSpec {
            name: "stft",
            numerics_version: 1,
            sample_rate: config.sample_rate,
            dim: config.num_bins(),
            hop_samples: config.hop_samples,
            minimum_samples: config.minimum_samples(),
            context_samples: Some(config.fft_samples / 2),
        }
        .into_encoder_spec(&config)?;
        let mut window = window.unwrap_or_else(|| torch_hann_window(config.window_samples));
        if window.len() != config.window_samples {
            let (minimum, maximum) = (config.window_samples, config.window_samples);
            return Err(FeatureError::Count { field: "weights of the window", value: window.len(), minimum, maximum });
        }
        if config.unit_energy_window {
            let energy: f64 = window.iter().map(|weight| weight * weight).sum();
            if energy > 0.0 {
                window.iter_mut().for_each(|weight| *weight /= energy.sqrt());
            }
        }
        let window = centred(&window, config.fft_samples);
        let transform = FrameTransform::new(window, config.hop_samples, config.padding);
        Ok(Self { config, spec, transform })
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// The spectrum of every frame: `[num_samples / hop_samples + 1, bins]`.
    ///
    /// # Panics
    /// If the waveform is at another rate or too short; [`Encoder::encode`] returns an error there.
    pub fn compute(&self, waveform: &Waveform) -> Frames {
        assert_fits(&self.spec, waveform);
        let dim = self.config.num_bins();
        let data = self.map(waveform.samples(), dim, |bins, frame| {
            for (value, &bin) in frame.iter_mut().zip(bins) {
                *value = bin as f32;
            }
        });
        Frames::new(data, self.transform.num_frames(waveform.num_samples()), dim, self.spec.frames_per_second(0))
    }

    /// Maps the magnitudes or powers of every frame to a row of `width` values: `[frames, width]`.
    pub(super) fn map(&self, samples: &[f32], width: usize, row: impl Fn(&[f64], &mut [f32]) + Sync) -> Vec<f32> {
        let spectrum = self.config.spectrum;
        self.transform.map(
            samples,
            width,
            || vec![0.0; self.config.num_bins()],
            |spectra, bins: &mut Vec<f64>, frame| {
                for (bin, &value) in bins.iter_mut().zip(spectra) {
                    *bin = spectrum.of(value);
                }
                row(bins, frame);
            },
        )
    }

    /// Maps the magnitudes or powers of [`FRAMES_TOGETHER`] frames at a time, or of fewer at the end, to as many rows of
    /// `width` values: `[frames, width]`. Sums over bins, whose order is fixed, are then as many sums side by side.
    ///
    /// `rows` is given `[bins][frame]`, of which frames that are not there have some old values, and the rows.
    pub(super) fn map_together(
        &self,
        samples: &[f32],
        width: usize,
        rows: impl Fn(&[[f64; FRAMES_TOGETHER]], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let spectrum = self.config.spectrum;
        let mut values = vec![0.0; self.transform.num_frames(samples.len()) * width];
        values.par_chunks_mut(FRAMES_PER_TASK * width).enumerate().for_each(|(task, values)| {
            let mut worker = self.transform.worker();
            let mut bins = vec![[0.0; FRAMES_TOGETHER]; self.config.num_bins()];
            for (group, values) in values.chunks_mut(FRAMES_TOGETHER * width).enumerate() {
                let first = task * FRAMES_PER_TASK + group * FRAMES_TOGETHER;
                for frame in 0..values.len() / width {
                    for (bin, &value) in bins.iter_mut().zip(worker.spectrum(samples, first + frame)) {
                        bin[frame] = spectrum.of(value);
                    }
                }
                rows(&bins, values);
            }
        });
        values
    }
}

impl Encoder for Stft {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        encode_clips(&self.spec, clips, layers, |clip| self.compute(clip))
    }
}

/// The complex spectra of centred frames under any window.
pub(super) struct FrameTransform {
    /// As long as the transform.
    window: Vec<f64>,
    hop_samples: usize,
    padding: Padding,
    fft: Arc<dyn RealToComplex<f64>>,
}

impl FrameTransform {
    /// Frames as long as `window`.
    pub(super) fn new(window: Vec<f64>, hop_samples: usize, padding: Padding) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(window.len());
        Self { window, hop_samples, padding, fft }
    }

    /// Number of frames of a clip: those whose centre lies on the clip or on its end.
    pub(super) fn num_frames(&self, num_samples: usize) -> usize {
        num_samples / self.hop_samples + 1
    }

    /// What one thread needs to transform frames one after another.
    pub(super) fn worker(&self) -> FrameWorker<'_> {
        FrameWorker {
            transform: self,
            frame: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            scratch: self.fft.make_scratch_vec(),
        }
    }

    /// Maps every frame's spectrum to a row of `width` values, frames in parallel: `[frames, width]`.
    ///
    /// `row` is given the spectrum, one thread's own scratch, and the row.
    pub(super) fn map<S: Copy + Into<f64> + Sync, T>(
        &self,
        samples: &[S],
        width: usize,
        make_scratch: impl Fn() -> T + Sync,
        row: impl Fn(&[Complex<f64>], &mut T, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let mut rows = vec![0.0; self.num_frames(samples.len()) * width];
        rows.par_chunks_mut(FRAMES_PER_TASK * width).enumerate().for_each(|(task, rows)| {
            let mut worker = self.worker();
            let mut scratch = make_scratch();
            for (offset, values) in rows.chunks_exact_mut(width).enumerate() {
                row(worker.spectrum(samples, task * FRAMES_PER_TASK + offset), &mut scratch, values);
            }
        });
        rows
    }
}

/// One thread's buffers.
pub(super) struct FrameWorker<'a> {
    transform: &'a FrameTransform,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl FrameWorker<'_> {
    /// The spectrum of the frame centred on sample `index * hop_samples`, bins 0 to Nyquist.
    pub(super) fn spectrum<S: Copy + Into<f64>>(&mut self, samples: &[S], index: usize) -> &[Complex<f64>] {
        let FrameTransform { window, hop_samples, padding, fft } = self.transform;
        let first = (index * hop_samples) as isize - (window.len() / 2) as isize;
        let whole = usize::try_from(first).ok().and_then(|first| samples.get(first..first + window.len()));
        if let Some(samples) = whole {
            for ((value, &sample), weight) in self.frame.iter_mut().zip(samples).zip(window) {
                *value = sample.into() * weight;
            }
        } else {
            for ((value, position), weight) in self.frame.iter_mut().zip(first..).zip(window) {
                *value = sample_at(samples, position, *padding) * weight;
            }
        }
        let done = fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "the buffers were made by the transform itself");
        &self.spectrum
    }
}

/// The sample at any position, those outside the clip being continued once by `padding` and silent beyond.
pub(super) fn sample_at<S: Copy + Into<f64>>(samples: &[S], position: isize, padding: Padding) -> f64 {
    let last = samples.len() as isize - 1;
    let position = match padding {
        Padding::Zeros => position,
        Padding::Reflect if position < 0 => -position,
        Padding::Reflect if position > last => 2 * last - position,
        Padding::Reflect => position,
    };
    usize::try_from(position).ok().and_then(|position| samples.get(position)).map_or(0.0, |&sample| sample.into())
}

/// The periodic Hann window, `0.5 - 0.5 cos(2 pi i / length)`.
pub(super) fn hann_window(length: usize) -> Vec<f64> {
    let step = std::f64::consts::TAU / length as f64;
    (0..length).map(|index| 0.5 - 0.5 * (step * index as f64).cos()).collect()
}

/// The periodic Hann window with the rounding of `torch.hann_window`, which works in single precision throughout.
///
/// Its errors of up to 2e-7 leak energy that is audible nowhere, but visible: bins 100 dB below the loudest one differ
/// by 0.01 dB, and the published models were trained on that.
pub(super) fn torch_hann_window(length: usize) -> Vec<f64> {
    if length == 1 {
        return vec![1.0];
    }
    let step = (std::f64::consts::TAU / length as f64) as f32;
    (0..length)
        .map(|index| {
            let angle = index as f32 * step;
            let cosine = f64::from(angle).cos() as f32;
            f64::from(0.5 - 0.5 * cosine)
        })
        .collect()
}

/// `window` in the middle of `length` values, the odd one to the right, zeros around it.
fn centred(window: &[f64], length: usize) -> Vec<f64> {
    let left = (length - window.len()) / 2;
    let mut padded = vec![0.0; length];
    padded[left..left + window.len()].copy_from_slice(window);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, check_encoder, musical_signal};

    fn stft(config: StftConfig) -> Stft {
        Stft::new(config).unwrap()
    }

    #[test]
    fn keeps_the_laws_of_encoders() {
        let config = StftConfig::power(16_000, 512, 160);
        check_encoder(&stft(config.clone()), 8_000);
        check_encoder(
            &stft(StftConfig {
                window_samples: 400,
                padding: Padding::Zeros,
                spectrum: Spectrum::Magnitude,
                unit_energy_window: true,
                ..config
            }),
            8_000,
        );
    }

    /// The definition, summed term by term.
    #[test]
    fn equals_the_sum_that_defines_it() {
        let config = StftConfig { window_samples: 21, ..StftConfig::power(8_000, 31, 7) };
        let clip = musical_signal(200, 8_000, 5);
        let window = centred(&torch_hann_window(21), 31);
        let mut expected = Vec::new();
        for frame in 0..200 / 7 + 1 {
            for bin in 0..16 {
                let mut sum = Complex::new(0.0, 0.0);
                for (index, weight) in window.iter().enumerate() {
                    let sample = sample_at(clip.samples(), (frame * 7 + index) as isize - 15, Padding::Reflect);
                    sum += Complex::from_polar(sample * weight, -std::f64::consts::TAU * (bin * index) as f64 / 31.0);
                }
                expected.push(sum.norm_sqr() as f32);
            }
        }
        assert_close("stft", stft(config).compute(&clip).data(), &expected, 1e-6);
    }

    #[test]
    fn a_sine_stands_in_its_bin_with_half_the_windows_sum() {
        let sine = (0..4_096).map(|index| (std::f32::consts::TAU * 32.0 / 512.0 * index as f32).sin()).collect();
        let config = StftConfig { spectrum: Spectrum::Magnitude, ..StftConfig::power(16_000, 512, 128) };
        let frames = stft(config).compute(&Waveform::new(sine, 16_000));
        let middle = frames.frame(16);
        assert!((middle[32] - 128.0).abs() < 1e-3, "{}", middle[32]);
        assert!(middle[40] < 1e-3);
    }

    #[test]
    fn a_shift_by_whole_hops_shifts_the_frames() {
        let clip = musical_signal(16_000, 16_000, 9);
        let shifted = Waveform::new(clip.samples()[3 * 160..].to_vec(), 16_000);
        let stft = stft(StftConfig::power(16_000, 512, 160));
        let (frames, shifted) = (stft.compute(&clip), stft.compute(&shifted));
        let away_from_edges = 2..shifted.num_frames() - 2;
        assert_eq!(shifted.slice(away_from_edges.clone()), frames.slice(5..away_from_edges.end + 3));
    }

    #[test]
    fn reflection_does_not_repeat_the_edge() {
        let samples = [1.0f32, 2.0, 3.0];
        let reflected: Vec<f64> = (-2..5).map(|position| sample_at(&samples, position, Padding::Reflect)).collect();
        assert_eq!(reflected, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
        let zeros: Vec<f64> = (-1..4).map(|position| sample_at(&samples, position, Padding::Zeros)).collect();
        assert_eq!(zeros, [0.0, 1.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn impossible_configurations_are_named() {
        let config = StftConfig::power(16_000, 512, 160);
        let error = |config| Stft::new(config).err().unwrap().to_string();
        assert_eq!(
            error(StftConfig { window_samples: 513, ..config.clone() }),
            "window_samples is 513: expected 1 to 512"
        );
        assert!(error(StftConfig { window_samples: 0, ..config.clone() }).starts_with("window_samples is 0"));
        assert!(error(StftConfig { fft_samples: 0, ..config.clone() }).starts_with("fft_samples is 0"));
        assert!(error(StftConfig { hop_samples: 0, ..config.clone() }).starts_with("hop_samples is 0"));
        assert!(error(StftConfig { sample_rate: 0, ..config }).starts_with("sample_rate is 0"));
        assert!(serde_json::from_str::<StftConfig>(r#"{"n_fft": 512}"#).is_err());
    }
}
