//! What the 128 programs of General MIDI are called here: one word or two for each, as tags have them.
//!
//! Source: General MIDI level 1, table of programs (MIDI Manufacturers Association, RP-003, 1991). The names are ours:
//! programs that few people tell apart share one. They are the classes of the tasks `instruments` and
//! `note-instrument`.

use crate::events::Instrument;

/// The tag of drums, whatever the kit.
pub const DRUMS: &str = "drums";

/// The name of each stretch of programs: the first of them, and the name.
const NAMES: [(u8, &str); 32] = [
    (0, "piano"),
    (4, "electric piano"),
    (6, "harpsichord"),
    (8, "mallets"),
    (15, "plucked"),
    (16, "organ"),
    (21, "accordion"),
    (24, "acoustic guitar"),
    (26, "electric guitar"),
    (29, "distorted guitar"),
    (31, "electric guitar"),
    (32, "bass"),
    (38, "synth bass"),
    (40, "strings"),
    (45, "plucked"),
    (47, "percussion"),
    (48, "strings"),
    (52, "voice"),
    (55, "effects"),
    (56, "brass"),
    (64, "saxophone"),
    (68, "woodwind"),
    (72, "flute"),
    (80, "synth lead"),
    (88, "synth pad"),
    (96, "effects"),
    (104, "plucked"),
    (109, "woodwind"),
    (110, "strings"),
    (111, "woodwind"),
    (112, "percussion"),
    (120, "effects"),
];

/// The names that single notes are played with: every instrument with a pitch of its own.
pub const PITCHED: [&str; 20] = [
    "accordion",
    "acoustic guitar",
    "bass",
    "brass",
    "distorted guitar",
    "electric guitar",
    "electric piano",
    "flute",
    "harpsichord",
    "mallets",
    "organ",
    "piano",
    "plucked",
    "saxophone",
    "strings",
    "synth bass",
    "synth lead",
    "synth pad",
    "voice",
    "woodwind",
];

impl Instrument {
    /// Its name as a tag: `acoustic guitar`, `drums`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Drums(_) => DRUMS,
            Self::Program(program) => {
                let place = NAMES.partition_point(|(first, _)| *first <= program);
                NAMES[place.saturating_sub(1)].1
            }
        }
    }
}

/// The General MIDI programs with a name, in order.
pub fn programs_of(tag: &str) -> Vec<u8> {
    (0..128).filter(|&program| Instrument::Program(program).tag() == tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_name_and_every_name_its_programs() {
        for (program, tag) in [
            (0, "piano"),
            (5, "electric piano"),
            (33, "bass"),
            (46, "plucked"),
            (60, "brass"),
            (73, "flute"),
            (127, "effects"),
        ] {
            assert_eq!(Instrument::Program(program).tag(), tag);
        }
        assert_eq!(Instrument::Drums(25).tag(), "drums");
        for tag in PITCHED {
            assert!(programs_of(tag).len() >= 2, "{tag}: {:?}", programs_of(tag));
        }
        let pitched: usize = PITCHED.iter().map(|tag| programs_of(tag).len()).sum();
        let others = programs_of("percussion").len() + programs_of("effects").len();
        assert_eq!(pitched + others, 128);
        assert!(PITCHED.is_sorted());
    }
}
