//! Pieces without end, to learn from without a download: track `n` is a function of a seed and `n`.
//!
//! Each is a piece of [`compose`](crate::compose) in any style and key, played by the built-in synthesiser, in mono. The
//! same settings give the same bits on every machine.

use sha2::{Digest, Sha256};

use crate::compose::{ComposeError, MAXIMUM_PIECE_SECONDS, MINIMUM_PIECE_SECONDS, Piece, Request, compose};
use crate::dice::Dice;
use crate::labels::Labels;
use crate::render::{BuiltinSynth, RenderError, Renderer, SAMPLE_RATES};
use crate::suite::SuiteError;

/// Changes when other pieces are composed. The synthesiser has a version of its own.
const VERSION: u32 = 1;

/// What decides every track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneratedTracks {
    seed: u64,
    seconds: f64,
    sample_rate: u32,
}

impl GeneratedTracks {
    /// Tracks of a seed, all of one length in seconds, at `sample_rate` Hz.
    ///
    /// # Errors
    /// A length that no piece has, or a rate that nothing is rendered at.
    pub fn new(seed: u64, seconds: f64, sample_rate: u32) -> Result<Self, SuiteError> {
        if !(MINIMUM_PIECE_SECONDS..=MAXIMUM_PIECE_SECONDS).contains(&seconds) {
            return Err(ComposeError::Seconds { found: seconds }.into());
        }
        if !(SAMPLE_RATES.0..=SAMPLE_RATES.1).contains(&sample_rate) {
            return Err(RenderError::SampleRate { found: sample_rate }.into());
        }
        Ok(Self { seed, seconds, sample_rate })
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples of every track.
    pub fn num_samples(&self) -> usize {
        ((self.seconds * f64::from(self.sample_rate)).round() as usize).max(1)
    }

    /// Composes and renders a track: samples within -1 to 1.
    ///
    /// # Errors
    /// A piece that cannot be played, which is a fault of the composer.
    pub fn render(&self, track: u64) -> Result<Vec<f32>, SuiteError> {
        Ok(BuiltinSynth.render(&self.piece(track)?.performance, self.sample_rate)?.into_samples())
    }

    /// Composes a track without rendering it: all that is known of it.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn labels(&self, track: u64) -> Result<Labels, SuiteError> {
        Ok(self.piece(track)?.labels)
    }

    fn piece(&self, track: u64) -> Result<Piece, ComposeError> {
        let seed = Dice::new(self.seed, &format!("track {track}")).seed();
        compose(&Request { seed, style: None, key: None, seconds: self.seconds })
    }

    /// The SHA-256, in hexadecimal, of all that determines a track: the settings, its number, and the versions of composer
    /// and synthesiser. Nothing is rendered for it.
    pub fn sha256(&self, track: u64) -> String {
        let Self { seed, seconds, sample_rate } = self;
        let synthesiser = BuiltinSynth.identity();
        let text = format!(
            "solfa-synth tracks {VERSION}, {synthesiser}: seed {seed}, track {track}, {seconds} s, {sample_rate} Hz"
        );
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_is_a_function_of_the_seed_and_its_number() {
        let tracks = GeneratedTracks::new(7, 8.0, 16_000).unwrap();
        let first = tracks.render(0).unwrap();
        assert_eq!(first.len(), tracks.num_samples());
        assert!(first == tracks.render(0).unwrap());
        assert!(first.iter().all(|sample| sample.abs() <= 1.0));
        assert!(first.iter().any(|sample| sample.abs() > 0.05), "it is not silence");
        let labels = tracks.labels(0).unwrap();
        assert!(labels.style.is_some() && labels.key.is_some() && !labels.instruments.is_empty());
        assert_eq!(labels, tracks.labels(0).unwrap());
        let other_seed = GeneratedTracks::new(8, 8.0, 16_000).unwrap();
        for other in [tracks.render(1), other_seed.render(0)] {
            assert!(first != other.unwrap());
        }
        assert_eq!((tracks.num_samples(), tracks.sample_rate()), (128_000, 16_000));
    }

    #[test]
    fn hashes_tell_settings_apart() {
        let hash = |seed, seconds, rate, track| GeneratedTracks::new(seed, seconds, rate).unwrap().sha256(track);
        let one = hash(7, 8.0, 16_000, 0);
        assert_eq!((one.len(), &one), (64, &hash(7, 8.0, 16_000, 0)));
        for other in
            [hash(8, 8.0, 16_000, 0), hash(7, 9.0, 16_000, 0), hash(7, 8.0, 24_000, 0), hash(7, 8.0, 16_000, 1)]
        {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn settings_that_cannot_be_are_errors_before_anything_is_rendered() {
        let error = |seconds, rate| GeneratedTracks::new(0, seconds, rate).unwrap_err().to_string();
        assert!(error(3.0, 24_000).contains("3 seconds") && error(f64::NAN, 24_000).contains("expected 8 to 600"));
        assert!(error(30.0, 8_000).contains("8000 Hz: expected 16000 to 192000"));
    }
}
