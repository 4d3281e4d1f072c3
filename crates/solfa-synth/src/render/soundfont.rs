//! Rendering by `rustysynth` with a SoundFont (SF2).

use std::path::Path;
use std::sync::Arc;

use rustysynth::{SoundFont, Synthesizer, SynthesizerSettings};
use sha2::{Digest as _, Sha256};

use super::{RenderError, Renderer, Stereo, checked_samples, master};
use crate::events::{Instrument, Part, Performance};

/// Samples between two moments at which notes can begin: 1.3 ms at 24 kHz.
const BLOCK_SAMPLES: usize = 32;

/// Channels of a synthesiser that are not the drums'.
const PITCHED_CHANNELS: usize = 15;

/// The channel of drums in General MIDI, counted from 0.
const DRUM_CHANNEL: usize = 9;

/// Plays performances with the instruments of a SoundFont.
#[derive(Debug)]
pub struct SoundFontSynth {
    font: Arc<SoundFont>,
    identity: String,
}

impl SoundFontSynth {
    /// Reads a SoundFont.
    ///
    /// # Errors
    /// A file that cannot be read, or is not a SoundFont with presets.
    pub fn open(path: &Path) -> Result<Self, RenderError> {
        let refused = |reason: String| RenderError::SoundFont { path: path.display().to_string(), reason };
        let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        let font = SoundFont::new(&mut bytes.as_slice()).map_err(|error| refused(error.to_string()))?;
        if font.get_presets().is_empty() {
            return Err(refused("it has no instruments".into()));
        }
        let hash: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { font: Arc::new(font), identity: format!("soundfont {name} sha256:{hash}") })
    }

    /// One synthesiser's share of a performance, added to both channels.
    fn add(&self, parts: &[&Part], stereo: &mut Stereo) -> Result<(), RenderError> {
        let mut settings = SynthesizerSettings::new(stereo.sample_rate as i32);
        settings.block_size = BLOCK_SAMPLES;
        settings.maximum_polyphony = 192;
        let mut synthesizer = Synthesizer::new(&self.font, &settings)
            .map_err(|error| RenderError::SoundFont { path: self.identity.clone(), reason: error.to_string() })?;
        let channels = channels(parts);
        let mut changes: Vec<(usize, Change)> = Vec::new();
        for (part, &channel) in parts.iter().zip(&channels) {
            let send = |synthesizer: &mut Synthesizer, command, first, second| {
                synthesizer.process_midi_message(channel as i32, command, first, second);
            };
            let (Instrument::Program(program) | Instrument::Drums(program)) = part.instrument;
            let scaled = |value: f64| (127.0 * value).round() as i32;
            send(&mut synthesizer, 0xC0, i32::from(program), 0);
            // The controller's value is squared by synthesisers.
            send(&mut synthesizer, 0xB0, 7, scaled(part.volume.sqrt()));
            send(&mut synthesizer, 0xB0, 10, scaled(0.5 + 0.5 * part.pan));
            send(&mut synthesizer, 0xB0, 91, scaled(part.reverb));
            for note in &part.notes {
                let at = |seconds: f64| (seconds * f64::from(stereo.sample_rate)).round() as usize;
                let (on, off) = (at(note.onset), at(note.offset));
                let (channel, pitch) = (channel as i32, i32::from(note.pitch));
                changes.push((on, Change { is_on: true, channel, pitch, velocity: i32::from(note.velocity) }));
                changes.push((off.max(on + 1), Change { is_on: false, channel, pitch, velocity: 0 }));
            }
        }
        changes.sort_by_key(|(sample, change)| (*sample, change.is_on));
        let (num_samples, mut next) = (stereo.left.len(), 0);
        let (mut left, mut right) = (vec![0.0; BLOCK_SAMPLES], vec![0.0; BLOCK_SAMPLES]);
        for start in (0..num_samples).step_by(BLOCK_SAMPLES) {
            while let Some((_, change)) = changes.get(next).filter(|(sample, _)| *sample < start + BLOCK_SAMPLES) {
                if change.is_on {
                    synthesizer.note_on(change.channel, change.pitch, change.velocity);
                } else {
                    synthesizer.note_off(change.channel, change.pitch);
                }
                next += 1;
            }
            synthesizer.render(&mut left, &mut right);
            let end = (start + BLOCK_SAMPLES).min(num_samples);
            let add = |to: &mut [f32], from: &[f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            add(&mut stereo.left[start..end], &left);
            add(&mut stereo.right[start..end], &right);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Change {
    is_on: bool,
    channel: i32,
    pitch: i32,
    velocity: i32,
}

/// A channel for every part; drums share theirs.
fn channels(parts: &[&Part]) -> Vec<usize> {
    let mut free = (0..=PITCHED_CHANNELS).filter(|channel| *channel != DRUM_CHANNEL);
    parts
        .iter()
        .map(|part| match part.instrument {
            Instrument::Drums(_) => DRUM_CHANNEL,
            Instrument::Program(_) => free.next().unwrap_or(0),
        })
        .collect()
}

impl Renderer for SoundFontSynth {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn render_stereo(&self, performance: &Performance, sample_rate: u32) -> Result<Stereo, RenderError> {
        let num_samples = checked_samples(performance, sample_rate)?;
        let mut stereo = Stereo { left: vec![0.0; num_samples], right: vec![0.0; num_samples], sample_rate };
        let is_drums = |part: &&Part| matches!(part.instrument, Instrument::Drums(_));
        let (drums, pitched): (Vec<&Part>, Vec<&Part>) = performance.parts.iter().partition(is_drums);
        // Each kit and every fifteen parts have a synthesiser of their own.
        for part in drums {
            self.add(&[part], &mut stereo)?;
        }
        for parts in pitched.chunks(PITCHED_CHANNELS) {
            self.add(parts, &mut stereo)?;
        }
        master(&mut stereo, super::builtin::touch(performance));
        Ok(stereo)
    }
}
