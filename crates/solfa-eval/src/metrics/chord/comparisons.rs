//! When an estimated chord counts as the reference: the rules of MIREX's chord task.
//!
//! Pauwels, Peeters: "Evaluating automatically estimated chord sequences", ICASSP 2013, as `mir_eval` computes them (Raffel
//! et al., ISMIR 2014). Every rule compares [`ChordEncoding`]s, so enharmonic spellings are equal.

use super::{ChordEncoding, MetricError};

/// Bits of the root up to the fifth, augmented: what `triads` and `majmin` look at.
const TRIAD_BITS: u16 = 0xff;

const MAJOR: u16 = 1 | 1 << 4 | 1 << 7;
const MINOR: u16 = 1 | 1 << 3 | 1 << 7;

/// What two chords are compared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChordComparison {
    /// The root and the minor third, present or not.
    Thirds,
    /// The same and the bass.
    ThirdsInversions,
    /// The root and the notes up to the augmented fifth.
    Triads,
    /// The same and the bass.
    TriadsInversions,
    /// The root and all notes within an octave.
    Tetrads,
    /// The same and the bass.
    TetradsInversions,
    /// The root.
    Root,
    /// At least three pitch classes in common. References of one or two notes are ignored.
    Mirex,
    /// As triads; references other than major, minor or no chord are ignored.
    MajorMinor,
    /// The same and the bass.
    MajorMinorInversions,
    /// As tetrads; references other than `maj`, `min`, `maj7`, `7`, `min7` or no chord are ignored.
    Sevenths,
    /// The same and the bass.
    SeventhsInversions,
}

impl ChordComparison {
    /// Every comparison, in `mir_eval`'s order.
    pub const ALL: [Self; 12] = [
        Self::Thirds,
        Self::ThirdsInversions,
        Self::Triads,
        Self::TriadsInversions,
        Self::Tetrads,
        Self::TetradsInversions,
        Self::Root,
        Self::Mirex,
        Self::MajorMinor,
        Self::MajorMinorInversions,
        Self::Sevenths,
        Self::SeventhsInversions,
    ];

    /// `mir_eval`'s name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thirds => "thirds",
            Self::ThirdsInversions => "thirds_inv",
            Self::Triads => "triads",
            Self::TriadsInversions => "triads_inv",
            Self::Tetrads => "tetrads",
            Self::TetradsInversions => "tetrads_inv",
            Self::Root => "root",
            Self::Mirex => "mirex",
            Self::MajorMinor => "majmin",
            Self::MajorMinorInversions => "majmin_inv",
            Self::Sevenths => "sevenths",
            Self::SeventhsInversions => "sevenths_inv",
        }
    }

    /// Whether the estimate counts as the reference; nothing where the reference is ignored, such as `X`.
    ///
    /// Two cases are `mir_eval`'s and may surprise: by [`Root`](Self::Root) and [`Mirex`](Self::Mirex) an estimate of `X`
    /// is right where the reference is `N`, and by `Mirex` it is right everywhere, since it counts as all twelve notes.
    pub fn compare(self, reference: ChordEncoding, estimate: ChordEncoding) -> Option<bool> {
        let notes = reference.semitones?;
        let same_root = reference.root == estimate.root;
        let same_bits = |mask: u16| estimate.semitones.is_some_and(|found| (found ^ notes) & mask == 0);
        let same_bass = reference.bass == estimate.bass;
        match self {
            Self::Thirds => Some(same_root && same_bits(1 << 3)),
            Self::ThirdsInversions => Some(same_root && same_bits(1 << 3) && same_bass),
            Self::Triads => Some(same_root && same_bits(TRIAD_BITS)),
            Self::TriadsInversions => Some(same_root && same_bits(TRIAD_BITS) && same_bass),
            Self::Tetrads => Some(same_root && same_bits(u16::MAX)),
            Self::TetradsInversions => Some(same_root && same_bits(u16::MAX) && same_bass),
            Self::Root => Some(same_root),
            Self::Mirex => mirex(reference, estimate),
            Self::MajorMinor => is_major_minor(reference).then_some(same_root && same_bits(TRIAD_BITS)),
            Self::MajorMinorInversions => {
                is_major_minor(reference).then_some(same_root && same_bits(TRIAD_BITS) && same_bass)
            }
            Self::Sevenths => is_seventh(notes).then_some(same_root && same_bits(u16::MAX)),
            Self::SeventhsInversions => is_seventh(notes).then_some(same_root && same_bits(u16::MAX) && same_bass),
        }
    }
}

fn mirex(reference: ChordEncoding, estimate: ChordEncoding) -> Option<bool> {
    const ENOUGH_NOTES: u32 = 3;
    let notes = reference.semitones?;
    if (1..ENOUGH_NOTES).contains(&notes.count_ones()) {
        return None;
    }
    if reference.root.is_none() {
        return Some(estimate.root.is_none());
    }
    let common = pitch_classes(reference) & pitch_classes(estimate);
    Some(common.count_ones() >= ENOUGH_NOTES)
}

/// Absolute pitch classes, bit 0 is C; all of them for `X`.
fn pitch_classes(chord: ChordEncoding) -> u16 {
    match (chord.root, chord.semitones) {
        (Some(root), Some(notes)) => (notes << root | notes >> (12 - root)) & 0xfff,
        (None, Some(notes)) => notes,
        (_, None) => 0xfff,
    }
}

/// Whether the chord is in the vocabulary of `majmin`: major, minor, or none.
pub(super) fn is_major_minor(chord: ChordEncoding) -> bool {
    match (chord.root, chord.semitones) {
        (Some(_), Some(notes)) => is_major(notes) || is_minor(notes),
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// Whether the notes up to the augmented fifth are the major triad.
pub(super) fn is_major(notes: u16) -> bool {
    notes & TRIAD_BITS == MAJOR
}

/// Whether the notes up to the augmented fifth are the minor triad.
pub(super) fn is_minor(notes: u16) -> bool {
    notes & TRIAD_BITS == MINOR
}

fn is_seventh(notes: u16) -> bool {
    const MINOR_SEVENTH: u16 = 1 << 10;
    const MAJOR_SEVENTH: u16 = 1 << 11;
    let vocabulary = [0, MAJOR, MINOR, MAJOR | MAJOR_SEVENTH, MAJOR | MINOR_SEVENTH, MINOR | MINOR_SEVENTH];
    vocabulary.contains(&notes)
}

/// The share of the compared time that is right: comparisons weighted with seconds, ignored ones left out.
///
/// 0 where nothing can be compared.
///
/// # Errors
/// If there are not as many weights as comparisons, or a weight is not finite or negative.
pub fn weighted_accuracy(comparisons: &[Option<bool>], weights: &[f64]) -> Result<f64, MetricError> {
    const WHAT: &str = "weights of chord comparisons";
    if comparisons.len() != weights.len() {
        return Err(MetricError::LengthMismatch { what: WHAT, expected: comparisons.len(), found: weights.len() });
    }
    for (index, &value) in weights.iter().enumerate() {
        if !value.is_finite() {
            return Err(MetricError::NotFinite { what: WHAT, index, value });
        }
        if value < 0.0 {
            let expected = "a length that is not negative".to_owned();
            return Err(MetricError::OutOfRange { what: WHAT, index, expected, found: value.to_string() });
        }
    }
    let (mut right, mut compared) = (0.0, 0.0);
    for (is_right, weight) in
        comparisons.iter().zip(weights).filter_map(|(&is_right, weight)| Some((is_right?, weight)))
    {
        compared += weight;
        right += if is_right { *weight } else { 0.0 };
    }
    Ok(if compared > 0.0 { right / compared } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::super::Chord;
    use super::*;

    fn compare(rule: ChordComparison, reference: &str, estimate: &str) -> Option<bool> {
        rule.compare(Chord::parse(reference).unwrap().encode(), Chord::parse(estimate).unwrap().encode())
    }

    #[test]
    fn rules_by_hand() {
        use ChordComparison as Rule;
        for (rule, reference, estimate, expected) in [
            (Rule::Thirds, "C:maj", "C:aug", Some(true)),
            (Rule::Thirds, "C:maj", "C:min", Some(false)),
            (Rule::Thirds, "C:maj", "G:maj", Some(false)),
            (Rule::Thirds, "C#:min", "Db:min7", Some(true)),
            (Rule::ThirdsInversions, "C:maj/3", "C:maj", Some(false)),
            (Rule::ThirdsInversions, "C:maj/3", "C:7/3", Some(true)),
            (Rule::Triads, "C:maj", "C:7", Some(true)),
            (Rule::Triads, "C:maj", "C:sus4", Some(false)),
            (Rule::TriadsInversions, "C:min/b3", "C:min7/b3", Some(true)),
            (Rule::Tetrads, "C:maj", "C:7", Some(false)),
            (Rule::Tetrads, "C:9", "C:7", Some(true)),
            (Rule::TetradsInversions, "C:7/5", "C:7", Some(false)),
            (Rule::Root, "E:min", "E:dim", Some(true)),
            (Rule::Root, "N", "C", Some(false)),
            (Rule::Root, "N", "N", Some(true)),
            (Rule::Root, "X", "C", None),
            (Rule::Mirex, "C:maj", "A:min7", Some(true)),
            (Rule::Mirex, "C:maj", "A:min", Some(false)),
            (Rule::Mirex, "C:5", "C:5", None),
            (Rule::Mirex, "N", "N", Some(true)),
            (Rule::Mirex, "N", "C", Some(false)),
            (Rule::Mirex, "C:maj", "N", Some(false)),
            (Rule::MajorMinor, "C:7", "C:maj", Some(true)),
            (Rule::MajorMinor, "C:maj/2", "C:maj", None),
            (Rule::MajorMinor, "C:dim", "C:dim", None),
            (Rule::MajorMinor, "N", "X", Some(false)),
            (Rule::MajorMinor, "X", "X", None),
            (Rule::MajorMinorInversions, "C:min/5", "C:min", Some(false)),
            (Rule::Sevenths, "C:maj7", "C:maj", Some(false)),
            (Rule::Sevenths, "C:maj6", "C:maj6", None),
            (Rule::Sevenths, "N", "N", Some(true)),
            (Rule::SeventhsInversions, "C:min7/5", "C:min7/5", Some(true)),
        ] {
            assert_eq!(compare(rule, reference, estimate), expected, "{}: {reference} and {estimate}", rule.name());
        }
    }

    #[test]
    fn an_unknown_estimate_counts_as_in_mir_eval() {
        assert_eq!(compare(ChordComparison::Root, "N", "X"), Some(true));
        assert_eq!(compare(ChordComparison::Mirex, "N", "X"), Some(true));
        assert_eq!(compare(ChordComparison::Mirex, "C:maj", "X"), Some(true));
        assert_eq!(compare(ChordComparison::Thirds, "N", "X"), Some(false));
    }

    #[test]
    fn ignored_time_is_left_out() {
        let comparisons = [Some(true), None, Some(false)];
        assert_eq!(weighted_accuracy(&comparisons, &[3.0, 100.0, 1.0]).unwrap(), 0.75);
        assert_eq!(weighted_accuracy(&[None], &[1.0]).unwrap(), 0.0);
        assert_eq!(weighted_accuracy(&[], &[]).unwrap(), 0.0);
        assert!(weighted_accuracy(&comparisons, &[1.0]).is_err());
        assert!(weighted_accuracy(&[None], &[-1.0]).is_err());
        assert!(weighted_accuracy(&[None], &[f64::NAN]).is_err());
    }
}
