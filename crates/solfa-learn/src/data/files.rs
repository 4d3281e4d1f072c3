//! Tracks in files of any format, decoded when they are asked for.

use std::path::PathBuf;

use solfa_signal::audio::{Resampler, Waveform, count_samples, read_resampled_stretch};

use super::{DataError, TrackSource};
use crate::checkpoint::sha256_of_files;

/// A recording and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFile {
    /// The name in messages and in the record of a run: often the path below the folder of the collection.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A list of recordings, mixed down and resampled to one rate.
///
/// A stretch is read without decoding what stands before it where the format allows that: see
/// [`read_stretch`](solfa_signal::audio::read_stretch).
#[derive(Clone, Debug)]
pub struct FileTracks {
    files: Vec<AudioFile>,
    sample_rate: u32,
    resampler: Resampler,
}

/// A header may promise this much more, in seconds, than there is: encoders of MP3 count one frame too many, or leave
/// out how much of the last is padding. Beyond their ends recordings count as silence.
const TOLERATED_SECONDS: f64 = 0.06;

impl FileTracks {
    /// Recordings at `sample_rate` Hz. Files are opened when they are asked for.
    ///
    /// # Panics
    /// If the rate is 0.
    pub fn new(files: Vec<AudioFile>, sample_rate: u32, resampler: Resampler) -> Self {
        assert!(sample_rate > 0, "FileTracks::new: the sample rate is 0");
        Self { files, sample_rate, resampler }
    }
}

impl TrackSource for FileTracks {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, track: usize) -> String {
        self.files[track].name.clone()
    }

    fn num_samples(&self, track: usize) -> Result<u64, DataError> {
        let (count, rate) = count_samples(&self.files[track].path)?;
        let resampled = (u128::from(count) * u128::from(self.sample_rate)).div_ceil(u128::from(rate));
        Ok(u64::try_from(resampled).unwrap_or(u64::MAX))
    }

    fn read(&self, track: usize, start: u64, num_samples: usize) -> Result<Waveform, DataError> {
        let file = &self.files[track];
        let stretch = read_resampled_stretch(&file.path, self.sample_rate, self.resampler, start, num_samples)?;
        let found = stretch.num_samples();
        if found == num_samples {
            return Ok(stretch);
        }
        let tolerated = (TOLERATED_SECONDS * f64::from(self.sample_rate)) as usize;
        if found + tolerated < num_samples {
            return Err(DataError::TooShort { name: file.name.clone(), start, expected: num_samples, found });
        }
        let mut samples = stretch.into_samples();
        samples.resize(num_samples, 0.0);
        Ok(Waveform::new(samples, self.sample_rate))
    }

    fn sha256(&self, track: usize) -> Result<Option<String>, DataError> {
        Ok(Some(sha256_of_files(std::slice::from_ref(&self.files[track].path))?))
    }

    fn resampler_name(&self) -> Option<String> {
        Some(self.resampler.name().to_owned())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use solfa_signal::audio::{read, resample};

    use super::*;

    /// The recordings of the repository.
    pub(in crate::data) fn recordings() -> Vec<AudioFile> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio");
        ["compus.flac", "hungarian_dance.mp3", "rainy.wav", "shrine.ogg"]
            .map(|name| AudioFile { name: name.into(), path: folder.join(name) })
            .to_vec()
    }

    #[test]
    fn stretches_are_those_of_the_whole_recording() {
        let files = recordings();
        let tracks = FileTracks::new(files.clone(), 24_000, Resampler::SincHann);
        assert_eq!((tracks.len(), tracks.is_empty(), tracks.sample_rate()), (4, false, 24_000));
        for (track, file) in files.iter().enumerate() {
            let whole = resample(&read(&file.path).unwrap(), 24_000, Resampler::SincHann).unwrap();
            let total = tracks.num_samples(track).unwrap();
            assert_eq!((tracks.name(track), total), (file.name.clone(), whole.num_samples() as u64));
            for start in [0, total / 2 - 7, total - 24_000] {
                let stretch = tracks.read(track, start, 24_000).unwrap();
                assert!(stretch.samples() == &whole.samples()[start as usize..][..24_000], "{}", file.name);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_an_error_that_says_so() {
        let mut files = recordings();
        files.push(AudioFile { name: "lost".into(), path: "nowhere/lost.wav".into() });
        let tracks = FileTracks::new(files, 24_000, Resampler::SincHann);
        assert!(tracks.num_samples(4).unwrap_err().to_string().contains("lost.wav"));
        assert!(tracks.read(4, 0, 10).unwrap_err().to_string().contains("lost.wav"));
        let total = tracks.num_samples(2).unwrap();
        let error = tracks.read(2, total - 10, 24_000).unwrap_err();
        assert!(matches!(error, DataError::TooShort { found: 10, expected: 24_000, .. }), "{error}");
        let padded = tracks.read(2, total - 10, 12).unwrap();
        assert_eq!(padded.samples()[10..], [0.0, 0.0]);
    }

    #[test]
    fn the_hash_is_that_of_the_file() {
        let tracks = FileTracks::new(recordings(), 24_000, Resampler::SincHann);
        let hash = tracks.sha256(2).unwrap().unwrap();
        assert!(hash.len() == 64 && tracks.known_sha256(2).is_none());
        assert_ne!(Some(hash), tracks.sha256(3).unwrap());
    }
}
