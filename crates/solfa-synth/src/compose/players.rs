//! Chords and basses: patterns of a bar become notes of the harmony.

use super::plan::{Passage, StepNote};
use super::styles::{BassLine, Comping};
use super::theory::Chord;
use super::voicing::{nearest_of_class, voice_chord};
use crate::dice::Dice;

/// Lowest and highest note of basses.
const BASS_COMPASS: (i32, i32) = (28, 50);

/// A stroke of a pattern: start, length in sixteenths, symbol.
type Stroke = (i64, i64, u8);

/// The strokes of one bar of a pattern, cut and struck again where the chord changes.
fn strokes(pattern: &str, bar: i64, passage: &Passage) -> Vec<Stroke> {
    let symbols = pattern.as_bytes();
    let steps = passage.meter.steps();
    let mut strokes: Vec<Stroke> = Vec::new();
    let mut step = 0;
    while step < steps {
        let symbol = symbols[step as usize % symbols.len()];
        if symbol == b'.' || symbol == b'-' {
            step += 1;
            continue;
        }
        let mut length = 1;
        while step + length < steps && symbols[(step + length) as usize % symbols.len()] == b'-' {
            length += 1;
        }
        let (mut start, end) = (bar + step, bar + step + length);
        while start < end {
            let until = passage.chord_at(start).end.min(end).max(start + 1);
            strokes.push((start, until - start, if start == bar + step { symbol } else { b'R' }));
            start = until;
        }
        step += length;
    }
    strokes
}

/// How a chordal part is voiced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hands {
    pub(crate) num_voices: usize,
    pub(crate) low: i32,
    pub(crate) high: i32,
    /// Root and fifth alone, as distorted guitars play.
    pub(crate) is_power: bool,
}

/// What a chordal part remembers from passage to passage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comper {
    previous: Vec<i32>,
}

impl Comper {
    /// The notes of a passage.
    pub(crate) fn play(&mut self, dice: &mut Dice, passage: &Passage, comping: Comping, hands: Hands) -> Vec<StepNote> {
        let mut notes = Vec::new();
        let figure = dice.below(4);
        for (bar, is_final) in passage.bars() {
            let steps = passage.meter.steps();
            let strokes = match comping {
                _ if is_final => vec![(bar, steps, b'X')],
                Comping::Sustained => held(passage, bar, bar + steps),
                Comping::Pattern(pattern) if pattern.len() as i64 == steps => strokes(pattern, bar, passage),
                // A pattern of another meter gives way to a stroke on every beat.
                Comping::Pattern(_) => {
                    let per_beat = passage.meter.steps_per_beat();
                    (0..passage.meter.beats()).map(|beat| (bar + beat * per_beat, per_beat, b'x')).collect()
                }
                Comping::Arpeggio(every) => {
                    notes.extend(self.broken(passage, bar, every, figure, hands));
                    continue;
                }
            };
            for (start, length, symbol) in strokes {
                let voices = self.voices(passage.chord_at(start).chord, hands);
                let loudness = if symbol == b'X' { 0.72 } else { 0.6 };
                let sounding = if length == 1 { 0.75 } else { 0.95 * length as f64 };
                notes.extend(voices.iter().map(|&pitch| StepNote { start, length: sounding, pitch, loudness }));
            }
        }
        notes
    }

    fn voices(&mut self, chord: Chord, hands: Hands) -> Vec<i32> {
        if hands.is_power {
            let root = nearest_of_class(chord.root(), 45, 40, 52);
            let fifth = root + i32::from(chord.quality.intervals()[2]);
            return vec![root, fifth, root + 12];
        }
        self.previous = voice_chord(chord, hands.num_voices, hands.low, hands.high, &self.previous);
        self.previous.clone()
    }

    fn broken(&mut self, passage: &Passage, bar: i64, every: i64, figure: usize, hands: Hands) -> Vec<StepNote> {
        let steps = passage.meter.steps();
        let mut notes = Vec::new();
        for place in 0..steps / every {
            let start = bar + place * every;
            let span = passage.chord_at(start);
            let mut voices = self.voices(span.chord, hands);
            voices.sort_unstable();
            let count = voices.len() as i64;
            let since = (start - span.start.max(bar)) / every;
            let voice = match figure {
                0 => since % count,
                1 => {
                    let turn = since % (2 * count - 2).max(1);
                    if turn < count { turn } else { 2 * count - 2 - turn }
                }
                // Lowest, highest, middle, highest.
                2 => [0, count - 1, 1, count - 1][(since % 4) as usize],
                _ => (count - 1) - since % count,
            };
            let length = (2 * every).min(span.end - start).max(1) as f64;
            let loudness = if start % passage.meter.steps_per_beat() == 0 { 0.66 } else { 0.56 };
            notes.push(StepNote { start, length, pitch: voices[voice as usize], loudness });
        }
        notes
    }
}

/// One stroke for each chord, from its start or that of the bar, until it ends or the bar does.
fn held(passage: &Passage, from: i64, until: i64) -> Vec<Stroke> {
    let spans = passage.chords.iter().filter(|span| span.start < until && span.end > from);
    // A chord of several bars is struck once, in its first.
    spans.filter(|span| span.start >= from).map(|span| (span.start, span.end - span.start, b'x')).collect()
}

/// The bass of a passage; `previous` is its last note before, and after it the last of this one.
pub(crate) fn bass(dice: &mut Dice, passage: &Passage, line: BassLine, previous: &mut i32) -> Vec<StepNote> {
    let mut notes: Vec<StepNote> = Vec::new();
    let (low, high) = BASS_COMPASS;
    for (bar, is_final) in passage.bars() {
        let steps = passage.meter.steps();
        match line {
            _ if is_final => {
                let chord = passage.chord_at(bar).chord;
                let pitch = nearest_of_class(chord.bass(), (*previous).min(38), low, high);
                notes.push(StepNote { start: bar, length: steps as f64, pitch, loudness: 0.8 });
            }
            BassLine::Walking => notes.extend(walk(dice, passage, bar, previous)),
            BassLine::Pattern(pattern) => {
                let pattern = if pattern.len() as i64 == steps { pattern } else { "R-----------" };
                for (start, length, symbol) in strokes(pattern, bar, passage) {
                    let span = passage.chord_at(start);
                    let pitch = degree(dice, span.chord, passage.chord_after(start), symbol, *previous);
                    // The root comes first where a chord begins, whatever the pattern says.
                    let is_new = start == span.start;
                    let pitch = if is_new {
                        nearest_of_class(span.chord.bass(), (*previous).min(43), low, high)
                    } else {
                        pitch
                    };
                    *previous = pitch.clamp(low, high);
                    let sounding = if length == 1 { 0.85 } else { 0.95 * length as f64 };
                    let loudness = if start == bar { 0.78 } else { 0.7 };
                    notes.push(StepNote { start, length: sounding, pitch, loudness });
                }
            }
        }
    }
    notes
}

fn degree(dice: &mut Dice, chord: Chord, next: Chord, symbol: u8, previous: i32) -> i32 {
    let (low, high) = BASS_COMPASS;
    let intervals = chord.quality.intervals();
    let root = nearest_of_class(chord.root(), previous.clamp(31, 41), low, high);
    let above = |interval: u8| {
        let pitch = root + i32::from(interval);
        if pitch > high { pitch - 12 } else { pitch }
    };
    match symbol {
        b'3' => above(intervals[1]),
        b'5' => above(intervals[2]),
        // Of a chord without one the sixth and seventh degree give way to the fifth and the octave.
        b'6' => above(if chord.quality.is_minor() || intervals[2] != 7 { intervals[2] } else { 9 }),
        b'7' => above(intervals.get(3).copied().filter(|&interval| interval > 8).unwrap_or(12)),
        b'8' => above(12),
        b'a' => {
            let target = nearest_of_class(next.bass(), previous, low, high);
            let from_below = dice.chance(0.6);
            let class_below = (next.bass() + 11) % 12;
            let diatonic = chord.scale().contains(&class_below) || dice.chance(0.4);
            match (from_below, diatonic) {
                (true, true) => target - 1,
                (true, false) => target - 2,
                (false, _) => {
                    if chord.scale().contains(&((next.bass() + 1) % 12)) {
                        target + 1
                    } else {
                        target + 2
                    }
                }
            }
        }
        _ => root,
    }
}

/// Quarter notes: the root where a chord begins, a step to the next root before it changes, chord notes and steps of
/// the scale between.
fn walk(dice: &mut Dice, passage: &Passage, bar: i64, previous: &mut i32) -> Vec<StepNote> {
    let (low, high) = BASS_COMPASS;
    let per_beat = passage.meter.steps_per_beat();
    let mut notes = Vec::new();
    for beat in 0..passage.meter.beats() {
        let start = bar + beat * per_beat;
        let span = passage.chord_at(start);
        let is_last = start + per_beat >= span.end;
        let pitch = if start == span.start {
            nearest_of_class(span.chord.bass(), *previous, low, high)
        } else if is_last && dice.chance(0.7) {
            degree(dice, span.chord, passage.chord_after(start), b'a', *previous)
        } else {
            let direction = if *previous > 43 || *previous > 34 && dice.chance(0.5) { -1 } else { 1 };
            let scale = span.chord.scale();
            let fits = |pitch: i32| {
                if (start / per_beat) % 2 == 0 {
                    span.chord.contains(pitch)
                } else {
                    scale.contains(&(pitch.rem_euclid(12) as u8))
                }
            };
            let found = (1..=6).map(|distance| *previous + direction * distance).find(|&pitch| fits(pitch));
            found.unwrap_or(*previous).clamp(low, high)
        };
        *previous = pitch;
        notes.push(StepNote { start, length: 0.93 * per_beat as f64, pitch, loudness: 0.7 });
        if dice.chance(0.08) && beat + 1 < passage.meter.beats() {
            notes.push(StepNote { start: start + per_beat / 2, length: 1.2, pitch, loudness: 0.5 });
        }
    }
    notes
}
