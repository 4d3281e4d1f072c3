//! Sounds that last as long as they are blown, bowed or switched on: stored waves with a spectrum for each pitch.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::kernel::{Noise, SINE, TABLE_SAMPLES, hertz, look_up};
use crate::dice::Dice;
use crate::events::{Note, Part};

/// Harmonics of a wave at most.
const MAXIMUM_HARMONICS: usize = 48;

/// Samples between two looks at the vibrato.
const CONTROL_SAMPLES: usize = 32;

/// The strength of harmonics.
#[derive(Clone, Debug)]
pub(super) struct Spectrum {
    /// Amplitudes fall by this power of the harmonic's number when the sound is dull, and when it is bright.
    pub(super) slopes: (f64, f64),
    /// Factor of even harmonics.
    pub(super) even: f64,
    /// Frequency, width and gain of resonances, in Hz.
    pub(super) formants: Vec<(f64, f64, f64)>,
    /// Harmonics with their amplitudes, instead of a slope.
    pub(super) drawbars: Vec<(usize, f64)>,
}

/// A recipe of such a sound. Times are in seconds.
#[derive(Clone, Debug)]
pub(super) struct Sustained {
    pub(super) spectrum: Spectrum,
    pub(super) num_voices: usize,
    pub(super) detune_cents: f64,
    pub(super) attack: f64,
    pub(super) decay: f64,
    /// Level after the decay, 0 to 1.
    pub(super) sustain: f64,
    pub(super) release: f64,
    pub(super) vibrato_hertz: f64,
    pub(super) vibrato_cents: f64,
    /// Depth of the loudness's swing, 0 to 1, at the vibrato's rate.
    pub(super) tremolo: f64,
    /// Noise of breath or bow, 0 to 1.
    pub(super) breath: f64,
    /// Brightness at the start and in the end, 0 to 1, and how long it takes.
    pub(super) brightness: (f64, f64, f64),
}

/// A dull and a bright wave.
struct Waves {
    dull: Vec<f32>,
    bright: Vec<f32>,
}

/// All notes of a part.
pub(super) fn play(recipe: &Sustained, part: &Part, seed: u64, sample_rate: u32, samples: &mut [f32]) {
    let mut waves: BTreeMap<u8, Waves> = BTreeMap::new();
    let mut dice = Dice::new(seed, "phases");
    for note in &part.notes {
        let of_pitch = waves
            .entry(note.pitch)
            .or_insert_with(|| Waves::new(&recipe.spectrum, hertz(note.pitch), sample_rate, seed));
        sound(recipe, of_pitch, note, &mut dice, sample_rate, samples);
    }
}

impl Waves {
    fn new(spectrum: &Spectrum, hertz: f64, sample_rate: u32, seed: u64) -> Self {
        let highest = ((0.45 * f64::from(sample_rate) / hertz) as usize).clamp(1, MAXIMUM_HARMONICS);
        let mut dice = Dice::new(seed, "harmonics");
        // Random phases keep the peaks of rich spectra low; they are those of the part, so that pitches sound alike.
        let phases: Vec<f64> = (0..MAXIMUM_HARMONICS).map(|_| dice.unit()).collect();
        let uneven: Vec<f64> = (0..MAXIMUM_HARMONICS).map(|_| dice.range(0.8, 1.2)).collect();
        let wave = |slope: f64| {
            let mut amplitudes = vec![0.0; highest];
            if spectrum.drawbars.is_empty() {
                for (place, amplitude) in amplitudes.iter_mut().enumerate() {
                    let number = (place + 1) as f64;
                    let even = if place % 2 == 1 { spectrum.even } else { 1.0 };
                    *amplitude = even
                        * uneven[place]
                        * libm::pow(number, -slope)
                        * resonance(&spectrum.formants, number * hertz);
                }
            } else {
                // A dull organ has less of its upper stops.
                for &(number, level) in spectrum.drawbars.iter().filter(|(number, _)| *number <= highest) {
                    amplitudes[number - 1] = level * libm::pow(number as f64, -0.3 * slope);
                }
            }
            table(&amplitudes, &phases)
        };
        Self { dull: wave(spectrum.slopes.0), bright: wave(spectrum.slopes.1) }
    }
}

fn resonance(formants: &[(f64, f64, f64)], hertz: f64) -> f64 {
    if formants.is_empty() {
        return 1.0;
    }
    let peaks = formants.iter().map(|&(center, width, gain)| {
        let away = (hertz - center) / width;
        gain / (1.0 + away * away)
    });
    0.12 + peaks.sum::<f64>()
}

/// One cycle of a sum of harmonics, with a root mean square of 0.25, and its first sample again.
fn table(amplitudes: &[f64], phases: &[f64]) -> Vec<f32> {
    let sine: &[f32] = &SINE;
    let power: f64 = amplitudes.iter().map(|amplitude| 0.5 * amplitude * amplitude).sum();
    let scale = 0.25 / power.sqrt().max(1e-9);
    let mut table = vec![0.0_f32; TABLE_SAMPLES + 1];
    for (place, amplitude) in amplitudes.iter().enumerate().filter(|(_, amplitude)| **amplitude != 0.0) {
        let scaled = (scale * amplitude) as f32;
        let step = place + 1;
        let mut at = (phases[place] * TABLE_SAMPLES as f64) as usize;
        for sample in &mut table {
            *sample += scaled * sine[at % TABLE_SAMPLES];
            at = (at + step) % TABLE_SAMPLES;
        }
    }
    table[TABLE_SAMPLES] = table[0];
    table
}

fn sound(recipe: &Sustained, waves: &Waves, note: &Note, dice: &mut Dice, sample_rate: u32, samples: &mut [f32]) {
    let rate = f64::from(sample_rate);
    let start = (note.onset * rate) as usize;
    let held = ((note.offset - note.onset) * rate) as usize;
    let base = hertz(note.pitch) / rate;
    let loudness = f64::from(note.velocity) / 127.0;
    let gain = libm::pow(loudness, 1.3) as f32 / (recipe.num_voices as f32).sqrt();
    // Short notes speak faster.
    let attack = (recipe.attack * rate).min(0.6 * held as f64).max(0.002 * rate);
    let rise = (1.0 / attack) as f32;
    let fall = libm::exp(-3.0 / (recipe.decay * rate).max(1.0)) as f32;
    let fade = libm::exp(-6.9 / (recipe.release * rate).max(1.0)) as f32;
    let sustain = recipe.sustain as f32;
    let mut phases: Vec<f32> = (0..recipe.num_voices).map(|_| dice.unit() as f32).collect();
    let spread = |voice: usize| {
        if recipe.num_voices == 1 { 0.0 } else { 2.0 * voice as f64 / (recipe.num_voices - 1) as f64 - 1.0 }
    };
    let ratios: Vec<f64> = (0..recipe.num_voices)
        .map(|voice| libm::exp2((recipe.detune_cents * spread(voice) + 1.5 * dice.normal()) / 1200.0))
        .collect();
    let mut noise = Noise::new(dice.seed());
    let (mut breath, breath_keep) = (0.0_f32, libm::exp(-TAU * (5.0 * base).min(0.3)) as f32);
    let vibrato_phase = dice.unit();
    let (mut level, mut is_rising, mut time) = (0.0_f32, true, 0_usize);
    let (bright_start, bright_end, bright_time) = recipe.brightness;
    let mut steps = vec![0.0_f32; recipe.num_voices];
    loop {
        let seconds = time as f64 / rate;
        // The vibrato begins when a note has stood for a while.
        let swing = ((seconds - 0.15) / 0.4).clamp(0.0, 1.0);
        let turn = seconds * recipe.vibrato_hertz + vibrato_phase;
        let wave = f64::from(look_up(&SINE, (turn - turn.floor()) as f32));
        let bend = libm::exp2(recipe.vibrato_cents * swing * wave / 1200.0);
        for (step, ratio) in steps.iter_mut().zip(&ratios) {
            *step = (base * ratio * bend) as f32;
        }
        let tremolo = (1.0 - recipe.tremolo * 0.5 * (1.0 + wave)) as f32;
        let way = (seconds / bright_time.max(0.01)).min(1.0);
        let brightness = (bright_start + (bright_end - bright_start) * way) * (0.35 + 0.65 * loudness);
        let bright = brightness.clamp(0.0, 1.0) as f32;
        for _ in 0..CONTROL_SAMPLES {
            let Some(sample) = samples.get_mut(start + time) else { return };
            if time >= held {
                level *= fade;
                if level < 2e-4 {
                    return;
                }
            } else if is_rising {
                level += rise;
                if level >= 1.0 {
                    (level, is_rising) = (1.0, false);
                }
            } else {
                level = sustain + fall * (level - sustain);
            }
            let mut sum = 0.0;
            for (phase, step) in phases.iter_mut().zip(&steps) {
                let position = *phase * TABLE_SAMPLES as f32;
                let place = (position as usize).min(TABLE_SAMPLES - 1);
                let rest = position - place as f32;
                let dull = waves.dull[place] + rest * (waves.dull[place + 1] - waves.dull[place]);
                let shiny = waves.bright[place] + rest * (waves.bright[place + 1] - waves.bright[place]);
                sum += dull + bright * (shiny - dull);
                *phase += step;
                if *phase >= 1.0 {
                    *phase -= 1.0;
                }
            }
            if recipe.breath > 0.0 {
                let white = noise.next();
                breath = white + breath_keep * (breath - white);
                sum += recipe.breath as f32 * breath;
            }
            *sample += gain * level * tremolo * sum;
            time += 1;
        }
    }
}
