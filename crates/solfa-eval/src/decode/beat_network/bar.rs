//! Beats and downbeats together: bars of a known number of beats.
//!
//! S. Böck, F. Krebs and G. Widmer, *Joint beat and downbeat tracking with recurrent neural networks*, ISMIR 2016. The states of
//! [`BeatNetwork`](super::BeatNetwork) are repeated for every beat of a bar; after the last beat the first one follows. Each
//! number of beats is a network of its own, and the most likely path of all is taken, so a piece has one meter.
//!
//! The paper's network gives one distribution over "beat", "downbeat" and neither. Ours takes two activations, of beats
//! (downbeats included) and of downbeats, and makes that distribution of them: a downbeat has the probability `d`, another
//! beat `max(b - d, 0)`, and neither `1 - max(b, d)`.

use super::states::BeatStates;
use super::{DecodeError, SMALLEST_PROBABILITY, TempoRange, check_probabilities, log_of_no_beat, peaks_of_stretches};

/// Finds beats and their numbers in the bar.
#[derive(Clone, Debug)]
pub struct BarNetwork {
    states: BeatStates,
    meters: Vec<usize>,
    frames_per_second: f64,
}

/// A beat and its number in the bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BarBeat {
    /// In seconds.
    pub seconds: f64,
    /// From 1, which is the downbeat.
    pub number: usize,
}

/// The beats of a piece.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The meter that was found.
    pub beats_per_bar: usize,
    /// In order of time.
    pub beats: Vec<BarBeat>,
}

impl Bars {
    /// Times of all beats, in seconds.
    pub fn beat_times(&self) -> Vec<f64> {
        self.beats.iter().map(|beat| beat.seconds).collect()
    }

    /// Times of the downbeats, in seconds.
    pub fn downbeat_times(&self) -> Vec<f64> {
        self.beats.iter().filter(|beat| beat.number == 1).map(|beat| beat.seconds).collect()
    }
}

impl BarNetwork {
    /// Meters that most music has: 3 and 4 beats a bar.
    pub const METERS: [usize; 2] = [3, 4];

    /// The largest number of beats in a bar.
    const LARGEST_METER: usize = 32;

    /// A network for activations at a rate, for beats in a range of tempi and bars of one of some numbers of beats.
    ///
    /// # Errors
    /// If there is no meter or one that is not from 1 to 32, and as [`BeatNetwork::new`](super::BeatNetwork::new).
    pub fn new(frames_per_second: f64, tempi: TempoRange, meters: &[usize]) -> Result<Self, DecodeError> {
        let (shortest, longest) = tempi.intervals(frames_per_second)?;
        if meters.is_empty() || meters.iter().any(|meter| !(1..=Self::LARGEST_METER).contains(meter)) {
            return Err(DecodeError::Setting {
                what: "the list of beats per bar",
                expected: format!("one or more numbers from 1 to {}", Self::LARGEST_METER),
                found: format!("{meters:?}"),
            });
        }
        Ok(Self { states: BeatStates::new(shortest, longest), meters: meters.to_vec(), frames_per_second })
    }

    /// How many states all meters have together.
    pub fn num_states(&self) -> usize {
        self.states.num_states() * self.meters.iter().sum::<usize>()
    }

    /// The meter and the beats. `None` where there are no activations, or all are 0.
    ///
    /// # Errors
    /// If an activation is not a probability, or the two have different lengths.
    pub fn decode(&self, beats: &[f32], downbeats: &[f32]) -> Result<Option<Bars>, DecodeError> {
        check_probabilities("activations of beats", beats)?;
        check_probabilities("activations of downbeats", downbeats)?;
        if beats.len() != downbeats.len() {
            return Err(DecodeError::Length {
                what: "activations of downbeats",
                expected: beats.len().to_string(),
                found: downbeats.len(),
            });
        }
        if beats.iter().chain(downbeats).all(|&activation| activation == 0.0) {
            return Ok(None);
        }
        // By frame: how much more likely a downbeat, and another beat, is than neither.
        let log_odds: Vec<[f64; 2]> = beats
            .iter()
            .zip(downbeats)
            .map(|(&beat, &downbeat)| {
                let (beat, downbeat) = (f64::from(beat), f64::from(downbeat));
                let log_of_none = log_of_no_beat((1.0 - beat.max(downbeat)).max(SMALLEST_PROBABILITY));
                [downbeat, beat - downbeat].map(|share| share.max(SMALLEST_PROBABILITY).ln() - log_of_none)
            })
            .collect();
        let paths = self.meters.iter().map(|&meter| {
            let repeated: Vec<f64> = log_odds
                .iter()
                .flat_map(|[downbeat, beat]| std::iter::once(*downbeat).chain(std::iter::repeat_n(*beat, meter - 1)))
                .collect();
            (meter, self.states.most_likely_path(&repeated, meter))
        });
        let best = paths.reduce(|best, path| if path.1.log_probability > best.1.log_probability { path } else { best });
        Ok(best.map(|(beats_per_bar, path)| {
            let in_beat: Vec<Option<usize>> =
                path.states.iter().map(|&state| self.states.is_beat(state).then_some(state.beat)).collect();
            let peaks = peaks_of_stretches(&in_beat, |frame| beats[frame].max(downbeats[frame]));
            let beats = peaks
                .into_iter()
                .map(|(frame, beat)| BarBeat { seconds: frame as f64 / self.frames_per_second, number: beat + 1 })
                .collect();
            Bars { beats_per_bar, beats }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{activations, assert_agree, steady};
    use super::*;

    #[test]
    fn meters_and_downbeats_are_found() {
        let network = BarNetwork::new(50.0, TempoRange::BEATS, &BarNetwork::METERS).unwrap();
        for (meter, bpm, seed) in [(3usize, 110.0, 1), (4, 87.0, 2), (4, 150.0, 3)] {
            let beats = steady(0.4, bpm, 40.0);
            let seconds = beats[beats.len() - 1] + 0.1;
            // The piece begins with the last beat of a bar.
            let downbeats: Vec<f64> = beats.iter().copied().skip(1).step_by(meter).collect();
            let heard = [
                activations(&beats, seconds, 50.0, 0.0, 0.1, seed),
                activations(&downbeats, seconds, 50.0, 0.1, 0.2, seed + 10),
            ];
            let bars = network.decode(&heard[0], &heard[1]).unwrap().unwrap();
            assert_eq!(bars.beats_per_bar, meter);
            assert_eq!(bars.beats[0].number, meter);
            for (reference, found) in [(&beats, bars.beat_times()), (&downbeats, bars.downbeat_times())] {
                assert_agree(reference, &found, 1.0);
            }
        }
    }

    #[test]
    fn states_are_those_of_every_beat_of_every_meter() {
        let network = BarNetwork::new(25.0, TempoRange::BEATS, &[3, 4]).unwrap();
        assert_eq!(network.num_states(), 7 * 357);
    }

    #[test]
    fn bad_input_is_named() {
        let network = BarNetwork::new(50.0, TempoRange::BEATS, &[4]).unwrap();
        assert_eq!(network.decode(&[], &[]), Ok(None));
        assert_eq!(network.decode(&[0.0; 9], &[0.0; 9]), Ok(None));
        let message = |beats: &[f32], downbeats: &[f32]| network.decode(beats, downbeats).unwrap_err().to_string();
        assert!(message(&[0.1; 3], &[0.1; 2]).contains("activations of downbeats: 2 values are found, and 3"));
        assert!(message(&[0.1; 2], &[0.1, f32::NAN]).contains("activations of downbeats: value 1 is NaN"));
        for meters in [&[][..], &[0], &[4, 33]] {
            let error = BarNetwork::new(50.0, TempoRange::BEATS, meters).unwrap_err().to_string();
            assert!(error.contains("one or more numbers from 1 to 32"), "{error}");
        }
    }
}
