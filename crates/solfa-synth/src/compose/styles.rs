//! The styles, as data: tempo, meter, feel, harmony, rhythm of every role, and the instruments to draw from.
//!
//! # Rhythm
//!
//! Patterns are one bar of sixteenth notes. Of chords: `X` loud, `x` softer, `-` held on, `.` silence. Of basses: `R`
//! root, `3`, `5`, `6`, `7` those notes of the chord, `8` the root above, `a` a step that leads to the next root. A bar
//! of 4/4 has sixteen, one of 3/4 and of 6/8 twelve.

use super::drums::Groove;
use super::harmony::Language;

mod classical;
mod groove;
mod popular;

/// How music of a kind goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// Slow pop song.
    Ballad,
    /// Rock with straight eighths.
    Rock,
    /// Shuffled twelve-bar blues.
    Blues,
    /// Waltz in 3/4.
    Waltz,
    /// Swing jazz with walking bass.
    Jazz,
    /// Reggae: chords between the beats.
    Reggae,
    /// Bossa nova.
    Bossa,
    /// House and its kin: a kick on every beat.
    House,
    /// Hip-hop loops.
    HipHop,
    /// Chorale: four voices, note against note.
    Chorale,
    /// Folk songs and jigs.
    Folk,
    /// Funk on sixteenths.
    Funk,
}

/// How beats make a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meter {
    FourFour,
    ThreeFour,
    SixEight,
}

impl Meter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FourFour => "4/4",
            Self::ThreeFour => "3/4",
            Self::SixEight => "6/8",
        }
    }

    /// Sixteenth notes of a bar.
    pub(crate) fn steps(self) -> i64 {
        if self == Self::FourFour { 16 } else { 12 }
    }

    /// Sixteenth notes of a beat: a quarter, or a dotted one in 6/8.
    pub(crate) fn steps_per_beat(self) -> i64 {
        if self == Self::SixEight { 6 } else { 4 }
    }

    pub(crate) fn beats(self) -> i64 {
        self.steps() / self.steps_per_beat()
    }
}

/// How chords are played.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Comping {
    /// Held as long as the chord.
    Sustained,
    /// By a pattern.
    Pattern(&'static str),
    /// One note after another, so many sixteenths each: up, down, or the broken figures that pianists use.
    Arpeggio(i64),
}

/// How basses are played.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BassLine {
    Pattern(&'static str),
    /// A quarter note on every beat, leading to the next root.
    Walking,
}

impl BassLine {
    pub(crate) fn fits(&self, meter: Meter) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.len() as i64 == meter.steps(),
            Self::Walking => true,
        }
    }
}

/// How melodies go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MelodyManner {
    /// Sixteenths of the shortest notes.
    pub(crate) grid: i64,
    /// Part of the grid's places that have a note.
    pub(crate) density: f64,
    /// How often a note stands off the beat where it could stand on it.
    pub(crate) syncopation: f64,
    /// How often a step becomes a leap.
    pub(crate) leaps: f64,
    /// How often a phrase of the melody is left to others.
    pub(crate) rests: f64,
    /// Whether it uses the blues scale.
    pub(crate) is_blue: bool,
}

/// The swing of a style: which notes come in pairs of long and short, and how long the first is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swing {
    /// Sixteenths of a pair: 4 for eighths, 2 for sixteenths.
    pub(crate) pair_steps: i64,
    /// Part of the pair that the first note takes, between these.
    pub(crate) first: (f64, f64),
}

/// General MIDI programs of every role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orchestra {
    pub(crate) lead: &'static [u8],
    pub(crate) chords: &'static [u8],
    pub(crate) second: &'static [u8],
    pub(crate) bass: &'static [u8],
    pub(crate) kits: &'static [u8],
}

/// All that makes a style.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// Beats per minute, lowest and highest.
    pub(crate) tempo: (f64, f64),
    pub(crate) meters: &'static [Meter],
    pub(crate) swing: Option<Swing>,
    /// Deviation of a beat's length from its neighbours, as a part of it.
    pub(crate) drift: f64,
    pub(crate) language: Language,
    pub(crate) melody: MelodyManner,
    pub(crate) chords: &'static [Comping],
    pub(crate) second: &'static [Comping],
    pub(crate) bass: &'static [BassLine],
    pub(crate) drums: &'static [Groove],
    /// How often a piece has drums.
    pub(crate) drummed: f64,
    pub(crate) orchestra: Orchestra,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 12] = [
        Self::Ballad,
        Self::Rock,
        Self::Blues,
        Self::Waltz,
        Self::Jazz,
        Self::Reggae,
        Self::Bossa,
        Self::House,
        Self::HipHop,
        Self::Chorale,
        Self::Folk,
        Self::Funk,
    ];

    /// Its name in labels and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ballad => "ballad",
            Self::Rock => "rock",
            Self::Blues => "blues",
            Self::Waltz => "waltz",
            Self::Jazz => "jazz",
            Self::Reggae => "reggae",
            Self::Bossa => "bossa",
            Self::House => "house",
            Self::HipHop => "hip-hop",
            Self::Chorale => "chorale",
            Self::Folk => "folk",
            Self::Funk => "funk",
        }
    }

    /// The style with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.name() == name)
    }

    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Self::Ballad => &popular::BALLAD,
            Self::Rock => &popular::ROCK,
            Self::Blues => &popular::BLUES,
            Self::Folk => &popular::FOLK,
            Self::Waltz => &classical::WALTZ,
            Self::Jazz => &classical::JAZZ,
            Self::Chorale => &classical::CHORALE,
            Self::Bossa => &classical::BOSSA,
            Self::Reggae => &groove::REGGAE,
            Self::House => &groove::HOUSE,
            Self::HipHop => &groove::HIP_HOP,
            Self::Funk => &groove::FUNK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fill_bars_that_their_style_has() {
        let mut num_patterns = 0;
        for style in Style::ALL {
            let profile = style.profile();
            assert_eq!(Style::parse(style.name()), Some(style));
            assert!(profile.tempo.0 >= 50.0 && profile.tempo.1 <= 215.0 && profile.tempo.0 < profile.tempo.1);
            for &meter in profile.meters {
                let steps = meter.steps() as usize;
                let fits = |text: &&str| text.len() == steps;
                let of_chords = |comping: &Comping| match comping {
                    Comping::Pattern(text) => Some(*text),
                    _ => None,
                };
                let of_bass = |line: &BassLine| match line {
                    BassLine::Pattern(text) => Some(*text),
                    BassLine::Walking => None,
                };
                let mut patterns: Vec<&str> = Vec::new();
                patterns.extend(profile.chords.iter().chain(profile.second).filter_map(of_chords));
                patterns.extend(profile.bass.iter().filter_map(of_bass));
                assert!(patterns.iter().all(|text| matches!(text.len(), 12 | 16)), "{style:?}");
                let lines: Vec<&str> = profile.bass.iter().filter_map(of_bass).filter(fits).collect();
                let walks = profile.bass.iter().any(|line| matches!(line, BassLine::Walking));
                assert!(!lines.is_empty() || walks, "{style:?} has no bass in {meter:?}");
                let grooves = profile.drums.iter().filter(|groove| groove.steps() == steps).count();
                assert!(grooves > 0 || profile.drummed == 0.0, "{style:?} has no drums in {meter:?}");
                num_patterns += patterns.len();
            }
            for groove in profile.drums {
                assert!(groove.lines.iter().all(|(_, text)| text.len() == groove.steps()), "{style:?}: {groove:?}");
            }
        }
        assert!(num_patterns > 80, "{num_patterns}");
    }
}
