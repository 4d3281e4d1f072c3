//! Keys, and how near an estimated key is to the right one.
//!
//! MIREX's score of audio key detection (<https://www.music-ir.org/mirex/wiki/2005:Audio_and_Symbolic_Key>):
//!
//! | the estimate is | score |
//! |---|---|
//! | the reference | 1 |
//! | a fifth from it, in the same mode | 0.5 |
//! | its relative key: C major and A minor | 0.3 |
//! | its parallel key: C major and C minor | 0.2 |
//! | another | 0 |
//!
//! What "a fifth from it" means has two rules, [`FifthRule`]. A data set's score is the mean over its tracks.

use std::fmt;
use std::str::FromStr;

use super::error::MetricError;

/// Names of the tonics, as MARBLE writes them.
const TONICS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];

/// Major or minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Major.
    Major,
    /// Minor.
    Minor,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
        }
    }
}

/// One of the 24 keys. Enharmonic spellings are the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    tonic: u8,
    mode: Mode,
}

impl Key {
    /// How many keys there are.
    pub const COUNT: usize = 24;

    /// The key on a pitch class, from 0 for C to 11 for B. Higher numbers are taken modulo 12.
    pub fn new(tonic: u8, mode: Mode) -> Self {
        Self { tonic: tonic % 12, mode }
    }

    /// Semitones from C up to the tonic, below 12.
    pub fn tonic(self) -> u8 {
        self.tonic
    }

    /// Major or minor.
    pub fn mode(self) -> Mode {
        self.mode
    }

    /// Its place among the 24, as MARBLE counts them: `C major`, `Db major`, .. `B major`, `C minor`, .. `B minor`.
    pub fn class_index(self) -> usize {
        usize::from(self.tonic) + if self.mode == Mode::Minor { 12 } else { 0 }
    }

    /// The key at a place among the 24.
    pub fn from_class_index(index: usize) -> Option<Self> {
        let tonic = (index % 12) as u8;
        (index < Self::COUNT).then(|| Self::new(tonic, if index < 12 { Mode::Major } else { Mode::Minor }))
    }
}

impl fmt::Display for Key {
    /// MARBLE's name: `Eb minor`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", TONICS[usize::from(self.tonic)], self.mode.name())
    }
}

impl FromStr for Key {
    type Err = MetricError;

    /// Reads `C major`, `c# minor`, `Db major`; see [`KeyLabel`]'s parser. A label that is no key of the 24 is an error.
    fn from_str(text: &str) -> Result<Self, MetricError> {
        match text.parse()? {
            KeyLabel::Key(key) => Ok(key),
            KeyLabel::OtherMode { .. } => Err(unreadable(text, "the mode is neither major nor minor")),
            KeyLabel::Unknown => Err(unreadable(text, "it says that there is no key")),
        }
    }
}

/// What can be said of a recording's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyLabel {
    /// One of the 24.
    Key(Key),
    /// A tonic with a mode that is neither major nor minor: `D other`.
    OtherMode {
        /// Semitones from C up to the tonic, below 12.
        tonic: u8,
    },
    /// No key: `X`.
    Unknown,
}

impl From<Key> for KeyLabel {
    fn from(key: Key) -> Self {
        Self::Key(key)
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(formatter),
            Self::OtherMode { tonic } => write!(formatter, "{} other", TONICS[usize::from(tonic % 12)]),
            Self::Unknown => formatter.write_str("X"),
        }
    }
}

impl FromStr for KeyLabel {
    type Err = MetricError;

    /// Reads a tonic and a mode with white space between them, or `X`.
    ///
    /// The tonic is a letter from A to G with any number of `#` or `b`; the mode is `major`, `minor` or `other`. Case does
    /// not matter. That is all that `mir_eval` reads and a little more: it has no `Cb`, `E#`, `Fb`, `B#` or double
    /// accidentals, and its modes are in small letters.
    fn from_str(text: &str) -> Result<Self, MetricError> {
        let mut words = text.split_whitespace();
        let (tonic, mode) = match (words.next(), words.next(), words.next()) {
            (Some(unknown), None, None) if unknown.eq_ignore_ascii_case("x") => return Ok(Self::Unknown),
            (Some(tonic), Some(mode), None) => (tonic, mode),
            _ => return Err(unreadable(text, "a tonic and a mode are expected, such as `Eb minor`, or `X`")),
        };
        // An accidental in a capital letter is one too: `EB`.
        let tonic = pitch_class(&tonic.to_ascii_lowercase())
            .ok_or_else(|| unreadable(text, "the tonic is a letter from A to G, and # or b behind it"))?;
        match mode.to_ascii_lowercase().as_str() {
            "major" => Ok(Self::Key(Key::new(tonic, Mode::Major))),
            "minor" => Ok(Self::Key(Key::new(tonic, Mode::Minor))),
            "other" => Ok(Self::OtherMode { tonic }),
            _ => Err(unreadable(text, "the mode is `major`, `minor` or `other`")),
        }
    }
}

fn unreadable(text: &str, reason: &str) -> MetricError {
    MetricError::Label { what: "key", found: text.to_owned(), reason: reason.to_owned() }
}

/// The pitch class of a note's name: a letter from A to G, large or small, then any number of `b` or `#`.
pub(crate) fn pitch_class(name: &str) -> Option<u8> {
    let mut letters = name.chars();
    let natural = match letters.next()?.to_ascii_uppercase() {
        'C' => 0,
        'D' => 2,
        'E' => 4,
        'F' => 5,
        'G' => 7,
        'A' => 9,
        'B' => 11,
        _ => return None,
    };
    letters.try_fold(natural, |pitch_class, accidental| match accidental {
        '#' => Some((pitch_class + 1) % 12),
        'b' => Some((pitch_class + 11) % 12),
        _ => None,
    })
}

/// Which fifths score 0.5.
///
/// A key drawn at random scores 0.0833 on average by the first rule and 0.1042 by the second, so scores by different rules
/// cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FifthRule {
    /// Estimates a fifth above the reference. The default, because `mir_eval` computes this one unless told otherwise,
    /// and so do the published numbers of MARBLE.
    #[default]
    Ascending,
    /// Estimates a fifth above or below it: MIREX since 2017.
    Both,
}

impl FifthRule {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::Ascending, Self::Both];

    /// A word for it: `ascending` or `both`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Both => "both",
        }
    }
}

/// MIREX's score of an estimated key, from 0 to 1.
///
/// Labels that are no key are scored as `mir_eval` does it: `X` is right where the reference is `X` too. A mode that is
/// neither major nor minor is one mode, as near to each of the two as they are to each other, except that it has itself no
/// relative key.
pub fn key_score(reference: impl Into<KeyLabel>, estimate: impl Into<KeyLabel>, rule: FifthRule) -> f64 {
    let (reference, estimate) = (reference.into(), estimate.into());
    if reference == estimate {
        return 1.0;
    }
    let ((Some(from), reference_mode), (Some(to), estimate_mode)) = (parts(reference), parts(estimate)) else {
        return 0.0;
    };
    let interval = (to + 12 - from) % 12;
    if reference_mode == estimate_mode {
        return if interval == 7 || (rule == FifthRule::Both && interval == 5) { 0.5 } else { 0.0 };
    }
    match (reference_mode, interval) {
        (Some(Mode::Major), 9) | (Some(Mode::Minor), 3) => 0.3,
        (_, 0) => 0.2,
        _ => 0.0,
    }
}

fn parts(label: KeyLabel) -> (Option<u8>, Option<Mode>) {
    match label {
        KeyLabel::Key(key) => (Some(key.tonic), Some(key.mode)),
        KeyLabel::OtherMode { tonic } => (Some(tonic % 12), None),
        KeyLabel::Unknown => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::golden::{assert_golden_scores, read};

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    fn all() -> impl Iterator<Item = Key> + Clone {
        (0..Key::COUNT).map(|index| Key::from_class_index(index).unwrap())
    }

    #[test]
    fn all_pairs_score_as_in_mir_eval() {
        let outputs = read("mir-metrics", "outputs.json");
        let (mut actual, mut expected) = (Vec::new(), Vec::new());
        for (pair, score) in outputs["key_weighted_score"].as_object().unwrap() {
            let (reference, estimate) = pair.split_once(" | ").unwrap();
            actual.push(key_score(key(reference), key(estimate), FifthRule::default()));
            expected.push(score.as_f64().unwrap());
        }
        assert_eq!(actual.len(), 24 * 24);
        assert_golden_scores("key", &actual, &expected);
    }

    #[test]
    fn relations_by_hand() {
        let score = |reference, estimate, rule| key_score(key(reference), key(estimate), rule);
        for rule in FifthRule::ALL {
            assert_eq!(score("C major", "C major", rule), 1.0);
            assert_eq!(score("C# major", "Db major", rule), 1.0);
            assert_eq!(score("C major", "G major", rule), 0.5);
            assert_eq!(score("A minor", "E minor", rule), 0.5);
            assert_eq!(score("C major", "A minor", rule), 0.3);
            assert_eq!(score("A minor", "C major", rule), 0.3);
            assert_eq!(score("C major", "C minor", rule), 0.2);
            assert_eq!(score("C major", "E minor", rule), 0.0);
            assert_eq!(score("A minor", "F# major", rule), 0.0);
        }
        assert_eq!(score("C major", "F major", FifthRule::Ascending), 0.0);
        assert_eq!(score("C major", "F major", FifthRule::Both), 0.5);
    }

    #[test]
    fn chance_depends_on_the_rule() {
        for (rule, chance) in [(FifthRule::Ascending, 2.0 / 24.0), (FifthRule::Both, 2.5 / 24.0)] {
            let total: f64 =
                all().flat_map(|reference| all().map(move |estimate| key_score(reference, estimate, rule))).sum();
            assert!((total / 576.0 - chance).abs() < 1e-12, "{}", rule.name());
        }
    }

    #[test]
    fn names_go_back_and_forth() {
        for (index, key) in all().enumerate() {
            assert_eq!((key.class_index(), key.to_string().parse()), (index, Ok(key)));
        }
        assert_eq!(Key::from_class_index(24), None);
        assert_eq!((key("Eb minor").class_index(), key("C major").class_index()), (15, 0));
        assert_eq!(key("  d#  MINOR ").to_string(), "Eb minor");
        assert_eq!(
            [key("Cb major"), key("B## minor"), key("Fb minor")],
            [key("B major"), key("Db minor"), key("E minor")]
        );
        assert_eq!((key("bb minor").tonic(), key("f# minor").mode()), (10, Mode::Minor));
    }

    #[test]
    fn labels_that_are_no_key() {
        let label = |text: &str| text.parse::<KeyLabel>().unwrap();
        let score = |reference, estimate| key_score(label(reference), label(estimate), FifthRule::Ascending);
        assert_eq!(label("x"), KeyLabel::Unknown);
        assert_eq!(label("D other").to_string(), "D other");
        assert_eq!((score("X", "x"), score("X", "C major"), score("C other", "X")), (1.0, 0.0, 0.0));
        assert_eq!((score("C other", "C other"), score("C other", "G other")), (1.0, 0.5));
        assert_eq!((score("C other", "C major"), score("C major", "A other")), (0.2, 0.3));
        assert_eq!((score("C minor", "Eb other"), score("C other", "Eb major")), (0.3, 0.0));
    }

    #[test]
    fn bad_spellings_are_named() {
        for text in ["", "C", "H major", "C dorian", "Cx major", "X major", "C major minor", "é major", "C#♭ major"]
        {
            let error = text.parse::<KeyLabel>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("key: `{text}` cannot be read")), "{error}");
        }
        assert!("X".parse::<Key>().is_err());
        assert!("C other".parse::<Key>().is_err());
    }
}
