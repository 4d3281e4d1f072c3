//! From the grid to seconds: tempo with a little drift, swing, and the hands of players.

use super::styles::{Meter, Swing};
use crate::dice::Dice;

/// When every beat of a piece is.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    meter: Meter,
    /// Time of every beat, one more than there are, in seconds.
    beats: Vec<f64>,
    /// Sixteenths of a swung pair and the part of it that the first note takes.
    swing: Option<(f64, f64)>,
}

/// How a piece's beats go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    /// Beats per minute.
    pub(crate) tempo: f64,
    /// Time of the first beat in seconds.
    pub(crate) start: f64,
    pub(crate) num_beats: usize,
    /// How much neighbouring beats differ, as a part of their length.
    pub(crate) drift: f64,
    /// Beats at the end that are longer and longer.
    pub(crate) slows: usize,
}

impl Clock {
    /// The clock of a piece.
    pub(crate) fn new(dice: &mut Dice, meter: Meter, pulse: Pulse, swing: Option<&Swing>) -> Self {
        let Pulse { tempo, start, num_beats, drift, slows } = pulse;
        let mut beats = vec![start];
        let mut wander = 0.0;
        for beat in 0..num_beats {
            wander = 0.8 * wander + drift * dice.normal();
            let to_end = num_beats - beat;
            let slowing = if to_end <= slows { 0.35 * (slows + 1 - to_end) as f64 / slows as f64 } else { 0.0 };
            let last = beats[beats.len() - 1];
            beats.push(last + 60.0 / tempo * (1.0 + wander.clamp(-0.04, 0.04) + slowing * slowing));
        }
        let swing = swing
            .filter(|_| meter != Meter::SixEight)
            .map(|swing| (swing.pair_steps as f64, dice.range(swing.first.0, swing.first.1)));
        Self { meter, beats, swing }
    }

    /// The times of the beats themselves.
    pub(crate) fn beats(&self) -> &[f64] {
        &self.beats[..self.beats.len() - 1]
    }

    /// Seconds of a place on the grid; places after the end go on in the last tempo.
    pub(crate) fn seconds(&self, step: f64) -> f64 {
        let swung = match self.swing {
            Some((pair, first)) => {
                let place = (step / pair).floor();
                let within = step / pair - place;
                let moved =
                    if within < 0.5 { 2.0 * within * first } else { first + (2.0 * within - 1.0) * (1.0 - first) };
                (place + moved) * pair
            }
            None => step,
        };
        let position = swung / self.meter.steps_per_beat() as f64;
        let beat = (position.floor().max(0.0) as usize).min(self.beats.len() - 2);
        let (from, to) = (self.beats[beat], self.beats[beat + 1]);
        from + (position - beat as f64) * (to - from)
    }
}

/// How exactly somebody plays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand {
    /// Seconds behind the beat, or before it where negative.
    pub(crate) behind: f64,
    /// Deviation in seconds.
    pub(crate) unsteady: f64,
    /// Deviation of velocities.
    pub(crate) uneven: f64,
    /// Seconds between the notes of a strummed chord.
    pub(crate) strum: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swing_moves_the_second_of_a_pair_and_no_beat() {
        let mut dice = Dice::new(0, "clock");
        let swing = Swing { pair_steps: 4, first: (0.66, 0.66) };
        let pulse = Pulse { tempo: 60.0, start: 0.0, num_beats: 8, drift: 0.0, slows: 0 };
        let clock = Clock::new(&mut dice, Meter::FourFour, Pulse { tempo: 120.0, start: 1.0, ..pulse }, Some(&swing));
        assert_eq!(clock.beats(), [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]);
        assert!((clock.seconds(4.0) - 1.5).abs() < 1e-12);
        assert!((clock.seconds(2.0) - 1.33).abs() < 1e-12);
        assert!((clock.seconds(36.0) - 5.5).abs() < 1e-12, "after the end");
        let straight = Clock::new(&mut dice, Meter::SixEight, pulse, Some(&swing));
        assert!((straight.seconds(2.0) - 1.0 / 3.0).abs() < 1e-12);
    }
}
