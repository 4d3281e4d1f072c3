//! Sound from a changed spectrum: every bin of a short-time Fourier transform times a gain, and back to samples.
//!
//! Frames are those of `torch.stft(center=True)` under a Hann window, and the way back is `torch.istft`'s: each frame is
//! transformed back, multiplied by the window once more, added where it came from, and the sum divided by that of the
//! squared windows. With gains of 1 the clip comes out as it went in.

use std::sync::Arc;

use realfft::{ComplexToReal, RealFftPlanner};

use super::error::{FeatureError, check_count};
use super::stft::{FrameTransform, Padding, torch_hann_window};

/// The longest transform: more than a minute of sound per frame is a typing mistake.
const MAXIMUM_FFT_SAMPLES: usize = 1 << 20;

/// Transforms clips forth and back with gains in between.
pub struct SpectralMask {
    fft_samples: usize,
    hop_samples: usize,
    window: Vec<f64>,
    forward: FrameTransform,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl SpectralMask {
    /// Frames of `fft_samples`, `hop_samples` apart, which is at most half of them so that every sample is heard.
    ///
    /// # Errors
    /// [`FeatureError`] for numbers outside of that.
    pub fn new(fft_samples: usize, hop_samples: usize) -> Result<Self, FeatureError> {
        check_count("fft_samples", fft_samples, 4..=MAXIMUM_FFT_SAMPLES)?;
        check_count("hop_samples", hop_samples, 1..=fft_samples / 2)?;
        let window = torch_hann_window(fft_samples);
        Ok(Self {
            fft_samples,
            hop_samples,
            forward: FrameTransform::new(window.clone(), hop_samples, Padding::Reflect),
            inverse: RealFftPlanner::new().plan_fft_inverse(fft_samples),
            window,
        })
    }

    /// Frequencies from 0 to the Nyquist frequency.
    pub fn num_bins(&self) -> usize {
        self.fft_samples / 2 + 1
    }

    /// Frames of a clip.
    pub fn num_frames(&self, num_samples: usize) -> usize {
        self.forward.num_frames(num_samples)
    }

    /// Absolute values of the clip's spectrum: `[frames, bins]`.
    pub fn magnitudes(&self, samples: &[f32]) -> Vec<f32> {
        self.forward.map(
            samples,
            self.num_bins(),
            || (),
            |spectrum, (), row| {
                for (value, bin) in row.iter_mut().zip(spectrum) {
                    *value = bin.norm() as f32;
                }
            },
        )
    }

    /// The clip with each bin of its spectrum times a gain.
    ///
    /// # Shapes
    /// - gains: `[frames, bins]`; frames that are missing at the end are silent
    pub fn apply(&self, samples: &[f32], gains: &[f32]) -> Vec<f32> {
        let half = self.fft_samples / 2;
        let num_frames = self.num_frames(samples.len());
        // Half a frame before the clip and after it belongs to its first and last frames.
        let mut sum = vec![0.0_f64; samples.len() + 2 * self.fft_samples];
        let mut weights = vec![0.0_f64; sum.len()];
        let mut worker = self.forward.worker();
        let mut spectrum = self.inverse.make_input_vec();
        let mut frame = self.inverse.make_output_vec();
        let mut scratch = self.inverse.make_scratch_vec();
        for index in 0..num_frames {
            let start = index * self.hop_samples;
            for (weight, window) in weights[start..].iter_mut().zip(&self.window) {
                *weight += window * window;
            }
            let Some(gains) = gains.get(index * self.num_bins()..(index + 1) * self.num_bins()) else { continue };
            for ((bin, &value), &gain) in spectrum.iter_mut().zip(worker.spectrum(samples, index)).zip(gains) {
                *bin = value * f64::from(gain);
            }
            // A real clip's first and last bins are real; rounding may have left a trace of something else.
            let last = spectrum.len() - 1;
            (spectrum[0].im, spectrum[last].im) = (0.0, 0.0);
            let done = self.inverse.process_with_scratch(&mut spectrum, &mut frame, &mut scratch);
            debug_assert!(done.is_ok(), "the buffers were made by the transform itself");
            for ((sum, value), window) in sum[start..].iter_mut().zip(&frame).zip(&self.window) {
                *sum += value * window;
            }
        }
        let scale = 1.0 / self.fft_samples as f64;
        let clip = half..half + samples.len();
        let pairs = sum[clip.clone()].iter().zip(&weights[clip]);
        pairs.map(|(sum, weight)| if *weight > 1e-11 { (sum * scale / weight) as f32 } else { 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(num_samples: usize) -> Vec<f32> {
        (0..num_samples).map(|index| (index as f32 * 0.05).sin() * 0.5 + (index as f32 * 0.9).cos() * 0.3).collect()
    }

    #[test]
    fn gains_of_1_change_nothing() {
        for (fft_samples, hop_samples, num_samples) in [(64, 16, 1000), (64, 32, 999), (64, 10, 100), (2048, 960, 6000)]
        {
            let mask = SpectralMask::new(fft_samples, hop_samples).unwrap();
            let samples = clip(num_samples);
            let gains = vec![1.0; mask.num_frames(num_samples) * mask.num_bins()];
            let found = mask.apply(&samples, &gains);
            assert_eq!(found.len(), num_samples);
            // Where hops are half a frame, the edge of the clip lies where the window is nearly 0.
            for (place, (found, expected)) in found.iter().zip(&samples).enumerate() {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{fft_samples}/{hop_samples}: {found} at {place} is not {expected}"
                );
            }
        }
    }

    #[test]
    fn a_mask_parts_two_tones() {
        let mask = SpectralMask::new(512, 128).unwrap();
        let low: Vec<f32> = (0..8000).map(|index| (index as f32 * 0.05).sin()).collect();
        let high: Vec<f32> = (0..8000).map(|index| (index as f32 * 1.5).sin()).collect();
        let both: Vec<f32> = low.iter().zip(&high).map(|(a, b)| a + b).collect();
        let gain = |place: usize| f32::from(u8::from(place % mask.num_bins() < 60));
        let gains: Vec<f32> = (0..mask.num_frames(8000) * mask.num_bins()).map(gain).collect();
        let found = mask.apply(&both, &gains);
        let error: f32 = found[500..7500].iter().zip(&low[500..7500]).map(|(a, b)| (a - b).powi(2)).sum();
        let energy: f32 = low[500..7500].iter().map(|sample| sample * sample).sum();
        assert!(error < 1e-4 * energy, "{error} of {energy} is left");
        let magnitudes = mask.magnitudes(&both);
        assert_eq!(magnitudes.len(), gains.len());
        let frame = &magnitudes[20 * mask.num_bins()..21 * mask.num_bins()];
        let loudest = (0..60).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
        assert_eq!(loudest, (0.05 * 512.0 / std::f32::consts::TAU).round() as usize);
    }

    #[test]
    fn frames_without_gains_are_silent() {
        let mask = SpectralMask::new(64, 16).unwrap();
        assert!(mask.apply(&clip(200), &[]).iter().all(|&sample| sample == 0.0));
        assert!(mask.apply(&[], &[]).is_empty());
    }

    #[test]
    fn hops_that_leave_gaps_are_refused() {
        assert!(SpectralMask::new(64, 33).err().unwrap().to_string().contains("hop_samples"));
        assert!(SpectralMask::new(2, 1).is_err());
    }
}
