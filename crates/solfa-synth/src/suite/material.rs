//! What a suite is made of: which pieces and which notes, in which split.

use solfa_eval::dataset::Split;

use crate::compose::{Key, Request, Style};
use crate::dice::Dice;
use crate::events::{Instrument, Note, Part, Performance};
use crate::instruments::{PITCHED, programs_of};

/// Pitches of single notes, as MIDI numbers: three octaves from C3 (130.8 Hz).
pub const NOTE_PITCHES: std::ops::Range<u8> = 48..84;

/// Length of a single note's file in seconds.
pub const NOTE_SECONDS: f64 = 3.0;

/// A piece to be composed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PlannedPiece {
    pub(super) split: Split,
    pub(super) request: Request,
}

/// A single note.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PlannedNote {
    pub(super) split: Split,
    pub(super) tag: &'static str,
    pub(super) program: u8,
    pub(super) note: Note,
    pub(super) seed: u64,
}

/// How many of `count` are in each split.
fn split_sizes(count: usize) -> [(Split, usize); 3] {
    let fifth = count / 5;
    [(Split::Train, count - 2 * fifth), (Split::Validation, fifth), (Split::Test, fifth)]
}

/// The items again and again until there are `count`, each round in an order of its own.
fn dealt<T: Clone>(dice: &mut Dice, items: &[T], count: usize) -> Vec<T> {
    let mut dealt = Vec::with_capacity(count + items.len());
    while dealt.len() < count {
        let mut round = items.to_vec();
        dice.shuffle(&mut round);
        dealt.extend(round);
    }
    dealt.truncate(count);
    dealt
}

pub(super) fn pieces(seed: u64, count: usize, seconds: f64) -> Vec<PlannedPiece> {
    let mut dice = Dice::new(seed, "suite pieces");
    let keys: Vec<Key> = Key::all().collect();
    let mut pieces = Vec::with_capacity(count);
    for (split, count) in split_sizes(count) {
        let keys = dealt(&mut dice, &keys, count);
        let styles = dealt(&mut dice, &Style::ALL, count);
        for (key, style) in keys.into_iter().zip(styles) {
            let request = Request { seed: dice.seed(), style: Some(style), key: Some(key), seconds };
            pieces.push(PlannedPiece { split, request });
        }
    }
    pieces
}

pub(super) fn notes(seed: u64, count: usize) -> Vec<PlannedNote> {
    let mut dice = Dice::new(seed, "suite notes");
    let pitches: Vec<u8> = NOTE_PITCHES.collect();
    let mut notes = Vec::with_capacity(count);
    for (split, count) in split_sizes(count) {
        let pitches = dealt(&mut dice, &pitches, count);
        let tags = dealt(&mut dice, &PITCHED, count);
        for (pitch, tag) in pitches.into_iter().zip(tags) {
            let program = *dice.pick(&programs_of(tag));
            let onset = dice.range(0.02, 0.25);
            let note =
                Note { onset, offset: onset + dice.range(0.5, 2.3), pitch, velocity: dice.integer(45, 122) as u8 };
            notes.push(PlannedNote { split, tag, program, note, seed: dice.seed() });
        }
    }
    notes
}

impl PlannedNote {
    pub(super) fn performance(&self) -> Performance {
        let part = Part {
            name: "note".into(),
            instrument: Instrument::Program(self.program),
            pan: 0.0,
            volume: 0.9,
            reverb: 0.1,
            notes: vec![self.note],
        };
        Performance { parts: vec![part], seconds: NOTE_SECONDS, seed: self.seed }
    }
}
