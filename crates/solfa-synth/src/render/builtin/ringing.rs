//! Sounds that are struck or plucked and then ring: computed once for each pitch and loudness.

use std::f64::consts::{PI, TAU};

use super::kernel::{Noise, SINE, look_up, one_pole};
use crate::dice::Dice;

/// Partials above this part of the sample rate are left out.
const HIGHEST: f64 = 0.45;

/// A recipe of such a sound.
#[derive(Clone, Debug)]
pub(super) struct Ringing {
    pub(super) release_seconds: f64,
    /// Time in which it falls to a thousandth at 220 Hz.
    pub(super) decay_seconds: f64,
    pub(super) source: Source,
    /// Noise of the hammer or the finger, 0 to 1.
    pub(super) knock: f64,
}

/// Where it comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Partials near the harmonics of a stiff string.
    String {
        /// Amplitudes fall by this power of the partial's number.
        slope: f64,
        /// Where it is struck, as a part of its length: partials with a node there are missing.
        position: f64,
        /// How much the partials are stretched.
        stiffness: f64,
        /// How much faster higher partials fade.
        damping: f64,
    },
    /// Partials of bars, bells and skins: ratio to the lowest, amplitude, and decay as a part of the lowest one's.
    Modes(Vec<(f64, f64, f64)>),
    /// A delay line that is filled with noise.
    Plucked {
        /// 0 dull to 1 bright.
        brightness: f64,
        /// Where it is plucked, as a part of its length.
        position: f64,
        /// Part of the loop's filter, 0 to 0.5.
        damping: f64,
    },
    /// Frequency modulation by one operator.
    Modulated {
        /// The modulator's frequency over the carrier's.
        ratio: f64,
        /// The index at the start, at full loudness.
        index: f64,
        /// Decay of the index as a part of that of the sound.
        index_decay: f64,
        /// Index that stays.
        floor: f64,
    },
}

impl Ringing {
    /// At most `num_samples` of it. `loudness` is 0 to 1.
    pub(super) fn sound(
        &self,
        hertz: f64,
        loudness: f64,
        num_samples: usize,
        sample_rate: u32,
        dice: &mut Dice,
    ) -> Vec<f32> {
        let rate = f64::from(sample_rate);
        // Low strings ring longer.
        let decay = self.decay_seconds * libm::pow(220.0 / hertz, 0.45).clamp(0.25, 2.5);
        let num_samples = num_samples.min((1.1 * decay * rate) as usize + 64);
        let mut sound = match &self.source {
            Source::String { slope, position, stiffness, damping } => {
                let slope = slope + 0.9 * (1.0 - loudness);
                let partials = (1..=28).map(|number| {
                    let k = f64::from(number);
                    let ratio = k * (1.0 + stiffness * k * k).sqrt();
                    let amplitude = libm::pow(k, -slope) * (0.15 + libm::fabs(libm::sin(PI * k * position)));
                    (ratio, amplitude, 1.0 / (1.0 + damping * (k - 1.0)))
                });
                modes(&partials.collect::<Vec<_>>(), hertz, decay, num_samples, rate)
            }
            Source::Modes(partials) => {
                let dulled: Vec<_> = partials
                    .iter()
                    .map(|&(ratio, amplitude, part)| {
                        (ratio, amplitude * if ratio > 1.5 { 0.35 + 0.65 * loudness } else { 1.0 }, part)
                    })
                    .collect();
                modes(&dulled, hertz, decay, num_samples, rate)
            }
            Source::Plucked { brightness, position, damping } => {
                let brightness = (brightness * (0.45 + 0.55 * loudness)).clamp(0.02, 1.0);
                plucked(hertz, decay, brightness, *position, *damping, num_samples, rate, dice)
            }
            Source::Modulated { ratio, index, index_decay, floor } => {
                let widest = ((HIGHEST * rate - hertz) / (ratio * hertz) - 1.0).max(0.0);
                let index = (index * (0.25 + 0.75 * loudness)).min(widest);
                modulated(hertz, decay, *ratio, (index, decay * index_decay, floor.min(widest)), num_samples, rate)
            }
        };
        self.add_knock(&mut sound, hertz, loudness, rate, dice);
        soften_ends(&mut sound, rate);
        sound
    }

    fn add_knock(&self, sound: &mut [f32], hertz: f64, loudness: f64, rate: f64, dice: &mut Dice) {
        if self.knock <= 0.0 {
            return;
        }
        let mut noise = Noise::new(dice.seed());
        let length = ((0.03 * rate) as usize).min(sound.len());
        let mut burst: Vec<f32> =
            (0..length).map(|place| noise.next() * libm::exp(-(place as f64) / (0.006 * rate)) as f32).collect();
        one_pole(&mut burst, (6.0 * hertz).clamp(600.0, 4000.0) / rate);
        let peak = sound.iter().fold(1e-6_f32, |peak, sample| peak.max(sample.abs()));
        let gain = (self.knock * (0.4 + 0.6 * loudness)) as f32 * peak;
        sound.iter_mut().zip(&burst).for_each(|(sample, noise)| *sample += gain * noise);
    }
}

/// A start and an end without a step.
fn soften_ends(sound: &mut [f32], rate: f64) {
    let length = ((0.001 * rate) as usize).max(4).min(sound.len());
    for (place, sample) in sound.iter_mut().take(length).enumerate() {
        *sample *= place as f32 / length as f32;
    }
    let length = ((0.02 * rate) as usize).min(sound.len());
    for (place, sample) in sound.iter_mut().rev().take(length).enumerate() {
        *sample *= place as f32 / length as f32;
    }
}

/// The sum of decaying partials: ratio, amplitude, part of the decay.
fn modes(partials: &[(f64, f64, f64)], hertz: f64, decay: f64, num_samples: usize, rate: f64) -> Vec<f32> {
    const LANES: usize = 8;
    let audible: Vec<_> = partials.iter().filter(|(ratio, ..)| ratio * hertz < HIGHEST * rate).collect();
    let total: f64 = audible.iter().map(|(_, amplitude, _)| amplitude).sum::<f64>().max(1e-9);
    let mut sound = vec![0.0_f32; num_samples];
    for group in audible.chunks(LANES) {
        let (mut forward, mut back) = ([0.0; LANES], [0.0; LANES]);
        let (mut last, mut now) = ([0.0; LANES], [0.0; LANES]);
        for (lane, &&(ratio, amplitude, part)) in group.iter().enumerate() {
            let angle = TAU * ratio * hertz / rate;
            let radius = libm::exp(-6.9 / (decay * part * rate));
            forward[lane] = 2.0 * radius * libm::cos(angle);
            back[lane] = radius * radius;
            now[lane] = amplitude / total * radius * libm::sin(angle);
        }
        for sample in &mut sound {
            let mut sum = 0.0;
            for lane in 0..LANES {
                sum += now[lane];
                let next = forward[lane] * now[lane] - back[lane] * last[lane];
                last[lane] = now[lane];
                now[lane] = next;
            }
            *sample += sum as f32;
        }
    }
    sound
}

#[expect(clippy::too_many_arguments, reason = "numbers of one formula, called from one place")]
fn plucked(
    hertz: f64,
    decay: f64,
    brightness: f64,
    position: f64,
    damping: f64,
    num_samples: usize,
    rate: f64,
    dice: &mut Dice,
) -> Vec<f32> {
    let period = rate / hertz;
    // High strings have few samples in a period, and a filter that takes half of the highest would end them at once.
    let damping = damping * (220.0 / hertz).clamp(0.08, 1.0).sqrt();
    let whole = (period - damping - 0.1).floor().max(2.0);
    let fraction = period - damping - whole;
    let allpass = ((1.0 - fraction) / (1.0 + fraction)) as f32;
    let length = whole as usize;
    let mut noise = Noise::new(dice.seed());
    let mut excitation: Vec<f32> = (0..length).map(|_| noise.next()).collect();
    let cutoff = (brightness * brightness * 0.4 * rate).max(2.5 * hertz).min(0.45 * rate);
    one_pole(&mut excitation, cutoff.min(7000.0) / rate);
    // A finger or a plectrum gives less and less to higher harmonics.
    one_pole(&mut excitation, (hertz * (3.0 + 9.0 * brightness)).min(0.4 * rate) / rate);
    let shift = ((position * length as f64) as usize).max(1);
    let mut line: Vec<f32> =
        (0..length).map(|place| excitation[place] - excitation[(place + length - shift) % length]).collect();
    let mean = line.iter().sum::<f32>() / length as f32;
    line.iter_mut().for_each(|sample| *sample -= mean);
    let rms = (line.iter().map(|sample| sample * sample).sum::<f32>() / length as f32).sqrt().max(1e-9);
    line.iter_mut().for_each(|sample| *sample *= 0.3 / rms);
    let gain = libm::exp(-6.9 / (hertz * decay)) as f32;
    let (now_part, last_part) = (gain * (1.0 - damping) as f32, gain * damping as f32);
    let (mut last, mut allpass_in, mut allpass_out, mut place) = (0.0_f32, 0.0_f32, 0.0_f32, 0);
    let mut sound = Vec::with_capacity(num_samples);
    for _ in 0..num_samples {
        let value = line[place];
        sound.push(value);
        let filtered = now_part * value + last_part * last;
        last = value;
        let delayed = allpass * (filtered - allpass_out) + allpass_in;
        (allpass_in, allpass_out) = (filtered, delayed);
        line[place] = if delayed.abs() < 1e-12 { 0.0 } else { delayed };
        place = if place + 1 == length { 0 } else { place + 1 };
    }
    sound
}

/// `index`: at the start, its decay in seconds, and what stays.
fn modulated(hertz: f64, decay: f64, ratio: f64, index: (f64, f64, f64), num_samples: usize, rate: f64) -> Vec<f32> {
    let (start, index_decay, floor) = index;
    let fade = libm::exp(-6.9 / (decay * rate)) as f32;
    let index_fade = libm::exp(-6.9 / (index_decay * rate)) as f32;
    let (mut level, mut depth) = (0.5_f32, (start / TAU) as f32);
    let floor = (floor / TAU) as f32;
    let (mut carrier, mut modulator) = (0.0_f32, 0.0_f32);
    let (carrier_step, modulator_step) = ((hertz / rate) as f32, (ratio * hertz / rate) as f32);
    let sine: &[f32] = &SINE;
    let mut sound = Vec::with_capacity(num_samples);
    for _ in 0..num_samples {
        let bent = carrier + (depth + floor) * look_up(sine, modulator);
        sound.push(level * look_up(sine, bent - bent.floor()));
        carrier = wrapped(carrier + carrier_step);
        modulator = wrapped(modulator + modulator_step);
        level *= fade;
        depth *= index_fade;
    }
    sound
}

fn wrapped(phase: f32) -> f32 {
    if phase >= 1.0 { phase - phase.floor() } else { phase }
}
