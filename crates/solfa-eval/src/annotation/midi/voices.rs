//! From the events of a file's tracks to notes.

use std::collections::BTreeMap;

use midly::{MetaMessage, MidiMessage, Smf, TrackEventKind};

use super::clock::Clock;
use super::{DRUM_CHANNEL, MidiKeySignature, MidiNote, MidiTimeSignature, MidiVoice};

const VOLUME: u8 = 7;
const PAN: u8 = 10;
const PEDAL: u8 = 64;
const ALL_SOUND_OFF: u8 = 120;
const ALL_NOTES_OFF: u8 = 123;

/// The amplitude of a channel whose volume nothing sets: that of General MIDI's 100 of 127, squared.
const USUAL_VOLUME: f64 = 0.62;

/// A note in ticks.
struct TickNote {
    start: u64,
    end: u64,
    pitch: u8,
    velocity: u8,
}

/// Notes of a track, channel and program, in ticks.
#[derive(Default)]
struct Voice {
    notes: Vec<TickNote>,
    volume: f64,
    pan: f64,
}

/// A note that sounds.
#[derive(Clone)]
struct Sounding {
    track: usize,
    pitch: u8,
    start: u64,
    velocity: u8,
    /// Whether only the pedal holds it.
    is_held: bool,
}

/// What a channel is set to, and what sounds on it.
#[derive(Clone)]
struct Channel {
    program: u8,
    volume: f64,
    pan: f64,
    is_pedal_down: bool,
    sounding: Vec<Sounding>,
}

/// All that the tracks say.
#[derive(Default)]
pub(super) struct Events {
    /// Ticks, and microseconds of a quarter note from there on.
    pub(super) tempi: Vec<(u64, u32)>,
    pub(super) time_signatures: Vec<MidiTimeSignature>,
    pub(super) key_signatures: Vec<MidiKeySignature>,
    names: BTreeMap<usize, String>,
    /// By track, channel and program.
    voices: BTreeMap<(usize, u8, u8), Voice>,
}

impl Events {
    pub(super) fn new(file: &Smf) -> Result<Self, String> {
        let mut events = Vec::new();
        for (track, of_track) in file.tracks.iter().enumerate() {
            let mut tick = 0_u64;
            for event in of_track {
                tick += u64::from(event.delta.as_int());
                events.push((tick, track, event.kind));
            }
        }
        events.sort_by_key(|(tick, track, kind)| (*tick, order(kind), *track));
        let mut found = Self::default();
        let silent = Channel { program: 0, volume: USUAL_VOLUME, pan: 0.0, is_pedal_down: false, sounding: Vec::new() };
        let mut channels = vec![silent; 16];
        let end = events.last().map_or(0, |event| event.0);
        for (tick, track, kind) in events {
            match kind {
                TrackEventKind::Meta(message) => found.read_meta(tick, track, message)?,
                TrackEventKind::Midi { channel, message } => {
                    let number = channel.as_int();
                    found.read_message(tick, track, number, message, &mut channels[usize::from(number)]);
                }
                _ => (),
            }
        }
        for (number, channel) in (0_u8..).zip(&mut channels) {
            found.end_notes(end, number, channel, |_| true);
        }
        Ok(found)
    }

    fn read_meta(&mut self, tick: u64, track: usize, message: MetaMessage) -> Result<(), String> {
        match message {
            MetaMessage::Tempo(microseconds) => self.tempi.push((tick, microseconds.as_int())),
            MetaMessage::KeySignature(sharps, is_minor) => {
                self.key_signatures.push(MidiKeySignature { sharps, is_minor });
            }
            MetaMessage::TrackName(name) => {
                self.names.insert(track, String::from_utf8_lossy(name).trim().to_owned());
            }
            MetaMessage::TimeSignature(beats, power, ..) => {
                if beats == 0 || power > 6 {
                    return Err(format!("a time signature of {beats} over 2 to the power {power} at tick {tick}"));
                }
                let (numerator, denominator) = (u64::from(beats), 1 << power);
                self.time_signatures.push(MidiTimeSignature { tick, numerator, denominator });
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
                    VOLUME => channel.volume = part * part,
                    PAN => channel.pan = (2.0 * part - 1.0).clamp(-1.0, 1.0),
                    PEDAL => {
                        channel.is_pedal_down = value.as_int() >= 64;
                        if !channel.is_pedal_down {
                            self.end_notes(tick, number, channel, |note| note.is_held);
                        }
                    }
                    ALL_SOUND_OFF | ALL_NOTES_OFF => self.end_notes(tick, number, channel, |_| true),
                    _ => (),
                }
            }
            MidiMessage::NoteOn { key, vel } if vel.as_int() > 0 => {
                let (pitch, velocity) = (key.as_int(), vel.as_int());
                self.end_notes(tick, number, channel, |note| note.pitch == pitch && note.is_held);
                channel.sounding.push(Sounding { track, pitch, start: tick, velocity, is_held: false });
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                let pitch = key.as_int();
                let is_it = |note: &Sounding| note.track == track && note.pitch == pitch && !note.is_held;
                // Of several that sound the first one ends.
                if let Some(place) = channel.sounding.iter().position(is_it) {
                    if channel.is_pedal_down && number != DRUM_CHANNEL {
                        channel.sounding[place].is_held = true;
                    } else {
                        let note = channel.sounding.remove(place);
                        self.end_note(tick, number, channel, &note);
                    }
                }
            }
            _ => (),
        }
    }

    fn end_notes(&mut self, tick: u64, number: u8, channel: &mut Channel, ends: impl Fn(&Sounding) -> bool) {
        let (ended, sounding): (Vec<_>, Vec<_>) = channel.sounding.drain(..).partition(|note| ends(note));
        channel.sounding = sounding;
        for note in ended {
            self.end_note(tick, number, channel, &note);
        }
    }

    fn end_note(&mut self, end: u64, number: u8, channel: &Channel, note: &Sounding) {
        let voice = self.voices.entry((note.track, number, channel.program)).or_default();
        if voice.notes.is_empty() {
            (voice.volume, voice.pan) = (channel.volume, channel.pan);
        }
        voice.notes.push(TickNote { start: note.start, end, pitch: note.pitch, velocity: note.velocity });
    }

    /// The notes in seconds.
    pub(super) fn voices(&self, clock: &Clock) -> Vec<MidiVoice> {
        let voices = self.voices.iter();
        voices
            .map(|(&(track, channel, program), voice)| {
                let mut notes: Vec<&TickNote> = voice.notes.iter().collect();
                notes.sort_by_key(|note| (note.start, note.pitch));
                let in_seconds = |note: &TickNote| MidiNote {
                    onset: clock.seconds(note.start),
                    offset: clock.seconds(note.end),
                    pitch: note.pitch,
                    velocity: note.velocity,
                };
                MidiVoice {
                    track_name: self.names.get(&track).cloned().unwrap_or_default(),
                    channel,
                    program,
                    volume: voice.volume,
                    pan: voice.pan,
                    notes: notes.into_iter().map(in_seconds).collect(),
                }
            })
            .collect()
    }
}

/// What comes first at the same tick. Notes end before others begin, and before their channel is set to something else.
fn order(kind: &TrackEventKind) -> u8 {
    match kind {
        TrackEventKind::Meta(_) => 0,
        TrackEventKind::Midi { message, .. } => match message {
            MidiMessage::Controller { controller, .. } if controller.as_int() == PEDAL => 1,
            MidiMessage::NoteOff { .. } => 2,
            MidiMessage::NoteOn { vel, .. } if vel.as_int() == 0 => 2,
            MidiMessage::NoteOn { .. } => 4,
            _ => 3,
        },
        _ => 3,
    }
}
