//! A MIDI file as a performance, with the labels that it holds.

use std::collections::BTreeMap;
use std::path::Path;

use midly::{Format, MetaMessage, MidiMessage, Smf, Timing, TrackEventKind};

use super::MidiError;
use crate::compose::{Key, Mode};
use crate::events::{Instrument, MAXIMUM_SECONDS, Note, Part, Performance};
use crate::labels::{Labels, MelodyNote, tempo_of_beats};

/// Largest file that is read, in bytes; songs have a hundred thousand.
const MAXIMUM_BYTES: u64 = 64 << 20;
/// Shortest and longest quarter note, in microseconds: 6000 and about 3.6 to the minute.
const QUARTER_MICROSECONDS: (u32, u32) = (10_000, 0xFF_FFFF);
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
    let io = |error| MidiError::Io { path: path.display().to_string(), error };
    let num_bytes = std::fs::metadata(path).map_err(io)?.len();
    if num_bytes > MAXIMUM_BYTES {
        return Err(MidiError::unplayable(path, format!("it has {num_bytes} bytes, at most {MAXIMUM_BYTES} are read")));
    }
    parse(&std::fs::read(path).map_err(io)?, path)
}

/// Reads the bytes of a MIDI file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<MidiPiece, MidiError> {
    let refused = |reason: String| MidiError::unplayable(path, reason);
    check_chunks(bytes).map_err(refused)?;
    let file = Smf::parse(bytes).map_err(|error| refused(error.to_string()))?;
    if file.header.format == Format::Sequential {
        return Err(refused("it is a collection of separate pieces (format 2)".into()));
    }
    let mut score = Score::new(&file).map_err(refused)?;
    let clock = Clock::new(&file, &score.tempi).map_err(refused)?;
    let parts = score.parts(&clock);
    let last = parts.iter().flat_map(|part: &Part| &part.notes).fold(0.0_f64, |last, note| last.max(note.offset));
    if last == 0.0 {
        return Err(refused("it has no notes".into()));
    }
    // A time that is no number is in no range.
    if !(0.0..=MAXIMUM_SECONDS).contains(&(last + TAIL_SECONDS)) {
        return Err(refused(format!("it lasts {last:.0} s, at most {MAXIMUM_SECONDS} are played")));
    }
    let performance = Performance { parts, seconds: last + TAIL_SECONDS, seed: 0 };
    let mut labels = Labels::default();
    if clock.has_beats {
        score.add_beats(&clock, last, &mut labels).map_err(refused)?;
    }
    labels.key = believed_key(&score.keys, &performance);
    labels.melody = melody(&performance);
    labels.add_notes(&performance);
    Ok(MidiPiece { performance, labels })
}

/// Every chunk is as long as it says, and all tracks are there: the parser would otherwise take what there is.
fn check_chunks(bytes: &[u8]) -> Result<(), String> {
    let header = bytes.get(..14).filter(|header| header.starts_with(b"MThd"));
    let Some(header) = header else { return Err("it does not begin with a header (MThd)".into()) };
    let announced = usize::from(u16::from_be_bytes([header[10], header[11]]));
    if header[12] & 0x80 == 0 && header[12] == 0 && header[13] == 0 {
        return Err("its quarter note has 0 ticks".into());
    }
    if header[12] & 0x80 != 0 && header[13] == 0 {
        return Err("its frames have 0 ticks".into());
    }
    let (mut place, mut found) = (0, 0);
    while place + 8 <= bytes.len() {
        let length = bytes[place + 4..place + 8].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let end = place + 8 + length;
        if end > bytes.len() {
            return Err(format!("it is cut off: a chunk should end at byte {end}, the file has {}", bytes.len()));
        }
        found += usize::from(bytes[place..].starts_with(b"MTrk"));
        place = end;
    }
    if found < announced { Err(format!("it is cut off: {found} of {announced} tracks are there")) } else { Ok(()) }
}

/// Ticks to seconds.
struct Clock {
    /// Tick, seconds at it, and seconds of a tick from there on.
    changes: Vec<(u64, f64, f64)>,
    ticks_per_quarter: u64,
    /// Whether ticks count quarter notes, and not frames of a film.
    has_beats: bool,
}

impl Clock {
    fn new(file: &Smf, tempi: &[(u64, u32)]) -> Result<Self, String> {
        let ticks = match file.header.timing {
            Timing::Metrical(ticks) => u64::from(ticks.as_int()),
            Timing::Timecode(frames, ticks) => {
                let seconds = 1.0 / (f64::from(frames.as_f32()) * f64::from(ticks));
                return Ok(Self { changes: vec![(0, 0.0, seconds)], ticks_per_quarter: 1, has_beats: false });
            }
        };
        let per_tick = |microseconds: u32| f64::from(microseconds) * 1e-6 / ticks as f64;
        let mut changes = vec![(0, 0.0, per_tick(500_000))];
        for &(tick, microseconds) in tempi {
            if !(QUARTER_MICROSECONDS.0..=QUARTER_MICROSECONDS.1).contains(&microseconds) {
                return Err(format!(
                    "a quarter note of {microseconds} microseconds at tick {tick}: expected {} to {}",
                    QUARTER_MICROSECONDS.0, QUARTER_MICROSECONDS.1
                ));
            }
            let (last_tick, last_seconds, last_per_tick) = changes[changes.len() - 1];
            let seconds = last_seconds + (tick - last_tick) as f64 * last_per_tick;
            changes.push((tick, seconds, per_tick(microseconds)));
        }
        Ok(Self { changes, ticks_per_quarter: ticks, has_beats: true })
    }

    fn seconds(&self, tick: u64) -> f64 {
        let place = self.changes.partition_point(|change| change.0 <= tick).max(1) - 1;
        let (from, seconds, per_tick) = self.changes[place];
        seconds + (tick - from) as f64 * per_tick
    }
}

/// A note in ticks.
struct TickNote {
    start: u64,
    end: u64,
    pitch: u8,
    velocity: u8,
}

/// Notes of a track, channel and program.
#[derive(Default)]
struct Voice {
    notes: Vec<TickNote>,
    volume: f64,
    pan: f64,
}

/// All that the tracks say, in ticks.
#[derive(Default)]
struct Score {
    tempi: Vec<(u64, u32)>,
    meters: Vec<(u64, u64, u64)>,
    keys: Vec<(i8, bool)>,
    names: BTreeMap<usize, String>,
    voices: BTreeMap<(usize, u8, u8), Voice>,
}

/// What a channel is set to.
#[derive(Clone)]
struct Channel {
    program: u8,
    volume: f64,
    pan: f64,
    is_held: bool,
    /// Notes that sound: track, pitch, start, velocity, and whether only the pedal holds them.
    sounding: Vec<(usize, u8, u64, u8, bool)>,
}

impl Score {
    fn new(file: &Smf) -> Result<Self, String> {
        let mut events = Vec::new();
        for (track, of_track) in file.tracks.iter().enumerate() {
            let mut tick = 0_u64;
            for event in of_track {
                tick += u64::from(event.delta.as_int());
                events.push((tick, track, event.kind));
            }
        }
        // Notes end before others of the same tick begin.
        events.sort_by_key(|(tick, track, kind)| {
            let order = match kind {
                TrackEventKind::Meta(_) => 0,
                TrackEventKind::Midi { message: MidiMessage::NoteOff { .. }, .. } => 1,
                TrackEventKind::Midi { message: MidiMessage::NoteOn { vel, .. }, .. } if vel.as_int() == 0 => 1,
                TrackEventKind::Midi { message: MidiMessage::NoteOn { .. }, .. } => 3,
                _ => 2,
            };
            (*tick, order, *track)
        });
        let mut score = Self::default();
        let silent = Channel { program: 0, volume: 0.62, pan: 0.0, is_held: false, sounding: Vec::new() };
        let mut channels = vec![silent; 16];
        let end = events.last().map_or(0, |event| event.0);
        for (tick, track, kind) in events {
            match kind {
                TrackEventKind::Meta(message) => score.read_meta(tick, track, message)?,
                TrackEventKind::Midi { channel, message } => {
                    let number = channel.as_int();
                    score.read_message(tick, track, number, message, &mut channels[usize::from(number)]);
                }
                _ => (),
            }
        }
        for (number, channel) in (0_u8..).zip(&mut channels) {
            let sounding: Vec<_> = channel.sounding.drain(..).collect();
            for note in sounding {
                score.end_note(end, number, channel, note);
            }
        }
        Ok(score)
    }

    fn read_meta(&mut self, tick: u64, track: usize, message: MetaMessage) -> Result<(), String> {
        match message {
            MetaMessage::Tempo(microseconds) => self.tempi.push((tick, microseconds.as_int())),
            MetaMessage::KeySignature(sharps, is_minor) => self.keys.push((sharps, is_minor)),
            MetaMessage::TrackName(name) => {
                self.names.insert(track, String::from_utf8_lossy(name).trim().to_owned());
            }
            MetaMessage::TimeSignature(beats, power, ..) => {
                if beats == 0 || power > 6 {
                    return Err(format!("a time signature of {beats} over 2 to the power {power} at tick {tick}"));
                }
                self.meters.push((tick, u64::from(beats), 1 << power));
            }
            _ => (),
        }
        Ok(())
    }

    fn read_message(&mut self, tick: u64, track: usize, number: u8, message: MidiMessage, channel: &mut Channel) {
        match message {
            MidiMessage::ProgramChange { program } => channel.program = program.as_int(),
            MidiMessage::Controller { controller, value } => {
                let part = f64::from(value.as_int()) / 127.0;
                match controller.as_int() {
                    7 => channel.volume = part * part,
                    10 => channel.pan = (2.0 * part - 1.0).clamp(-1.0, 1.0),
                    64 => {
                        channel.is_held = value.as_int() >= 64;
                        if !channel.is_held {
                            self.end_notes(tick, number, channel, |note| note.4);
                        }
                    }
                    120 | 123 => self.end_notes(tick, number, channel, |_| true),
                    _ => (),
                }
            }
            MidiMessage::NoteOn { key, vel } if vel.as_int() > 0 => {
                let pitch = key.as_int();
                self.end_notes(tick, number, channel, |note| note.1 == pitch && note.4);
                channel.sounding.push((track, pitch, tick, vel.as_int(), false));
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                let pitch = key.as_int();
                let is_it = |note: &(usize, u8, u64, u8, bool)| note.0 == track && note.1 == pitch && !note.4;
                // Of several that sound the first one ends.
                if let Some(place) = channel.sounding.iter().position(is_it) {
                    if channel.is_held && number != 9 {
                        channel.sounding[place].4 = true;
                    } else {
                        let note = channel.sounding.remove(place);
                        self.end_note(tick, number, channel, note);
                    }
                }
            }
            _ => (),
        }
    }

    fn end_notes(
        &mut self,
        tick: u64,
        number: u8,
        channel: &mut Channel,
        ends: impl Fn(&(usize, u8, u64, u8, bool)) -> bool,
    ) {
        let (ended, sounding) = channel.sounding.drain(..).partition(|note| ends(note));
        channel.sounding = sounding;
        let ended: Vec<_> = ended;
        for note in ended {
            self.end_note(tick, number, channel, note);
        }
    }

    fn end_note(&mut self, end: u64, number: u8, channel: &Channel, note: (usize, u8, u64, u8, bool)) {
        let (track, pitch, start, velocity, _) = note;
        let voice = self.voices.entry((track, number, channel.program)).or_default();
        if voice.notes.is_empty() {
            (voice.volume, voice.pan) = (channel.volume, channel.pan);
        }
        voice.notes.push(TickNote { start, end, pitch, velocity });
    }

    fn parts(&mut self, clock: &Clock) -> Vec<Part> {
        let names = &self.names;
        self.voices
            .iter_mut()
            .map(|(&(track, channel, program), voice)| {
                voice.notes.sort_by_key(|note| (note.start, note.pitch));
                let notes = voice.notes.iter().map(|note| {
                    let onset = clock.seconds(note.start);
                    // A note of no length is heard as a short one.
                    let offset = clock.seconds(note.end).max(onset + 0.02);
                    Note { onset, offset, pitch: note.pitch, velocity: note.velocity }
                });
                let is_drums = channel == 9;
                Part {
                    name: names.get(&track).cloned().unwrap_or_default(),
                    instrument: if is_drums { Instrument::Drums(program) } else { Instrument::Program(program) },
                    pan: voice.pan,
                    volume: voice.volume.max(0.01),
                    reverb: 0.15,
                    notes: notes.collect(),
                }
            })
            .collect()
    }

    /// Beats until the end of the last note.
    fn add_beats(&mut self, clock: &Clock, last: f64, labels: &mut Labels) -> Result<(), String> {
        if self.meters.first().is_none_or(|meter| meter.0 > 0) {
            self.meters.insert(0, (0, 4, 4));
        }
        for (place, &(start, numerator, denominator)) in self.meters.iter().enumerate() {
            let end = self.meters.get(place + 1).map_or(u64::MAX, |next| next.0);
            // Three eighths are a beat in 6/8, 9/8 and 12/8.
            let is_compound = denominator == 8 && numerator % 3 == 0 && numerator > 3;
            let (units, beats) = if is_compound { (3, numerator / 3) } else { (1, numerator) };
            let at = |beat: u64| start + beat * units * 4 * clock.ticks_per_quarter / denominator;
            for beat in 0.. {
                let tick = at(beat);
                let seconds = clock.seconds(tick);
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
        let (_, numerator, denominator) = self.meters[0];
        let is_one = self.meters.iter().all(|meter| (meter.1, meter.2) == (numerator, denominator));
        labels.meter = is_one.then(|| format!("{numerator}/{denominator}"));
        Ok(())
    }
}

fn believed_key(signatures: &[(i8, bool)], performance: &Performance) -> Option<String> {
    let &(sharps, is_minor) = signatures.first()?;
    if signatures.iter().any(|other| *other != (sharps, is_minor)) || !(-7..=7).contains(&sharps) {
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
