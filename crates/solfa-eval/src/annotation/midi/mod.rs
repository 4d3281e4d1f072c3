//! Notes of Standard MIDI Files, in seconds.
//!
//! *The Complete MIDI 1.0 Detailed Specification*, MIDI Manufacturers Association. Files of format 0 and 1 are read, with
//! ticks of a quarter note or of a film's frames.
//!
//! The sustain pedal (controller 64, down from 64 on) holds a note until the pedal is released or the same pitch of its
//! channel is struck again, whichever comes first. This is the rule by which Hawthorne et al., "Onsets and frames:
//! Dual-objective piano transcription", ISMIR 2018, and "Enabling factorized piano music modeling and generation with the
//! MAESTRO dataset", ICLR 2019, make references of piano recordings, and so it is that of published scores. Of what happens
//! at the same tick, the pedal comes first, as there. Drums (channel 10) are not held.

mod clock;
mod voices;

use std::path::Path;

use midly::{Format, Smf};

use self::clock::{Clock, check_chunks};
use self::voices::Events;
use super::AnnotationError;
use super::lines::read_bytes;

/// What a MIDI file says.
#[derive(Clone, Debug)]
pub struct MidiFile {
    /// Its notes: a voice for each track, channel and program that has some, in this order.
    pub voices: Vec<MidiVoice>,
    /// Its time signatures, in order.
    pub time_signatures: Vec<MidiTimeSignature>,
    /// Its key signatures, in order.
    pub key_signatures: Vec<MidiKeySignature>,
    clock: Clock,
}

/// Notes of one track, channel and program.
#[derive(Clone, Debug, PartialEq)]
pub struct MidiVoice {
    /// The track's name; empty where it has none.
    pub track_name: String,
    /// From 0 to 15.
    pub channel: u8,
    /// The General MIDI program, from 0 to 127.
    pub program: u8,
    /// Amplitude, from 0 to 1: the channel's volume when the first note ended.
    pub volume: f64,
    /// From -1 (left) to 1 (right), likewise.
    pub pan: f64,
    /// By onset, then by pitch.
    pub notes: Vec<MidiNote>,
}

impl MidiVoice {
    /// Whether its pitches are drums: General MIDI's channel 10.
    pub fn is_drums(&self) -> bool {
        self.channel == DRUM_CHANNEL
    }
}

/// One note.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MidiNote {
    /// Its start in seconds.
    pub onset: f64,
    /// Its end in seconds, not before the onset: of a note that the pedal holds, when it no longer does.
    pub offset: f64,
    /// MIDI number, from 0 to 127; 69 is 440 Hz.
    pub pitch: u8,
    /// How hard it is struck, from 1 to 127.
    pub velocity: u8,
}

/// A time signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MidiTimeSignature {
    /// From which tick on.
    pub tick: u64,
    /// Above 0.
    pub numerator: u64,
    /// A power of 2, up to 64.
    pub denominator: u64,
}

/// A key signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MidiKeySignature {
    /// Sharps; flats are negative. Files may say any number.
    pub sharps: i8,
    /// Whether the key is minor.
    pub is_minor: bool,
}

/// General MIDI's channel of drums, counted from 0.
const DRUM_CHANNEL: u8 = 9;

impl MidiFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is too large, cut off or damaged, holds separate pieces (format 2), or has a tempo or
    /// time signature that makes no sense.
    pub fn read(path: &Path) -> Result<Self, AnnotationError> {
        Self::parse(&read_bytes(path)?, path)
    }

    /// Reads the bytes of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, AnnotationError> {
        let refused = |reason: String| AnnotationError::Midi { path: path.to_owned(), reason };
        check_chunks(bytes).map_err(refused)?;
        let file = Smf::parse(bytes).map_err(|error| refused(error.to_string()))?;
        if file.header.format == Format::Sequential {
            return Err(refused("it is a collection of separate pieces (format 2)".into()));
        }
        let events = Events::new(&file).map_err(refused)?;
        let clock = Clock::new(&file, &events.tempi).map_err(refused)?;
        let voices = events.voices(&clock);
        let Events { time_signatures, key_signatures, .. } = events;
        Ok(Self { voices, time_signatures, key_signatures, clock })
    }

    /// When a tick is, in seconds.
    pub fn seconds(&self, tick: u64) -> f64 {
        self.clock.seconds(tick)
    }

    /// Ticks of a quarter note; `None` where ticks count frames of a film, and the file knows no beats.
    pub fn ticks_per_quarter(&self) -> Option<u64> {
        self.clock.ticks_per_quarter
    }

    /// Notes of all voices but drums, by onset, then by pitch.
    pub fn pitched_notes(&self) -> Vec<MidiNote> {
        let pitched = self.voices.iter().filter(|voice| !voice.is_drums());
        let mut notes: Vec<MidiNote> = pitched.flat_map(|voice| &voice.notes).copied().collect();
        notes.sort_by(|one, other| one.onset.total_cmp(&other.onset).then(one.pitch.cmp(&other.pitch)));
        notes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of one track with 96 ticks to a quarter note of half a second: 192 ticks are a second.
    pub(crate) fn file_of(events: &[u8]) -> Vec<u8> {
        let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk".to_vec();
        bytes.extend((events.len() as u32 + 4).to_be_bytes());
        bytes.extend(events);
        bytes.extend(b"\0\xff\x2f\0");
        bytes
    }

    fn notes(events: &[u8]) -> Vec<(u8, f64, f64)> {
        let file = MidiFile::parse(&file_of(events), Path::new("a.mid")).unwrap();
        file.pitched_notes().iter().map(|note| (note.pitch, note.onset, note.offset)).collect()
    }

    #[test]
    fn notes_and_tempi_are_in_seconds() {
        // A quarter note, a tempo of 60, another quarter note that ends by a velocity of 0.
        let events = b"\0\x90\x3c\x50\x60\x80\x3c\0\0\xff\x51\x03\x0f\x42\x40\0\x90\x3e\x50\x60\x90\x3e\0";
        assert_eq!(notes(events), [(60, 0.0, 0.5), (62, 0.5, 1.5)]);
        let file = MidiFile::parse(&file_of(events), Path::new("a.mid")).unwrap();
        assert_eq!((file.ticks_per_quarter(), file.seconds(96)), (Some(96), 0.5));
    }

    #[test]
    fn the_pedal_holds_until_it_is_released_or_the_pitch_is_struck_again() {
        // The pedal is down from 0 s to 2 s; C4 is released at 0.5 s and struck again at 1 s until 2.5 s; E4 is released at 1 s.
        let events = b"\0\xb0\x40\x7f\0\x90\x3c\x50\0\x90\x40\x50\x60\x80\x3c\0\x60\x80\x40\0\0\x90\x3c\x50\
            \x81\x40\xb0\x40\0\x60\x80\x3c\0";
        assert_eq!(notes(events), [(60, 0.0, 1.0), (64, 0.0, 2.0), (60, 1.0, 2.5)]);
        // A pedal of 63 is up, one of 64 is down; it comes first where the key is released at the same tick.
        let half =
            |value: u8| [b"\0\x90\x3c\x50\x60\x80\x3c\0\0\xb0\x40".as_slice(), &[value], b"\x60\xb0\x40\0"].concat();
        assert_eq!(notes(&half(63)), [(60, 0.0, 0.5)]);
        assert_eq!(notes(&half(64)), [(60, 0.0, 1.0)]);
        // Nothing releases it: the file's end does.
        assert_eq!(notes(b"\0\xb0\x40\x7f\0\x90\x3c\x50\x60\x80\x3c\0\x60\xb0\x07\x50"), [(60, 0.0, 1.0)]);
        // Another channel's pedal is another one's.
        assert_eq!(notes(b"\0\xb1\x40\x7f\0\x90\x3c\x50\x60\x80\x3c\0\x60\xb1\x40\0"), [(60, 0.0, 0.5)]);
    }

    #[test]
    fn drums_are_a_voice_of_their_own() {
        let events = b"\0\x99\x24\x50\0\x90\x3c\x50\x60\x89\x24\0\0\x80\x3c\0";
        let file = MidiFile::parse(&file_of(events), Path::new("a.mid")).unwrap();
        let voices: Vec<(u8, bool)> = file.voices.iter().map(|voice| (voice.channel, voice.is_drums())).collect();
        assert_eq!(voices, [(0, false), (9, true)]);
        assert_eq!(file.pitched_notes().len(), 1);
    }

    #[test]
    fn what_is_no_whole_file_is_refused_with_its_path_and_reason() {
        let whole = file_of(b"\0\x90\x3c\x50\x60\x80\x3c\0");
        for length in 0..whole.len() {
            let error = MidiFile::parse(&whole[..length], Path::new("a.mid")).unwrap_err();
            assert!(error.to_string().starts_with("a.mid: a MIDI file is expected, and "), "{error}");
        }
        let error = MidiFile::parse(b"RIFF", Path::new("a.mid")).unwrap_err().to_string();
        assert_eq!(error, "a.mid: a MIDI file is expected, and it does not begin with a header (MThd)");
        let absent = MidiFile::read(Path::new("absent.mid")).unwrap_err();
        assert!(matches!(absent, AnnotationError::Read { .. }), "{absent}");
    }
}
