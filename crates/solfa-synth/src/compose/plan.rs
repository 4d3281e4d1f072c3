//! The plan of a piece on the grid of sixteenths: sections, chords, and notes before they have times.

use super::form::Section;
use super::harmony::Slot;
use super::styles::Meter;
use super::theory::Chord;

/// A note on the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepNote {
    /// Sixteenths from the start of the piece.
    pub(crate) start: i64,
    /// Sixteenths that it lasts, above 0; parts of one are possible.
    pub(crate) length: f64,
    pub(crate) pitch: i32,
    /// 0 to 1.
    pub(crate) loudness: f64,
}

/// A chord from one sixteenth to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChordAt {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) chord: Chord,
}

/// A section with its harmony, as the players of all parts see it.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) section: Section,
    pub(crate) meter: Meter,
    /// The chords, without gaps.
    pub(crate) chords: Vec<ChordAt>,
    /// The chord after the last.
    pub(crate) next: Chord,
    /// 0 to 1.
    pub(crate) intensity: f64,
    /// Whether its last bar is the last of a piece that comes to an end.
    pub(crate) is_final: bool,
}

impl Passage {
    pub(crate) fn start(&self) -> i64 {
        self.section.first_bar as i64 * self.meter.steps()
    }

    pub(crate) fn end(&self) -> i64 {
        self.start() + self.section.num_bars as i64 * self.meter.steps()
    }

    /// First sixteenth of every bar, and whether it is the last bar of the piece.
    pub(crate) fn bars(&self) -> impl Iterator<Item = (i64, bool)> + use<> {
        let (start, steps, num_bars) = (self.start(), self.meter.steps(), self.section.num_bars as i64);
        let is_final = self.is_final;
        (0..num_bars).map(move |bar| (start + bar * steps, is_final && bar + 1 == num_bars))
    }

    /// The place among `chords` of the one at a step, the last one after the end.
    pub(crate) fn place_at(&self, step: i64) -> usize {
        self.chords.partition_point(|span| span.end <= step).min(self.chords.len() - 1)
    }

    pub(crate) fn chord_at(&self, step: i64) -> ChordAt {
        self.chords[self.place_at(step)]
    }

    /// The chord that follows the one at a step.
    pub(crate) fn chord_after(&self, step: i64) -> Chord {
        self.chords.get(self.place_at(step) + 1).map_or(self.next, |span| span.chord)
    }
}

/// Chords on the grid, from slots in bars; changes are on beats.
pub(crate) fn on_grid(slots: &[Slot], meter: Meter, start: i64) -> Vec<ChordAt> {
    let mut spans: Vec<ChordAt> = Vec::new();
    let (mut bars, mut from) = (0.0, start);
    for &(chord, length) in slots {
        bars += length;
        let beats = (bars * meter.beats() as f64 + 0.25).round() as i64;
        let end = start + beats * meter.steps_per_beat();
        if end <= from {
            continue;
        }
        match spans.last_mut() {
            Some(last) if last.chord == chord => last.end = end,
            _ => spans.push(ChordAt { start: from, end, chord }),
        }
        from = end;
    }
    spans
}
