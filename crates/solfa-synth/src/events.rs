//! What is played: notes of parts, in seconds.
//!
//! This module must not know: how notes came about, how they are made to sound.

/// One note of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Note {
    /// Start in seconds.
    pub onset: f64,
    /// End in seconds, later than the onset; what rings on after it is the instrument's.
    pub offset: f64,
    /// MIDI number, 0 to 127; 69 is A at 440 Hz. Of drums, the General MIDI number of the drum.
    pub pitch: u8,
    /// How hard it is played, 1 to 127.
    pub velocity: u8,
}

/// What a part is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instrument {
    /// A General MIDI program, 0 to 127; 0 is the grand piano.
    Program(u8),
    /// A drum kit: the General MIDI 2 / GS number of the kit, 0 is the standard one.
    Drums(u8),
}

/// All notes of one instrument, and its place in the mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is for, `bass` or the name of a MIDI track.
    pub name: String,
    /// What it is played on.
    pub instrument: Instrument,
    /// From -1 (left) to 1 (right).
    pub pan: f64,
    /// Amplitude, 0 to 1.
    pub volume: f64,
    /// How much of it goes to the reverberation, 0 to 1.
    pub reverb: f64,
    /// The notes, by onset.
    pub notes: Vec<Note>,
}

/// A piece of music as it is to be played.
#[derive(Clone, Debug, PartialEq)]
pub struct Performance {
    /// The parts.
    pub parts: Vec<Part>,
    /// Length of its sound in seconds; what rings on is cut there.
    pub seconds: f64,
    /// Decides what an instrument's sound varies by from piece to piece.
    pub seed: u64,
}

/// Longest piece that is played, in seconds: four hours.
pub const MAXIMUM_SECONDS: f64 = 14_400.0;

/// Why a performance cannot be played.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PerformanceError {
    /// Its length is none.
    #[error("a piece of {found} seconds: expected more than 0 and at most {MAXIMUM_SECONDS}")]
    Length {
        /// The length, in seconds.
        found: f64,
    },
    /// A note that no instrument plays.
    #[error("note {note} of part `{part}` cannot be played: {reason}")]
    Note {
        /// The part's name.
        part: String,
        /// Its place among the part's notes, from 0.
        note: usize,
        /// What is wrong.
        reason: String,
    },
    /// A mix that is none.
    #[error("part `{part}`: {what} is {found}, expected {expected}")]
    Mix {
        /// The part's name.
        part: String,
        /// `pan`, `volume`, `reverb` or `program`.
        what: &'static str,
        /// The value.
        found: f64,
        /// The values that there are.
        expected: &'static str,
    },
}

impl Performance {
    /// Number of notes of all parts.
    pub fn num_notes(&self) -> usize {
        self.parts.iter().map(|part| part.notes.len()).sum()
    }

    /// Says what makes it impossible to play, if anything.
    ///
    /// # Errors
    /// The first length, mix or note out of range.
    pub fn validate(&self) -> Result<(), PerformanceError> {
        if !(self.seconds > 0.0 && self.seconds <= MAXIMUM_SECONDS) {
            return Err(PerformanceError::Length { found: self.seconds });
        }
        for part in &self.parts {
            let mix = |what, found: f64, is_right: bool, expected| {
                let part = part.name.clone();
                if is_right { Ok(()) } else { Err(PerformanceError::Mix { part, what, found, expected }) }
            };
            mix("pan", part.pan, (-1.0..=1.0).contains(&part.pan), "-1 to 1")?;
            mix("volume", part.volume, (0.0..=1.0).contains(&part.volume), "0 to 1")?;
            mix("reverb", part.reverb, (0.0..=1.0).contains(&part.reverb), "0 to 1")?;
            let (Instrument::Program(number) | Instrument::Drums(number)) = part.instrument;
            mix("program", f64::from(number), number < 128, "0 to 127")?;
            for (place, note) in part.notes.iter().enumerate() {
                if let Some(reason) = note.fault() {
                    return Err(PerformanceError::Note { part: part.name.clone(), note: place, reason });
                }
            }
        }
        Ok(())
    }
}

impl Note {
    fn fault(&self) -> Option<String> {
        let Self { onset, offset, pitch, velocity } = *self;
        if !(0.0..=MAXIMUM_SECONDS).contains(&onset) {
            return Some(format!("its onset is {onset} s"));
        }
        if !(offset > onset && offset <= 2.0 * MAXIMUM_SECONDS) {
            return Some(format!("it starts at {onset} s and ends at {offset} s"));
        }
        if pitch > 127 {
            return Some(format!("its pitch is {pitch}, expected 0 to 127"));
        }
        (velocity == 0 || velocity > 127).then(|| format!("its velocity is {velocity}, expected 1 to 127"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_played_is_named() {
        let note = Note { onset: 0.0, offset: 1.0, pitch: 60, velocity: 90 };
        let with = |change: &dyn Fn(&mut Performance)| {
            let part = Part {
                name: "lead".into(),
                instrument: Instrument::Program(0),
                pan: 0.0,
                volume: 1.0,
                reverb: 0.1,
                notes: vec![note],
            };
            let mut performance = Performance { parts: vec![part], seconds: 2.0, seed: 0 };
            change(&mut performance);
            performance.validate().map_err(|error| error.to_string())
        };
        assert_eq!(with(&|_| ()), Ok(()));
        let refused = |change: &dyn Fn(&mut Performance), part: &str| {
            let message = with(change).unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        refused(&|piece| piece.seconds = f64::NAN, "NaN seconds");
        refused(&|piece| piece.seconds = 1e9, "at most 14400");
        refused(&|piece| piece.parts[0].notes[0].onset = f64::NAN, "its onset is NaN");
        refused(&|piece| piece.parts[0].notes[0].offset = 0.0, "starts at 0 s and ends at 0 s");
        refused(&|piece| piece.parts[0].notes[0].pitch = 128, "128, expected 0 to 127");
        refused(&|piece| piece.parts[0].notes[0].velocity = 0, "velocity is 0");
        refused(&|piece| piece.parts[0].pan = 2.0, "pan is 2");
        refused(&|piece| piece.parts[0].volume = f64::NAN, "volume is NaN");
        refused(&|piece| piece.parts[0].instrument = Instrument::Drums(200), "program is 200");
    }
}
