//! Who plays: programs for every role, their place in the mix, and which roles a section has.

use super::form::SectionKind;
use super::players::Hands;
use super::styles::{Orchestra, Style};
use crate::dice::Dice;

/// How often an instrument is drawn from all that can play a role instead of from the style's own: the tags of
/// instruments then say less about the style.
const FOREIGN: f64 = 0.22;

/// What a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Lead,
    /// Plays the melody where the lead rests: instrumental sections.
    Solo,
    /// A second voice below the melody.
    Harmony,
    Chords,
    Second,
    Bass,
    Drums,
}

/// The programs of a piece.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) lead: u8,
    pub(crate) solo: u8,
    pub(crate) harmony: u8,
    pub(crate) chords: u8,
    pub(crate) second: u8,
    pub(crate) bass: u8,
    pub(crate) kit: u8,
    /// Programs of single voices, for chords that a choir of different instruments plays.
    pub(crate) voices: Vec<u8>,
}

/// Programs that can lead.
const LEADS: [(u8, u8); 8] = [(0, 7), (9, 12), (16, 31), (40, 42), (52, 60), (64, 75), (80, 87), (104, 111)];
/// Programs that can play chords.
const CHORDAL: [(u8, u8); 9] =
    [(0, 7), (11, 12), (15, 31), (45, 46), (48, 52), (61, 63), (80, 81), (88, 95), (104, 107)];

fn wide(dice: &mut Dice, ranges: &[(u8, u8)]) -> u8 {
    let programs: Vec<u8> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
    *dice.pick(&programs)
}

impl Band {
    pub(crate) fn new(dice: &mut Dice, style: Style, orchestra: &Orchestra) -> Self {
        let mut draw = |own: &[u8], others: &[(u8, u8)]| {
            if dice.chance(FOREIGN) { wide(dice, others) } else { *dice.pick(own) }
        };
        let lead = draw(orchestra.lead, &LEADS);
        let solo = draw(orchestra.lead, &LEADS);
        let harmony = draw(orchestra.lead, &LEADS);
        let chords = draw(orchestra.chords, &CHORDAL);
        let second = draw(orchestra.second, &CHORDAL);
        let bass = draw(orchestra.bass, &[(32, 39)]);
        let voices = if style == Style::Chorale {
            (0..3).map(|_| draw(orchestra.chords, &CHORDAL)).collect()
        } else {
            Vec::new()
        };
        let kit = *dice.pick(orchestra.kits);
        Self { lead, solo, harmony, chords, second, bass, kit, voices }
    }
}

/// The middle of an instrument's compass for melodies.
pub(crate) fn melody_center(program: u8) -> i32 {
    match program {
        42 | 43 | 57 | 58 | 70 | 67 => 57,
        60 | 66 | 41 | 109 => 64,
        22 | 24..=31 | 52..=54 | 65 | 68 | 69 | 71 => 69,
        9 | 72 | 74 | 78 | 79 => 79,
        _ => 73,
    }
}

/// How chords lie under the hands of those who play this program.
pub(crate) fn hands(dice: &mut Dice, program: u8, is_second: bool) -> Hands {
    let is_power = matches!(program, 29 | 30) && dice.chance(0.75);
    let (low, high) = match program {
        24..=31 => (48, 68),
        46 | 9..=15 => (55, 79),
        42 | 43 | 57 | 58 | 70 => (43, 62),
        _ if is_second => (55, 76),
        _ => (50, 70),
    };
    let shift = dice.integer(-3, 3);
    let num_voices = match program {
        24..=28 | 0..=8 | 104..=107 => dice.integer(3, 5),
        _ => dice.integer(3, 4),
    };
    Hands { num_voices: num_voices as usize, low: low + shift, high: high + shift, is_power }
}

/// Which roles play in a section, and how loud it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texture {
    pub(crate) lead: bool,
    pub(crate) solo: bool,
    pub(crate) harmony: bool,
    pub(crate) chords: bool,
    pub(crate) second: bool,
    pub(crate) bass: bool,
    pub(crate) drums: bool,
    pub(crate) intensity: f64,
}

impl Texture {
    pub(crate) fn new(dice: &mut Dice, kind: SectionKind) -> Self {
        let mut one = |[lead, harmony, chords, second, bass, drums]: [f64; 6], low: f64, high: f64| {
            let mut texture = Self {
                lead: dice.chance(lead),
                solo: false,
                harmony: dice.chance(harmony),
                chords: dice.chance(chords),
                second: dice.chance(second),
                bass: dice.chance(bass),
                drums: dice.chance(drums),
                intensity: dice.range(low, high),
            };
            // Somebody always plays the harmony.
            if !texture.chords && !texture.second {
                texture.chords = true;
            }
            texture
        };
        match kind {
            SectionKind::Intro => one([0.2, 0.0, 0.85, 0.4, 0.5, 0.5], 0.3, 0.7),
            SectionKind::Verse => one([1.0, 0.1, 0.95, 0.4, 0.92, 0.9], 0.4, 0.7),
            SectionKind::Chorus => one([1.0, 0.4, 1.0, 0.85, 1.0, 1.0], 0.75, 1.0),
            SectionKind::Bridge => one([0.9, 0.2, 0.7, 0.75, 0.8, 0.65], 0.35, 0.8),
            SectionKind::Instrumental => Self { solo: true, ..one([0.0, 0.0, 1.0, 0.5, 1.0, 1.0], 0.6, 0.95) },
            SectionKind::Outro => one([0.4, 0.1, 1.0, 0.5, 0.8, 0.6], 0.3, 0.75),
        }
    }
}
