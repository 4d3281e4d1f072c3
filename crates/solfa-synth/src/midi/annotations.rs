//! Annotations beside a MIDI file, in its own time.
//!
//! - POP909 (Wang et al., ISMIR 2020): `beat_midi.txt` (time, whether an even beat, whether a downbeat),
//!   `chord_midi.txt` (start, end, chord) and `key_audio.txt` (start, end, key), in the file's folder. Beats and chords of
//!   `beat_audio.txt` and `chord_audio.txt` are in the time of recordings and are not used; a key has no time.
//! - ASAP (Foscarin et al., ISMIR 2020): `<name>_annotations.txt` (time, time, `b` or `db` with more after a comma).
//!
//! What is annotated takes the place of what the MIDI file says of it.

use std::path::Path;

use super::MidiError;
use crate::compose::Key;
use crate::labels::{ChordSpan, Labels, tempo_of_beats};

/// Adds what stands beside the MIDI file at `path`; files that are not there are no error.
///
/// # Errors
/// An annotation that is not what its name says, with its line.
pub fn add_annotations(path: &Path, labels: &mut Labels) -> Result<(), MidiError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if let Some(rows) = rows(&folder.join("beat_midi.txt"))? {
        let beats = rows.numbers(3, |row, place| place == 0 || row[place] == 0.0 || row[place] == 1.0)?;
        set_beats(labels, beats.iter().map(|row| (row[0], row[2] == 1.0)));
    }
    if let Some(rows) = rows(&folder.join("chord_midi.txt"))? {
        labels.chords = rows.spans()?;
    }
    if let Some(rows) = rows(&folder.join("key_audio.txt"))? {
        labels.key = rows.key()?;
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if let Some(rows) = rows(&folder.join(format!("{stem}_annotations.txt")))? {
        let mut beats = Vec::new();
        for (line, fields) in &rows.lines {
            let [time, _, kind] = fields.as_slice() else { return Err(rows.wrong(*line, "expected time, time, kind")) };
            let time = rows.seconds(*line, time)?;
            match kind.split(',').next() {
                Some("b") => beats.push((time, false)),
                Some("db") => beats.push((time, true)),
                // `bR` marks a bar without a clear beat.
                _ => (),
            }
        }
        set_beats(labels, beats.into_iter());
    }
    Ok(())
}

fn set_beats(labels: &mut Labels, beats: impl Iterator<Item = (f64, bool)>) {
    let beats: Vec<(f64, bool)> = beats.collect();
    labels.beats = beats.iter().map(|beat| beat.0).collect();
    labels.downbeats = beats.iter().filter(|beat| beat.1).map(|beat| beat.0).collect();
    labels.tempo = tempo_of_beats(&labels.beats);
}

/// The lines of a file, each as fields between spaces, with their numbers.
struct Rows {
    path: String,
    lines: Vec<(usize, Vec<String>)>,
}

fn rows(path: &Path) -> Result<Option<Rows>, MidiError> {
    if !path.is_file() {
        return Ok(None);
    }
    let io = |error| MidiError::Io { path: path.display().to_string(), error };
    let text = std::fs::read_to_string(path).map_err(io)?;
    let lines =
        text.lines().enumerate().map(|(place, line)| (place + 1, line.split_whitespace().map(str::to_owned).collect()));
    let lines = lines.filter(|(_, fields): &(usize, Vec<String>)| !fields.is_empty()).collect();
    Ok(Some(Rows { path: path.display().to_string(), lines }))
}

impl Rows {
    fn wrong(&self, line: usize, reason: impl Into<String>) -> MidiError {
        MidiError::Annotation { path: self.path.clone(), line, reason: reason.into() }
    }

    fn seconds(&self, line: usize, text: &str) -> Result<f64, MidiError> {
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        seconds.ok_or_else(|| self.wrong(line, format!("`{text}` is not a time in seconds")))
    }

    /// Rows of numbers, the first of them a time that grows.
    fn numbers(&self, count: usize, is_right: impl Fn(&[f64], usize) -> bool) -> Result<Vec<Vec<f64>>, MidiError> {
        let mut table: Vec<Vec<f64>> = Vec::new();
        for (line, fields) in &self.lines {
            let numbers = fields.iter().map(|field| self.seconds(*line, field)).collect::<Result<Vec<_>, _>>()?;
            if numbers.len() != count || !(0..count).all(|place| is_right(&numbers, place)) {
                return Err(self.wrong(*line, format!("expected {count} numbers, found `{}`", fields.join(" "))));
            }
            if table.last().is_some_and(|last| last[0] >= numbers[0]) {
                return Err(self.wrong(*line, format!("the time {} is not later than the one before", numbers[0])));
            }
            table.push(numbers);
        }
        Ok(table)
    }

    fn spans(&self) -> Result<Vec<ChordSpan>, MidiError> {
        let mut spans: Vec<ChordSpan> = Vec::new();
        for (line, fields) in &self.lines {
            let [start, end, chord] = fields.as_slice() else {
                return Err(self.wrong(*line, format!("expected start, end, chord, found `{}`", fields.join(" "))));
            };
            let (start, end) = (self.seconds(*line, start)?, self.seconds(*line, end)?);
            let last = spans.last().map_or(0.0, |last| last.end);
            // The published times are rounded.
            if end <= start || start < last - 1e-3 {
                return Err(
                    self.wrong(*line, format!("a chord from {start} to {end} s after one that ends at {last} s"))
                );
            }
            if start > last + 1e-3 {
                spans.push(ChordSpan { start: last, end: start, chord: "N".into() });
            }
            spans.push(ChordSpan { start: start.max(last), end, chord: chord.clone() });
        }
        Ok(spans)
    }

    /// The key that holds longest.
    fn key(&self) -> Result<Option<String>, MidiError> {
        let mut lengths: Vec<(String, f64)> = Vec::new();
        for (line, fields) in &self.lines {
            let [start, end, key] = fields.as_slice() else {
                return Err(self.wrong(*line, format!("expected start, end, key, found `{}`", fields.join(" "))));
            };
            let length = self.seconds(*line, end)? - self.seconds(*line, start)?;
            let name = Key::parse(key).ok_or_else(|| self.wrong(*line, format!("`{key}` is not a key")))?.name();
            match lengths.iter_mut().find(|(other, _)| *other == name) {
                Some((_, sum)) => *sum += length,
                None => lengths.push((name, length)),
            }
        }
        let longest = lengths.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
        Ok(longest.map(|(name, _)| name))
    }
}
