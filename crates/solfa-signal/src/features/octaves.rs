//! The constant-Q transform octave by octave, as librosa computes it for chroma.
//!
//! Schörkhuber and Klapuri, *Constant-Q transform toolbox for music processing* (2010): the kernels of the highest
//! octave are applied to the clip's frames in the frequency domain; then the clip is downsampled by two, and the same
//! kernels give the next octave. librosa 0.11 (`core.constantq.vqt`) drops the smallest hundredth of each kernel's
//! spectrum, stops downsampling where the hop becomes odd, and downsamples with soxr's `HQ` filter, whose pass band
//! this module's filter shares. All of that shows in the numbers, so that all of it is done here.

use rayon::prelude::*;
use realfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::stft::{FrameTransform, Padding, hann_window, sample_at};
use crate::audio::bessel_i0;

/// Share of a kernel's spectrum, by the sum of magnitudes, that is dropped: the smallest coefficients first.
const DROPPED_SHARE: f64 = 0.01;

/// Width at half power of a Hann window's spectrum, in bins.
const HANN_BANDWIDTH: f64 = 1.500_183_105_468_75;

/// What the bins are.
#[derive(Clone, Copy)]
pub(super) struct Octaves {
    /// In Hz; halved where the clip is downsampled.
    pub(super) sample_rate: f64,
    pub(super) hop_samples: usize,
    /// Frequency of the lowest bin in Hz.
    pub(super) minimum_hz: f64,
    pub(super) bins_per_octave: usize,
    pub(super) num_octaves: usize,
}

impl Octaves {
    /// Number of bins in all.
    pub(super) fn num_bins(&self) -> usize {
        self.bins_per_octave * self.num_octaves
    }

    /// Where the highest kernel has decayed, in Hz: not above the Nyquist frequency.
    pub(super) fn cutoff_hz(&self) -> f64 {
        self.bin_hz(self.num_bins() - 1) * (1.0 + 0.5 * HANN_BANDWIDTH * self.relative_bandwidth())
    }

    /// The longest kernel in samples of the clip.
    pub(super) fn longest_kernel_samples(&self) -> f64 {
        self.kernel_samples(0)
    }

    /// Samples of the clip on either side of a frame that can influence it: half a transform at its octave's rate, and
    /// the halving filters on the way there.
    pub(super) fn context_samples(mut self) -> usize {
        let mut halvings = self.early_halvings();
        (0..halvings).for_each(|_| self.halve());
        let mut longest = 0;
        for octave in (0..self.num_octaves).rev() {
            let clip_samples_per_sample = 1usize << halvings;
            let transform = self.fft_samples(octave * self.bins_per_octave) / 2 * clip_samples_per_sample;
            longest = longest.max(transform + HALF_FILTER_SAMPLES * (clip_samples_per_sample - 1));
            if self.hop_samples.is_multiple_of(2) {
                self.halve();
                halvings += 1;
            }
        }
        longest
    }

    fn bin_hz(&self, bin: usize) -> f64 {
        self.minimum_hz * 2f64.powf(bin as f64 / self.bins_per_octave as f64)
    }

    /// Bandwidth of a bin as a share of its frequency.
    fn relative_bandwidth(&self) -> f64 {
        let ratio = 4f64.powf(1.0 / self.bins_per_octave as f64);
        (ratio - 1.0) / (ratio + 1.0)
    }

    /// Length of the transform that the kernels of an octave, the longest of which is given, fit into.
    fn fft_samples(&self, longest_bin: usize) -> usize {
        1 << self.kernel_samples(longest_bin).log2().ceil().max(1.0) as u32
    }

    /// Length of a bin's kernel, not rounded.
    fn kernel_samples(&self, bin: usize) -> f64 {
        self.sample_rate / (self.relative_bandwidth() * self.bin_hz(bin))
    }

    /// Halvings of the rate before the first octave, where neither the highest bin nor the hop needs the full rate.
    fn early_halvings(&self) -> u32 {
        let spare_octaves = ((self.sample_rate / 2.0 / self.cutoff_hz()).log2().ceil() - 2.0).max(0.0) as u32;
        let spare_halvings = (self.hop_samples.trailing_zeros() + 1).saturating_sub(self.num_octaves as u32);
        spare_octaves.min(spare_halvings)
    }

    /// Half the sample rate and half the hop, over the same time.
    fn halve(&mut self) {
        self.sample_rate /= 2.0;
        self.hop_samples /= 2;
    }

    /// The magnitude of every bin at every frame: `[frames, bins]`.
    pub(super) fn magnitudes(mut self, samples: &[f32]) -> Vec<f32> {
        let num_frames = samples.len() / self.hop_samples + 1;
        let num_bins = self.num_bins();
        let mut clip: Vec<f64> = samples.iter().map(|&sample| f64::from(sample)).collect();
        for _ in 0..self.early_halvings() {
            clip = half_rate(&clip);
            self.halve();
        }
        let first_rate = self;
        let mut magnitudes = vec![0.0; num_frames * num_bins];
        for octave in (0..self.num_octaves).rev() {
            let bins = octave * self.bins_per_octave..(octave + 1) * self.bins_per_octave;
            // Shorter kernels sum fewer samples, and each halving has made the clip louder by the square root of 2.
            let scale = |bin| (first_rate.sample_rate / self.sample_rate / first_rate.kernel_samples(bin)).sqrt();
            let octave = self.octave_magnitudes(&clip, bins.clone(), scale);
            for (row, octave_row) in
                magnitudes.chunks_exact_mut(num_bins).zip(octave.chunks_exact(self.bins_per_octave))
            {
                row[bins.clone()].copy_from_slice(octave_row);
            }
            if self.hop_samples.is_multiple_of(2) && bins.start > 0 {
                clip = half_rate(&clip);
                self.halve();
            }
        }
        magnitudes
    }

    /// The magnitudes of one octave's bins, each times its `scale`: `[frames, bins_per_octave]`.
    fn octave_magnitudes(&self, clip: &[f64], bins: std::ops::Range<usize>, scale: impl Fn(usize) -> f64) -> Vec<f32> {
        let fft_samples = self.fft_samples(bins.start);
        let fft = FftPlanner::new().plan_fft_forward(fft_samples);
        let kernels: Vec<Kernel> = bins.map(|bin| self.kernel(bin, &*fft, scale(bin))).collect();
        let transform = FrameTransform::new(vec![1.0; fft_samples], self.hop_samples, Padding::Zeros);
        transform.map(
            clip,
            kernels.len(),
            || (),
            |spectrum, (), row| {
                for (value, Kernel { first_bin, weights }) in row.iter_mut().zip(&kernels) {
                    let sum: Complex<f64> = weights.iter().zip(&spectrum[*first_bin..]).map(|(a, b)| a * b).sum();
                    *value = sum.norm_sqr().sqrt() as f32;
                }
            },
        )
    }

    /// One bin's kernel in the frequency domain.
    fn kernel(&self, bin: usize, fft: &dyn Fft<f64>, scale: f64) -> Kernel {
        let length = self.kernel_samples(bin);
        let first = (-length / 2.0).floor();
        let window = hann_window(((length / 2.0).floor() - first) as usize);
        let norm: f64 = window.iter().sum();
        let step = std::f64::consts::TAU * self.bin_hz(bin) / self.sample_rate;
        let mut spectrum = vec![Complex::default(); fft.len()];
        let left = (fft.len() - window.len()) / 2;
        for (index, weight) in window.iter().enumerate() {
            let size = weight / norm * scale * length / fft.len() as f64;
            spectrum[left + index] = Complex::from_polar(size, step * (first + index as f64));
        }
        fft.process(&mut spectrum);
        spectrum.truncate(fft.len() / 2 + 1);
        Kernel::without_smallest(&spectrum)
    }
}

/// A kernel's spectrum: zero outside of the bins stored.
struct Kernel {
    first_bin: usize,
    weights: Vec<Complex<f64>>,
}

impl Kernel {
    /// Drops the smallest coefficients that together make up [`DROPPED_SHARE`] of the sum of magnitudes.
    fn without_smallest(spectrum: &[Complex<f64>]) -> Self {
        let magnitudes: Vec<f64> = spectrum.iter().map(|value| value.norm()).collect();
        let total: f64 = magnitudes.iter().sum();
        let mut ascending = magnitudes.clone();
        ascending.sort_unstable_by(f64::total_cmp);
        let mut sum = 0.0;
        let threshold = ascending.into_iter().find(|magnitude| {
            sum += magnitude / total;
            sum >= DROPPED_SHARE
        });
        let kept = |magnitude: &f64| threshold.is_some_and(|threshold| *magnitude >= threshold);
        let first_bin = magnitudes.iter().position(kept).unwrap_or(0);
        let end = magnitudes.iter().rposition(kept).map_or(0, |last| last + 1);
        let weights = (first_bin..end)
            .map(|bin| if kept(&magnitudes[bin]) { spectrum[bin] } else { Complex::default() })
            .collect();
        Self { first_bin, weights }
    }
}

/// Half the length of the halving filter, in samples.
const HALF_FILTER_SAMPLES: usize = 192;

/// Every second sample of the clip below the new Nyquist frequency, louder by the square root of 2 so that the energy
/// stays the same.
///
/// The filter is a windowed sinc (Kaiser window, 125 dB) that passes up to 0.913 of the new Nyquist frequency and stops
/// from there on, as soxr's `HQ` does; outside the clip is silence.
fn half_rate(clip: &[f64]) -> Vec<f64> {
    let filter = halving_filter();
    (0..clip.len().div_ceil(2))
        .into_par_iter()
        .map(|index| {
            let first = 2 * index as isize - HALF_FILTER_SAMPLES as isize;
            let whole = usize::try_from(first).ok().and_then(|first| clip.get(first..first + filter.len()));
            whole.map_or_else(
                || filter.iter().zip(first..).map(|(tap, at)| tap * sample_at(clip, at, Padding::Zeros)).sum(),
                |samples| dot(&filter, samples),
            )
        })
        .collect()
}

/// The sum of products, in a fixed order that vector units can follow.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (left, right) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (left, right) in left.zip(right) {
        for (sum, (a, b)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The low-pass filter of [`half_rate`].
fn halving_filter() -> Vec<f64> {
    /// The middle of the transition from 0.913 to 1 of the new Nyquist frequency, in cycles per sample.
    const CUTOFF: f64 = 0.25 * (1.0 + 0.913) / 2.0;
    /// Shape of the window: `0.1102 (125 dB - 8.7)`.
    const BETA: f64 = 12.82;
    let half = HALF_FILTER_SAMPLES as f64;
    let taps: Vec<f64> = (0..=2 * HALF_FILTER_SAMPLES)
        .map(|index| {
            let time = index as f64 - half;
            let angle = std::f64::consts::TAU * CUTOFF * time;
            let sinc = if time == 0.0 { 1.0 } else { angle.sin() / angle };
            sinc * bessel_i0(BETA * (1.0 - (time / half).powi(2)).sqrt())
        })
        .collect();
    let gain: f64 = taps.iter().sum();
    taps.into_iter().map(|tap| tap / gain * std::f64::consts::SQRT_2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_reaches_over_the_longest_transform_and_the_filters() {
        // Bins of 51.4 cycles: 2048 samples at 750 Hz, after 5 halvings.
        let octaves = Octaves { bins_per_octave: 36, ..octaves() };
        assert_eq!(octaves.context_samples(), 1024 * 32 + 192 * 31);
    }

    fn octaves() -> Octaves {
        Octaves { sample_rate: 24_000.0, hop_samples: 480, minimum_hz: 32.703, bins_per_octave: 12, num_octaves: 7 }
    }

    #[test]
    fn halving_passes_low_frequencies_and_stops_high_ones() {
        let gain = |cycles_per_sample: f64| {
            let halved = |phase: f64| {
                let angle = |index| std::f64::consts::TAU * cycles_per_sample * f64::from(index) + phase;
                half_rate(&(0..4_000).map(|index| angle(index).sin()).collect::<Vec<f64>>())[1_000]
            };
            halved(0.0).hypot(halved(std::f64::consts::FRAC_PI_2)) / std::f64::consts::SQRT_2
        };
        for passed in [0.01, 0.1, 0.2, 0.25 * 0.912] {
            assert!((gain(passed) - 1.0).abs() < 2e-6, "{passed}: {}", gain(passed));
        }
        for stopped in [0.2501, 0.3, 0.45] {
            assert!(gain(stopped) < 2e-6, "{stopped}: {}", gain(stopped));
        }
    }

    #[test]
    fn halving_keeps_the_time_of_the_samples() {
        let mut clip = vec![0.0; 1_001];
        clip[500] = 1.0;
        let halved = half_rate(&clip);
        assert_eq!(halved.len(), 501);
        let loudest = (0..501).max_by(|&a, &b| halved[a].total_cmp(&halved[b]));
        assert_eq!(loudest, Some(250));
    }

    #[test]
    fn a_sine_has_its_maximum_in_its_bin_in_every_octave() {
        for bin in [5, 17, 40, 83] {
            let step = std::f64::consts::TAU * octaves().bin_hz(bin) / 24_000.0;
            let sine: Vec<f32> = (0..48_000).map(|index| (step * f64::from(index)).sin() as f32).collect();
            let magnitudes = octaves().magnitudes(&sine);
            let row = &magnitudes[50 * 84..51 * 84];
            let loudest = (0..84).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            assert_eq!(loudest, Some(bin));
        }
    }

    #[test]
    fn rates_are_halved_early_where_the_hop_allows() {
        assert_eq!(octaves().early_halvings(), 0);
        let fast = Octaves { sample_rate: 48_000.0, hop_samples: 1024, ..octaves() };
        assert_eq!(fast.early_halvings(), 1);
        assert_eq!(Octaves { hop_samples: 1023, ..fast }.early_halvings(), 0);
    }
}
