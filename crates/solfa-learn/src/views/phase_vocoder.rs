//! A phase vocoder: time at another rate, pitch as it was.
//!
//! Flanagan and Golden 1966, "Phase vocoder"; in the form of Puckette 1995, "Phase-locked vocoder" (IEEE ASSP Workshop on
//! Applications of Signal Processing to Audio and Acoustics), which needs no unwrapping of phases: of every place in the
//! clip two spectra are taken, one hop of the output apart, and the phase that a bin gains between them is the phase that
//! it gains from one frame of the output to the next. Bins around a peak must keep their phases to each other, or the
//! sound becomes hollow. Puckette adds the neighbours to the last output frame; here the *rotation* of a bin, from the
//! clip's phase to the output's, is that of itself and its two neighbours weighed by their energy. At a rate of 1 every
//! rotation is none, and the clip comes out as it went in.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Length of a frame in seconds, before it is rounded up to a power of 2: 2048 samples at 24 kHz, 1024 at 16 kHz.
const FRAME_SECONDS: f64 = 0.064;

/// Frames that overlap at any place of the output: Hann windows applied twice then add up to a constant.
const OVERLAP: usize = 4;

/// The window and the transforms for one sample rate.
#[derive(Clone)]
pub(super) struct PhaseVocoder {
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl PhaseVocoder {
    pub(super) fn new(sample_rate: u32) -> Self {
        /// The shortest frame that makes sense to cut into hops.
        const MINIMUM_SAMPLES: usize = 64;
        let length = (FRAME_SECONDS * f64::from(sample_rate)) as usize;
        let length = length.max(MINIMUM_SAMPLES).next_power_of_two();
        let angle = |index: usize| std::f64::consts::TAU * index as f64 / length as f64;
        let window = (0..length).map(|index| (0.5 - 0.5 * libm::cos(angle(index))) as f32).collect();
        let mut planner = RealFftPlanner::new();
        Self { window, forward: planner.plan_fft_forward(length), inverse: planner.plan_fft_inverse(length) }
    }

    /// The clip at `rate` times its tempo: `ceil(samples / rate)` samples. Silence lies before and after it.
    ///
    /// # Panics
    /// If the rate is not above 0.
    pub(super) fn stretch(&self, samples: &[f32], rate: f64) -> Vec<f32> {
        assert!(rate > 0.0 && rate.is_finite(), "a clip cannot be played at {rate} times its tempo");
        let length = self.window.len();
        let (half, hop) = ((length / 2) as i64, (length / OVERLAP) as i64);
        let num_output = (samples.len() as f64 / rate).ceil() as usize;
        let mut output = vec![0.0; num_output];
        let mut weights = vec![0.0; num_output];
        let mut worker = Worker::new(self);
        let mut last = self.forward.make_output_vec();
        for frame in 0..=num_output.div_ceil(length / OVERLAP) as i64 {
            let centre = (frame as f64 * hop as f64 * rate).round() as i64;
            worker.transform(samples, centre - half);
            let mut current = worker.spectrum.clone();
            if frame > 0 {
                worker.transform(samples, centre - half - hop);
                rotate(&mut current, &last, &worker.spectrum);
            }
            worker.overlap_add(&current, frame * hop - half, &mut output, &mut weights);
            last = current;
        }
        for (sample, weight) in output.iter_mut().zip(weights) {
            *sample /= weight;
        }
        output
    }
}

/// Turns each bin of `current` by what `last`, the last output, is turned against `earlier`, the clip one hop before.
fn rotate(current: &mut [Complex<f32>], last: &[Complex<f32>], earlier: &[Complex<f32>]) {
    /// Below this, the square of a level, there is no sound to keep the phase of.
    const SILENCE: f32 = 1e-24;
    let turn = |bin: usize| last[bin] * earlier[bin].conj();
    let num_bins = current.len();
    for (bin, value) in current.iter_mut().enumerate() {
        let mut sum = turn(bin);
        if bin > 0 {
            sum += turn(bin - 1);
        }
        if bin + 1 < num_bins {
            sum += turn(bin + 1);
        }
        let energy = sum.norm();
        if energy > SILENCE {
            *value *= sum / energy;
        }
    }
    // These two bins of a real signal are real.
    current[0].im = 0.0;
    current[num_bins - 1].im = 0.0;
}

/// Buffers for one clip.
struct Worker<'vocoder> {
    vocoder: &'vocoder PhaseVocoder,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    inverse: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl<'vocoder> Worker<'vocoder> {
    fn new(vocoder: &'vocoder PhaseVocoder) -> Self {
        let scratch = vocoder.forward.get_scratch_len().max(vocoder.inverse.get_scratch_len());
        Self {
            frame: vocoder.forward.make_input_vec(),
            spectrum: vocoder.forward.make_output_vec(),
            inverse: vocoder.forward.make_output_vec(),
            scratch: vec![Complex::default(); scratch],
            vocoder,
        }
    }

    /// Computes the spectrum of the windowed frame that begins at `start`.
    fn transform(&mut self, samples: &[f32], start: i64) {
        for ((value, weight), index) in self.frame.iter_mut().zip(&self.vocoder.window).zip(start..) {
            let sample = usize::try_from(index).ok().and_then(|index| samples.get(index));
            *value = weight * sample.copied().unwrap_or(0.0);
        }
        let done = self.vocoder.forward.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "the buffers were made for this transform");
    }

    /// Adds the sound of a spectrum at `start`, and the weights with which it was added.
    fn overlap_add(&mut self, spectrum: &[Complex<f32>], start: i64, output: &mut [f32], weights: &mut [f32]) {
        self.inverse.copy_from_slice(spectrum);
        let done = self.vocoder.inverse.process_with_scratch(&mut self.inverse, &mut self.frame, &mut self.scratch);
        debug_assert!(done.is_ok(), "the buffers were made for this transform");
        let scale = 1.0 / self.vocoder.window.len() as f32;
        for ((value, weight), index) in self.frame.iter().zip(&self.vocoder.window).zip(start..) {
            let Ok(index) = usize::try_from(index) else { continue };
            let Some(sample) = output.get_mut(index) else { break };
            *sample += weight * scale * value;
            weights[index] += weight * weight;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use solfa_signal::testing::{assert_close, musical_signal};

    use super::*;

    /// A sine of amplitude 1 at 24 kHz.
    pub(in crate::views) fn tone(hertz: f64, count: usize) -> Vec<f32> {
        (0..count).map(|index| (std::f64::consts::TAU * hertz * index as f64 / 24_000.0).sin() as f32).collect()
    }

    /// The frequency of a tone at 24 kHz, by the times at which it rises through 0.
    pub(in crate::views) fn loudest_hertz(samples: &[f32]) -> f64 {
        let crossings: Vec<f64> = samples
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
            .map(|(index, pair)| index as f64 + f64::from(pair[0] / (pair[0] - pair[1])))
            .collect();
        (crossings.len() - 1) as f64 * 24_000.0 / (crossings[crossings.len() - 1] - crossings[0])
    }

    #[test]
    fn at_its_own_tempo_a_clip_comes_out_as_it_went_in() {
        let vocoder = PhaseVocoder::new(24_000);
        for num_samples in [20_000, 700, 3] {
            let clip = musical_signal(num_samples, 24_000, 5).into_samples();
            assert_close("rate 1", &vocoder.stretch(&clip, 1.0), &clip, 1e-5);
        }
        assert!(vocoder.stretch(&[], 0.5).is_empty());
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_its_level_at_every_tempo() {
        let vocoder = PhaseVocoder::new(24_000);
        for rate in [0.5, 0.83, 0.99, 1.01, 1.2, 2.0] {
            let stretched = vocoder.stretch(&tone(440.0, 48_000), rate);
            assert_eq!(stretched.len(), (48_000.0 / rate).ceil() as usize);
            let inner = &stretched[4_000..stretched.len() - 4_000];
            let hertz = loudest_hertz(inner);
            assert!((hertz - 440.0).abs() < 0.2, "rate {rate}: {hertz} Hz");
            let level = super::super::root_mean_square(inner) * 2f64.sqrt();
            assert!((level - 1.0).abs() < 0.01, "rate {rate}: {level} of the level");
        }
    }

    #[test]
    fn two_tones_keep_their_levels() {
        let vocoder = PhaseVocoder::new(24_000);
        let chord: Vec<f32> =
            tone(330.0, 48_000).iter().zip(tone(1_234.0, 48_000)).map(|(low, high)| 0.5 * low + 0.25 * high).collect();
        let stretched = vocoder.stretch(&chord, 0.77);
        let inner = &stretched[6_000..54_000];
        for (hertz, expected) in [(330.0, 0.5), (1_234.0, 0.25), (700.0, 0.0)] {
            let angle = |index: usize| std::f64::consts::TAU * hertz * index as f64 / 24_000.0;
            let [real, imaginary] = inner.iter().enumerate().fold([0.0, 0.0], |[real, imaginary], (index, &sample)| {
                let (sine, cosine) = angle(index).sin_cos();
                [real + f64::from(sample) * cosine, imaginary + f64::from(sample) * sine]
            });
            let level = 2.0 * f64::hypot(real, imaginary) / inner.len() as f64;
            assert!((level - expected).abs() < 0.02, "{hertz} Hz: {level}, {expected} expected");
        }
    }

    #[test]
    fn events_move_with_the_tempo() {
        let vocoder = PhaseVocoder::new(24_000);
        let mut clip = vec![0.0; 48_000];
        clip[24_000..26_400].copy_from_slice(&tone(1_000.0, 2_400));
        for rate in [0.6, 1.5] {
            let stretched = vocoder.stretch(&clip, rate);
            let energy: f64 = stretched.iter().map(|&sample| f64::from(sample).powi(2)).sum();
            let centre: f64 =
                stretched.iter().enumerate().map(|(index, &sample)| index as f64 * f64::from(sample).powi(2)).sum();
            let expected = 25_200.0 / rate;
            assert!((centre / energy - expected).abs() < 500.0, "rate {rate}: {} {expected}", centre / energy);
        }
    }
}
