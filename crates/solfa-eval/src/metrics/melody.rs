//! Melody: is there a voice, and at which pitch, at every moment?
//!
//! Poliner, Ellis, Ehmann, Gómez, Streich, Ong: "Melody transcription from music audio", IEEE TASLP 2007; Salamon, Gómez,
//! Ellis, Richard: "Melody extraction from polyphonic music signals", IEEE Signal Processing Magazine 2014. `mir_eval.melody`
//! (Raffel et al., ISMIR 2014) with its defaults is what these numbers equal.

use super::MetricError;

/// How far a pitch may be off, in cents; exactly as much is too much.
pub const CENT_TOLERANCE: f64 = 50.0;

/// The pitch of one voice over time. Both slices have one value a frame.
#[derive(Clone, Copy, Debug)]
pub struct Melody<'frames> {
    /// Ascending times in seconds, of any spacing.
    pub times: &'frames [f64],
    /// Hz; 0 where nothing sounds; negative where nothing is thought to sound, with a guess of the pitch it would have.
    pub frequencies: &'frames [f64],
}

/// The scores of a melody, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MelodyScores {
    /// Of the frames with a voice, those estimated to have one.
    pub voicing_recall: f64,
    /// Of the frames without a voice, those estimated to have one: 0 is best.
    pub voicing_false_alarm: f64,
    /// Of the frames with a voice, those whose pitch is within 50 cents, voiced in the estimate or not.
    pub raw_pitch_accuracy: f64,
    /// The same, where an octave too high or low is right too.
    pub raw_chroma_accuracy: f64,
    /// Of all frames, those that are right in voicing and pitch.
    pub overall_accuracy: f64,
}

impl MelodyScores {
    /// The scores by `mir_eval`'s names, in its order.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("Voicing Recall", self.voicing_recall),
            ("Voicing False Alarm", self.voicing_false_alarm),
            ("Raw Pitch Accuracy", self.raw_pitch_accuracy),
            ("Raw Chroma Accuracy", self.raw_chroma_accuracy),
            ("Overall Accuracy", self.overall_accuracy),
        ]
    }
}

/// Scores an estimate at the times of the reference.
///
/// Where times differ, the estimate is interpolated: pitch linearly in cents, voicing by the frame before. A series that
/// starts after 0 is taken to start at 0 with its first frame. Where the estimate has ended, nothing sounds.
///
/// # Errors
/// If either is empty, times and frequencies differ in number, times are negative or do not ascend, or a value is not
/// finite.
pub fn melody_scores(reference: Melody<'_>, estimate: Melody<'_>) -> Result<MelodyScores, MetricError> {
    let reference = Frames::new("reference melody", "reference melody, times", reference)?;
    let estimate = Frames::new("estimated melody", "estimated melody, times", estimate)?;
    let estimate = estimate.at(&reference.times);
    Ok(compare(&reference, &estimate))
}

/// Frames from time 0 on.
struct Frames {
    times: Vec<f64>,
    /// Above 10 Hz; 0 where no frequency is given.
    cents: Vec<f64>,
    is_voiced: Vec<bool>,
}

impl Frames {
    fn new(what: &'static str, what_times: &'static str, melody: Melody<'_>) -> Result<Self, MetricError> {
        check(what, what_times, melody)?;
        let mut frames = Self { times: Vec::new(), cents: Vec::new(), is_voiced: Vec::new() };
        if melody.times[0] > 0.0 {
            frames.push(0.0, melody.frequencies[0]);
        }
        for (&time, &frequency) in melody.times.iter().zip(melody.frequencies) {
            frames.push(time, frequency);
        }
        Ok(frames)
    }

    fn push(&mut self, time: f64, frequency: f64) {
        const BASE_HZ: f64 = 10.0;
        self.times.push(time);
        self.cents.push(if frequency == 0.0 { 0.0 } else { 1200.0 * (frequency.abs() / BASE_HZ).log2() });
        self.is_voiced.push(frequency > 0.0);
    }

    /// The same series at other times, which start at 0.
    fn at(mut self, times: &[f64]) -> Self {
        let is_same =
            self.times.len() == times.len() && self.times.iter().zip(times).all(|(&own, &other)| is_close(own, other));
        if is_same {
            return self;
        }
        let times: Vec<f64> = times.iter().copied().map(rounded).collect();
        self.times.iter_mut().for_each(|time| *time = rounded(*time));
        let end = times.last().copied().unwrap_or(0.0);
        if self.times.last().is_some_and(|&last| end > last) {
            self.times.push(end);
            self.cents.push(0.0);
            self.is_voiced.push(false);
        }
        // Pitch is held where there is none, so that interpolation does not slide down to it.
        let mut held = self.cents.clone();
        for place in 1..held.len() {
            if self.cents[place] == 0.0 {
                held[place] = held[place - 1];
            }
        }
        let mut resampled = Self { times: Vec::new(), cents: Vec::new(), is_voiced: Vec::new() };
        for &time in &times {
            // The first frame is at 0, and no time is before it.
            let before = self.times.partition_point(|&own| own <= time).saturating_sub(1);
            let cents = if self.cents[before] == 0.0 {
                0.0
            } else if before + 1 < self.times.len() {
                let slope = (held[before + 1] - held[before]) / (self.times[before + 1] - self.times[before]);
                slope * (time - self.times[before]) + held[before]
            } else {
                held[before]
            };
            resampled.times.push(time);
            resampled.cents.push(cents);
            resampled.is_voiced.push(self.is_voiced[before]);
        }
        resampled
    }
}

/// Two times that count as one: NumPy's `allclose`.
fn is_close(time: f64, other: f64) -> bool {
    (time - other).abs() <= 1e-8 + 1e-5 * other.abs()
}

/// To 10 decimals.
fn rounded(time: f64) -> f64 {
    (time * 1e10).round_ties_even() / 1e10
}

fn check(what: &'static str, what_times: &'static str, melody: Melody<'_>) -> Result<(), MetricError> {
    let Melody { times, frequencies } = melody;
    if times.is_empty() {
        return Err(MetricError::Empty { what });
    }
    if times.len() != frequencies.len() {
        return Err(MetricError::LengthMismatch { what, expected: times.len(), found: frequencies.len() });
    }
    for (what, values) in [(what_times, times), (what, frequencies)] {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(MetricError::NotFinite { what, index, value: values[index] });
        }
    }
    if times[0] < 0.0 {
        let expected = "a time that is not negative".to_owned();
        return Err(MetricError::OutOfRange { what: what_times, index: 0, expected, found: times[0].to_string() });
    }
    match times.windows(2).position(|pair| pair[1] <= pair[0]) {
        None => Ok(()),
        Some(place) => Err(MetricError::NotSorted {
            what: what_times,
            index: place + 1,
            found: times[place + 1].to_string(),
            before: times[place].to_string(),
        }),
    }
}

fn compare(reference: &Frames, estimate: &Frames) -> MelodyScores {
    let (mut voiced, mut voiced_in_both, mut silent, mut silent_in_both) = (0usize, 0usize, 0usize, 0usize);
    let (mut pitch_right, mut chroma_right, mut all_right) = (0usize, 0usize, 0usize);
    for place in 0..reference.times.len() {
        let (is_voiced, found_voiced) = (reference.is_voiced[place], estimate.is_voiced[place]);
        let (cents, found) = (reference.cents[place], estimate.cents[place]);
        if is_voiced {
            voiced += 1;
            voiced_in_both += usize::from(found_voiced);
        } else {
            silent += 1;
            silent_in_both += usize::from(!found_voiced);
        }
        if !is_voiced || cents == 0.0 || found == 0.0 {
            continue;
        }
        let difference = (cents - found).abs();
        let octaves = 1200.0 * (difference / 1200.0 + 0.5).floor();
        pitch_right += usize::from(difference < CENT_TOLERANCE);
        chroma_right += usize::from((difference - octaves).abs() < CENT_TOLERANCE);
        all_right += usize::from(found_voiced && difference < CENT_TOLERANCE);
    }
    let share = |count: usize, of: usize, otherwise: f64| if of == 0 { otherwise } else { count as f64 / of as f64 };
    MelodyScores {
        voicing_recall: share(voiced_in_both, voiced, 1.0),
        voicing_false_alarm: share(silent - silent_in_both, silent, 0.0),
        raw_pitch_accuracy: share(pitch_right, voiced, 0.0),
        raw_chroma_accuracy: share(chroma_right, voiced, 0.0),
        overall_accuracy: share(all_right + silent_in_both, reference.times.len(), 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden_cases::{Golden, numbers};
    use super::*;

    #[test]
    fn golden_melodies() {
        let golden = Golden::read("mir-metrics");
        let cases = golden.cases("melody_");
        assert_eq!(cases.len(), 6);
        for case in &cases {
            let times = numbers(&case.input["time"]);
            let (reference, estimate) = (numbers(&case.input["reference_hz"]), numbers(&case.input["estimate_hz"]));
            let scores = melody_scores(
                Melody { times: &times, frequencies: &reference },
                Melody { times: &times, frequencies: &estimate },
            );
            case.assert_scores(&scores.unwrap().named());
        }
    }

    fn scores(reference: (&[f64], &[f64]), estimate: (&[f64], &[f64])) -> Result<MelodyScores, MetricError> {
        melody_scores(
            Melody { times: reference.0, frequencies: reference.1 },
            Melody { times: estimate.0, frequencies: estimate.1 },
        )
    }

    const TIMES: [f64; 4] = [0.0, 1.0, 2.0, 3.0];

    #[test]
    fn frames_by_hand() {
        let reference = [220.0, 220.0, 0.0, 0.0];
        let estimate = [440.0, -221.0, 100.0, 0.0];
        let found = scores((&TIMES, &reference), (&TIMES, &estimate)).unwrap();
        assert_eq!(found.voicing_recall, 0.5);
        assert_eq!(found.voicing_false_alarm, 0.5);
        assert_eq!((found.raw_pitch_accuracy, found.raw_chroma_accuracy), (0.5, 1.0));
        assert_eq!(found.overall_accuracy, 0.25);
    }

    #[test]
    fn without_any_voice_recall_is_one() {
        let found = scores((&TIMES, &[0.0; 4]), (&TIMES, &[0.0, 0.0, 0.0, 300.0])).unwrap();
        assert_eq!((found.voicing_recall, found.voicing_false_alarm), (1.0, 0.25));
        assert_eq!((found.raw_pitch_accuracy, found.overall_accuracy), (0.0, 0.75));
    }

    #[test]
    fn an_estimate_is_brought_to_the_reference_times() {
        // Held pitch between frames, and nothing after the end.
        let found = scores((&TIMES, &[220.0; 4]), (&[0.5, 2.5], &[220.0, 220.0])).unwrap();
        assert_eq!((found.voicing_recall, found.raw_pitch_accuracy), (0.75, 0.75));
        let one_frame = scores((&[0.0], &[220.0]), (&[0.0, 1.0], &[220.0, 0.0])).unwrap();
        assert_eq!(one_frame.overall_accuracy, 1.0);
    }

    #[test]
    fn bad_input_is_named() {
        let good: (&[f64], &[f64]) = (&TIMES, &[220.0; 4]);
        assert!(matches!(scores(good, (&[], &[])), Err(MetricError::Empty { .. })));
        assert!(matches!(scores(good, (&[0.0], &[])), Err(MetricError::LengthMismatch { .. })));
        assert!(matches!(scores(good, (&[0.0, f64::NAN], &[1.0, 1.0])), Err(MetricError::NotFinite { index: 1, .. })));
        assert!(matches!(scores((&[0.0, 0.0], &[1.0, 1.0]), good), Err(MetricError::NotSorted { index: 1, .. })));
        assert!(matches!(scores(good, (&[-1.0], &[1.0])), Err(MetricError::OutOfRange { .. })));
    }
}
