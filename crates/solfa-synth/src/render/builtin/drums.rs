//! The drum kit: every drum is made once for a performance and then played at the velocity of each hit.

use std::collections::BTreeMap;

use super::kernel::{Noise, Resonator, SINE, look_up, one_pole};
use crate::dice::Dice;
use crate::events::Part;

/// How a kit differs from the standard one.
#[derive(Clone, Copy, Debug)]
struct Kit {
    /// Factor of all pitches.
    tuning: f64,
    /// Factor of the kick's and the toms' decay.
    boom: f64,
    /// Noise of the snare against its tone.
    snares: f64,
    /// Factor of the noise's decay.
    dryness: f64,
}

impl Kit {
    /// By the number of the kit in GS: 8 room, 16 power, 24 electronic, 25 analogue, 32 jazz, 40 brushes, 48 orchestra.
    fn new(number: u8, dice: &mut Dice) -> Self {
        let (tuning, boom, snares, dryness) = match number {
            8..=15 => (1.0, 1.3, 1.0, 1.3),
            16..=23 => (0.9, 1.5, 1.2, 1.4),
            24 => (1.1, 1.2, 0.8, 0.8),
            25..=31 => (0.75, 2.4, 0.8, 0.7),
            32..=39 => (1.2, 0.7, 0.9, 0.9),
            40..=47 => (1.15, 0.6, 1.6, 1.6),
            48..=55 => (0.8, 1.6, 1.0, 1.5),
            _ => (1.0, 1.0, 1.0, 1.0),
        };
        let mut near = |value: f64, part: f64| value * dice.range(1.0 - part, 1.0 + part);
        Self {
            tuning: near(tuning, 0.12),
            boom: near(boom, 0.25),
            snares: near(snares, 0.3),
            dryness: near(dryness, 0.25),
        }
    }
}

/// All hits of a part.
pub(super) fn play(part: &Part, number: u8, seed: u64, sample_rate: u32, samples: &mut [f32]) {
    let kit = Kit::new(number, &mut Dice::new(seed, "kit"));
    let mut sounds: BTreeMap<u8, Vec<f32>> = BTreeMap::new();
    let rate = f64::from(sample_rate);
    let mut open_hat: Option<(usize, f32)> = None;
    for note in &part.notes {
        sounds
            .entry(note.pitch)
            .or_insert_with(|| drum(note.pitch, kit, &mut Dice::new(seed, &format!("drum {}", note.pitch)), rate));
        let start = (note.onset * rate) as usize;
        let gain = libm::pow(f64::from(note.velocity) / 127.0, 1.5) as f32;
        // A closed hat ends an open one.
        if matches!(note.pitch, 42 | 44)
            && let Some((opened, open_gain)) = open_hat.take()
        {
            choke(sounds.get(&46), opened, open_gain, start, rate, samples);
        }
        let Some(sound) = sounds.get(&note.pitch) else { continue };
        if note.pitch == 46 {
            open_hat = Some((start, gain));
        }
        for (sample, value) in samples.iter_mut().skip(start).zip(sound) {
            *sample += gain * value;
        }
    }
}

/// Takes the rest of an open hat away again, over some milliseconds.
fn choke(sound: Option<&Vec<f32>>, opened: usize, gain: f32, at: usize, rate: f64, samples: &mut [f32]) {
    let fade = 0.008 * rate;
    let rest = sound.map_or(&[][..], |sound| sound.get(at.saturating_sub(opened)..).unwrap_or(&[]));
    for (place, (sample, value)) in samples.iter_mut().skip(at).zip(rest).enumerate() {
        *sample -= gain * value * (place as f64 / fade).min(1.0) as f32;
    }
}

fn drum(number: u8, kit: Kit, dice: &mut Dice, rate: f64) -> Vec<f32> {
    let Kit { tuning, boom, snares, dryness } = kit;
    let mut noise = Noise::new(dice.seed());
    let mut sound = match number {
        35 | 36 => {
            let mut sound = sweep(240.0 * tuning, 50.0 * tuning, 0.028, 0.35 * boom, rate);
            // The beater is what small loudspeakers let one hear of a bass drum.
            add_noise(&mut sound, &mut noise, 0.4, 0.006, (2600.0, 3000.0), rate);
            sound
        }
        38 | 40 => {
            let pitch = if number == 40 { 220.0 } else { 185.0 } * tuning;
            let mut sound = sweep(1.4 * pitch, pitch, 0.02, 0.16, rate);
            let mut second = sweep(2.2 * pitch, 1.8 * pitch, 0.02, 0.1, rate);
            second.resize(sound.len(), 0.0);
            sound.iter_mut().zip(&second).for_each(|(one, other)| *one = 0.6 * *one + 0.4 * other);
            sound.resize((0.4 * rate) as usize, 0.0);
            add_noise(&mut sound, &mut noise, 0.9 * snares, 0.11 * dryness, (4200.0, 6000.0), rate);
            sound
        }
        37 => modes(&[(1750.0, 1.0, 0.03), (2650.0, 0.6, 0.02), (820.0, 0.5, 0.03)], tuning, rate),
        39 => {
            let mut sound = vec![0.0; (0.3 * rate) as usize];
            for delay in [0.0, 0.011, 0.023] {
                let start = ((delay * rate) as usize).min(sound.len());
                add_noise(&mut sound[start..], &mut noise, 0.7, 0.012, (1500.0, 1200.0), rate);
            }
            let start = ((0.03 * rate) as usize).min(sound.len());
            add_noise(&mut sound[start..], &mut noise, 0.9, 0.1 * dryness, (1500.0, 1400.0), rate);
            sound
        }
        42 | 44 => metal(0.05 * dryness, tuning, 0.5, &mut noise, rate),
        46 => metal(0.35 * dryness, tuning, 0.5, &mut noise, rate),
        49 | 52 | 55 | 57 => metal(1.3 * dryness, 0.8 * tuning, 0.8, &mut noise, rate),
        51 | 53 | 59 => {
            let mut sound = metal(0.7 * dryness, 0.9 * tuning, 0.25, &mut noise, rate);
            let bell = if number == 53 { 1.2 } else { 0.35 };
            let ring =
                modes(&[(2630.0, bell, 0.6), (3890.0, 0.5 * bell, 0.5), (5330.0, 0.4 * bell, 0.4)], tuning, rate);
            sound.iter_mut().zip(&ring).for_each(|(one, other)| *one += other);
            sound
        }
        41 | 43 | 45 | 47 | 48 | 50 => {
            let pitch = match number {
                41 => 75.0,
                43 => 92.0,
                45 => 115.0,
                47 => 140.0,
                48 => 165.0,
                _ => 195.0,
            } * tuning;
            let mut sound = sweep(1.5 * pitch, pitch, 0.04, 0.35 * boom, rate);
            add_noise(&mut sound, &mut noise, 0.2, 0.02, (1800.0, 1800.0), rate);
            sound
        }
        54 => {
            let mut sound = metal(0.12 * dryness, 1.3 * tuning, 0.6, &mut noise, rate);
            add_noise(&mut sound, &mut noise, 0.4, 0.05, (7000.0, 4000.0), rate);
            sound
        }
        56 => modes(&[(545.0, 1.0, 0.18), (815.0, 0.9, 0.15), (1640.0, 0.4, 0.08), (2450.0, 0.3, 0.06)], tuning, rate),
        60..=66 => {
            let pitch = [400.0, 300.0, 280.0, 215.0, 170.0, 330.0, 240.0][usize::from(number - 60)] * tuning;
            let mut sound = sweep(1.15 * pitch, pitch, 0.015, 0.18, rate);
            add_noise(&mut sound, &mut noise, 0.35, 0.008, (2200.0, 2200.0), rate);
            sound
        }
        69 | 70 | 82 => {
            let mut sound = vec![0.0; (0.15 * rate) as usize];
            let length = if number == 70 { 0.02 } else { 0.045 };
            add_noise(&mut sound, &mut noise, 1.0, length, (6500.0, 3500.0), rate);
            // A shaker swells before it is loudest.
            let rise = (0.012 * rate) as usize;
            sound.iter_mut().take(rise).enumerate().for_each(|(place, sample)| *sample *= place as f32 / rise as f32);
            sound
        }
        75 => modes(&[(2480.0, 1.0, 0.05), (4950.0, 0.2, 0.02)], tuning, rate),
        76 | 77 => modes(&[(if number == 76 { 1150.0 } else { 840.0 }, 1.0, 0.05), (2300.0, 0.4, 0.03)], tuning, rate),
        67 | 68 => modes(&[(if number == 67 { 920.0 } else { 690.0 }, 1.0, 0.25), (2500.0, 0.5, 0.15)], tuning, rate),
        80 | 81 => modes(&[(4100.0, 1.0, 0.8), (6300.0, 0.6, 0.6), (8700.0, 0.4, 0.5)], tuning, rate),
        _ => {
            let pitch = 200.0 + 12.0 * f64::from(number);
            let mut sound = modes(&[(pitch, 1.0, 0.1), (1.7 * pitch, 0.5, 0.07)], tuning, rate);
            add_noise(&mut sound, &mut noise, 0.5, 0.03, (3000.0, 3000.0), rate);
            sound
        }
    };
    let fade = ((0.01 * rate) as usize).min(sound.len());
    sound.iter_mut().rev().take(fade).enumerate().for_each(|(place, sample)| *sample *= place as f32 / fade as f32);
    let peak = sound.iter().fold(1e-9_f32, |peak, sample| peak.max(sample.abs()));
    let level = match number {
        35 | 36 => 1.0,
        38..=40 => 0.75,
        42 | 44 | 69 | 70 | 82 => 0.3,
        46 | 54 => 0.34,
        49 | 51 | 52 | 53 | 55 | 57 | 59 => 0.4,
        _ => 0.5,
    };
    sound.iter_mut().for_each(|sample| *sample *= level / peak);
    sound
}

/// A sine that falls from one frequency to another within `glide` seconds, and fades in `decay`.
fn sweep(from: f64, to: f64, glide: f64, decay: f64, rate: f64) -> Vec<f32> {
    let num_samples = (1.2 * decay * rate) as usize + 1;
    let fall = libm::exp(-1.0 / (glide * rate));
    let fade = libm::exp(-6.9 / (decay * rate)) as f32;
    let (mut above, mut phase, mut level) = (from - to, 0.0_f64, 1.0_f32);
    let rise = (0.0015 * rate).max(2.0) as usize;
    (0..num_samples)
        .map(|place| {
            let sample = level * look_up(&SINE, phase as f32) * (place as f32 / rise as f32).min(1.0);
            phase += (to + above) / rate;
            phase -= phase.floor();
            above *= fall;
            level *= fade;
            sample
        })
        .collect()
}

/// Adds noise around a frequency that is `band.1` Hz wide and fades in `decay` seconds.
fn add_noise(sound: &mut [f32], noise: &mut Noise, level: f64, decay: f64, band: (f64, f64), rate: f64) {
    let center = (band.0 / rate).min(0.4);
    let mut filter = Resonator::new(center, (band.1 / rate).min(0.3));
    let fade = libm::exp(-1.0 / (decay * rate)) as f32;
    let num_samples = ((8.0 * decay * rate) as usize).min(sound.len());
    let mut burst: Vec<f32> = Vec::with_capacity(num_samples);
    let mut envelope = 1.0_f32;
    for _ in 0..num_samples {
        burst.push(envelope * filter.next(noise.next()));
        envelope *= fade;
    }
    let peak = burst.iter().fold(1e-9_f32, |peak, sample| peak.max(sample.abs()));
    sound.iter_mut().zip(&burst).for_each(|(sample, burst)| *sample += level as f32 / peak * burst);
}

fn modes(modes: &[(f64, f64, f64)], tuning: f64, rate: f64) -> Vec<f32> {
    let longest = modes.iter().fold(0.0_f64, |longest, mode| longest.max(mode.2));
    let mut sound = vec![0.0_f32; (3.0 * longest * rate) as usize + 1];
    for &(hertz, level, decay) in modes.iter().filter(|mode| mode.0 * tuning < 0.45 * rate) {
        let step = (hertz * tuning / rate) as f32;
        let fade = libm::exp(-2.3 / (decay * rate)) as f32;
        let (mut phase, mut envelope) = (0.0_f32, level as f32);
        for sample in &mut sound {
            *sample += envelope * look_up(&SINE, phase);
            phase += step;
            phase -= phase.floor();
            envelope *= fade;
        }
    }
    sound
}

/// Cymbals: many partials without a common pitch, and noise, without the low end. `noisy` is the share of the noise.
fn metal(decay: f64, tuning: f64, noisy: f64, noise: &mut Noise, rate: f64) -> Vec<f32> {
    const HERTZ: [f64; 12] =
        [3170.0, 3730.0, 4310.0, 5290.0, 5870.0, 6610.0, 7450.0, 8230.0, 9130.0, 9970.0, 10_900.0, 11_800.0];
    let num_samples = (3.0 * decay * rate) as usize + 64;
    let fade = libm::exp(-2.3 / (decay * rate)) as f32;
    let steps: Vec<f32> =
        HERTZ.iter().map(|hertz| hertz * tuning / rate).filter(|step| *step < 0.45).map(|step| step as f32).collect();
    let mut phases: Vec<f32> = steps.iter().map(|_| 0.5 + 0.5 * noise.next()).collect();
    let mut envelope = 1.0_f32;
    let mut hiss: Vec<f32> = (0..num_samples).map(|_| noise.next()).collect();
    // What a low-pass leaves over is a high-pass.
    let mut low = hiss.clone();
    one_pole(&mut low, (5500.0 / rate).min(0.3));
    one_pole(&mut low, (9000.0 / rate).min(0.4));
    hiss.iter_mut().zip(&low).for_each(|(hiss, low)| *hiss -= low);
    let tones = (1.0 - noisy) as f32 / (steps.len().max(1) as f32).sqrt();
    hiss.iter()
        .map(|hiss| {
            let mut sum = 0.0;
            for (phase, step) in phases.iter_mut().zip(&steps) {
                sum += look_up(&SINE, *phase);
                *phase += step;
                if *phase >= 1.0 {
                    *phase -= 1.0;
                }
            }
            let sample = envelope * (tones * sum + noisy as f32 * hiss);
            envelope *= fade;
            sample
        })
        .collect()
}
