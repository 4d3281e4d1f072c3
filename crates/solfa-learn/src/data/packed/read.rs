//! Reading a packed store.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err as fs;
use solfa_signal::audio::Waveform;

use super::{FORMAT, FULL_SCALE, INDEX, Index, SAMPLE_BYTES, SAMPLE_FORMAT, SAMPLES, VERSION, sha256};
use crate::checkpoint::MappedFile;
use crate::data::{DataError, TrackSource};

/// The tracks of a packed store, mapped into memory.
#[derive(Clone, Debug)]
pub struct PackedTracks {
    path: PathBuf,
    index: Index,
    bytes: Bytes,
}

impl PackedTracks {
    /// Opens the store in a folder and checks that index and samples fit each other.
    ///
    /// # Errors
    /// [`DataError::Io`] for files that cannot be read, and [`DataError::Damaged`] where something is not as it should be.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let index_path = folder.join(INDEX);
        let text = fs::read(&index_path).map_err(DataError::io("read", &index_path))?;
        let index: Index = serde_json::from_slice(&text).map_err(|error| {
            DataError::damaged(&index_path, format!("the index of a packed store ({FORMAT})"), error.to_string())
        })?;
        check_index(&index_path, &index)?;
        let path = folder.join(SAMPLES);
        let expected = index.num_samples * SAMPLE_BYTES;
        let bytes = if expected == 0 {
            Bytes::new()
        } else {
            let file = MappedFile::open(&path)?;
            let found = file.num_bytes();
            if found as u64 != expected {
                return Err(DataError::damaged(&path, format!("{expected} bytes"), format!("{found} bytes")));
            }
            file.stretch(0..found)?
        };
        Ok(Self { path, index, bytes })
    }

    /// Reads all samples and compares them with the hashes of the index, which opening a store does not do.
    ///
    /// # Errors
    /// [`DataError::Damaged`] for the first track that differs.
    pub fn verify(&self) -> Result<(), DataError> {
        for track in &self.index.tracks {
            let found = sha256(self.track_bytes(track.offset, track.num_samples));
            if found != track.samples_sha256 {
                let expected = format!("SHA-256 {} of {}", track.samples_sha256, track.name);
                return Err(DataError::damaged(&self.path, expected, found));
            }
        }
        Ok(())
    }

    fn track_bytes(&self, offset: u64, num_samples: u64) -> &[u8] {
        &self.bytes[(offset * SAMPLE_BYTES) as usize..][..(num_samples * SAMPLE_BYTES) as usize]
    }
}

/// Checks all that an index says against itself.
fn check_index(path: &Path, index: &Index) -> Result<(), DataError> {
    let check = |is_right: bool, expected: String, found: String| {
        if is_right { Ok(()) } else { Err(DataError::damaged(path, expected, found)) }
    };
    let known = (FORMAT, VERSION, SAMPLE_FORMAT);
    let found = (index.format.as_str(), index.version, index.sample_format.as_str());
    check(found == known, format!("{known:?}"), format!("{found:?}"))?;
    check(index.sample_rate > 0, "a sample rate above 0".into(), "0 Hz".into())?;
    let mut end: u64 = 0;
    for track in &index.tracks {
        let is_next = track.offset == end;
        check(is_next, format!("{} at sample {end}", track.name), format!("sample {}", track.offset))?;
        let Some(next) = end.checked_add(track.num_samples) else {
            return check(false, "a number of samples".into(), format!("{} of {}", track.num_samples, track.name));
        };
        end = next;
    }
    check(index.num_samples == end, format!("{end} samples in all"), format!("{}", index.num_samples))?;
    let is_possible = end <= u64::MAX / SAMPLE_BYTES;
    check(is_possible, "a possible number of samples".into(), format!("{end}"))
}

impl TrackSource for PackedTracks {
    fn sample_rate(&self) -> u32 {
        self.index.sample_rate
    }

    fn len(&self) -> usize {
        self.index.tracks.len()
    }

    fn name(&self, track: usize) -> String {
        self.index.tracks[track].name.clone()
    }

    fn num_samples(&self, track: usize) -> Result<u64, DataError> {
        Ok(self.index.tracks[track].num_samples)
    }

    fn read(&self, track: usize, start: u64, num_samples: usize) -> Result<Waveform, DataError> {
        let track = &self.index.tracks[track];
        let available = track.num_samples.saturating_sub(start);
        if available < num_samples as u64 {
            let (name, expected, found) = (track.name.clone(), num_samples, available as usize);
            return Err(DataError::TooShort { name, start, expected, found });
        }
        let bytes: &[u8] =
            if num_samples == 0 { &[] } else { self.track_bytes(track.offset + start, num_samples as u64) };
        let samples = bytes.as_chunks().0.iter().map(|&pair| f32::from(i16::from_le_bytes(pair)) / FULL_SCALE);
        Ok(Waveform::new(samples.collect(), self.index.sample_rate))
    }

    fn known_sha256(&self, track: usize) -> Option<String> {
        self.index.tracks[track].sha256.clone()
    }

    fn resampler_name(&self) -> Option<String> {
        self.index.resampler.clone()
    }
}
