//! Peaks of an activation: onsets of notes, boundaries of sections.
//!
//! S. Böck, F. Krebs and M. Schedl, *Evaluating the online capabilities of onset detection methods*, ISMIR 2012, section 2.3;
//! librosa's `peak_pick` is the same with windows in frames. A frame is a peak where
//!
//! 1. it is the largest in a window around it,
//! 2. it is at least the mean of a window around it plus a threshold, and
//! 3. the peak before it is farther away than a minimum.

use super::{DecodeError, check_finite, check_frames_per_second};

/// How peaks are picked. Lengths are in seconds and are rounded to whole frames; windows include the frame itself and both of
/// their ends, and are cut where the recording begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakPicking {
    /// How far back no frame is larger.
    pub maximum_before_seconds: f64,
    /// How far ahead no frame is larger.
    pub maximum_after_seconds: f64,
    /// How far back the mean goes.
    pub mean_before_seconds: f64,
    /// How far ahead the mean goes.
    pub mean_after_seconds: f64,
    /// By how much a peak is above the mean, at least; in the activation's unit.
    pub threshold: f64,
    /// A peak this far or less behind the one before it does not count.
    pub minimum_distance_seconds: f64,
}

impl PeakPicking {
    /// Onsets of notes: librosa's windows, `threshold` of its `onset_detect`. The threshold fits activations from 0 to 1.
    pub const ONSETS: Self = Self {
        maximum_before_seconds: 0.03,
        maximum_after_seconds: 0.0,
        mean_before_seconds: 0.1,
        mean_after_seconds: 0.1,
        threshold: 0.07,
        minimum_distance_seconds: 0.03,
    };

    /// Boundaries of sections: the largest within 6 s, above the mean of the 12 s before it and the 6 s after it. K. Ullrich,
    /// J. Schlüter and T. Grill, *Boundary detection in music structure analysis using convolutional neural networks*, ISMIR
    /// 2014; the threshold is to be chosen on validation data.
    pub const BOUNDARIES: Self = Self {
        maximum_before_seconds: 6.0,
        maximum_after_seconds: 6.0,
        mean_before_seconds: 12.0,
        mean_after_seconds: 6.0,
        threshold: 0.05,
        minimum_distance_seconds: 0.0,
    };

    /// Frames of the peaks of an activation, ascending.
    ///
    /// # Errors
    /// If a value of the activation is not finite, the rate is not above 0, or a length or the threshold is negative or not
    /// finite.
    pub fn frames(&self, activation: &[f32], frames_per_second: f64) -> Result<Vec<usize>, DecodeError> {
        check_frames_per_second(frames_per_second)?;
        check_finite("activation", activation)?;
        let settings = [
            ("window of the maximum, before", self.maximum_before_seconds),
            ("window of the maximum, after", self.maximum_after_seconds),
            ("window of the mean, before", self.mean_before_seconds),
            ("window of the mean, after", self.mean_after_seconds),
            ("minimum distance", self.minimum_distance_seconds),
            ("threshold", self.threshold),
        ];
        for (what, value) in settings {
            if !(value.is_finite() && value >= 0.0) {
                let expected = "a number of 0 or more".to_owned();
                return Err(DecodeError::Setting { what, expected, found: value.to_string() });
            }
        }
        let in_frames = |seconds: f64| (seconds * frames_per_second).round() as usize;
        let window = |frame: usize, before: f64, after: f64| {
            let end = frame.saturating_add(in_frames(after)).saturating_add(1).min(activation.len());
            &activation[frame.saturating_sub(in_frames(before))..end]
        };
        let minimum_distance = in_frames(self.minimum_distance_seconds);
        let mut peaks: Vec<usize> = Vec::new();
        for (frame, &value) in activation.iter().enumerate() {
            let is_free = peaks.last().is_none_or(|last| frame - last > minimum_distance);
            let around = window(frame, self.maximum_before_seconds, self.maximum_after_seconds);
            if !is_free || around.iter().any(|&other| other > value) {
                continue;
            }
            let around = window(frame, self.mean_before_seconds, self.mean_after_seconds);
            let mean = around.iter().map(|&other| f64::from(other)).sum::<f64>() / around.len() as f64;
            if f64::from(value) >= mean + self.threshold {
                peaks.push(frame);
            }
        }
        Ok(peaks)
    }

    /// Times of the peaks of an activation, in seconds, ascending.
    ///
    /// # Errors
    /// As [`frames`](Self::frames).
    pub fn times(&self, activation: &[f32], frames_per_second: f64) -> Result<Vec<f64>, DecodeError> {
        let frames = self.frames(activation, frames_per_second)?;
        Ok(frames.into_iter().map(|frame| frame as f64 / frames_per_second).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In frames of a second.
    fn picking(maximum: [f64; 2], mean: [f64; 2], threshold: f64, minimum_distance: f64) -> PeakPicking {
        PeakPicking {
            maximum_before_seconds: maximum[0],
            maximum_after_seconds: maximum[1],
            mean_before_seconds: mean[0],
            mean_after_seconds: mean[1],
            threshold,
            minimum_distance_seconds: minimum_distance,
        }
    }

    #[test]
    fn each_condition_by_hand() {
        let activation = [0.0, 1.0, 0.0, 0.8, 0.0, 0.0, 0.5, 0.5, 0.0, 0.1];
        let frames = |picking: PeakPicking| picking.frames(&activation, 1.0).unwrap();
        // The largest of three, above their mean: of two equal frames side by side both.
        assert_eq!(frames(picking([1.0; 2], [1.0; 2], 0.1, 0.0)), [1, 3, 6, 7]);
        // The last peak is 0.05 above the mean of its two frames.
        assert_eq!(frames(picking([1.0; 2], [1.0; 2], 0.05, 0.0)), [1, 3, 6, 7, 9]);
        // The largest of five.
        assert_eq!(frames(picking([2.0; 2], [1.0; 2], 0.1, 0.0)), [1, 6, 7]);
        // Farther than a frame from the peak before.
        assert_eq!(frames(picking([1.0; 2], [1.0; 2], 0.1, 1.0)), [1, 3, 6]);
        assert_eq!(frames(picking([1.0; 2], [1.0; 2], 0.1, 2.0)), [1, 6]);
        // Well above the mean of all.
        assert_eq!(frames(picking([1.0; 2], [9.0; 2], 0.5, 0.0)), [1, 3]);
    }

    #[test]
    fn peaks_are_those_of_librosa() {
        // librosa 0.11: peak_pick(x, pre_max=2, post_max=2, pre_avg=3, post_avg=4, delta=0.1, wait=2) of
        // x[n] = (n^2 * 37 + n * 11) mod 101 / 101, n < 60. Its windows end before their last frame.
        let activation: Vec<f32> = (0..60).map(|n: u32| ((n * n * 37 + n * 11) % 101) as f32 / 101.0).collect();
        let found = picking([2.0, 1.0], [3.0, 3.0], 0.1, 2.0).frames(&activation, 1.0).unwrap();
        assert_eq!(found, [2, 6, 10, 17, 21, 25, 30, 36, 40, 45, 49, 53, 56]);
    }

    #[test]
    fn lengths_are_in_seconds() {
        let mut activation = vec![0.0; 500];
        (activation[100], activation[102], activation[350]) = (0.9, 0.8, 0.5);
        let times = |rate| PeakPicking::ONSETS.times(&activation, rate).unwrap();
        assert_eq!(times(100.0), [1.0, 3.5]);
        assert_eq!(times(10.0), [10.0, 10.2, 35.0]);
        assert_eq!(PeakPicking::BOUNDARIES.times(&activation, 2.0).unwrap(), [50.0, 175.0]);
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(PeakPicking::ONSETS.frames(&[], 50.0), Ok(Vec::new()));
        assert_eq!(PeakPicking::ONSETS.frames(&[0.5; 9], 50.0), Ok(Vec::new()));
        let message = |activation: &[f32], rate| PeakPicking::ONSETS.frames(activation, rate).unwrap_err().to_string();
        assert!(message(&[0.0, f32::NAN], 50.0).contains("activation: value 1 is NaN"));
        assert!(message(&[0.0], 0.0).contains("frames per second is 0"));
        let wrong = PeakPicking { threshold: -1.0, ..PeakPicking::ONSETS };
        assert!(wrong.frames(&[0.0], 50.0).unwrap_err().to_string().contains("threshold is -1"));
    }
}
