//! A MIDI file as a performance, with the labels that it holds.

use std::path::Path;

use solfa_eval::annotation::{MidiFile, MidiKeySignature, MidiTimeSignature, MidiVoice};

use super::MidiError;
use crate::compose::{Key, Mode};
use crate::events::{Instrument, MAXIMUM_SECONDS, Note, Part, Performance};
use crate::labels::{Labels, MelodyNote, tempo_of_beats};

/// What is left for the last note to fade, in seconds.
const TAIL_SECONDS: f64 = 1.5;
/// Most beats of a file.
const MAXIMUM_BEATS: usize = 1 << 20;
/// A key signature is believed if so many of the notes are in its scale; programs write C major where they know none.
const KEY_FITS: f64 = 0.8;

/// What a MIDI file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct MidiPiece {
    /// Its notes, one part for each track, channel and program.
    pub performance: Performance,
    /// What it says of itself: beats and downbeats by its tempo and time signatures, the tempo, the meter if it is
    /// always the same, the key if it has one key signature and most notes are in its scale, the melody if a track is
    /// called so, onsets and instruments.
    pub labels: Labels,
}

/// Reads a MIDI file.
///
/// # Errors
/// A file that cannot be read, is damaged, has no notes, or is longer than [`MAXIMUM_SECONDS`].
pub fn read(path: &Path) -> Result<MidiPiece, MidiError> {
    piece(&MidiFile::read(path)?, path)
}

/// Reads the bytes of a MIDI file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<MidiPiece, MidiError> {
    piece(&MidiFile::parse(bytes, path)?, path)
}

fn piece(file: &MidiFile, path: &Path) -> Result<MidiPiece, MidiError> {
    let refused = |reason: String| MidiError::unplayable(path, reason);
    let parts: Vec<Part> = file.voices.iter().map(part).collect();
    let last = parts.iter().flat_map(|part| &part.notes).fold(0.0_f64, |last, note| last.max(note.offset));
    if last == 0.0 {
        return Err(refused("it has no notes".into()));
    }
    // A time that is no number is in no range.
    if !(0.0..=MAXIMUM_SECONDS).contains(&(last + TAIL_SECONDS)) {
        return Err(refused(format!("it lasts {last:.0} s, at most {MAXIMUM_SECONDS} are played")));
    }
    let performance = Performance { parts, seconds: last + TAIL_SECONDS, seed: 0 };
    let mut labels = Labels::default();
    if let Some(ticks_per_quarter) = file.ticks_per_quarter() {
        add_beats(file, ticks_per_quarter, last, &mut labels).map_err(refused)?;
    }
    labels.key = believed_key(&file.key_signatures, &performance);
    labels.melody = melody(&performance);
    labels.add_notes(&performance);
    Ok(MidiPiece { performance, labels })
}

/// A part for each voice.
fn part(voice: &MidiVoice) -> Part {
    let notes = voice.notes.iter().map(|note| Note {
        onset: note.onset,
        // A note of no length is heard as a short one.
        offset: note.offset.max(note.onset + 0.02),
        pitch: note.pitch,
        velocity: note.velocity,
    });
    let program = voice.program;
    Part {
        name: voice.track_name.clone(),
        instrument: if voice.is_drums() { Instrument::Drums(program) } else { Instrument::Program(program) },
        pan: voice.pan,
        volume: voice.volume.max(0.01),
        reverb: 0.15,
        notes: notes.collect(),
    }
}

/// Beats until the end of the last note.
fn add_beats(file: &MidiFile, ticks_per_quarter: u64, last: f64, labels: &mut Labels) -> Result<(), String> {
    let mut meters = file.time_signatures.clone();
    if meters.first().is_none_or(|meter| meter.tick > 0) {
        meters.insert(0, MidiTimeSignature { tick: 0, numerator: 4, denominator: 4 });
    }
    for (place, &MidiTimeSignature { tick: start, numerator, denominator }) in meters.iter().enumerate() {
        let end = meters.get(place + 1).map_or(u64::MAX, |next| next.tick);
        // Three eighths are a beat in 6/8, 9/8 and 12/8.
        let is_compound = denominator == 8 && numerator % 3 == 0 && numerator > 3;
        let (units, beats) = if is_compound { (3, numerator / 3) } else { (1, numerator) };
        let at = |beat: u64| start + beat * units * 4 * ticks_per_quarter / denominator;
        for beat in 0.. {
            let tick = at(beat);
            let seconds = file.seconds(tick);
            if tick >= end || seconds > last {
                break;
            }
            if labels.beats.len() == MAXIMUM_BEATS {
                return Err(format!("it has more than {MAXIMUM_BEATS} beats"));
            }
            labels.beats.push(seconds);
            if beat % beats == 0 {
                labels.downbeats.push(seconds);
            }
        }
    }
    labels.tempo = tempo_of_beats(&labels.beats);
    let MidiTimeSignature { numerator, denominator, .. } = meters[0];
    let is_one = meters.iter().all(|meter| (meter.numerator, meter.denominator) == (numerator, denominator));
    labels.meter = is_one.then(|| format!("{numerator}/{denominator}"));
    Ok(())
}

fn believed_key(signatures: &[MidiKeySignature], performance: &Performance) -> Option<String> {
    let &signature = signatures.first()?;
    let MidiKeySignature { sharps, is_minor } = signature;
    if signatures.iter().any(|other| *other != signature) || !(-7..=7).contains(&sharps) {
        return None;
    }
    let tonic = (i32::from(sharps) * 7 + if is_minor { 9 } else { 0 }).rem_euclid(12) as u8;
    let key = Key { tonic, mode: if is_minor { Mode::Minor } else { Mode::Major } };
    let pitched = performance.parts.iter().filter(|part| matches!(part.instrument, Instrument::Program(_)));
    let (mut fitting, mut all) = (0.0, 0.0);
    for note in pitched.flat_map(|part| &part.notes) {
        let step = (note.pitch % 12 + 12 - tonic) % 12;
        all += 1.0;
        fitting += if key.scale().contains(&step) || is_minor && step == 11 { 1.0 } else { 0.0 };
    }
    (all > 0.0 && fitting / all >= KEY_FITS).then(|| key.name())
}

/// The notes of the first part that is called a melody, the highest where several begin together.
fn melody(performance: &Performance) -> Vec<MelodyNote> {
    let is_melody = |part: &&Part| {
        let name = part.name.to_lowercase();
        ["melody", "vocal"].iter().any(|word| name.contains(word)) && matches!(part.instrument, Instrument::Program(_))
    };
    let Some(part) = performance.parts.iter().find(is_melody) else { return Vec::new() };
    let mut melody: Vec<MelodyNote> = Vec::new();
    for note in &part.notes {
        if let Some(last) = melody.last_mut() {
            if note.onset - last.onset < 0.01 {
                *last = MelodyNote { onset: last.onset, offset: note.offset, pitch: note.pitch.max(last.pitch) };
                continue;
            }
            last.offset = last.offset.min(note.onset);
        }
        melody.push(MelodyNote { onset: note.onset, offset: note.offset, pitch: note.pitch });
    }
    melody
}
