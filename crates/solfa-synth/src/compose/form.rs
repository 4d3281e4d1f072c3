//! Which parts a piece has, and how long they are.

use crate::dice::Dice;

/// A part of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SectionKind {
    Intro,
    Verse,
    Chorus,
    Bridge,
    Instrumental,
    Outro,
}

impl SectionKind {
    /// Its name in labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Intro => "intro",
            Self::Verse => "verse",
            Self::Chorus => "chorus",
            Self::Bridge => "bridge",
            Self::Instrumental => "inst",
            Self::Outro => "outro",
        }
    }

    fn weight(self) -> f64 {
        if matches!(self, Self::Intro | Self::Outro) { 0.5 } else { 1.0 }
    }
}

/// A stretch of bars of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: SectionKind,
    /// How many of this kind came before.
    pub(crate) occurrence: usize,
    pub(crate) first_bar: usize,
    pub(crate) num_bars: usize,
}

/// I intro, V verse, C chorus, B bridge, S instrumental (solo), O outro.
const CLOSED: [&str; 18] = [
    "VC",
    "VCO",
    "IVC",
    "IVCO",
    "VVC",
    "VBV",
    "IVVO",
    "CVC",
    "IVSV",
    "IVCVC",
    "VCVCO",
    "IVCVCO",
    "VCBCO",
    "IVCBC",
    "VVBV",
    "IVCSCO",
    "IVCVCBCO",
    "IVCVCSCBCO",
];
/// Those of pieces that go on after the end.
const CUT: [&str; 12] =
    ["VC", "IVC", "VCV", "CVC", "IVCV", "VVC", "BCV", "SVC", "IVVCVC", "VCBCV", "IVCVCBCVC", "VCVCSCVCBC"];

/// Lengths that parts have, in bars.
const LENGTHS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// A form of `num_bars` bars.
pub(crate) fn form(dice: &mut Dice, num_bars: usize, is_closed: bool) -> Vec<Section> {
    let templates: &[&str] = if is_closed { &CLOSED } else { &CUT };
    // Parts of two bars are the shortest that say anything, and more than nine bars too long for half a minute.
    let unit_bars = |template: &str| num_bars as f64 / kinds(template).map(SectionKind::weight).sum::<f64>();
    let fitting: Vec<&str> = templates.iter().copied().filter(|text| (2.0..9.5).contains(&unit_bars(text))).collect();
    let template = if fitting.is_empty() { "V" } else { *dice.pick(&fitting) };
    let unit = unit_bars(template);
    let mut sections: Vec<Section> = Vec::new();
    let (mut first_bar, total) = (0, kinds(template).count());
    for (place, kind) in kinds(template).enumerate() {
        let left = num_bars - first_bar;
        let wanted = unit * kind.weight();
        let nearest = LENGTHS.into_iter().min_by(|&one, &other| {
            (one as f64 - wanted).abs().total_cmp(&(other as f64 - wanted).abs()).then(one.cmp(&other))
        });
        let length = if place + 1 == total { left } else { nearest.unwrap_or(4).min(left) };
        if length == 0 {
            break;
        }
        let occurrence = sections.iter().filter(|section| section.kind == kind).count();
        sections.push(Section { kind, occurrence, first_bar, num_bars: length });
        first_bar += length;
    }
    sections
}

fn kinds(template: &str) -> impl Iterator<Item = SectionKind> {
    template.chars().map(|letter| match letter {
        'I' => SectionKind::Intro,
        'C' => SectionKind::Chorus,
        'B' => SectionKind::Bridge,
        'S' => SectionKind::Instrumental,
        'O' => SectionKind::Outro,
        _ => SectionKind::Verse,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_piece_without_gaps() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let mut dice = Dice::new(seed, "form");
            let num_bars = 1 + dice.below(60);
            let sections = form(&mut dice, num_bars, seed % 2 == 0);
            let mut next = 0;
            for section in &sections {
                assert_eq!(section.first_bar, next);
                assert!(section.num_bars > 0);
                next += section.num_bars;
            }
            assert_eq!(next, num_bars);
            lengths.insert(sections.len());
        }
        assert!(lengths.len() >= 5, "{lengths:?}");
    }
}
