//! Source separation: how much of a stem is left, against what should not be there.

use super::MetricError;

/// Keeps silence against silence finite, as in the challenge's definition.
const SILENCE: f64 = 1e-7;

/// The global signal-to-distortion ratio of one stem of one song, in dB.
///
/// `10 log10((sum s^2 + 1e-7) / (sum (s - e)^2 + 1e-7))`, over all samples of all channels: the score of the Music Demixing
/// Challenge 2021 (Mitsufuji et al.: "Music Demixing Challenge 2021", Frontiers in Signal Processing 2022), whose mean over
/// songs is a data set's. No filter and no scale is allowed for, unlike BSS-eval's SDR.
///
/// `reference` and `estimate` are `[samples x channels]`, in any order that is the same.
///
/// # Errors
/// If they differ in length, are empty, or hold what is not finite.
pub fn global_sdr(reference: &[f32], estimate: &[f32]) -> Result<f64, MetricError> {
    const WHAT: &str = "samples of a stem";
    if reference.len() != estimate.len() {
        return Err(MetricError::LengthMismatch { what: WHAT, expected: reference.len(), found: estimate.len() });
    }
    if reference.is_empty() {
        return Err(MetricError::Empty { what: WHAT });
    }
    for (what, samples) in [(WHAT, reference), ("samples of an estimated stem", estimate)] {
        if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(MetricError::NotFinite { what, index, value: f64::from(samples[index]) });
        }
    }
    let energy: f64 = reference.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let pairs = reference.iter().zip(estimate);
    let distortion: f64 = pairs.map(|(&sample, &found)| (f64::from(sample) - f64::from(found)).powi(2)).sum();
    Ok(10.0 * ((energy + SILENCE) / (distortion + SILENCE)).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_amplitude_missing_is_20_db() {
        let reference: Vec<f32> = (0..1000).map(|index| (index as f32 * 0.1).sin()).collect();
        let estimate: Vec<f32> = reference.iter().map(|sample| sample * 0.9).collect();
        assert!((global_sdr(&reference, &estimate).unwrap() - 20.0).abs() < 1e-4);
        assert!(global_sdr(&reference, &vec![0.0; 1000]).unwrap().abs() < 1e-9);
    }

    #[test]
    fn silence_is_finite() {
        assert_eq!(global_sdr(&[0.0; 4], &[0.0; 4]).unwrap(), 0.0);
        // 10 log10(1e-7 / (4 + 1e-7))
        assert!((global_sdr(&[0.0; 4], &[1.0; 4]).unwrap() + 76.020_600).abs() < 1e-5);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(global_sdr(&[0.0], &[]), Err(MetricError::LengthMismatch { expected: 1, found: 0, .. })));
        assert!(matches!(global_sdr(&[], &[]), Err(MetricError::Empty { .. })));
        assert!(matches!(global_sdr(&[0.0, 1.0], &[0.0, f32::NAN]), Err(MetricError::NotFinite { index: 1, .. })));
    }
}
