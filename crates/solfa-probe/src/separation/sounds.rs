//! Mixtures and stems as the network hears them: mono, at 24 kHz.

use std::path::Path;

use solfa_signal::audio::{self, AudioError, MonoSource, Resampled, Resampler};

use crate::problem::Problem;

/// Samples per second of everything that is separated (MARBLE).
pub const SAMPLE_RATE: u32 = 24_000;

/// How much shorter than its mixture a stem may be, in seconds: what encoders of lossy formats put in or leave out.
const MISSING_SECONDS: f64 = 0.5;

/// Why a song cannot be heard.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// A recording cannot be decoded.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A song does not have a stem that others have.
    #[error("{track}: has no stem `{stem}`: every song of a data set must have the same stems")]
    NoStem {
        /// The song.
        track: String,
        /// The stem.
        stem: String,
    },
    /// A stem is not of this mixture.
    #[error("{stem}: {found:.2} s long, and its mixture has {expected:.2} s")]
    Length {
        /// The stem's file.
        stem: String,
        /// Its length in seconds.
        found: f64,
        /// The mixture's length in seconds.
        expected: f64,
    },
}

/// One song: samples of its mixture, and as many of one of its stems.
pub(super) struct Song {
    pub(super) mixture: Vec<f32>,
    pub(super) stem: Vec<f32>,
}

impl Song {
    pub(super) fn read(problem: &Problem, track: usize, stem: &str) -> Result<Self, SoundError> {
        let track = &problem.tracks[track];
        let path = track.stems.iter().find(|(name, _)| name == stem).map(|(_, path)| path.as_path());
        let missing = || SoundError::NoStem { track: track.name.clone(), stem: stem.to_owned() };
        let path = path.ok_or_else(missing)?;
        let mixture = read(&problem.recordings[track.parts[0].0])?;
        let mut stem = read(path)?;
        let seconds = |samples: &[f32]| samples.len() as f64 / f64::from(SAMPLE_RATE);
        let (found, expected) = (seconds(&stem), seconds(&mixture));
        if (found - expected).abs() > MISSING_SECONDS {
            return Err(SoundError::Length { stem: path.display().to_string(), found, expected });
        }
        stem.resize(mixture.len(), 0.0);
        Ok(Self { mixture, stem })
    }
}

fn read(path: &Path) -> Result<Vec<f32>, AudioError> {
    let mut source = Resampled::new(audio::open(path)?, SAMPLE_RATE, Resampler::default())?;
    let mut samples = Vec::new();
    while let Some(block) = source.next_block()? {
        samples.extend_from_slice(block.samples());
    }
    Ok(samples)
}
