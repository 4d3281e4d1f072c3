//! Sounds that carry labels: tones, timbres, clicks, and a little noise that no two recordings share.

use crate::common::Workplace;

/// Samples per second of every sound here.
pub(super) const RATE: u32 = 16_000;

/// Loudness of the noise, which makes every recording another one.
const NOISE: f32 = 0.002;

/// The frequency of a MIDI number.
fn hertz(pitch: f32) -> f32 {
    440.0 * ((pitch - 69.0) / 12.0).exp2()
}

fn num_samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)).round() as usize
}

/// Silence, but for the noise.
pub(super) fn silence(seconds: f64, seed: usize) -> Vec<f32> {
    let mut state = (seed as u32).wrapping_mul(0x9e37_79b9).wrapping_add(1);
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        NOISE * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..num_samples(seconds)).map(|_| noise()).collect()
}

/// Sines at once, each with its pitch as a MIDI number and its loudness.
fn sines(sines: &[(f32, f32)], seconds: f64, seed: usize) -> Vec<f32> {
    let mut samples = silence(seconds, seed);
    for &(pitch, loudness) in sines {
        let step = std::f32::consts::TAU * hertz(pitch) / RATE as f32;
        let mut phase = 0.0_f32;
        for sample in &mut samples {
            *sample += loudness * phase.sin();
            phase = (phase + step) % std::f32::consts::TAU;
        }
    }
    samples
}

/// The partials of a note, each less loud than the one below it.
fn partials(pitch: u8, num_partials: u8, loudness: f32) -> impl Iterator<Item = (f32, f32)> {
    (1..=num_partials).map(move |number| {
        let number = f32::from(number);
        (f32::from(pitch) + 12.0 * number.log2(), loudness / number.sqrt())
    })
}

/// Notes at once, each with a few partials and a loudness.
pub(super) fn mix(notes: &[(u8, f32)], seconds: f64, seed: usize) -> Vec<f32> {
    let all: Vec<(f32, f32)> = notes.iter().flat_map(|&(pitch, loudness)| partials(pitch, 4, loudness)).collect();
    sines(&all, seconds, seed)
}

/// Notes at once, as loud as each other.
pub(super) fn notes(pitches: &[u8], seconds: f64, seed: usize) -> Vec<f32> {
    let each = 0.4 / pitches.len() as f32;
    mix(&pitches.iter().map(|&pitch| (pitch, each)).collect::<Vec<_>>(), seconds, seed)
}

/// One note: the more partials it has, the brighter it is.
pub(super) fn timbre(pitch: u8, num_partials: u8, seconds: f64, seed: usize) -> Vec<f32> {
    sines(&partials(pitch, num_partials, 0.3).collect::<Vec<_>>(), seconds, seed)
}

/// Adds a short burst at each of these times.
pub(super) fn add_clicks(samples: &mut [f32], times: &[f64], pitch: u8, seconds: f64) {
    let burst = timbre(pitch, 3, seconds, 0);
    times.iter().for_each(|&time| add(samples, time, &burst));
}

/// Adds a sound from a time on.
pub(super) fn add(samples: &mut [f32], time: f64, sound: &[f32]) {
    let into = samples.iter_mut().skip(num_samples(time));
    into.zip(sound).for_each(|(sample, value)| *sample += value);
}

/// Writes a recording.
pub(super) fn write(place: &Workplace, name: &str, samples: &[f32]) {
    place.wav(name, RATE, samples);
}
