//! What a recording's file says of itself.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use solfa_signal::audio::{self, AudioError};

/// What the header of a recording says. Every field but the rate may be unknown: an MP3 without a tag does not say how
/// long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioHeader {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples of one channel.
    pub num_samples: Option<u64>,
    /// Number of channels.
    pub channels: Option<u32>,
    /// Bits of a sample.
    pub bit_depth: Option<u32>,
}

/// How much of a recording is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedAudio {
    /// The header and the first block. Nothing is said of the rest.
    Beginning,
    /// The header and the first block; all of it where the header does not say how long it is.
    UntilLengthIsKnown,
    /// All of it, so that damage anywhere is found.
    Whole,
}

impl AudioHeader {
    /// Opens a recording and decodes as much of it as `checked` says.
    ///
    /// # Errors
    /// As for [`audio::open`].
    pub fn read(path: &Path, checked: CheckedAudio) -> Result<Self, AudioError> {
        let mut source = audio::open(path)?;
        let mut header = Self {
            sample_rate: source.sample_rate(),
            num_samples: source.num_samples_hint(),
            channels: source.num_channels_hint(),
            bit_depth: source.bit_depth_hint(),
        };
        let first = source.next_block()?;
        let reads_all = match checked {
            CheckedAudio::Beginning => false,
            CheckedAudio::UntilLengthIsKnown => header.num_samples.is_none(),
            CheckedAudio::Whole => true,
        };
        if reads_all {
            let mut num_samples = first.map_or(0, |block| block.num_samples() as u64);
            while let Some(block) = source.next_block()? {
                num_samples += block.num_samples() as u64;
            }
            header.num_samples = Some(num_samples);
        }
        Ok(header)
    }

    /// Length in seconds, where it is known.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.num_samples? as f64 / f64::from(self.sample_rate))
    }
}

/// A recording that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AudioProblem {
    /// The file.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// Reads the headers of many recordings, on all cores. `done` is called after each.
pub fn check_audio(
    paths: &[PathBuf],
    checked: CheckedAudio,
    done: &(dyn Fn() + Sync),
) -> Vec<Result<AudioHeader, AudioProblem>> {
    paths
        .par_iter()
        .map(|path| {
            let header = AudioHeader::read(path, checked)
                .map_err(|error| AudioProblem { path: path.display().to_string(), reason: error.to_string() });
            done();
            header
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::dataset::import::testing::Place;

    #[test]
    fn headers_say_rate_length_channels_and_depth() {
        let place = Place::new();
        let mono = place.wav("mono.wav", 0.5);
        let header = AudioHeader::read(&mono, CheckedAudio::Beginning).unwrap();
        let expected =
            AudioHeader { sample_rate: 8_000, num_samples: Some(4_000), channels: Some(1), bit_depth: Some(16) };
        assert_eq!(header, expected);
        assert_eq!(header.seconds(), Some(0.5));
        assert_eq!(AudioHeader::read(&mono, CheckedAudio::Whole).unwrap(), expected);
    }

    #[test]
    fn damage_behind_the_beginning_is_found_where_all_is_decoded() {
        let place = Place::new();
        let whole = place.wav("a.wav", 20.0);
        let bytes = fs_err::read(&whole).unwrap();
        let cut = place.write("cut.wav", &bytes[..bytes.len() / 2]);
        let text = place.write("text.wav", "no sound");
        let calls = AtomicUsize::new(0);
        let count = || {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        let found = check_audio(&[whole, cut, text], CheckedAudio::Whole, &count);
        assert_eq!(calls.into_inner(), 3);
        assert!(found[0].is_ok());
        assert!(found[1].as_ref().unwrap_err().path.ends_with("cut.wav"));
        assert!(found[2].as_ref().unwrap_err().reason.contains("not recognised"), "{:?}", found[2]);
    }
}
