//! Beats from activations: a dynamic Bayesian network of tempo and position.
//!
//! F. Krebs, S. Böck and G. Widmer, *An efficient state-space model for joint tempo and meter tracking*, ISMIR 2015, as
//! madmom's `DBNBeatTrackingProcessor` has it and MARBLE uses it:
//!
//! - **States.** A beat lasts a whole number of frames, from the fastest to the slowest tempo; a state is that number and a
//!   position in the beat.
//! - **Transitions.** Inside of a beat the position goes on by one frame. At its end the interval may change, with a
//!   probability proportional to `exp(-100 |to / from - 1|)`.
//! - **Observations.** In the first sixteenth of a beat the activation `a` is the probability of what is heard; elsewhere it
//!   is `(1 - a) / 15`.
//! - **Decoding.** The most likely path is searched (Viterbi). Each time it is in the first sixteenth of a beat, the frame
//!   with the largest activation in that stretch is the beat.
//!
//! Logarithms of 0 are not taken: activations are kept 10^-7 away from 0 and 1.

mod bar;
mod states;

pub use bar::{BarBeat, BarNetwork, Bars};

use super::error::{DecodeError, check_frames_per_second, check_probabilities};
use states::{BeatStates, OBSERVATION_LAMBDA};

/// How near to 0 and 1 an activation may be.
const SMALLEST_PROBABILITY: f64 = 1e-7;

/// The longest interval that a network may have, in frames; a limit to its memory.
const LONGEST_INTERVAL_FRAMES: f64 = 4096.0;

/// Tempi that a network knows, in beats (or bars) per minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TempoRange {
    /// The slowest.
    pub slowest_bpm: f64,
    /// The fastest.
    pub fastest_bpm: f64,
}

impl TempoRange {
    /// Beats, from 55 to 215 per minute: madmom and MARBLE.
    pub const BEATS: Self = Self { slowest_bpm: 55.0, fastest_bpm: 215.0 };

    /// Downbeats, from 18 to 72 per minute: MARBLE v1. (MARBLE v2 decodes them with the range of beats, which a bar of four
    /// beats at 120 per minute is outside of.)
    pub const DOWNBEATS: Self = Self { slowest_bpm: 18.0, fastest_bpm: 72.0 };

    /// The shortest and the longest beat in whole frames.
    fn intervals(self, frames_per_second: f64) -> Result<(usize, usize), DecodeError> {
        check_frames_per_second(frames_per_second)?;
        let Self { slowest_bpm, fastest_bpm } = self;
        if !(slowest_bpm.is_finite() && fastest_bpm.is_finite() && 0.0 < slowest_bpm && slowest_bpm <= fastest_bpm) {
            return Err(DecodeError::Setting {
                what: "the range of tempi",
                expected: "a slowest above 0 and a fastest that is not slower".to_owned(),
                found: format!("{slowest_bpm} to {fastest_bpm} per minute"),
            });
        }
        let [shortest, longest] =
            [fastest_bpm, slowest_bpm].map(|bpm| (60.0 * frames_per_second / bpm).round_ties_even());
        if shortest < 2.0 || longest > LONGEST_INTERVAL_FRAMES {
            return Err(DecodeError::Setting {
                what: "frames per second",
                expected: format!("a rate with 2 to {LONGEST_INTERVAL_FRAMES} frames in every beat"),
                found: format!("{frames_per_second}, with {shortest} to {longest}"),
            });
        }
        Ok((shortest as usize, longest as usize))
    }
}

/// Finds beats, or downbeats, in one activation.
///
/// ```
/// use solfa_eval::decode::beat_network::{BeatNetwork, TempoRange};
///
/// // 10 s at 50 frames a second, with a beat every half second.
/// let activations: Vec<f32> = (0..500).map(|frame| if frame % 25 == 5 { 0.9 } else { 0.05 }).collect();
/// let network = BeatNetwork::new(50.0, TempoRange::BEATS)?;
/// let beats = network.decode(&activations)?;
/// assert_eq!(beats.len(), 20);
/// assert_eq!(beats[..3], [0.1, 0.6, 1.1]);
/// # Ok::<(), solfa_eval::decode::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BeatNetwork {
    states: BeatStates,
    frames_per_second: f64,
}

impl BeatNetwork {
    /// A network for activations at a rate.
    ///
    /// # Errors
    /// If the range is not one, or a beat would have fewer than 2 or more than 4096 frames.
    pub fn new(frames_per_second: f64, tempi: TempoRange) -> Result<Self, DecodeError> {
        let (shortest, longest) = tempi.intervals(frames_per_second)?;
        Ok(Self { states: BeatStates::new(shortest, longest), frames_per_second })
    }

    /// How many states it has: the sum of all intervals in frames.
    pub fn num_states(&self) -> usize {
        self.states.num_states()
    }

    /// Times of the beats, in seconds. None where there are no activations, or all are 0.
    ///
    /// # Errors
    /// If an activation is not a probability.
    pub fn decode(&self, activations: &[f32]) -> Result<Vec<f64>, DecodeError> {
        check_probabilities("activations of beats", activations)?;
        if activations.iter().all(|&activation| activation == 0.0) {
            return Ok(Vec::new());
        }
        let log_odds: Vec<f64> = activations
            .iter()
            .map(|&activation| {
                let probability = f64::from(activation).clamp(SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY);
                probability.ln() - log_of_no_beat(1.0 - probability)
            })
            .collect();
        let path = self.states.most_likely_path(&log_odds, 1);
        let in_beat: Vec<Option<usize>> =
            path.states.iter().map(|&state| self.states.is_beat(state).then_some(state.beat)).collect();
        let peaks = peaks_of_stretches(&in_beat, |frame| activations[frame]);
        Ok(peaks.into_iter().map(|(frame, _)| frame as f64 / self.frames_per_second).collect())
    }
}

/// The probability that there is no beat is shared by the other positions.
fn log_of_no_beat(probability: f64) -> f64 {
    (probability / (OBSERVATION_LAMBDA - 1) as f64).ln()
}

/// Of every stretch of frames in the same beat, the first frame with the largest activation, and the number of the beat.
fn peaks_of_stretches(in_beat: &[Option<usize>], activation: impl Fn(usize) -> f32) -> Vec<(usize, usize)> {
    let mut peaks: Vec<(usize, usize)> = Vec::new();
    for (frame, &beat) in in_beat.iter().enumerate() {
        let Some(beat) = beat else { continue };
        let goes_on = frame > 0 && in_beat[frame - 1] == Some(beat);
        match peaks.last_mut() {
            Some(peak) if goes_on => {
                if activation(frame) > activation(peak.0) {
                    peak.0 = frame;
                }
            }
            _ => peaks.push((frame, beat)),
        }
    }
    peaks
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::metrics::beat::{BEAT_WINDOW_SECONDS, beat_f_measure};

    /// Peaks three frames wide at some times, with noise below them; a share of the peaks is left out.
    ///
    /// Noise above 1/16 on average would speak for a beat in every frame.
    pub(super) fn activations(
        times: &[f64],
        seconds: f64,
        frames_per_second: f64,
        noise: f32,
        missing: f64,
        seed: u64,
    ) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let num_frames = (seconds * frames_per_second) as usize;
        let mut values: Vec<f32> = (0..num_frames).map(|_| 0.01 + noise * random.random::<f32>()).collect();
        for &time in times {
            let centre = (time * frames_per_second).round() as usize;
            if random.random_bool(missing) {
                continue;
            }
            for (frame, height) in [(centre.wrapping_sub(1), 0.4), (centre, 0.9), (centre + 1, 0.4)] {
                if let Some(value) = values.get_mut(frame) {
                    *value = value.max(height);
                }
            }
        }
        values
    }

    pub(super) fn steady(first: f64, bpm: f64, seconds: f64) -> Vec<f64> {
        (0..).map(|beat| first + f64::from(beat) * 60.0 / bpm).take_while(|&time| time < seconds).collect()
    }

    #[track_caller]
    pub(super) fn assert_agree(reference: &[f64], found: &[f64], least: f64) {
        let score = beat_f_measure(reference, found, BEAT_WINDOW_SECONDS).unwrap().f_measure;
        assert!(score >= least, "{score}: {found:?} instead of {reference:?}");
    }

    #[track_caller]
    fn assert_found(network: &BeatNetwork, values: &[f32], beats: &[f64]) {
        assert_agree(beats, &network.decode(values).unwrap(), 1.0);
    }

    #[test]
    fn numbers_of_states_are_those_of_the_reference() {
        let states = |rate, tempi| BeatNetwork::new(rate, tempi).unwrap().num_states();
        assert_eq!(states(25.0, TempoRange::BEATS), 357);
        assert_eq!(states(75.0, TempoRange::BEATS), 3_193);
        assert_eq!(states(100.0, TempoRange::BEATS), 5_617);
        assert_eq!(states(75.0, TempoRange::DOWNBEATS), 29_484);
    }

    #[test]
    fn a_steady_tempo_is_found_through_noise_and_gaps() {
        for (rate, bpm) in [(25.0, 96.0), (50.0, 71.5), (75.0, 143.0), (93.75, 128.0), (100.0, 200.0)] {
            let network = BeatNetwork::new(rate, TempoRange::BEATS).unwrap();
            // No tempo here has a beat at 0 s, where whether there is one is a matter of noise.
            let beats = steady(0.2, bpm, 29.9);
            let seconds = beats[beats.len() - 1] + 0.1;
            assert_found(&network, &activations(&beats, seconds, rate, 0.1, 0.0, 1), &beats);
            // A missing beat may be two frames off, which at 25 frames a second is more than 70 ms.
            let found = network.decode(&activations(&beats, seconds, rate, 0.0, 0.2, 2)).unwrap();
            assert_agree(&beats, &found, if rate < 50.0 { 0.95 } else { 1.0 });
            // Where a beat is missing, its place is that of the loudest noise.
            let found = network.decode(&activations(&beats, seconds, rate, 0.1, 0.1, 3)).unwrap();
            assert_agree(&beats, &found, 0.95);
        }
    }

    #[test]
    fn a_changing_tempo_is_followed() {
        let mut beats = vec![0.4];
        while beats[beats.len() - 1] < 58.5 {
            // From 90 to 140 beats a minute in one minute.
            let time = beats[beats.len() - 1];
            beats.push(time + 60.0 / (90.0 + 50.0 * time / 60.0));
        }
        let network = BeatNetwork::new(50.0, TempoRange::BEATS).unwrap();
        assert_found(&network, &activations(&beats, beats[beats.len() - 1] + 0.1, 50.0, 0.1, 0.0, 3), &beats);
        // A step from 100 to 130.
        let mut beats = steady(0.5, 100.0, 20.0);
        beats.extend(steady(beats[beats.len() - 1] + 60.0 / 130.0, 130.0, 40.0));
        assert_found(&network, &activations(&beats, beats[beats.len() - 1] + 0.1, 50.0, 0.1, 0.0, 4), &beats);
    }

    #[test]
    fn downbeats_have_a_range_of_their_own() {
        // Bars of four beats at 120 per minute.
        let downbeats = steady(0.5, 30.0, 60.0);
        let values = activations(&downbeats, 60.0, 75.0, 0.1, 0.0, 5);
        assert_found(&BeatNetwork::new(75.0, TempoRange::DOWNBEATS).unwrap(), &values, &downbeats);
        let with_the_range_of_beats = BeatNetwork::new(75.0, TempoRange::BEATS).unwrap().decode(&values).unwrap();
        assert!(with_the_range_of_beats.len() > downbeats.len() * 3 / 2);
    }

    #[test]
    fn nothing_heard_is_no_beat() {
        let network = BeatNetwork::new(50.0, TempoRange::BEATS).unwrap();
        assert_eq!(network.decode(&[]), Ok(Vec::new()));
        assert_eq!(network.decode(&[0.0; 500]), Ok(Vec::new()));
        // Shorter than any beat: one at most.
        assert!(network.decode(&[0.9]).unwrap().len() <= 1);
        assert_eq!(network.decode(&[0.0, 0.1, 0.9, 0.1, 0.0]), Ok(vec![0.04]));
        // Zeros and ones have no infinite logarithms.
        let clicks: Vec<f32> = (0..500).map(|frame| if frame % 25 == 0 { 1.0 } else { 0.0 }).collect();
        assert_eq!(network.decode(&clicks).unwrap(), steady(0.0, 120.0, 10.0));
        network.decode(&[1.0; 200]).unwrap();
    }

    #[test]
    fn bad_input_is_named() {
        let network = BeatNetwork::new(50.0, TempoRange::BEATS).unwrap();
        let message = |values: &[f32]| network.decode(values).unwrap_err().to_string();
        assert!(message(&[0.1, f32::NAN]).contains("activations of beats: value 1 is NaN"));
        assert!(message(&[0.1, 1.5]).contains("value 1 is 1.5, and a probability from 0 to 1 is expected"));
        let message = |rate, slowest_bpm, fastest_bpm| {
            BeatNetwork::new(rate, TempoRange { slowest_bpm, fastest_bpm }).unwrap_err().to_string()
        };
        assert!(message(1.0, 55.0, 215.0).contains("2 to 4096 frames in every beat"));
        assert!(message(44_100.0, 55.0, 215.0).contains("2 to 4096 frames in every beat"));
        assert!(message(f64::NAN, 55.0, 215.0).contains("frames per second is NaN"));
        assert!(message(50.0, 215.0, 55.0).contains("215 to 55 per minute"));
        assert!(message(50.0, 0.0, 55.0).contains("0 to 55 per minute"));
        assert!(message(50.0, f64::NAN, 55.0).contains("NaN to 55 per minute"));
    }
}
