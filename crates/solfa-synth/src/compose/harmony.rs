//! Progressions: from a stock of each style, or made by function (tonic, predominant, dominant, tonic).

use super::theory::{Chord, Key, Mode, Quality, numeral};
use crate::dice::Dice;

/// The harmonic language of a style.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Language {
    /// Progressions in major, as numerals with spaces between them.
    pub(crate) major: &'static [&'static str],
    /// Progressions in minor.
    pub(crate) minor: &'static [&'static str],
    /// How often a progression is made by function instead of taken from the stock.
    pub(crate) made: f64,
    /// How often a triad becomes a seventh chord or a sixth.
    pub(crate) sevenths: f64,
    /// How often a seventh chord becomes a ninth.
    pub(crate) ninths: f64,
    /// How often a chord is led into by its own dominant.
    pub(crate) applied: f64,
    /// How often a chord stands in inversion.
    pub(crate) inversions: f64,
    /// How often a major or minor triad becomes a suspended one for half of its time.
    pub(crate) suspended: f64,
    /// Bars of a chord, each as likely as the others.
    pub(crate) bars_per_chord: &'static [f64],
}

/// A chord and its length in bars.
pub(crate) type Slot = (Chord, f64);

/// What ends a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cadence {
    /// As the progression does.
    Open,
    /// On the dominant.
    Half,
    /// On the tonic, by way of the dominant.
    Full,
}

/// Chords for a section of `num_bars` bars.
pub(crate) fn progression(dice: &mut Dice, key: Key, language: &Language, num_bars: usize) -> Vec<Slot> {
    let numerals: Vec<String> = if dice.chance(language.made) {
        let length = if num_bars >= 8 && dice.chance(0.5) { 8 } else { 4 };
        walk(dice, key.mode, length)
    } else {
        let stock = if key.mode == Mode::Major { language.major } else { language.minor };
        dice.pick(stock).split_whitespace().map(str::to_owned).collect()
    };
    let mut chords: Vec<Chord> = numerals.iter().filter_map(|text| numeral(key, text)).collect();
    if chords.is_empty() {
        chords.push(tonic(key));
    }
    let mut bars_per_chord = *dice.pick(language.bars_per_chord);
    if num_bars < 4 && chords.len() <= 4 {
        bars_per_chord = bars_per_chord.min(0.5_f64.max(num_bars as f64 / chords.len() as f64)).min(1.0);
    }
    for chord in &mut chords {
        *chord = coloured(dice, *chord, language);
    }
    let mut slots = Vec::new();
    for (place, &chord) in chords.iter().enumerate() {
        let next = chords[(place + 1) % chords.len()];
        slots.extend(ornamented(dice, chord, next, bars_per_chord, language));
    }
    slots
}

/// Repeats slots until they fill `num_bars` bars, and ends as the cadence says.
pub(crate) fn fill(key: Key, slots: &[Slot], num_bars: usize, cadence: Cadence) -> Vec<Slot> {
    let mut filled: Vec<Slot> = Vec::new();
    let mut left = num_bars as f64;
    for &(chord, bars) in slots.iter().cycle() {
        if left <= 1e-9 {
            break;
        }
        filled.push((chord, bars.min(left)));
        left -= bars;
    }
    let ending: &[&str] = match (cadence, num_bars) {
        (Cadence::Open, _) | (Cadence::Half, 1) => return filled,
        (Cadence::Half, _) => &["V"],
        (Cadence::Full, 1) => &["I"],
        (Cadence::Full, _) => &["V7", "I"],
    };
    // The last bars are the cadence's.
    let kept = (num_bars - ending.len().min(num_bars)) as f64;
    let mut total = 0.0;
    let mut cut = Vec::new();
    for (chord, bars) in filled {
        let bars = bars.min(kept - total);
        if bars > 1e-9 {
            cut.push((chord, bars));
            total += bars;
        }
    }
    cut.extend(ending.iter().map(|text| {
        let is_tonic = *text == "I";
        let chord = if is_tonic { tonic(key) } else { numeral(key, text).unwrap_or(tonic(key)) };
        (chord, 1.0)
    }));
    cut
}

/// The chord of rest of a key.
pub(crate) fn tonic(key: Key) -> Chord {
    let quality = if key.mode == Mode::Major { Quality::Major } else { Quality::Minor };
    Chord { key, offset: 0, quality, inversion: 0 }
}

/// Chords by function: each with those that may follow it and how often.
const AFTER_MAJOR: [(&str, &[(&str, f64)]); 11] = [
    ("viio", &[("I", 3.0), ("vi", 1.0), ("I^3", 1.0)]),
    ("I", &[("IV", 3.0), ("vi", 3.0), ("V", 2.0), ("ii", 2.0), ("iii", 1.0), ("bVII", 0.5), ("I^3", 0.7)]),
    ("I^3", &[("IV", 3.0), ("ii", 1.0)]),
    ("ii", &[("V", 4.0), ("viio", 0.6), ("IV", 0.6), ("iv", 0.3)]),
    ("iii", &[("vi", 3.0), ("IV", 3.0), ("ii", 0.7)]),
    ("IV", &[("V", 3.0), ("I", 1.5), ("ii", 1.5), ("iv", 0.5), ("viio", 0.4), ("I^5", 0.6)]),
    ("I^5", &[("V", 1.0)]),
    ("iv", &[("I", 1.5), ("V", 1.5)]),
    ("V", &[("I", 3.0), ("vi", 2.0), ("IV", 1.0), ("I^3", 0.7)]),
    ("vi", &[("ii", 2.5), ("IV", 3.0), ("V", 1.0), ("iii", 0.7)]),
    ("bVII", &[("IV", 3.0), ("I", 1.0)]),
];
const AFTER_MINOR: [(&str, &[(&str, f64)]); 9] = [
    ("i", &[("iv", 3.0), ("VI", 3.0), ("V", 1.5), ("VII", 2.0), ("iiø", 1.0), ("III", 1.5), ("v", 0.5)]),
    ("iiø", &[("V7", 4.0)]),
    ("III", &[("VI", 2.5), ("iv", 1.5), ("VII", 1.5)]),
    ("iv", &[("V", 3.0), ("i", 1.5), ("VII", 1.5), ("iiø", 0.7)]),
    ("v", &[("VI", 1.0), ("iv", 1.0), ("i", 0.5)]),
    ("V", &[("i", 3.0), ("VI", 1.5)]),
    ("V7", &[("i", 3.0), ("VI", 1.0)]),
    ("VI", &[("VII", 2.0), ("iv", 1.5), ("III", 1.5), ("iiø", 1.0), ("V", 1.5)]),
    ("VII", &[("III", 2.0), ("i", 1.5), ("VI", 1.0)]),
];

/// A walk of `length` chords that starts on the tonic, or sometimes elsewhere, and leads back to it.
fn walk(dice: &mut Dice, mode: Mode, length: usize) -> Vec<String> {
    let table: &[(&str, &[(&str, f64)])] = if mode == Mode::Major { &AFTER_MAJOR } else { &AFTER_MINOR };
    let tonic = if mode == Mode::Major { "I" } else { "i" };
    let start = if dice.chance(0.75) { tonic } else { dice.pick(table).0 };
    let mut chords = vec![start];
    while chords.len() < length {
        let last = chords[chords.len() - 1];
        let after = table.iter().find(|(name, _)| *name == last).map_or(table[0].1, |(_, after)| after);
        // The last chord is one that can lead back to the first.
        let weights: Vec<f64> = after
            .iter()
            .map(|(name, weight)| {
                let leads_back = table.iter().any(|(from, to)| from == name && to.iter().any(|(to, _)| *to == start));
                if chords.len() + 1 == length && !leads_back { 0.02 * weight } else { *weight }
            })
            .collect();
        chords.push(after[dice.weighted(&weights)].0);
    }
    chords.into_iter().map(str::to_owned).collect()
}

/// Adds sevenths, sixths and ninths, and inverts.
fn coloured(dice: &mut Dice, chord: Chord, language: &Language) -> Chord {
    let mut chord = chord;
    let is_major_key = chord.key.mode == Mode::Major;
    if dice.chance(language.sevenths) {
        // On the fifth degree, and on a degree that is not the key's own, a major triad is a dominant.
        let is_dominant = match chord.offset {
            7 | 2 | 9 | 4 | 11 => true,
            10 => is_major_key,
            _ => false,
        };
        chord.quality = match chord.quality {
            Quality::Major if is_dominant => Quality::Dominant7,
            Quality::Major if chord.offset == 0 && dice.chance(0.35) => Quality::Major6,
            Quality::Major => Quality::Major7,
            Quality::Minor if chord.offset == 0 && !is_major_key && dice.chance(0.2) => Quality::Minor6,
            Quality::Minor => Quality::Minor7,
            Quality::Diminished if chord.offset == 2 || chord.key.mode == Mode::Major => Quality::HalfDiminished7,
            Quality::Diminished => Quality::Diminished7,
            other => other,
        };
    }
    if dice.chance(language.ninths) {
        // Over a chord of the third or sixth degree a major ninth is not in the scale.
        let has_ninth = chord.key.scale().contains(&((chord.offset + 2) % 12));
        chord.quality = match chord.quality {
            Quality::Major7 if has_ninth => Quality::Major9,
            Quality::Minor7 if has_ninth => Quality::Minor9,
            Quality::Dominant7 if has_ninth => Quality::Dominant9,
            other => other,
        };
    }
    if chord.inversion == 0 && chord.offset != 0 && dice.chance(language.inversions) {
        chord.inversion = 1 + dice.below(if chord.quality.intervals().len() > 3 { 3 } else { 1 });
    }
    chord
}

/// One chord, or two in its place: a suspension and its resolution, or the chord and the dominant of the next.
fn ornamented(dice: &mut Dice, chord: Chord, next: Chord, bars: f64, language: &Language) -> Vec<Slot> {
    let is_plain = matches!(chord.quality, Quality::Major | Quality::Minor) && chord.inversion == 0;
    if bars >= 1.0 && is_plain && dice.chance(language.suspended) {
        let quality = if dice.chance(0.75) { Quality::Suspended4 } else { Quality::Suspended2 };
        // A fourth above the fourth degree is not in the major scale.
        let quality = if chord.offset == 5 { Quality::Suspended2 } else { quality };
        return vec![(Chord { quality, ..chord }, 0.5 * bars), (chord, 0.5 * bars)];
    }
    let can_be_led_to =
        matches!(next.quality.intervals()[1], 3 | 4) && next.offset != 0 && next.quality.intervals()[2] == 7;
    let offset = (next.offset + 7) % 12;
    if bars >= 1.0 && can_be_led_to && offset != chord.offset && dice.chance(language.applied) {
        let applied = Chord { key: chord.key, offset, quality: Quality::Dominant7, inversion: 0 };
        return vec![(chord, 0.5 * bars), (applied, 0.5 * bars)];
    }
    vec![(chord, bars)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::styles::Style;

    #[test]
    fn every_numeral_of_every_style_is_a_chord() {
        let mut num_chords = 0;
        for style in Style::ALL {
            let language = style.profile().language;
            for (mode, stock) in [(Mode::Major, language.major), (Mode::Minor, language.minor)] {
                assert!(stock.len() >= 4, "{style:?}");
                for text in stock.iter().flat_map(|text| text.split_whitespace()) {
                    assert!(numeral(Key { tonic: 0, mode }, text).is_some(), "{style:?}: {text}");
                    num_chords += 1;
                }
            }
        }
        assert!(num_chords > 400, "{num_chords}");
        for (table, mode) in [(&AFTER_MAJOR[..], Mode::Major), (&AFTER_MINOR[..], Mode::Minor)] {
            for (from, after) in table {
                for name in after.iter().map(|(name, _)| name).chain([from]) {
                    assert!(numeral(Key { tonic: 5, mode }, name).is_some());
                    assert!(table.iter().any(|(from, _)| from == name), "{name} leads nowhere");
                }
            }
        }
    }

    #[test]
    fn sections_are_filled_and_end_as_they_should() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed, "harmony");
            let style = *dice.pick(&Style::ALL);
            let key = Key { tonic: dice.below(12) as u8, mode: if seed % 2 == 0 { Mode::Major } else { Mode::Minor } };
            let num_bars = 1 + dice.below(12);
            let slots = progression(&mut dice, key, &style.profile().language, num_bars);
            for cadence in [Cadence::Open, Cadence::Half, Cadence::Full] {
                let filled = fill(key, &slots, num_bars, cadence);
                let bars: f64 = filled.iter().map(|slot| slot.1).sum();
                assert!((bars - num_bars as f64).abs() < 1e-9);
                let last = filled[filled.len() - 1].0;
                match cadence {
                    Cadence::Full => assert_eq!(last.offset, 0),
                    Cadence::Half if num_bars > 1 => assert_eq!(last.offset, 7),
                    _ => (),
                }
            }
        }
    }
}
