//! The states of a beat, and the most likely path through them.

/// How sharply a change of tempo from one beat to the next is punished: `exp(-lambda |to / from - 1|)`.
const TRANSITION_LAMBDA: f64 = 100.0;

/// A beat's states are its first `1 / OBSERVATION_LAMBDA`; the rest is not a beat.
pub(super) const OBSERVATION_LAMBDA: usize = 16;

/// States of one beat: for every interval of `n` frames, `n` positions in it. Inside of a beat time goes on by one
/// position a frame, at its end the interval may change.
#[derive(Clone, Debug)]
pub(super) struct BeatStates {
    /// Frames from one beat to the next, ascending.
    intervals: Vec<usize>,
    /// By interval, the intervals that it may follow.
    predecessors: Vec<Predecessors>,
}

/// Neighbouring intervals, with the logarithm of the probability that each goes over to this one.
#[derive(Clone, Debug)]
struct Predecessors {
    first: usize,
    log_probabilities: Vec<f64>,
}

/// Where in a bar and in a beat a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Number of the beat in its bar, from 0.
    pub(super) beat: usize,
    /// Place of the beat's interval among all.
    pub(super) interval: usize,
    /// Frames since the beat began.
    pub(super) position: usize,
}

/// The most likely state of every frame.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) states: Vec<State>,
    /// Logarithm of its probability, up to what [`BeatStates::most_likely_path`] says.
    pub(super) log_probability: f64,
}

impl BeatStates {
    /// Beats of `shortest` to `longest` frames; the first is at least 1.
    pub(super) fn new(shortest: usize, longest: usize) -> Self {
        let intervals: Vec<usize> = (shortest..=longest).collect();
        let weight = |from: usize, to: usize| {
            let weight = (-TRANSITION_LAMBDA * (intervals[to] as f64 / intervals[from] as f64 - 1.0).abs()).exp();
            if weight > f64::EPSILON { weight } else { 0.0 }
        };
        let all = 0..intervals.len();
        let totals: Vec<f64> = all.clone().map(|from| all.clone().map(|to| weight(from, to)).sum()).collect();
        let predecessors = all
            .clone()
            .map(|to| {
                // Those that may go over to `to` are neighbours, because the ratio of two intervals is monotonous.
                let first = all.clone().position(|from| weight(from, to) > 0.0).unwrap_or(to);
                let log_probabilities = (first..intervals.len())
                    .map(|from| (weight(from, to), totals[from]))
                    .take_while(|(weight, _)| *weight > 0.0)
                    .map(|(weight, total)| (weight / total).ln())
                    .collect();
                Predecessors { first, log_probabilities }
            })
            .collect();
        Self { intervals, predecessors }
    }

    /// How many states a beat has.
    pub(super) fn num_states(&self) -> usize {
        self.intervals.iter().sum()
    }

    /// Whether a state counts as a beat.
    pub(super) fn is_beat(&self, state: State) -> bool {
        state.position < num_beat_positions(self.intervals[state.interval])
    }

    /// Viterbi's search for the most likely states of all frames, in bars of `num_beats` beats, from a flat start.
    ///
    /// `log_odds` has a row of `num_beats` for each frame: by how much the logarithm of the probability of what is heard is
    /// larger where that beat is than where no beat is. The path's logarithm is relative to no beat anywhere.
    ///
    /// Nothing moves in memory. The values of an interval of `n` frames form a ring, whose first position goes back by one
    /// a frame; what is added to every state that is no beat is left out; so a frame costs as much as there are beats'
    /// first positions, and not as there are states. Only first positions have more than one predecessor, so only theirs
    /// are kept.
    pub(super) fn most_likely_path(&self, log_odds: &[f64], num_beats: usize) -> Path {
        let num_frames = log_odds.len() / num_beats;
        let num_intervals = self.intervals.len();
        let starts: Vec<usize> = self
            .intervals
            .iter()
            .scan(0, |start, interval| {
                *start += interval;
                Some(*start - interval)
            })
            .collect();
        let num_states = self.num_states();
        let mut values = vec![0.0f64; num_beats * num_states];
        let mut heads = vec![0usize; num_intervals];
        let mut leaving = vec![0.0f64; num_beats * num_intervals];
        let mut chosen: Vec<u16> = Vec::with_capacity(num_frames * num_beats * num_intervals);

        for frame_odds in log_odds.chunks_exact(num_beats) {
            for (interval, (head, &length)) in heads.iter_mut().zip(&self.intervals).enumerate() {
                // The last position of the frame before becomes the first one.
                *head = if *head == 0 { length - 1 } else { *head - 1 };
                for beat in 0..num_beats {
                    leaving[beat * num_intervals + interval] = values[beat * num_states + starts[interval] + *head];
                }
            }
            for (beat, &odds) in frame_odds.iter().enumerate() {
                let before = (beat + num_beats - 1) % num_beats;
                let leaving = &leaving[before * num_intervals..][..num_intervals];
                for (interval, predecessors) in self.predecessors.iter().enumerate() {
                    let (from, best) = predecessors.best(leaving);
                    chosen.push(from as u16);
                    let (length, head) = (self.intervals[interval], heads[interval]);
                    let ring = &mut values[beat * num_states + starts[interval]..][..length];
                    ring[head] = best;
                    for position in 0..num_beat_positions(length) {
                        let place = head + position;
                        ring[if place < length { place } else { place - length }] += odds;
                    }
                }
            }
        }

        let mut last = State { beat: 0, interval: 0, position: 0 };
        let mut log_probability = f64::NEG_INFINITY;
        for beat in 0..num_beats {
            for (interval, (&length, &head)) in self.intervals.iter().zip(&heads).enumerate() {
                let ring = &values[beat * num_states + starts[interval]..][..length];
                for position in 0..length {
                    let value = ring[(head + position) % length];
                    if value > log_probability {
                        (last, log_probability) = (State { beat, interval, position }, value);
                    }
                }
            }
        }
        let log_probability = log_probability - ((num_beats * num_states) as f64).ln();
        Path { states: self.trace_back(last, num_frames, num_beats, &chosen), log_probability }
    }

    /// The states of all frames, from the last one and the interval that was chosen before each first position.
    fn trace_back(&self, last: State, num_frames: usize, num_beats: usize, chosen: &[u16]) -> Vec<State> {
        let mut states = vec![last; num_frames];
        let mut state = last;
        for frame in (0..num_frames).rev() {
            states[frame] = state;
            state = match state.position.checked_sub(1) {
                Some(position) => State { position, ..state },
                None => {
                    let from = chosen[(frame * num_beats + state.beat) * self.intervals.len() + state.interval];
                    let interval = usize::from(from);
                    let beat = (state.beat + num_beats - 1) % num_beats;
                    State { beat, interval, position: self.intervals[interval] - 1 }
                }
            };
        }
        states
    }
}

impl Predecessors {
    /// The most likely one, the first of equals, and its logarithm.
    fn best(&self, leaving: &[f64]) -> (usize, f64) {
        let leaving = &leaving[self.first..][..self.log_probabilities.len()];
        let mut best = (0, f64::NEG_INFINITY);
        for (place, (value, log_probability)) in leaving.iter().zip(&self.log_probabilities).enumerate() {
            if value + log_probability > best.1 {
                best = (place, value + log_probability);
            }
        }
        (self.first + best.0, best.1)
    }
}

/// How many positions of a beat of `interval` frames are below `1 / OBSERVATION_LAMBDA` of it.
fn num_beat_positions(interval: usize) -> usize {
    interval.div_ceil(OBSERVATION_LAMBDA)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The same search over a whole table of states, with nothing left out.
    fn by_table(states: &BeatStates, log_odds: &[f64], num_beats: usize) -> (Vec<State>, f64) {
        let all: Vec<State> = (0..num_beats)
            .flat_map(|beat| {
                states.intervals.iter().enumerate().flat_map(move |(interval, &length)| {
                    (0..length).map(move |position| State { beat, interval, position })
                })
            })
            .collect();
        let transition = |from: State, to: State| -> f64 {
            if to.position > 0 {
                let inside = from.beat == to.beat && from.interval == to.interval && from.position + 1 == to.position;
                return if inside { 0.0 } else { f64::NEG_INFINITY };
            }
            let ends = from.position + 1 == states.intervals[from.interval] && (from.beat + 1) % num_beats == to.beat;
            let weight = |to: usize| {
                let ratio = states.intervals[to] as f64 / states.intervals[from.interval] as f64;
                Some((-100.0 * (ratio - 1.0).abs()).exp()).filter(|weight| *weight > f64::EPSILON).unwrap_or(0.0)
            };
            let total: f64 = (0..states.intervals.len()).map(weight).sum();
            if ends { (weight(to.interval) / total).ln() } else { f64::NEG_INFINITY }
        };
        let transitions: Vec<Vec<(usize, f64)>> = all
            .iter()
            .map(|&to| {
                let from = all.iter().enumerate().map(|(place, &from)| (place, transition(from, to)));
                from.filter(|(_, log)| *log > f64::NEG_INFINITY).collect()
            })
            .collect();
        let mut values = vec![-(all.len() as f64).ln(); all.len()];
        let mut pointers: Vec<Vec<usize>> = Vec::new();
        for odds in log_odds.chunks_exact(num_beats) {
            let best: Vec<(usize, f64)> = transitions
                .iter()
                .map(|from| {
                    from.iter().fold((0, f64::NEG_INFINITY), |best, &(place, log)| {
                        if values[place] + log > best.1 { (place, values[place] + log) } else { best }
                    })
                })
                .collect();
            let heard = |state: State| if states.is_beat(state) { odds[state.beat] } else { 0.0 };
            values = all.iter().zip(&best).map(|(&state, best)| best.1 + heard(state)).collect();
            pointers.push(best.into_iter().map(|best| best.0).collect());
        }
        let mut place = (0..all.len()).fold(0, |best, place| if values[place] > values[best] { place } else { best });
        let score = values[place];
        let mut path = Vec::new();
        for pointers in pointers.iter().rev() {
            path.push(all[place]);
            place = pointers[place];
        }
        path.reverse();
        (path, score)
    }

    #[test]
    fn the_ring_finds_what_a_whole_table_finds() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (num_beats, shortest, longest) in [(1, 4, 19), (3, 3, 9), (1, 17, 18), (2, 5, 5)] {
            let states = BeatStates::new(shortest, longest);
            for num_frames in [1, 2, 30, 150] {
                let odds: Vec<f64> = (0..num_frames * num_beats).map(|_| random.random_range(-4.0..6.0)).collect();
                let found = states.most_likely_path(&odds, num_beats);
                let (path, score) = by_table(&states, &odds, num_beats);
                assert!((found.log_probability - score).abs() < 1e-9, "{} and {score}", found.log_probability);
                assert_eq!(found.states, path, "{num_beats} beats, {num_frames} frames");
            }
        }
    }

    #[test]
    fn transitions_are_probabilities() {
        let states = BeatStates::new(21, 82);
        let mut sums = vec![0.0; 62];
        for predecessors in &states.predecessors {
            for (from, log) in predecessors.log_probabilities.iter().enumerate() {
                sums[predecessors.first + from] += log.exp();
            }
        }
        assert!(sums.iter().all(|sum: &f64| (sum - 1.0).abs() < 1e-12), "{sums:?}");
    }

    #[test]
    fn the_first_sixteenth_is_the_beat() {
        assert_eq!([1, 15, 16, 17, 32, 33, 82].map(num_beat_positions), [1, 1, 1, 2, 2, 3, 6]);
    }
}
