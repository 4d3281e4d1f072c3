//! Drum parts: grooves with small changes from bar to bar, fills, cymbals where a section starts.

use super::styles::Meter;
use crate::dice::Dice;

/// One bar of drums: General MIDI drums, each with a line of sixteenths: `X` loud, `x` softer, `o` a ghost note.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groove {
    pub(crate) lines: &'static [(u8, &'static str)],
}

impl Groove {
    /// Sixteenths of its bar.
    pub(crate) fn steps(self) -> usize {
        self.lines.first().map_or(0, |(_, line)| line.len())
    }
}

/// A hit: the sixteenth of the bar, the drum, how loud.
pub(crate) type Hit = (i64, u8, f64);

pub(crate) const KICK: u8 = 36;
pub(crate) const SNARE: u8 = 38;
const CLOSED_HAT: u8 = 42;
const OPEN_HAT: u8 = 46;
const CRASH: u8 = 49;
const RIDE: u8 = 51;

/// How the drums of one piece are played.
#[derive(Clone, Debug)]
pub(crate) struct Drummer {
    groove: Groove,
    /// The hat line is played on the ride cymbal in loud parts.
    rides: bool,
    fill: usize,
    has_fills: bool,
    ghosts: f64,
    /// Kicks that the groove does not have, on these sixteenths.
    extra_kicks: Vec<i64>,
    /// A shaker or tambourine through the piece, and every how many sixteenths.
    percussion: Option<(u8, i64)>,
}

/// Fills of the last beats of a bar: drum and place from the end in sixteenths.
const FILLS: [&[(u8, i64)]; 7] = [
    &[(38, 8), (38, 7), (48, 6), (48, 5), (45, 4), (45, 3), (41, 2), (41, 1)],
    &[(38, 4), (38, 3), (38, 2), (38, 1)],
    &[(38, 6), (38, 4), (45, 3), (41, 1)],
    &[(48, 8), (48, 6), (45, 4), (41, 2)],
    &[(38, 4), (40, 2), (38, 1)],
    &[(36, 8), (38, 6), (36, 5), (38, 4), (50, 3), (47, 2), (43, 1)],
    &[(46, 4), (38, 2)],
];

impl Drummer {
    /// One for these grooves, of which some fit the meter.
    pub(crate) fn new(dice: &mut Dice, grooves: &[Groove], meter: Meter, is_busy: bool) -> Option<Self> {
        let fitting: Vec<Groove> =
            grooves.iter().copied().filter(|groove| groove.steps() == meter.steps() as usize).collect();
        if fitting.is_empty() {
            return None;
        }
        let num_extra = dice.below(if is_busy { 3 } else { 2 });
        Some(Self {
            groove: *dice.pick(&fitting),
            rides: dice.chance(0.4),
            fill: dice.below(FILLS.len()),
            has_fills: dice.chance(0.75),
            ghosts: if is_busy { dice.range(0.0, 0.25) } else { dice.range(0.0, 0.06) },
            extra_kicks: (0..num_extra).map(|_| 2 * dice.below(meter.steps() as usize / 2) as i64).collect(),
            percussion: dice.chance(0.25).then(|| (*dice.pick(&[54, 70, 82, 69, 56]), *dice.pick(&[2, 4, 4]))),
        })
    }

    /// The hits of a bar. `intensity` is that of the section, 0 to 1; below 0.35 only part of the kit plays.
    pub(crate) fn bar(&self, dice: &mut Dice, intensity: f64, is_first: bool, is_last: bool) -> Vec<Hit> {
        let steps = self.groove.steps() as i64;
        let mut hits: Vec<Hit> = Vec::new();
        for &(drum, line) in self.groove.lines {
            let is_hat = matches!(drum, CLOSED_HAT | OPEN_HAT | RIDE);
            if intensity < 0.35 && !is_hat && drum != KICK && drum != 37 {
                continue;
            }
            let drum = if drum == CLOSED_HAT && self.rides && intensity > 0.75 { RIDE } else { drum };
            for (step, symbol) in line.bytes().enumerate() {
                let loudness = match symbol {
                    b'X' => 1.0,
                    b'x' => 0.75,
                    b'o' => 0.42,
                    _ => continue,
                };
                if symbol == b'o' && dice.chance(0.3) {
                    continue;
                }
                hits.push((step as i64, drum, loudness));
            }
        }
        let has = |hits: &[Hit], step, drum| hits.iter().any(|hit| hit.0 == step && hit.1 == drum);
        if intensity >= 0.35 {
            for &step in &self.extra_kicks {
                if !has(&hits, step, KICK) && !has(&hits, step, SNARE) {
                    hits.push((step, KICK, 0.8));
                }
            }
            for step in (1..steps).step_by(2) {
                if dice.chance(self.ghosts) && !has(&hits, step, SNARE) && has_snare(self.groove) {
                    hits.push((step, SNARE, 0.3));
                }
            }
        }
        if let Some((drum, every)) = self.percussion
            && intensity > 0.5
        {
            let accent = |step: i64| if step % 4 == 0 { 0.7 } else { 0.5 };
            hits.extend((0..steps / every).map(|place| (place * every, drum, accent(place * every))));
        }
        if is_last && self.has_fills && intensity > 0.4 {
            let fill = FILLS[self.fill];
            let start = steps - fill.iter().map(|hit| hit.1).max().unwrap_or(0);
            hits.retain(|&(step, drum, _)| step < start || drum == KICK);
            hits.extend(fill.iter().map(|&(drum, before)| (steps - before, drum, 0.8 + 0.02 * (8 - before) as f64)));
        }
        if is_first && intensity > 0.5 {
            hits.push((0, CRASH, 0.85));
        }
        hits.sort_by_key(|&(step, drum, _)| (step, drum));
        hits.dedup_by_key(|&mut (step, drum, _)| (step, drum));
        hits
    }
}

fn has_snare(groove: Groove) -> bool {
    groove.lines.iter().any(|(drum, _)| *drum == SNARE)
}
