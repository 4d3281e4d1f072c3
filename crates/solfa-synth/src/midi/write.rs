//! A performance as a MIDI file.

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::MidiError;
use crate::compose::{Key, Mode};
use crate::events::{Instrument, Performance};
use crate::labels::Labels;

const TICKS_PER_QUARTER: u16 = 480;
/// Channels that are not the drums'.
const CHANNELS: usize = 15;

/// The bytes of a file of format 1: a track with tempo, meter and key, and one for each part.
///
/// The tempo follows the beats of `labels`, or is 120 where there are none. A piece whose first beat is not at its start
/// begins with a bar of one beat.
///
/// # Errors
/// More parts than channels.
pub fn write(performance: &Performance, labels: &Labels) -> Result<Vec<u8>, MidiError> {
    let is_pitched = |instrument| matches!(instrument, Instrument::Program(_));
    let pitched = performance.parts.iter().filter(|part| is_pitched(part.instrument)).count();
    if pitched > CHANNELS {
        return Err(MidiError::Parts { found: pitched, expected: CHANNELS });
    }
    let grid = Grid::new(labels);
    let mut tracks = vec![grid.track(labels)];
    let mut free = (0..16_u8).filter(|channel| *channel != 9);
    for part in &performance.parts {
        let (channel, program) = match part.instrument {
            Instrument::Drums(kit) => (9, kit),
            Instrument::Program(program) => (free.next().unwrap_or(0), program),
        };
        let controller = |number: u8, value: f64| MidiMessage::Controller {
            controller: u7::new(number),
            value: u7::new((127.0 * value).round().clamp(0.0, 127.0) as u8),
        };
        let mut events = vec![
            (0, 0, MidiMessage::ProgramChange { program: u7::new(program.min(127)) }),
            (0, 0, controller(7, part.volume.sqrt())),
            (0, 0, controller(10, 0.5 + 0.5 * part.pan)),
            (0, 0, controller(91, part.reverb)),
        ];
        for note in &part.notes {
            let key = u7::new(note.pitch.min(127));
            let start = grid.tick(note.onset);
            let end = grid.tick(note.offset).max(start + 1);
            events.push((start, 2, MidiMessage::NoteOn { key, vel: u7::new(note.velocity.min(127)) }));
            events.push((end, 1, MidiMessage::NoteOff { key, vel: u7::new(0) }));
        }
        events.sort_by_key(|(tick, order, _)| (*tick, *order));
        let name = TrackEventKind::Meta(MetaMessage::TrackName(part.name.as_bytes()));
        let messages = events
            .into_iter()
            .map(|(tick, _, message)| (tick, TrackEventKind::Midi { channel: u4::new(channel), message }));
        tracks.push(with_deltas(std::iter::once((0, name)).chain(messages)));
    }
    let header = Header::new(Format::Parallel, Timing::Metrical(u15::new(TICKS_PER_QUARTER)));
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = Smf { header, tracks }.write_std(&mut bytes);
    Ok(bytes)
}

/// Events with ticks, in order, as a track.
fn with_deltas<'name>(events: impl Iterator<Item = (u32, TrackEventKind<'name>)>) -> Vec<TrackEvent<'name>> {
    let mut last = 0;
    let mut track: Vec<TrackEvent> = events
        .map(|(tick, kind)| {
            let delta = u28::new(tick - last);
            last = tick;
            TrackEvent { delta, kind }
        })
        .collect();
    track.push(TrackEvent { delta: u28::new(0), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
    track
}

/// Seconds to ticks by the beats.
struct Grid {
    /// Tick and seconds of every beat, from the start of the file.
    points: Vec<(u32, f64)>,
    ticks_per_beat: u32,
}

impl Grid {
    fn new(labels: &Labels) -> Self {
        let is_compound = labels.meter.as_deref() == Some("6/8");
        let ticks_per_beat = u32::from(TICKS_PER_QUARTER) * if is_compound { 3 } else { 2 } / 2;
        let mut points: Vec<(u32, f64)> = Vec::new();
        if labels.beats.first().is_none_or(|first| *first > 1e-6) {
            points.push((0, 0.0));
        }
        for &seconds in &labels.beats {
            points.push((points.len() as u32 * ticks_per_beat, seconds));
        }
        if points.len() == 1 {
            points.push((ticks_per_beat, 0.5));
        }
        Self { points, ticks_per_beat }
    }

    /// Whether the file begins with a beat that the piece does not have.
    fn has_lead(&self, labels: &Labels) -> bool {
        labels.beats.first().is_some_and(|first| *first > 1e-6)
    }

    fn tick(&self, seconds: f64) -> u32 {
        let place = self.points.partition_point(|point| point.1 <= seconds).clamp(1, self.points.len() - 1) - 1;
        let (from, to) = (self.points[place], self.points[place + 1]);
        let part = (seconds - from.1) / (to.1 - from.1);
        (f64::from(from.0) + part * f64::from(self.ticks_per_beat)).round().max(0.0) as u32
    }

    fn track(&self, labels: &Labels) -> Vec<TrackEvent<'static>> {
        let mut events: Vec<(u32, TrackEventKind)> = Vec::new();
        let mut add = |tick, message| events.push((tick, TrackEventKind::Meta(message)));
        let (beats, power) = match labels.meter.as_deref() {
            Some("3/4") => (3, 2),
            Some("6/8") => (6, 3),
            _ => (4, 2),
        };
        let lead = self.has_lead(labels);
        if lead {
            let (beats, power) = if power == 3 { (3, 3) } else { (1, 2) };
            add(0, MetaMessage::TimeSignature(beats, power, 24, 8));
        } else {
            add(0, MetaMessage::TimeSignature(beats, power, 24, 8));
        }
        if let Some(key) = labels.key.as_deref().and_then(Key::parse) {
            let major = if key.mode == Mode::Minor { (key.tonic + 3) % 12 } else { key.tonic };
            let fifths = (i32::from(major) * 7).rem_euclid(12);
            let sharps = if fifths > 6 { fifths - 12 } else { fifths };
            add(0, MetaMessage::KeySignature(sharps as i8, key.mode == Mode::Minor));
        }
        let mut last = 0;
        for (place, pair) in self.points.windows(2).enumerate() {
            let quarter = (pair[1].1 - pair[0].1) * f64::from(TICKS_PER_QUARTER) / f64::from(self.ticks_per_beat);
            let microseconds = (quarter * 1e6).round().clamp(1.0, f64::from(0xFF_FFFF)) as u32;
            if place == 1 && lead {
                add(pair[0].0, MetaMessage::TimeSignature(beats, power, 24, 8));
            }
            if microseconds != last {
                add(pair[0].0, MetaMessage::Tempo(u24::new(microseconds)));
                last = microseconds;
            }
        }
        events.sort_by_key(|event| event.0);
        with_deltas(events.into_iter())
    }
}
