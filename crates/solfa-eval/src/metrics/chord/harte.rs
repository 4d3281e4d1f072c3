//! Chords as text in Harte's syntax, and as numbers.
//!
//! Harte, Sandler, Abdallah, Gómez: "Symbolic representation of musical chords: a proposed syntax for text annotations",
//! ISMIR 2005. A label is `N` (no chord), `X` (not known), or
//!
//! ```text
//! root [ ":" quality [ "(" degrees ")" ] | ":(" degrees ")" ] [ "/" degree ]
//! ```
//!
//! such as `A`, `Eb:min7`, `G:sus4(b7,9)`, `C#:maj(*5)/3`. A degree is a number from 1 to 13 after flats or sharps; with a
//! star it is left out. A root alone is a major chord.

use super::MetricError;

/// One chord of Harte's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chord {
    /// `N`: there is no chord.
    NoChord,
    /// `X`: there is one that the syntax cannot say, or that nobody could hear.
    Unknown,
    /// A chord with its notes.
    Sounding {
        /// Pitch class of the root, 0 (C) to 11 (B).
        root: u8,
        /// The shorthand. `None` where degrees stand for it, as in `C:(3,5)`.
        quality: Option<Quality>,
        /// Degrees that are added and left out, each once.
        degrees: Vec<Degree>,
        /// The degree in the bass.
        bass: Degree,
    },
}

/// A degree of the major scale above the root, with accidentals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degree {
    /// From 1 to 13.
    pub number: u8,
    /// Sharps, or flats where negative.
    pub accidentals: i8,
    /// Whether it is left out (`*5`) rather than added.
    pub is_omitted: bool,
}

impl Degree {
    /// The root itself.
    pub const ROOT: Self = Self { number: 1, accidentals: 0, is_omitted: false };

    /// Semitones above the root; below it for `b1`, above an octave from 8 on.
    pub fn semitones(self) -> i32 {
        const MAJOR_SCALE: [i32; 7] = [0, 2, 4, 5, 7, 9, 11];
        let steps = usize::from(self.number.max(1) - 1);
        MAJOR_SCALE[steps % 7] + 12 * (steps / 7) as i32 + i32::from(self.accidentals)
    }
}

/// Bits of the semitones that are given: bit 0 is the root, bit 7 the fifth.
const fn bits(semitones: &[u8]) -> u16 {
    let mut bitmap = 0;
    let mut index = 0;
    while index < semitones.len() {
        bitmap |= 1 << semitones[index];
        index += 1;
    }
    bitmap
}

macro_rules! qualities {
    ($($variant:ident $name:literal $semitones:expr, $($upper:literal)*;)*) => {
        /// The shorthands for the notes of a chord.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Quality {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Quality {
            /// Every shorthand.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in a label.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its notes within an octave, as bits: bit 0 is the root. Ninths and above are not among them.
            pub fn semitones(self) -> u16 {
                match self { $(Self::$variant => bits(&$semitones),)* }
            }

            /// The notes above the octave that it implies, as pitch classes in semitones above the root.
            fn upper(self) -> u16 {
                match self { $(Self::$variant => bits(&[$($upper),*]),)* }
            }
        }
    };
}

qualities! {
    Major "maj" [0, 4, 7],;
    Minor "min" [0, 3, 7],;
    Diminished "dim" [0, 3, 6],;
    Augmented "aug" [0, 4, 8],;
    MajorSeventh "maj7" [0, 4, 7, 11],;
    MinorSeventh "min7" [0, 3, 7, 10],;
    Seventh "7" [0, 4, 7, 10],;
    DiminishedSeventh "dim7" [0, 3, 6, 9],;
    HalfDiminishedSeventh "hdim7" [0, 3, 6, 10],;
    MinorMajorSeventh "minmaj7" [0, 3, 7, 11],;
    AugmentedSeventh "aug7" [0, 4, 8, 10],;
    MajorSixth "maj6" [0, 4, 7, 9],;
    MinorSixth "min6" [0, 3, 7, 9],;
    Ninth "9" [0, 4, 7, 10], 2;
    MajorNinth "maj9" [0, 4, 7, 11], 2;
    MinorNinth "min9" [0, 3, 7, 10], 2;
    Eleventh "11" [0, 4, 7, 10], 2 5;
    MajorEleventh "maj11" [0, 4, 7, 11], 2 5;
    MinorEleventh "min11" [0, 3, 7, 10], 2 5;
    Thirteenth "13" [0, 4, 7, 10], 2 5 9;
    MajorThirteenth "maj13" [0, 4, 7, 11], 2 5 9;
    MinorThirteenth "min13" [0, 3, 7, 10], 2 5 9;
    SuspendedSecond "sus2" [0, 2, 7],;
    SuspendedFourth "sus4" [0, 5, 7],;
    RootAlone "1" [0],;
    RootAndFifth "5" [0, 7],;
}

/// A chord as numbers, as `mir_eval` encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChordEncoding {
    /// Pitch class of the root; `None` for `N` and `X`.
    pub root: Option<u8>,
    /// Which semitones above the root sound: bit 0 is the root. No bit for `N`, and `None` for `X`.
    pub semitones: Option<u16>,
    /// Semitones of the bass above the root; `None` for `N` and `X`.
    pub bass: Option<u8>,
}

impl Chord {
    /// Reads a label.
    ///
    /// # Errors
    /// What of the label is no Harte syntax, and what could stand there.
    pub fn parse(label: &str) -> Result<Self, MetricError> {
        parse(label).map_err(|reason| MetricError::Label { what: "a chord", found: label.to_owned(), reason })
    }

    /// The chord as numbers, for comparisons. Ninths and above are left out, in shorthands and as degrees; the bass is
    /// one of the notes, whether or not the label names it among them.
    pub fn encode(&self) -> ChordEncoding {
        self.encode_notes(false)
    }

    /// The chord as numbers with ninths and above folded into the octave: `C:9` and `C:7` differ. Segmentation asks
    /// where chords change, and uses this.
    pub fn encode_all_notes(&self) -> ChordEncoding {
        self.encode_notes(true)
    }

    fn encode_notes(&self, with_upper: bool) -> ChordEncoding {
        let (root, quality, degrees, bass) = match self {
            Self::NoChord => return ChordEncoding { root: None, semitones: Some(0), bass: None },
            Self::Unknown => return ChordEncoding { root: None, semitones: None, bass: None },
            Self::Sounding { root, quality, degrees, bass } => (*root, *quality, degrees, *bass),
        };
        let mut counts = [0i32; 12];
        counts[0] = 1;
        if let Some(quality) = quality {
            for (semitone, count) in counts.iter_mut().enumerate().skip(1) {
                *count += i32::from(quality.semitones() >> semitone & 1);
                if with_upper {
                    *count += i32::from(quality.upper() >> semitone & 1);
                }
            }
        }
        for degree in degrees {
            let semitones = degree.semitones();
            if with_upper || semitones < 12 {
                counts[semitones.rem_euclid(12) as usize] += if degree.is_omitted { -1 } else { 1 };
            }
        }
        let bass = bass.semitones().rem_euclid(12) as u8;
        counts[usize::from(bass)] = 1;
        let semitones =
            counts.iter().enumerate().fold(0, |bitmap, (semitone, &count)| bitmap | u16::from(count > 0) << semitone);
        ChordEncoding { root: Some(root), semitones: Some(semitones), bass: Some(bass) }
    }
}

impl std::str::FromStr for Chord {
    type Err = MetricError;

    fn from_str(label: &str) -> Result<Self, MetricError> {
        Self::parse(label)
    }
}

fn parse(label: &str) -> Result<Chord, String> {
    match label {
        "N" => return Ok(Chord::NoChord),
        "X" => return Ok(Chord::Unknown),
        "" => return Err("it is empty; no chord is `N`".to_owned()),
        _ => {}
    }
    let (label, bass) = match label.split_once('/') {
        Some((label, bass)) => (label, parse_degree(bass).map_err(|reason| format!("after `/`, {reason}"))?),
        None => (label, Degree::ROOT),
    };
    let (root, rest) = match label.split_once(':') {
        Some((root, rest)) => (root, Some(rest)),
        None => (label, None),
    };
    let root = parse_root(root)?;
    let Some(rest) = rest else {
        return Ok(Chord::Sounding { root, quality: Some(Quality::Major), degrees: Vec::new(), bass });
    };
    let (quality, degrees) = match rest.split_once('(') {
        Some((quality, degrees)) => {
            let degrees = degrees.strip_suffix(')').ok_or("the degrees do not end with `)`")?;
            (quality, parse_degrees(degrees)?)
        }
        None => (rest, Vec::new()),
    };
    let quality = match quality {
        "" if degrees.is_empty() => return Err("nothing follows the `:`".to_owned()),
        "" => None,
        name => Some(parse_quality(name)?),
    };
    Ok(Chord::Sounding { root, quality, degrees, bass })
}

fn parse_root(text: &str) -> Result<u8, String> {
    let mut characters = text.chars();
    let natural = match characters.next() {
        Some('C') => 0,
        Some('D') => 2,
        Some('E') => 4,
        Some('F') => 5,
        Some('G') => 7,
        Some('A') => 9,
        Some('B') => 11,
        _ => return Err(format!("a root from `A` to `G`, `N` or `X` is expected, not `{text}`")),
    };
    let accidentals = parse_accidentals(characters.as_str()).ok_or_else(|| {
        format!(
            "after the root `{}`, sharps (`#`), flats (`b`), `:` or `/` are expected, not `{}`",
            &text[..1],
            &text[1..]
        )
    })?;
    Ok((natural + i32::from(accidentals)).rem_euclid(12) as u8)
}

/// More sharps or flats than anybody writes.
const MAXIMUM_ACCIDENTALS: usize = 12;

/// Sharps only or flats only; anything else is nothing.
fn parse_accidentals(text: &str) -> Option<i8> {
    if text.len() > MAXIMUM_ACCIDENTALS {
        return None;
    }
    let count = text.len() as i8;
    if text.bytes().all(|byte| byte == b'#') {
        Some(count)
    } else if text.bytes().all(|byte| byte == b'b') {
        Some(-count)
    } else {
        None
    }
}

fn parse_quality(name: &str) -> Result<Quality, String> {
    Quality::ALL.iter().copied().find(|quality| quality.name() == name).ok_or_else(|| {
        let known: Vec<_> = Quality::ALL.iter().map(|quality| quality.name()).collect();
        format!("`{name}` is no quality; known are {}", known.join(", "))
    })
}

fn parse_degrees(text: &str) -> Result<Vec<Degree>, String> {
    let mut degrees = Vec::new();
    for part in text.split(',') {
        let (is_omitted, name) = part.strip_prefix('*').map_or((false, part), |name| (true, name));
        let degree = Degree { is_omitted, ..parse_degree(name)? };
        if !degrees.contains(&degree) {
            degrees.push(degree);
        }
    }
    Ok(degrees)
}

fn parse_degree(text: &str) -> Result<Degree, String> {
    let digits = text.trim_start_matches(['#', 'b']);
    let accidentals = parse_accidentals(&text[..text.len() - digits.len()]);
    let number = digits.parse().ok().filter(|number| (1..=13).contains(number) && !digits.starts_with(['0', '+']));
    match (accidentals, number) {
        (Some(accidentals), Some(number)) => Ok(Degree { number, accidentals, is_omitted: false }),
        _ => Err(format!("a degree from 1 to 13 is expected, such as `b7`, not `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(label: &str) -> (u8, Vec<u8>, u8) {
        let encoding = Chord::parse(label).unwrap().encode();
        let semitones = encoding.semitones.unwrap();
        (encoding.root.unwrap(), (0..12).filter(|bit| semitones >> bit & 1 == 1).collect(), encoding.bass.unwrap())
    }

    #[test]
    fn chords_have_their_notes() {
        assert_eq!(notes("C"), (0, vec![0, 4, 7], 0));
        assert_eq!(notes("Bb:min"), (10, vec![0, 3, 7], 0));
        assert_eq!(notes("F#:maj/3"), (6, vec![0, 4, 7], 4));
        assert_eq!(notes("Cb:7/b7"), (11, vec![0, 4, 7, 10], 10));
        assert_eq!(notes("A:hdim7"), (9, vec![0, 3, 6, 10], 0));
        assert_eq!(notes("D:minmaj7"), (2, vec![0, 3, 7, 11], 0));
        assert_eq!(notes("G:1"), (7, vec![0], 0));
        assert_eq!(notes("G:5/5"), (7, vec![0, 7], 7));
        assert_eq!(notes("E##:sus2"), (6, vec![0, 2, 7], 0));
    }

    #[test]
    fn degrees_are_added_and_left_out() {
        assert_eq!(notes("C:(b3,5)"), (0, vec![0, 3, 7], 0));
        assert_eq!(notes("C:maj(*3)"), (0, vec![0, 7], 0));
        assert_eq!(notes("C:min(*b3,4)/4"), (0, vec![0, 5, 7], 5));
        assert_eq!(notes("C:maj(*1)/3"), (0, vec![4, 7], 4));
        assert_eq!(notes("C:maj(b1)"), (0, vec![0, 4, 7, 11], 0));
        // The bass is heard, whether named among the notes or not.
        assert_eq!(notes("C:maj/2"), (0, vec![0, 2, 4, 7], 2));
        assert_eq!(notes("C:maj/9"), (0, vec![0, 2, 4, 7], 2));
    }

    #[test]
    fn ninths_and_above_are_left_out_unless_all_notes_are_wanted() {
        assert_eq!(notes("C:13"), (0, vec![0, 4, 7, 10], 0));
        assert_eq!(notes("C:maj(9)"), (0, vec![0, 4, 7], 0));
        let all = |label: &str| Chord::parse(label).unwrap().encode_all_notes().semitones.unwrap();
        assert_eq!(all("C:9"), bits(&[0, 2, 4, 7, 10]));
        assert_eq!(all("C:min13"), bits(&[0, 2, 3, 5, 7, 9, 10]));
        assert_eq!(all("C:maj(9)"), bits(&[0, 2, 4, 7]));
    }

    #[test]
    fn every_quality_reads_back() {
        assert_eq!(Quality::ALL.len(), 26);
        for &quality in Quality::ALL {
            let Chord::Sounding { quality: read, .. } = Chord::parse(&format!("E:{}", quality.name())).unwrap() else {
                panic!("{} is a chord", quality.name());
            };
            assert_eq!(read, Some(quality));
        }
    }

    #[test]
    fn no_chord_and_unknown_have_no_root() {
        assert_eq!(Chord::parse("N").unwrap().encode().semitones, Some(0));
        assert_eq!(Chord::parse("X").unwrap().encode(), ChordEncoding { root: None, semitones: None, bass: None });
    }

    #[test]
    fn bad_labels_say_what_is_wrong() {
        for (label, reason) in [
            ("", "it is empty"),
            ("H:maj", "a root from `A` to `G`"),
            ("c:maj", "a root from `A` to `G`"),
            ("Cm", "after the root `C`"),
            ("C#b", "after the root `C`"),
            ("Cé", "after the root `C`"),
            ("C:", "nothing follows the `:`"),
            ("C:major", "`major` is no quality; known are maj, min"),
            ("C:maj7sus", "is no quality"),
            ("C:maj(", "do not end with `)`"),
            ("C:maj()", "a degree from 1 to 13"),
            ("C:maj(14)", "a degree from 1 to 13"),
            ("C:maj(03)", "a degree from 1 to 13"),
            ("C:maj(#b3)", "a degree from 1 to 13"),
            ("C:maj(3)x", "do not end with `)`"),
            ("C:maj/", "after `/`, a degree"),
            ("C/E", "after `/`, a degree"),
            ("N/5", "a root from `A` to `G`"),
            ("C:min/*5", "after `/`, a degree"),
            ("C:maj/5/3", "after `/`, a degree"),
            ("C:min:7", "is no quality"),
            ("\u{0}", "a root"),
        ] {
            let error = Chord::parse(label).unwrap_err().to_string();
            assert!(error.contains(reason), "{label}: {error}");
            assert!(error.contains(&format!("`{label}`")), "{error}");
        }
        let flats = format!("C{}", "b".repeat(1000));
        assert!(Chord::parse(&flats).is_err());
    }
}
