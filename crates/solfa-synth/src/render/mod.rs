//! Renderers: from a performance to sound.
//!
//! [`BuiltinSynth`] needs nothing and gives the same bytes on every machine. [`SoundFontSynth`] plays a SoundFont, sounds
//! like instruments, and depends on the machine by the rounding of its mathematical functions.

mod builtin;
mod soundfont;

use solfa_signal::audio::Waveform;

use crate::events::{Performance, PerformanceError};

pub use builtin::BuiltinSynth;
pub use soundfont::SoundFontSynth;

/// Lowest and highest sample rate of renderings, in Hz.
pub const SAMPLE_RATES: (u32, u32) = (16_000, 192_000);

/// What makes sound of a performance.
pub trait Renderer: Sync {
    /// What it is, for manifests: two renderers with the same identity give the same sound on one machine.
    fn identity(&self) -> String;

    /// Both channels of a performance.
    ///
    /// # Errors
    /// A performance that cannot be played, or a rate out of [`SAMPLE_RATES`].
    fn render_stereo(&self, performance: &Performance, sample_rate: u32) -> Result<Stereo, RenderError>;

    /// A performance in mono.
    ///
    /// # Errors
    /// As [`Renderer::render_stereo`].
    fn render(&self, performance: &Performance, sample_rate: u32) -> Result<Waveform, RenderError> {
        Ok(self.render_stereo(performance, sample_rate)?.mono())
    }
}

/// Two channels of sound, within -1 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Stereo {
    /// The left channel.
    pub left: Vec<f32>,
    /// The right channel, as long as the left one.
    pub right: Vec<f32>,
    /// Samples per second of each.
    pub sample_rate: u32,
}

impl Stereo {
    /// The mean of both channels.
    pub fn mono(&self) -> Waveform {
        let samples = self.left.iter().zip(&self.right).map(|(left, right)| 0.5 * (left + right)).collect();
        Waveform::new(samples, self.sample_rate)
    }
}

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The performance cannot be played.
    #[error(transparent)]
    Performance(#[from] PerformanceError),
    /// The rate is out of range.
    #[error("a sample rate of {found} Hz: expected {} to {}", SAMPLE_RATES.0, SAMPLE_RATES.1)]
    SampleRate {
        /// The rate, in Hz.
        found: u32,
    },
    /// A SoundFont that cannot be used.
    #[error("{path}: not a SoundFont that can be used: {reason}")]
    SoundFont {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Checks both, and says how many samples the performance has.
fn checked_samples(performance: &Performance, sample_rate: u32) -> Result<usize, RenderError> {
    performance.validate()?;
    if !(SAMPLE_RATES.0..=SAMPLE_RATES.1).contains(&sample_rate) {
        return Err(RenderError::SampleRate { found: sample_rate });
    }
    Ok(((performance.seconds * f64::from(sample_rate)).round() as usize).max(1))
}

/// Loudness of what is rendered: the root mean square of the louder tenths of a second.
const TARGET_RMS: f64 = 0.11;

/// Level above which peaks are bent instead of cut.
const KNEE: f32 = 0.6;

/// Brings a mix to the usual loudness, and its peaks below 1 without clipping.
///
/// `scale` is by how much this performance is to be quieter than usual. Silence stays silence.
fn master(stereo: &mut Stereo, scale: f64) {
    let block = (stereo.sample_rate / 10) as usize;
    let energy = |samples: &[f32]| samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum::<f64>();
    let mut energies: Vec<f64> = stereo
        .left
        .chunks(block)
        .zip(stereo.right.chunks(block))
        .map(|(left, right)| 0.5 * (energy(left) + energy(right)) / left.len() as f64)
        .collect();
    energies.sort_by(f64::total_cmp);
    let louder = &energies[energies.len() / 2..];
    let rms = (louder.iter().sum::<f64>() / louder.len() as f64).sqrt();
    if rms < 1e-7 {
        return;
    }
    let gain = (scale * TARGET_RMS / rms) as f32;
    for sample in stereo.left.iter_mut().chain(&mut stereo.right) {
        let scaled = *sample * gain;
        let over = scaled.abs() - KNEE;
        *sample = if over > 0.0 {
            let room = 1.0 - KNEE;
            (KNEE + room * over / (over + room)).copysign(scaled)
        } else {
            scaled
        };
    }
}

#[cfg(test)]
mod tests;
