//! A small synthesiser that needs no files.
//!
//! Every General MIDI program has a recipe: strings that are plucked (Karplus and Strong, Computer Music Journal 7(2),
//! 1983), bars and strings that are struck (decaying partials), frequency modulation (Chowning, JAES 21(7), 1973), and
//! waves of a spectrum with formants, which are blown, bowed or electronic. The recipes vary a little with the seed of
//! the performance, so that one program is not always the same sound.
//!
//! The same performance gives the same bytes on every machine: sine, exponential and power come from the crate `libm`,
//! which computes them in Rust, and everything else is arithmetic that IEEE 754 defines exactly, in a fixed order.

mod drums;
mod kernel;
mod patch;
mod reverb;
mod ringing;
mod sustained;

use std::collections::BTreeMap;

use super::{RenderError, Renderer, Stereo, checked_samples, master};
use crate::dice::Dice;
use crate::events::{Instrument, Note, Part, Performance};
use kernel::{hertz, one_pole};
use patch::{Patch, Voice, patch};
use reverb::Reverb;

/// Changes when the sound of any performance does.
const VERSION: u32 = 1;

/// The built-in synthesiser.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltinSynth;

impl Renderer for BuiltinSynth {
    fn identity(&self) -> String {
        format!("builtin {VERSION}")
    }

    fn render_stereo(&self, performance: &Performance, sample_rate: u32) -> Result<Stereo, RenderError> {
        let num_samples = checked_samples(performance, sample_rate)?;
        let mut stereo = Stereo { left: vec![0.0; num_samples], right: vec![0.0; num_samples], sample_rate };
        let mut send = vec![0.0_f32; num_samples];
        let mut samples = vec![0.0_f32; num_samples];
        for (place, part) in performance.parts.iter().enumerate() {
            samples.fill(0.0);
            let seed = performance.seed ^ (place as u64) << 48;
            match part.instrument {
                Instrument::Drums(kit) => drums::play(part, kit, seed, sample_rate, &mut samples),
                Instrument::Program(program) => play(part, program, seed, sample_rate, &mut samples),
            }
            mix(part, &samples, &mut stereo, &mut send);
        }
        Reverb::new(sample_rate).add(&send, &mut stereo);
        master(&mut stereo, touch(performance));
        Ok(stereo)
    }
}

/// How loud a performance is by the mean velocity of its notes; 1 at 85.
pub(super) fn touch(performance: &Performance) -> f64 {
    let notes = performance.parts.iter().flat_map(|part| &part.notes);
    let (sum, count) = notes.fold((0.0, 0.0), |(sum, count), note| (sum + f64::from(note.velocity), count + 1.0));
    if count == 0.0 { 1.0 } else { (sum / count / 85.0).clamp(0.3, 1.2) }
}

/// Adds a part at its volume: parts are as loud as it says whatever plays them.
fn mix(part: &Part, samples: &[f32], stereo: &mut Stereo, send: &mut [f32]) {
    let mut energy = 0.0;
    let mut sounding = 0.0;
    for block in samples.chunks(1024) {
        let of_block: f64 = block.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
        if of_block > 1e-7 * block.len() as f64 {
            energy += of_block;
            sounding += block.len() as f64;
        }
    }
    if energy == 0.0 {
        return;
    }
    let gain = 0.1 * part.volume / (energy / sounding).sqrt();
    // Constant power: the quarter circle by its sine and cosine.
    let angle = 0.25 * std::f64::consts::PI * (part.pan + 1.0);
    let (to_left, to_right) = ((gain * libm::cos(angle)) as f32, (gain * libm::sin(angle)) as f32);
    let to_reverb = (gain * part.reverb) as f32;
    for (place, &sample) in samples.iter().enumerate() {
        stereo.left[place] += to_left * sample;
        stereo.right[place] += to_right * sample;
        send[place] += to_reverb * sample;
    }
}

/// All notes of a part with pitches.
fn play(part: &Part, program: u8, seed: u64, sample_rate: u32, samples: &mut [f32]) {
    let mut dice = Dice::new(seed, "timbre");
    let Patch { voice, drive, body } = patch(program, &mut dice);
    match voice {
        Voice::Sustained(recipe) => sustained::play(&recipe, part, seed, sample_rate, samples),
        Voice::Ringing(recipe) => {
            let mut lengths: BTreeMap<(u8, u8), f64> = BTreeMap::new();
            for note in &part.notes {
                let longest = lengths.entry((note.pitch, layer(note))).or_default();
                *longest = longest.max(note.offset - note.onset + recipe.release_seconds);
            }
            let mut sounds: BTreeMap<(u8, u8), Vec<f32>> = BTreeMap::new();
            for (&(pitch, layer), &seconds) in &lengths {
                let wanted = (seconds * f64::from(sample_rate)) as usize + 1;
                let mut dice = Dice::new(seed, &format!("string {pitch}"));
                let loudness = (f64::from(layer) + 0.5) / f64::from(NUM_LAYERS);
                let sound = recipe.sound(hertz(pitch), loudness, wanted.min(samples.len() + 1), sample_rate, &mut dice);
                sounds.insert((pitch, layer), sound);
            }
            for note in &part.notes {
                if let Some(sound) = sounds.get(&(note.pitch, layer(note))) {
                    ring(note, sound, recipe.release_seconds, sample_rate, samples);
                }
            }
        }
    }
    if drive > 0.0 {
        distort(samples, drive, sample_rate);
    }
    if body > 0.0 {
        one_pole(samples, body / f64::from(sample_rate));
    }
}

/// Sounds that ring have so many versions from soft to loud.
const NUM_LAYERS: u8 = 4;

fn layer(note: &Note) -> u8 {
    (note.velocity / (128 / NUM_LAYERS)).min(NUM_LAYERS - 1)
}

/// Adds a sound from a note's onset, and fades it out after the offset.
fn ring(note: &Note, sound: &[f32], release_seconds: f64, sample_rate: u32, samples: &mut [f32]) {
    let rate = f64::from(sample_rate);
    let start = (note.onset * rate) as usize;
    let held = ((note.offset - note.onset) * rate) as usize;
    let gain = libm::pow(f64::from(note.velocity) / 127.0, 1.4) as f32;
    // To a thousandth within the time of release.
    let fade = libm::exp(-6.9 / (release_seconds * rate).max(1.0)) as f32;
    let mut level = gain;
    for (place, &value) in sound.iter().enumerate() {
        let Some(sample) = samples.get_mut(start + place) else { break };
        if place >= held {
            level *= fade;
            if level < 1e-4 * gain {
                break;
            }
        }
        *sample += level * value;
    }
}

/// An amplifier that is driven too far: low-passed before and after, so that little folds back at half the rate.
fn distort(samples: &mut [f32], drive: f64, sample_rate: u32) {
    let rate = f64::from(sample_rate);
    one_pole(samples, 2600.0 / rate);
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs())).max(1e-9);
    let gain = drive as f32 / peak;
    for sample in samples.iter_mut() {
        let driven = *sample * gain;
        *sample = driven / (1.0 + driven.abs());
    }
    one_pole(samples, 3800.0 / rate);
    one_pole(samples, 5200.0 / rate);
}
