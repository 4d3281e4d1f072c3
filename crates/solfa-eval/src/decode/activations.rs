//! What a probe says of each frame, made ready for a decoder that was built for sharper activations at a higher rate.

/// A mean activation is taken to lie in this range: the share of frames that are beats at any tempo, with some room.
const MEANS: [f64; 2] = [0.02, 0.5];

/// The odds that a decoder takes for a beat when frames say nothing: one state of sixteen (Böck, Krebs and Widmer 2016).
const NEUTRAL_ODDS: f64 = 1.0 / 15.0;

/// Activations relative to their own mean: what says as much as the mean says nothing to the beat decoder.
///
/// A network that knows little says everywhere what share of the frames are beats, often more than the 1/16 at which a
/// decoder begins to hear one, and the fastest tempo explains that best. Hybrids of networks and hidden Markov models
/// therefore divide a class's probability by how frequent the class is (Bourlard and Morgan 1994); here the odds are divided
/// by those of the mean, and multiplied by those at which the decoder has no opinion.
pub fn relative_to_mean(activation: &[f32]) -> Vec<f32> {
    let mean = activation.iter().map(|&value| f64::from(value)).sum::<f64>() / activation.len().max(1) as f64;
    // A NaN stays what it is, for the decoder to name.
    let mean = if mean.is_nan() { mean } else { mean.clamp(MEANS[0], MEANS[1]) };
    let factor = NEUTRAL_ODDS * (1.0 - mean) / mean;
    let relative = |&value: &f32| {
        let value = f64::from(value);
        let scaled = value * factor;
        (scaled / (scaled + 1.0 - value)) as f32
    };
    activation.iter().map(relative).collect()
}

/// `factor` times as many activations, on straight lines between the middles of frames.
///
/// Tempi of a decoder are whole numbers of frames: at 25 a second there is none between 115 and 125 beats a minute.
pub fn interpolated(activation: &[f32], factor: usize) -> Vec<f32> {
    let last = activation.len().saturating_sub(1);
    let at = |index: usize| {
        let position = ((index as f64 + 0.5) / factor as f64 - 0.5).clamp(0.0, last as f64);
        let before = position as usize;
        let share = (position - before as f64) as f32;
        activation[before] * (1.0 - share) + activation[(before + 1).min(last)] * share
    };
    (0..activation.len() * factor).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_everywhere_the_same_says_nothing() {
        for value in [0.05, 0.2, 0.4] {
            for found in relative_to_mean(&[value; 10]) {
                assert!((found - 1.0 / 16.0).abs() < 1e-6, "{found} of {value}");
            }
        }
        let sharp = relative_to_mean(&[0.99, 0.01, 0.01, 0.01]);
        assert!(sharp[0] > 0.9 && sharp[1] < 0.01, "{sharp:?}");
        assert_eq!(relative_to_mean(&[0.0, 1.0]), [0.0, 1.0]);
        assert!(relative_to_mean(&[0.5, f32::NAN]).iter().any(|value| value.is_nan()));
        assert!(relative_to_mean(&[]).is_empty());
    }

    #[test]
    fn lines_go_through_the_middles_of_frames() {
        assert_eq!(interpolated(&[0.0, 1.0], 2), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(interpolated(&[0.0, 1.0, 0.0], 1), [0.0, 1.0, 0.0]);
        assert_eq!(interpolated(&[0.5], 3), [0.5; 3]);
        assert!(interpolated(&[], 2).is_empty());
    }
}
