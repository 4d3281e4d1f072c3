//! Keys, chords, and their names.
//!
//! Chords are named in Harte's notation (Harte, Sandler, Abdallah, Gómez: Symbolic representation of musical chords,
//! ISMIR 2005), with the roots spelled as the key asks for.

use std::fmt;

/// Major or minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Major.
    Major,
    /// Minor, with raised sixth and seventh where the harmony has them.
    Minor,
}

/// A tonic and a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Semitones above C, 0 to 11.
    pub tonic: u8,
    /// Major or minor.
    pub mode: Mode,
}

/// The names of tonics in labels.
const TONICS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];
const SHARPS: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const LETTERS: [(char, i32); 7] = [('C', 0), ('D', 2), ('E', 4), ('F', 5), ('G', 7), ('A', 9), ('B', 11)];

impl Key {
    /// The 24 keys, major ones first.
    pub fn all() -> impl Iterator<Item = Self> {
        [Mode::Major, Mode::Minor].into_iter().flat_map(|mode| (0..12).map(move |tonic| Self { tonic, mode }))
    }

    /// Its name in labels, `Eb minor`.
    pub fn name(self) -> String {
        let mode = if self.mode == Mode::Major { "major" } else { "minor" };
        format!("{} {mode}", TONICS[usize::from(self.tonic % 12)])
    }

    /// The key with this name; sharps and flats are the same.
    pub fn parse(name: &str) -> Option<Self> {
        let (tonic, mode) = name.trim().split_once([' ', ':'])?;
        let mode = match mode.trim().to_ascii_lowercase().as_str() {
            "major" | "maj" => Mode::Major,
            "minor" | "min" => Mode::Minor,
            _ => return None,
        };
        Some(Self { tonic: parse_pitch_class(tonic)?, mode })
    }

    /// Semitones of its scale above the tonic; the natural one in minor.
    pub(crate) fn scale(self) -> [u8; 7] {
        match self.mode {
            Mode::Major => [0, 2, 4, 5, 7, 9, 11],
            Mode::Minor => [0, 2, 3, 5, 7, 8, 10],
        }
    }

    /// The name of the note this many semitones above the tonic, as musicians spell it in this key.
    fn spell(self, offset: u8) -> String {
        // Steps of the scale that the twelve offsets are written on: minor second, raised fourth, and so on.
        const STEPS: [usize; 12] = [0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6];
        let uses_sharps = match self.mode {
            Mode::Major => [7, 2, 9, 4, 11].contains(&self.tonic),
            Mode::Minor => [4, 11, 6, 1, 8].contains(&self.tonic),
        };
        let names = if uses_sharps { SHARPS } else { TONICS };
        let tonic_letter = names[usize::from(self.tonic)].chars().next();
        let first = LETTERS.iter().position(|(letter, _)| Some(*letter) == tonic_letter).unwrap_or(0);
        let (letter, natural) = LETTERS[(first + STEPS[usize::from(offset % 12)]) % 7];
        let class = i32::from((self.tonic + offset) % 12);
        match (class - natural + 18) % 12 - 6 {
            0 => letter.to_string(),
            1 => format!("{letter}#"),
            -1 => format!("{letter}b"),
            // Double accidentals are written plainly.
            _ => names[class as usize].to_owned(),
        }
    }
}

/// Semitones above C of a name such as `Bb`; nothing of a text that is none.
pub(crate) fn parse_pitch_class(name: &str) -> Option<u8> {
    let mut characters = name.chars();
    let letter = characters.next()?.to_ascii_uppercase();
    let (_, natural) = LETTERS.iter().find(|(name, _)| *name == letter)?;
    let mut class = *natural;
    for accidental in characters {
        class += match accidental {
            '#' => 1,
            'b' => -1,
            _ => return None,
        };
    }
    Some(class.rem_euclid(12) as u8)
}

/// The kinds of chords that pieces have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Quality {
    Major,
    Minor,
    Diminished,
    Augmented,
    Suspended4,
    Suspended2,
    Major7,
    Minor7,
    Dominant7,
    HalfDiminished7,
    Diminished7,
    MinorMajor7,
    Major6,
    Minor6,
    Major9,
    Minor9,
    Dominant9,
    DominantSuspended,
}

impl Quality {
    /// Semitones of its notes above the root.
    pub(crate) fn intervals(self) -> &'static [u8] {
        match self {
            Self::Major => &[0, 4, 7],
            Self::Minor => &[0, 3, 7],
            Self::Diminished => &[0, 3, 6],
            Self::Augmented => &[0, 4, 8],
            Self::Suspended4 => &[0, 5, 7],
            Self::Suspended2 => &[0, 2, 7],
            Self::Major7 => &[0, 4, 7, 11],
            Self::Minor7 => &[0, 3, 7, 10],
            Self::Dominant7 => &[0, 4, 7, 10],
            Self::HalfDiminished7 => &[0, 3, 6, 10],
            Self::Diminished7 => &[0, 3, 6, 9],
            Self::MinorMajor7 => &[0, 3, 7, 11],
            Self::Major6 => &[0, 4, 7, 9],
            Self::Minor6 => &[0, 3, 7, 9],
            Self::Major9 => &[0, 4, 7, 11, 2],
            Self::Minor9 => &[0, 3, 7, 10, 2],
            Self::Dominant9 => &[0, 4, 7, 10, 2],
            Self::DominantSuspended => &[0, 5, 7, 10],
        }
    }

    fn harte(self) -> &'static str {
        match self {
            Self::Major => "maj",
            Self::Minor => "min",
            Self::Diminished => "dim",
            Self::Augmented => "aug",
            Self::Suspended4 => "sus4",
            Self::Suspended2 => "sus2",
            Self::Major7 => "maj7",
            Self::Minor7 => "min7",
            Self::Dominant7 => "7",
            Self::HalfDiminished7 => "hdim7",
            Self::Diminished7 => "dim7",
            Self::MinorMajor7 => "minmaj7",
            Self::Major6 => "maj6",
            Self::Minor6 => "min6",
            Self::Major9 => "maj9",
            Self::Minor9 => "min9",
            Self::Dominant9 => "9",
            Self::DominantSuspended => "sus4(b7)",
        }
    }

    pub(crate) fn is_minor(self) -> bool {
        self.intervals()[1] == 3
    }
}

/// A chord of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chord {
    pub(crate) key: Key,
    /// Semitones of the root above the tonic.
    pub(crate) offset: u8,
    pub(crate) quality: Quality,
    /// Which note of the chord is lowest, as its place in [`Quality::intervals`].
    pub(crate) inversion: usize,
}

impl Chord {
    /// Pitch class of the root.
    pub(crate) fn root(self) -> u8 {
        (self.key.tonic + self.offset) % 12
    }

    /// Pitch class of the lowest note.
    pub(crate) fn bass(self) -> u8 {
        (self.root() + self.quality.intervals()[self.inversion]) % 12
    }

    /// Pitch classes of its notes, the root first.
    pub(crate) fn classes(self) -> Vec<u8> {
        self.quality.intervals().iter().map(|interval| (self.root() + interval) % 12).collect()
    }

    pub(crate) fn contains(self, pitch: i32) -> bool {
        let interval = (pitch - i32::from(self.root())).rem_euclid(12) as u8;
        self.quality.intervals().contains(&interval)
    }

    /// Pitch classes that a melody moves in over this chord: the key's, where the chord does not alter them.
    pub(crate) fn scale(self) -> Vec<u8> {
        let natural = self.key.scale();
        let mut scale: Vec<u8> = natural.to_vec();
        for &interval in self.quality.intervals() {
            let offset = (self.offset + interval) % 12;
            if natural.contains(&offset) {
                continue;
            }
            // A raised fourth or seventh, or the major third of a dominant, takes the place of the note below it;
            // anything else that of the note above.
            let is_raised = offset == 6 || offset == 11 || interval == 4 && natural.contains(&self.offset);
            let replaced = if is_raised { (offset + 11) % 12 } else { (offset + 1) % 12 };
            scale.retain(|&step| step != replaced);
        }
        for step in &mut scale {
            *step = (*step + self.key.tonic) % 12;
        }
        scale.extend(self.classes());
        scale.sort_unstable();
        scale.dedup();
        scale
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DEGREES: [&str; 12] = ["1", "b2", "2", "b3", "3", "4", "b5", "5", "#5", "6", "b7", "7"];
        write!(formatter, "{}:{}", self.key.spell(self.offset), self.quality.harte())?;
        match (self.inversion, self.quality) {
            (0, _) => Ok(()),
            (3, Quality::Diminished7) => formatter.write_str("/bb7"),
            (inversion, quality) => write!(formatter, "/{}", DEGREES[usize::from(quality.intervals()[inversion])]),
        }
    }
}

/// The chord that a Roman numeral names: `vi7`, `bVII`, `V7/ii`, `I^3`.
///
/// Upper case is major and lower case minor; `o`, `ø`, `+`, `sus`, `6`, `7`, `M7`, `9`, `M9` follow it. `V7/ii` is the
/// dominant of ii, `^3`, `^5` and `^7` put another note of the chord into the bass. In minor, III, VI and VII are those
/// of the natural scale.
pub(crate) fn numeral(key: Key, text: &str) -> Option<Chord> {
    let (text, inversion) = match text.split_once('^') {
        Some((text, "3")) => (text, 1),
        Some((text, "5")) => (text, 2),
        Some((text, "7")) => (text, 3),
        Some(_) => return None,
        None => (text, 0),
    };
    let (text, target) = match text.split_once('/') {
        Some((text, target)) => (text, degree(key.mode, target)?.0),
        None => (text, 0),
    };
    let mode = if target == 0 { key.mode } else { Mode::Major };
    let (offset, is_upper, suffix) = degree(mode, text)?;
    let quality = match (suffix, is_upper) {
        ("", true) => Quality::Major,
        ("", false) => Quality::Minor,
        ("7", true) => Quality::Dominant7,
        ("7", false) => Quality::Minor7,
        ("M7", true) => Quality::Major7,
        ("M7", false) => Quality::MinorMajor7,
        ("6", true) => Quality::Major6,
        ("6", false) => Quality::Minor6,
        ("9", true) => Quality::Dominant9,
        ("9", false) => Quality::Minor9,
        ("M9", true) => Quality::Major9,
        ("o", _) => Quality::Diminished,
        ("o7", _) => Quality::Diminished7,
        ("ø", _) => Quality::HalfDiminished7,
        ("+", _) => Quality::Augmented,
        ("sus", _) => Quality::Suspended4,
        ("sus2", _) => Quality::Suspended2,
        ("7sus", _) => Quality::DominantSuspended,
        _ => return None,
    };
    let inversion = inversion.min(quality.intervals().len() - 1);
    Some(Chord { key, offset: (offset + target) % 12, quality, inversion })
}

/// Semitones of a numeral's root, whether it is in upper case, and what follows it.
fn degree(mode: Mode, text: &str) -> Option<(u8, bool, &str)> {
    let (shift, text) = match text.as_bytes().first()? {
        b'b' => (11, &text[1..]),
        b'#' => (1, &text[1..]),
        _ => (0, text),
    };
    let end = text.find(|letter: char| !matches!(letter, 'I' | 'V' | 'i' | 'v')).unwrap_or(text.len());
    let (numeral, suffix) = text.split_at(end);
    let place =
        ["I", "II", "III", "IV", "V", "VI", "VII"].iter().position(|name| *name == numeral.to_ascii_uppercase())?;
    let natural = match mode {
        Mode::Major => [0, 2, 4, 5, 7, 9, 11],
        Mode::Minor => [0, 2, 3, 5, 7, 8, 10],
    };
    Some(((natural[place] + shift) % 12, numeral.starts_with(char::is_uppercase), suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str, numerals: &str) -> Vec<String> {
        let key = Key::parse(key).unwrap();
        numerals.split(' ').map(|text| numeral(key, text).unwrap().to_string()).collect()
    }

    #[test]
    fn numerals_are_chords_spelled_as_their_key_asks() {
        assert_eq!(named("C major", "I V7/ii bVII ii7^3 viio"), ["C:maj", "A:7", "Bb:maj", "D:min7/b3", "B:dim"]);
        assert_eq!(named("A minor", "i V7 VI iiø VII iv6"), ["A:min", "E:7", "F:maj", "B:hdim7", "G:maj", "D:min6"]);
        assert_eq!(named("Eb major", "iv IVM7 V^5 I^3"), ["Ab:min", "Ab:maj7", "Bb:maj/5", "Eb:maj/3"]);
        assert_eq!(named("F# minor", "V7 VI"), ["C#:7", "D:maj"]);
        assert_eq!(named("Gb major", "IV vi"), ["Cb:maj", "Eb:min"]);
        assert_eq!(named("E major", "V/V #ivø"), ["F#:maj", "A#:hdim7"]);
        let key = Key::parse("C major").unwrap();
        for wrong in ["", "X", "Iz", "I^9", "V/x", "b"] {
            assert_eq!(numeral(key, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_have_the_names_of_labels() {
        let names: Vec<String> = Key::all().map(Key::name).collect();
        assert_eq!(names.len(), 24);
        assert_eq!((names[1].as_str(), names[18].as_str()), ("Db major", "Gb minor"));
        for key in Key::all() {
            assert_eq!(Key::parse(&key.name()), Some(key));
        }
        assert_eq!(Key::parse("F#:maj").unwrap().name(), "Gb major");
        for wrong in ["", "C", "H major", "C dorian", "C# "] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn scales_follow_the_chord() {
        let scale = |key: &str, text: &str| numeral(Key::parse(key).unwrap(), text).unwrap().scale();
        assert_eq!(scale("C major", "I"), [0, 2, 4, 5, 7, 9, 11]);
        assert_eq!(scale("A minor", "V7"), [0, 2, 4, 5, 8, 9, 11], "the leading tone, not the natural seventh");
        assert_eq!(scale("C major", "V7/V"), [0, 2, 4, 6, 7, 9, 11]);
        assert_eq!(scale("C major", "iv"), [0, 2, 4, 5, 7, 8, 11]);
    }
}
