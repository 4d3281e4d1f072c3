//! What tracks are to everything that samples them.

use solfa_signal::audio::Waveform;

use super::DataError;

/// A number of tracks that can be read in part, from several threads at once.
///
/// A source may decode files, read a store, or generate its tracks. It must give the same samples for the same arguments
/// each time, or a run cannot be repeated or resumed.
pub trait TrackSource: Send + Sync {
    /// Samples per second of every track.
    fn sample_rate(&self) -> u32;

    /// Number of tracks, numbered from 0. All that follows may panic beyond it.
    fn len(&self) -> usize;

    /// Whether there are no tracks.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of a track, for messages and for the record of a run.
    fn name(&self, track: usize) -> String;

    /// The length of a track in samples, found out without reading all of it wherever that can be.
    ///
    /// # Errors
    /// A track that cannot be read.
    fn num_samples(&self, track: usize) -> Result<u64, DataError>;

    /// `num_samples` samples of a track from sample `start` on: exactly as many.
    ///
    /// # Errors
    /// A track that cannot be read there, or [`DataError::TooShort`] where it ends before.
    fn read(&self, track: usize, start: u64, num_samples: usize) -> Result<Waveform, DataError>;

    /// The SHA-256 of what the track was made from, in hexadecimal, where it is known without reading the track.
    fn known_sha256(&self, track: usize) -> Option<String> {
        let _ = track;
        None
    }

    /// The SHA-256 of what the track is made from, in hexadecimal, read if it must be; `None` of what is generated.
    ///
    /// # Errors
    /// A track that cannot be read.
    fn sha256(&self, track: usize) -> Result<Option<String>, DataError> {
        Ok(self.known_sha256(track))
    }

    /// How recordings were brought to the sample rate, for the index of a packed store.
    fn resampler_name(&self) -> Option<String> {
        None
    }
}
