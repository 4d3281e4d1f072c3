//! How far a recording is tuned from A = 440 Hz.
//!
//! librosa 0.11 (`core.pitch.estimate_tuning`): the peaks of every frame's spectrum are placed between the bins by a
//! parabola (J. O. Smith, *Spectral Audio Signal Processing*, "Quadratic interpolation of spectral peaks"); of the
//! louder half of them, the most frequent distance from the nearest bin of the scale is the tuning.

use rayon::prelude::*;

use super::stft::{FrameTransform, Padding, hann_window};

const FFT_SAMPLES: usize = 2048;
const HOP_SAMPLES: usize = 512;
/// Pitches looked at, in Hz: the upper end is excluded.
const PITCH_HZ: std::ops::Range<f64> = 150.0..4000.0;
/// A peak is at least this share of its frame's largest magnitude.
const PEAK_SHARE: f64 = 0.1;
/// Distances from the nearest bin that are told apart.
const NUM_STEPS: usize = 100;

/// A peak of one frame's spectrum.
struct Peak {
    hz: f64,
    magnitude: f64,
}

/// The tuning in fractions of a bin, from -0.5 up to 0.5 in steps of 0.01: 0 where there is no pitch.
pub(super) fn estimate_tuning(samples: &[f32], sample_rate: u32, bins_per_octave: usize) -> f64 {
    let transform = FrameTransform::new(hann_window(FFT_SAMPLES), HOP_SAMPLES, Padding::Zeros);
    let peaks: Vec<Peak> = (0..transform.num_frames(samples.len()))
        .into_par_iter()
        .map_init(
            || transform.worker(),
            |worker, frame| {
                let spectrum = worker.spectrum(samples, frame);
                peaks(&spectrum.iter().map(|bin| bin.norm_sqr().sqrt()).collect::<Vec<f64>>(), sample_rate)
            },
        )
        .flatten_iter()
        .collect();
    let threshold = median(peaks.iter().map(|peak| peak.magnitude).collect());
    let loud = peaks.into_iter().filter(|peak| peak.magnitude >= threshold);
    most_frequent_distance(loud.map(|peak| peak.hz), bins_per_octave)
}

/// The peaks of one frame's magnitudes.
fn peaks(magnitudes: &[f64], sample_rate: u32) -> Vec<Peak> {
    let hz_per_bin = f64::from(sample_rate) / FFT_SAMPLES as f64;
    let highest_hz = PITCH_HZ.end.min(f64::from(sample_rate) / 2.0);
    let threshold = PEAK_SHARE * magnitudes.iter().copied().fold(0.0, f64::max);
    let loud = |bin: usize| if magnitudes[bin] > threshold { magnitudes[bin] } else { 0.0 };
    (1..magnitudes.len() - 1)
        .filter(|&bin| (PITCH_HZ.start..highest_hz).contains(&(bin as f64 * hz_per_bin)))
        .filter(|&bin| loud(bin) > loud(bin - 1) && loud(bin) >= loud(bin + 1))
        .map(|bin| {
            let (left, middle, right) = (magnitudes[bin - 1], magnitudes[bin], magnitudes[bin + 1]);
            let slope = (right - left) / 2.0;
            let curvature = left + right - 2.0 * middle;
            let shift = if slope.abs() >= curvature.abs() { 0.0 } else { -slope / curvature };
            Peak { hz: (bin as f64 + shift) * hz_per_bin, magnitude: middle + 0.5 * slope * shift }
        })
        .collect()
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}

/// The lower end of the step that holds the most distances from the nearest bin.
fn most_frequent_distance(pitches_hz: impl Iterator<Item = f64>, bins_per_octave: usize) -> f64 {
    let mut counts = [0u32; NUM_STEPS];
    for hz in pitches_hz {
        let bins_from_a = bins_per_octave as f64 * (hz / 440.0).log2();
        let distance = (bins_from_a + 0.5).rem_euclid(1.0);
        counts[((distance * NUM_STEPS as f64) as usize).min(NUM_STEPS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    // The first of equals; with no pitch at all, the middle.
    let step = if most == 0 { NUM_STEPS / 2 } else { counts.iter().position(|&count| count == most).unwrap_or(0) };
    step as f64 / NUM_STEPS as f64 - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sines(detuning_bins: f64) -> Vec<f32> {
        (0..48_000)
            .map(|index| {
                let time = f64::from(index) / 24_000.0;
                let sum: f64 = [0.0, 4.0, 7.0, 12.0, 19.0]
                    .iter()
                    .map(|semitones| {
                        let hz = 440.0 * 2f64.powf((semitones + detuning_bins / 3.0) / 12.0);
                        (std::f64::consts::TAU * hz * time).sin()
                    })
                    .sum();
                sum as f32
            })
            .collect()
    }

    #[test]
    fn detuned_sines_are_found_as_detuned() {
        for detuning in [-0.3, 0.0, 0.2, 0.4] {
            let found = estimate_tuning(&sines(detuning), 24_000, 36);
            assert!((found - detuning).abs() < 0.12, "{found} instead of {detuning}");
        }
    }

    #[test]
    fn no_pitch_is_no_detuning() {
        assert_eq!(estimate_tuning(&[0.0; 10_000], 24_000, 36), 0.0);
        assert_eq!(estimate_tuning(&[1.0], 24_000, 36), 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
