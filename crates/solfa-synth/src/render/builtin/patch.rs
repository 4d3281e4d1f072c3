//! The recipe of every General MIDI program.

use super::ringing::{Ringing, Source};
use super::sustained::{Spectrum, Sustained};
use crate::dice::Dice;

/// A recipe and what its sound goes through.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    pub(super) voice: Voice,
    /// How far an amplifier is driven; 0 for none.
    pub(super) drive: f64,
    /// Cut-off of the body's or amplifier's low-pass in Hz; 0 for none.
    pub(super) body: f64,
}

#[derive(Clone, Debug)]
pub(super) enum Voice {
    Ringing(Ringing),
    Sustained(Sustained),
}

/// The recipe of a program, varied by chance within what one would still call by its name.
pub(super) fn patch(program: u8, dice: &mut Dice) -> Patch {
    let (voice, drive, body) = match program {
        0..=3 => (piano(program, dice), 0.0, 0.0),
        4 | 5 => (electric_piano(program, dice), 0.0, 0.0),
        6 | 7 => (pluck(2.2, 0.95, 0.09 + 0.03 * f64::from(program - 6), 0.12, 0.09, 0.3, dice), 0.0, 0.0),
        8..=14 => (bars(program, dice), 0.0, 0.0),
        15 => (pluck(3.5, 0.85, 0.2, 0.2, 0.4, 0.15, dice), 0.0, 0.0),
        16..=23 => (organ(program, dice), if program == 18 { 1.2 } else { 0.0 }, 0.0),
        24..=31 => guitar(program, dice),
        32..=39 => bass(program, dice),
        45 => (pluck(0.7, 0.4, 0.3, 0.35, 0.12, 0.2, dice), 0.0, 0.0),
        46 => (pluck(4.0, 0.55, 0.35, 0.25, 0.9, 0.05, dice), 0.0, 0.0),
        47 => (skin(1.6, dice), 0.0, 0.0),
        40..=55 => (strings(program, dice), 0.0, 0.0),
        56..=63 => (brass(program, dice), 0.0, 0.0),
        64..=71 | 109 | 111 => (reed(program, dice), 0.0, 0.0),
        72..=79 => (pipe(program, dice), 0.0, 0.0),
        80..=87 => (lead(program, dice), 0.0, 0.0),
        88..=103 => (pad(program, dice), 0.0, 0.0),
        104 => (pluck(3.0, 0.95, 0.06, 0.08, 0.5, 0.2, dice), 0.0, 0.0),
        105 => (pluck(0.9, 0.95, 0.12, 0.18, 0.1, 0.4, dice), 0.0, 0.0),
        106 | 107 => (pluck(1.3 + 0.8 * f64::from(program - 106), 0.9, 0.08, 0.2, 0.2, 0.35, dice), 0.0, 0.0),
        108 => (bars(12, dice), 0.0, 0.0),
        110 => (strings(40, dice), 0.0, 0.0),
        112..=119 => (skin(0.5 + 0.1 * f64::from(program - 112), dice), 0.0, 0.0),
        _ => (pad(122, dice), 0.0, 0.0),
    };
    Patch { voice, drive, body }
}

/// A number near `value`: within a part of it.
fn near(dice: &mut Dice, value: f64, part: f64) -> f64 {
    value * dice.range(1.0 - part, 1.0 + part)
}

fn piano(program: u8, dice: &mut Dice) -> Voice {
    let slope = [1.15, 0.9, 1.0, 0.95][usize::from(program)];
    Voice::Ringing(Ringing {
        release_seconds: near(dice, 0.25, 0.3),
        decay_seconds: near(dice, 6.0, 0.3),
        source: Source::String {
            slope: near(dice, slope, 0.12),
            position: near(dice, 0.125, 0.15),
            stiffness: if program == 3 { 9e-4 } else { near(dice, 3e-4, 0.5) },
            damping: near(dice, 0.28, 0.3),
        },
        knock: near(dice, 0.25, 0.5),
    })
}

fn electric_piano(program: u8, dice: &mut Dice) -> Voice {
    let is_tine = program == 4;
    Voice::Ringing(Ringing {
        release_seconds: near(dice, 0.2, 0.3),
        decay_seconds: near(dice, 4.5, 0.3),
        source: Source::Modulated {
            ratio: if is_tine { 1.0 } else { *dice.pick(&[14.0, 7.0, 3.0]) },
            index: if is_tine { near(dice, 2.2, 0.3) } else { near(dice, 1.1, 0.3) },
            index_decay: near(dice, 0.3, 0.3),
            floor: near(dice, 0.15, 0.5),
        },
        knock: near(dice, 0.1, 0.5),
    })
}

/// Bells, vibraphone, marimba, xylophone, music box.
fn bars(program: u8, dice: &mut Dice) -> Voice {
    // Ratios of bars with free ends (1, 2.76, 5.40), of tuned ones (1, 4, 10), and of a tubular bell.
    let (decay, modes): (f64, &[(f64, f64, f64)]) = match program {
        8 | 10 => (2.0, &[(1.0, 1.0, 1.0), (2.0, 0.3, 0.7), (2.76, 0.25, 0.4), (5.4, 0.12, 0.2)]),
        9 => (3.0, &[(1.0, 1.0, 1.0), (2.76, 0.5, 0.5), (5.4, 0.3, 0.25), (8.93, 0.12, 0.12)]),
        11 => (5.0, &[(1.0, 1.0, 1.0), (4.0, 0.25, 0.3), (10.0, 0.06, 0.08)]),
        12 => (0.9, &[(1.0, 1.0, 1.0), (4.0, 0.35, 0.25), (9.2, 0.15, 0.08)]),
        13 => (0.45, &[(1.0, 1.0, 1.0), (3.0, 0.6, 0.5), (6.2, 0.3, 0.2)]),
        14 => (5.0, &[(1.0, 0.8, 1.0), (2.0, 0.7, 0.8), (2.4, 0.35, 0.7), (3.0, 0.5, 0.5), (4.5, 0.3, 0.3)]),
        _ => (1.5, &[(1.0, 1.0, 1.0), (2.0, 0.5, 0.6), (3.0, 0.3, 0.4)]),
    };
    let modes = modes.iter().map(|&(ratio, level, part)| (ratio, near(dice, level, 0.25), part)).collect();
    Voice::Ringing(Ringing {
        release_seconds: if program == 11 { 0.4 } else { 0.8 },
        decay_seconds: near(dice, decay, 0.25),
        source: Source::Modes(modes),
        knock: near(dice, 0.12, 0.6),
    })
}

fn skin(decay: f64, dice: &mut Dice) -> Voice {
    let modes = [(1.0, 1.0, 1.0), (1.504, 0.6, 0.7), (1.742, 0.3, 0.5), (2.0, 0.4, 0.5), (2.245, 0.2, 0.4)];
    Voice::Ringing(Ringing {
        release_seconds: 0.5,
        decay_seconds: near(dice, decay, 0.2),
        source: Source::Modes(modes.to_vec()),
        knock: near(dice, 0.5, 0.3),
    })
}

fn pluck(decay: f64, brightness: f64, damping: f64, position: f64, release: f64, knock: f64, dice: &mut Dice) -> Voice {
    Voice::Ringing(Ringing {
        release_seconds: release,
        decay_seconds: near(dice, decay, 0.25),
        source: Source::Plucked {
            brightness: near(dice, brightness, 0.15).min(1.0),
            position: near(dice, position, 0.3),
            damping: near(dice, damping, 0.2).min(0.5),
        },
        knock,
    })
}

fn guitar(program: u8, dice: &mut Dice) -> (Voice, f64, f64) {
    match program {
        24 => (pluck(2.2, 0.45, 0.4, 0.28, 0.15, 0.1, dice), 0.0, 4500.0),
        25 => (pluck(3.2, 0.8, 0.22, 0.18, 0.15, 0.15, dice), 0.0, 8000.0),
        26 => (pluck(2.8, 0.4, 0.42, 0.3, 0.12, 0.05, dice), 0.0, 2600.0),
        27 => (pluck(3.8, 0.75, 0.18, 0.13, 0.12, 0.08, dice), 0.0, 5000.0),
        28 => (pluck(0.35, 0.6, 0.45, 0.1, 0.06, 0.3, dice), 0.0, 3500.0),
        29 => (pluck(6.0, 0.7, 0.12, 0.14, 0.1, 0.1, dice), near(dice, 9.0, 0.3), 4500.0),
        30 => (pluck(7.0, 0.8, 0.1, 0.12, 0.1, 0.1, dice), near(dice, 22.0, 0.3), 5000.0),
        _ => (pluck(2.5, 0.9, 0.08, 0.5, 0.12, 0.02, dice), 0.0, 6000.0),
    }
}

fn bass(program: u8, dice: &mut Dice) -> (Voice, f64, f64) {
    match program {
        32 => (pluck(1.3, 0.16, 0.45, 0.3, 0.12, 0.3, dice), 0.0, 1400.0),
        33 => (pluck(2.5, 0.22, 0.4, 0.25, 0.1, 0.1, dice), 0.0, 1800.0),
        34 => (pluck(2.5, 0.45, 0.3, 0.12, 0.1, 0.25, dice), 0.0, 3500.0),
        35 => (pluck(3.5, 0.25, 0.45, 0.35, 0.15, 0.03, dice), 0.0, 1300.0),
        36 | 37 => (pluck(1.6, 0.85, 0.2, 0.08, 0.08, 0.6, dice), 0.0, 6000.0),
        _ => {
            let mut recipe = electronic(0.95, dice);
            recipe.num_voices = if program == 38 { 2 } else { 1 };
            recipe.detune_cents = 6.0;
            recipe.spectrum.slopes = (2.4, 0.9);
            recipe.brightness = (near(dice, 1.1, 0.3), 0.15, near(dice, 0.3, 0.5));
            (recipe.decay, recipe.sustain, recipe.release) = (0.4, 0.6, 0.06);
            recipe.spectrum.even = if program == 39 { 0.2 } else { 1.0 };
            (Voice::Sustained(recipe), 0.0, 0.0)
        }
    }
}

/// What the recipes below begin with.
fn plain(slopes: (f64, f64)) -> Sustained {
    Sustained {
        spectrum: Spectrum { slopes, even: 1.0, formants: Vec::new(), drawbars: Vec::new() },
        num_voices: 1,
        detune_cents: 0.0,
        attack: 0.03,
        decay: 0.3,
        sustain: 0.85,
        release: 0.12,
        vibrato_hertz: 5.5,
        vibrato_cents: 0.0,
        tremolo: 0.0,
        breath: 0.0,
        brightness: (0.5, 0.5, 1.0),
    }
}

fn organ(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = plain((1.0, 0.5));
    recipe.attack = near(dice, 0.008, 0.4);
    recipe.release = near(dice, 0.06, 0.3);
    recipe.sustain = 1.0;
    recipe.spectrum.drawbars = match program {
        16..=18 => [1, 2, 3, 4, 6, 8, 10].iter().map(|&number| (number, dice.range(0.15, 1.0))).collect(),
        19 => [1, 2, 3, 4, 5, 6, 8, 12, 16].iter().map(|&number| (number, dice.range(0.3, 1.0))).collect(),
        _ => Vec::new(),
    };
    recipe.vibrato_hertz = near(dice, 6.0, 0.2);
    match program {
        16..=18 => {
            recipe.vibrato_cents = dice.range(0.0, 10.0);
            recipe.tremolo = dice.range(0.0, 0.3);
        }
        19 => {
            (recipe.num_voices, recipe.detune_cents) = (2, 4.0);
            (recipe.attack, recipe.release) = (0.06, 0.35);
        }
        20 => recipe.spectrum.slopes = (1.3, 0.8),
        21 | 23 => {
            recipe.spectrum.slopes = (1.1, 0.55);
            (recipe.num_voices, recipe.detune_cents) = (2, near(dice, 9.0, 0.4));
            recipe.attack = 0.03;
        }
        _ => {
            recipe.spectrum.slopes = (1.2, 0.6);
            recipe.spectrum.formants = vec![(1400.0, 700.0, 1.5), (2600.0, 600.0, 0.8)];
            recipe.vibrato_cents = near(dice, 14.0, 0.5);
            recipe.tremolo = 0.15;
        }
    }
    Voice::Sustained(recipe)
}

fn strings(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = plain((1.6, 0.85));
    recipe.vibrato_hertz = near(dice, 5.6, 0.12);
    recipe.brightness = (0.3, near(dice, 0.75, 0.25), 0.25);
    recipe.release = near(dice, 0.18, 0.3);
    match program {
        40..=44 => {
            // The resonances of the body lie lower the larger it is.
            let size = [1.0, 0.75, 0.45, 0.3, 0.9][usize::from(program - 40)];
            recipe.spectrum.formants =
                vec![(500.0 * size, 180.0, 1.2), (1300.0 * size, 400.0, 0.8), (3000.0 * size, 900.0, 0.9)];
            recipe.attack = near(dice, 0.07, 0.4);
            recipe.vibrato_cents = near(dice, 16.0, 0.4);
            recipe.breath = near(dice, 0.03, 0.5);
            if program == 44 {
                (recipe.tremolo, recipe.vibrato_hertz) = (0.7, 9.0);
            }
        }
        48..=51 => {
            recipe.num_voices = 4;
            recipe.detune_cents = near(dice, 9.0, 0.3);
            recipe.attack = if program == 49 { 0.25 } else { near(dice, 0.1, 0.4) };
            recipe.release = 0.35;
            recipe.vibrato_cents = 6.0;
            if program < 50 {
                recipe.spectrum.formants = vec![(450.0, 250.0, 1.0), (1200.0, 500.0, 0.8), (2800.0, 1000.0, 0.7)];
            } else {
                recipe.spectrum.slopes = (1.4, 0.95);
            }
        }
        52..=54 => {
            // Vowels: a, o, u.
            recipe.spectrum.formants = match program {
                52 => vec![(700.0, 110.0, 3.0), (1150.0, 130.0, 2.0), (2700.0, 250.0, 0.8)],
                53 => vec![(430.0, 90.0, 3.0), (820.0, 110.0, 1.6), (2700.0, 250.0, 0.5)],
                _ => vec![(330.0, 90.0, 3.0), (900.0, 120.0, 1.0), (2400.0, 250.0, 0.6)],
            };
            recipe.spectrum.slopes = (1.2, 0.8);
            recipe.num_voices = 3;
            recipe.detune_cents = near(dice, 10.0, 0.4);
            recipe.vibrato_cents = near(dice, 22.0, 0.4);
            recipe.attack = near(dice, 0.09, 0.4);
            recipe.release = 0.25;
            recipe.breath = 0.02;
        }
        _ => {
            recipe.num_voices = 4;
            recipe.detune_cents = 12.0;
            (recipe.attack, recipe.decay, recipe.sustain) = (0.005, 0.5, 0.1);
            recipe.brightness = (1.0, 0.4, 0.4);
        }
    }
    Voice::Sustained(recipe)
}

fn brass(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = plain((2.2, 0.75));
    recipe.attack = near(dice, 0.045, 0.4);
    // Brass is brighter the louder it gets.
    recipe.brightness = (0.05, near(dice, 0.8, 0.2), near(dice, 0.09, 0.4));
    recipe.vibrato_cents = near(dice, 8.0, 0.6);
    recipe.breath = 0.008;
    recipe.spectrum.formants = match program {
        56 => vec![(1200.0, 600.0, 1.5), (2400.0, 900.0, 0.8)],
        57 => vec![(550.0, 300.0, 1.5), (1200.0, 600.0, 0.7)],
        58 => vec![(250.0, 150.0, 1.5), (500.0, 300.0, 0.6)],
        59 => vec![(1800.0, 350.0, 3.0), (3500.0, 700.0, 1.0)],
        60 => vec![(380.0, 250.0, 1.8), (750.0, 300.0, 0.6)],
        _ => vec![(800.0, 500.0, 1.3), (1800.0, 900.0, 0.8)],
    };
    match program {
        60 => recipe.brightness.1 = 0.45,
        61 => {
            recipe.num_voices = 3;
            recipe.detune_cents = near(dice, 9.0, 0.3);
        }
        62 | 63 => {
            recipe.spectrum.formants.clear();
            (recipe.num_voices, recipe.detune_cents) = (3, near(dice, 11.0, 0.3));
            recipe.brightness = (0.9, 0.35, 0.5);
            recipe.breath = 0.0;
        }
        _ => (),
    }
    Voice::Sustained(recipe)
}

fn reed(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = plain((1.6, 0.8));
    recipe.attack = near(dice, 0.035, 0.4);
    recipe.vibrato_cents = near(dice, 11.0, 0.5);
    recipe.breath = 0.02;
    recipe.brightness = (0.3, near(dice, 0.65, 0.25), 0.15);
    recipe.spectrum.formants = match program {
        64 => vec![(1100.0, 400.0, 1.5), (2600.0, 800.0, 1.0)],
        65 => vec![(800.0, 350.0, 1.6), (2000.0, 700.0, 1.0)],
        66 => vec![(550.0, 300.0, 1.6), (1500.0, 600.0, 1.0)],
        67 => vec![(350.0, 220.0, 1.6), (1100.0, 500.0, 1.0)],
        68 => vec![(1100.0, 250.0, 3.0), (2900.0, 500.0, 1.5)],
        69 => vec![(750.0, 220.0, 3.0), (1900.0, 450.0, 1.0)],
        70 => vec![(450.0, 130.0, 3.0), (1150.0, 250.0, 1.0)],
        109 | 111 => vec![(1400.0, 400.0, 2.0), (3200.0, 700.0, 1.6)],
        _ => vec![(1500.0, 900.0, 0.6)],
    };
    match program {
        64..=67 => (recipe.breath, recipe.vibrato_cents) = (near(dice, 0.04, 0.4), near(dice, 18.0, 0.4)),
        71 => {
            // A closed pipe has odd harmonics.
            (recipe.spectrum.even, recipe.spectrum.slopes, recipe.vibrato_cents) = (0.08, (1.5, 0.9), 2.0);
        }
        109 => (recipe.spectrum.slopes, recipe.vibrato_cents, recipe.sustain) = ((0.7, 0.4), 0.0, 1.0),
        _ => (),
    }
    Voice::Sustained(recipe)
}

fn pipe(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = plain((2.6, 1.5));
    recipe.attack = near(dice, 0.05, 0.4);
    recipe.release = 0.1;
    recipe.vibrato_hertz = near(dice, 5.0, 0.15);
    recipe.vibrato_cents = near(dice, 12.0, 0.5);
    recipe.tremolo = 0.12;
    recipe.breath = match program {
        75 | 77 => near(dice, 0.22, 0.3),
        76 => near(dice, 0.15, 0.3),
        78 | 79 => 0.015,
        _ => near(dice, 0.05, 0.4),
    };
    match program {
        74 | 75 => recipe.spectrum.even = 0.35,
        78 => (recipe.spectrum.slopes, recipe.vibrato_cents) = ((4.0, 3.0), 20.0),
        79 => recipe.spectrum.slopes = (3.6, 2.4),
        _ => (),
    }
    Voice::Sustained(recipe)
}

fn electronic(slope: f64, dice: &mut Dice) -> Sustained {
    let mut recipe = plain((slope + 1.1, slope));
    recipe.attack = near(dice, 0.006, 0.5);
    recipe.release = near(dice, 0.09, 0.5);
    recipe.brightness = (dice.range(0.5, 1.4), dice.range(0.2, 0.9), dice.range(0.1, 0.6));
    recipe
}

fn lead(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = electronic(0.85, dice);
    recipe.vibrato_cents = dice.range(0.0, 14.0);
    match program {
        80 => recipe.spectrum.even = 0.03,
        81 | 87 => (recipe.num_voices, recipe.detune_cents) = (*dice.pick(&[1, 2, 3, 5]), dice.range(5.0, 18.0)),
        82 | 83 => (recipe.spectrum.slopes, recipe.breath) = ((2.4, 1.4), dice.range(0.0, 0.08)),
        84 => recipe.spectrum.slopes = (0.9, 0.45),
        85 => recipe.spectrum.formants = vec![(600.0, 120.0, 3.0), (1100.0, 150.0, 2.0), (2600.0, 250.0, 1.0)],
        // Fifths: the second and the third harmonic of a note an octave lower.
        86 => recipe.spectrum.drawbars = vec![(1, 1.0), (2, 0.6), (3, 0.9), (4, 0.4), (6, 0.5), (9, 0.3)],
        _ => (),
    }
    Voice::Sustained(recipe)
}

fn pad(program: u8, dice: &mut Dice) -> Voice {
    let mut recipe = electronic(1.0, dice);
    recipe.num_voices = 3 + dice.below(3);
    recipe.detune_cents = dice.range(5.0, 16.0);
    recipe.attack = dice.range(0.08, 0.45);
    recipe.release = dice.range(0.3, 0.9);
    recipe.sustain = 0.95;
    recipe.brightness = (dice.range(0.0, 0.6), dice.range(0.2, 0.9), dice.range(0.8, 3.0));
    recipe.tremolo = if dice.chance(0.3) { dice.range(0.05, 0.3) } else { 0.0 };
    recipe.vibrato_hertz = dice.range(0.3, 5.0);
    match program {
        89 => recipe.spectrum.slopes = (2.6, 1.5),
        91 | 97 => recipe.spectrum.formants = vec![(600.0, 130.0, 2.5), (1000.0, 150.0, 1.6), (2600.0, 300.0, 0.8)],
        92 => recipe.spectrum.even = 0.2,
        93 | 98 => recipe.spectrum.drawbars = vec![(1, 1.0), (3, 0.4), (5, 0.3), (8, 0.3), (13, 0.2)],
        96 | 99..=103 => recipe.breath = 0.06,
        120..=127 => (recipe.breath, recipe.num_voices) = (1.5, 1),
        _ => (),
    }
    Voice::Sustained(recipe)
}
