//! Melodies: motifs of one bar, phrases of two or four bars made of them, chord notes where it matters.

use super::plan::{Passage, StepNote};
use super::styles::{MelodyManner, Meter};
use super::theory::Chord;
use super::voicing::nearest_of_class;
use crate::dice::Dice;

/// A bar of melody without pitches: notes with start and length in sixteenths, and the step of the scale that leads to
/// each.
#[derive(Clone, Debug)]
struct Motif {
    notes: Vec<(i64, i64, i32)>,
}

/// Orders of motifs in a phrase of four bars; `D` ends it.
const PHRASES: [&str; 8] = ["ABAD", "AABD", "ABCD", "ADAD", "ABBD", "AAAD", "ACBD", "ABED"];

/// The melody of a passage.
///
/// `material` decides motifs: the same for passages of one kind, so that they come back. `variation` decides what
/// differs. `center` is the middle of its compass.
pub(crate) fn melody(
    material: &mut Dice,
    variation: &mut Dice,
    passage: &Passage,
    manner: &MelodyManner,
    center: i32,
) -> Vec<StepNote> {
    let meter = passage.meter;
    let steps = meter.steps();
    let motifs: Vec<Motif> = (0..5).map(|place| motif(material, manner, meter, place == 3)).collect();
    let phrase = *material.pick(&PHRASES);
    let phrase_bars = if passage.section.num_bars >= 4 && material.chance(0.7) { 4 } else { 2 };
    let pickup = material.chance(0.25) && manner.grid <= 2;
    let mut line = Line { pitch: center + material.integer(-4, 4), center, is_blue: manner.is_blue };
    let mut notes: Vec<StepNote> = Vec::new();
    let num_bars = passage.section.num_bars;
    let mut is_resting = false;
    for (bar, (bar_start, is_final)) in passage.bars().enumerate() {
        let in_phrase = bar % phrase_bars;
        if in_phrase == 0 {
            is_resting = bar > 0 && bar + phrase_bars < num_bars && variation.chance(manner.rests);
        }
        if is_final {
            let chord = passage.chord_at(bar_start).chord;
            let pitch = nearest_of_class(chord.root(), line.pitch, center - 10, center + 10);
            notes.push(StepNote { start: bar_start, length: steps as f64, pitch, loudness: 0.8 });
            continue;
        }
        if is_resting {
            continue;
        }
        let is_end = in_phrase + 1 == phrase_bars || bar + 1 == num_bars;
        let letter = if is_end { b'D' } else { phrase.as_bytes()[in_phrase] };
        let mut chosen = motifs[usize::from(letter - b'A')].clone();
        // A motif that has been heard twice is bent a little.
        if bar >= phrase_bars && !is_end && variation.chance(0.2) {
            let place = variation.below(chosen.notes.len());
            chosen.notes[place].2 += variation.integer(-2, 2);
        }
        let is_last = bar + 1 == num_bars;
        notes.extend(line.sing(&chosen, passage, bar_start, is_end, is_last));
        if pickup && is_end && !is_last {
            let chord = passage.chord_at(bar_start + steps - 1).chord;
            let up = if line.pitch > center { -1 } else { 1 };
            for place in 0..2 {
                let start = bar_start + steps - 4 + 2 * place;
                let is_free = notes.last().is_none_or(|last| last.start as f64 + last.length <= start as f64);
                if is_free {
                    line.pitch = line.moved(chord, up);
                    notes.push(StepNote { start, length: 1.8, pitch: line.pitch, loudness: 0.6 });
                }
            }
        }
    }
    notes
}

struct Line {
    pitch: i32,
    center: i32,
    is_blue: bool,
}

impl Line {
    fn sing(&mut self, motif: &Motif, passage: &Passage, bar: i64, is_end: bool, is_last: bool) -> Vec<StepNote> {
        let per_beat = passage.meter.steps_per_beat();
        let count = motif.notes.len();
        let mut notes = Vec::with_capacity(count);
        for (place, &(start, length, step)) in motif.notes.iter().enumerate() {
            let span = passage.chord_at(bar + start);
            let moved = self.moved(span.chord, step);
            let is_long = length >= per_beat;
            let is_strong = start % per_beat == 0 && (start == 0 || length > 1) || is_long;
            let ends_phrase = is_end && place + 1 == count;
            self.pitch = if ends_phrase && is_last && span.chord.offset == 0 {
                nearest_of_class(span.chord.root(), moved, self.center - 10, self.center + 10)
            } else if is_strong || ends_phrase {
                nearest_chord_note(span.chord, moved, self.pitch)
            } else {
                moved
            };
            let accent = if start == 0 {
                0.12
            } else if start % per_beat == 0 {
                0.06
            } else {
                0.0
            };
            // A note that would ring into a chord that it does not belong to ends there.
            let mut end = bar + start + length;
            if end > span.end && !passage.chord_at(span.end).chord.contains(self.pitch) {
                end = span.end.max(bar + start + 1);
            }
            let sounding = (end - bar - start) as f64 * if is_long { 0.96 } else { 0.9 };
            notes.push(StepNote { start: bar + start, length: sounding, pitch: self.pitch, loudness: 0.68 + accent });
        }
        notes
    }

    /// The pitch some steps of the chord's scale away, turned back towards the middle of the compass where it would
    /// leave it.
    fn moved(&self, chord: Chord, steps: i32) -> i32 {
        let scale: Vec<u8> = if self.is_blue { blues_scale(chord) } else { chord.scale() };
        let walk = |steps: i32| {
            let mut pitch = self.pitch;
            let direction = steps.signum();
            for _ in 0..steps.abs() {
                pitch += direction;
                while !scale.contains(&(pitch.rem_euclid(12) as u8)) {
                    pitch += direction;
                }
            }
            if !scale.contains(&(pitch.rem_euclid(12) as u8)) {
                pitch = nearest_chord_note(chord, pitch, pitch);
            }
            pitch
        };
        let pitch = walk(steps);
        let pitch = if (pitch - self.center).abs() > 9 { walk(-steps) } else { pitch };
        if pitch - self.center > 12 {
            pitch - 12
        } else if self.center - pitch > 12 {
            pitch + 12
        } else {
            pitch
        }
    }
}

fn blues_scale(chord: Chord) -> Vec<u8> {
    let mut scale: Vec<u8> = [0, 3, 5, 7, 10].iter().map(|step| (chord.key.tonic + step) % 12).collect();
    scale.extend(chord.classes());
    scale.sort_unstable();
    scale.dedup();
    scale
}

/// The note of the chord nearest to `near`, and of two the one further from `from`, so that the line moves.
fn nearest_chord_note(chord: Chord, near: i32, from: i32) -> i32 {
    let mut best = near;
    let mut best_cost = i32::MAX;
    for pitch in near - 6..=near + 6 {
        if chord.contains(pitch) {
            let cost = 4 * (pitch - near).abs() + i32::from(pitch == from) * 3 - (pitch - from).abs().min(2);
            if cost < best_cost {
                (best, best_cost) = (pitch, cost);
            }
        }
    }
    best
}

fn motif(dice: &mut Dice, manner: &MelodyManner, meter: Meter, ends_phrase: bool) -> Motif {
    let (steps, per_beat) = (meter.steps(), meter.steps_per_beat());
    let mut starts: Vec<i64> = Vec::new();
    let last_start = if ends_phrase { steps / 2 } else { steps - manner.grid };
    let mut step = 0;
    while step <= last_start {
        let weight = if step % per_beat == 0 {
            1.35 - 0.5 * manner.syncopation
        } else if step % 2 == 0 {
            0.55 + 0.8 * manner.syncopation
        } else {
            0.25 + 0.6 * manner.syncopation
        };
        if dice.chance((manner.density * weight).min(0.97)) {
            starts.push(step);
        }
        step += manner.grid;
    }
    while starts.len() < if ends_phrase { 1 } else { 2 } {
        let extra = dice.below((last_start / manner.grid) as usize + 1) as i64 * manner.grid;
        if !starts.contains(&extra) {
            starts.push(extra);
            starts.sort_unstable();
        }
    }
    if ends_phrase && starts.len() > 4 {
        starts.truncate(4);
    }
    let direction = if dice.chance(0.5) { 1 } else { -1 };
    let mut notes = Vec::new();
    for (place, &start) in starts.iter().enumerate() {
        let next = starts.get(place + 1).copied();
        let until = next.unwrap_or(if ends_phrase { steps - per_beat.min(4) } else { steps });
        let mut length = (until - start).max(manner.grid);
        if length > 2 * manner.grid && dice.chance(0.25) && next.is_some() {
            length -= manner.grid;
        }
        let step = if dice.chance(manner.leaps) {
            dice.integer(2, 4) * if dice.chance(0.5) { 1 } else { -1 }
        } else if dice.chance(0.16) {
            0
        } else {
            // An arch: on the way for the first half, back in the second.
            let is_back = 2 * place >= starts.len();
            let way = if is_back { -direction } else { direction };
            if dice.chance(0.78) { way } else { -way }
        };
        notes.push((start, length, step));
    }
    Motif { notes }
}

/// A second voice below a melody: the next note of the chord, or of its scale, a third or fourth down.
pub(crate) fn second_voice(melody: &[StepNote], passage: &Passage) -> Vec<StepNote> {
    melody
        .iter()
        .map(|note| {
            let chord = passage.chord_at(note.start).chord;
            let scale = chord.scale();
            let fits = |pitch: &i32| {
                if chord.contains(note.pitch) {
                    chord.contains(*pitch)
                } else {
                    scale.contains(&(pitch.rem_euclid(12) as u8))
                }
            };
            let pitch = (3..=5).map(|below| note.pitch - below).find(fits).unwrap_or(note.pitch - 12);
            StepNote { pitch, loudness: 0.8 * note.loudness, ..*note }
        })
        .collect()
}
