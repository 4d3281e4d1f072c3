//! Features of recordings, computed once: what probes need of every layer, on disk.
//!
//! An encoder is run over a recording once; a [`CacheSink`] keeps what a task needs of all its layers: the mean of every
//! clip for tasks that say something of a whole track, frames for those that say something of a moment. Every layer, head,
//! seed and learning rate is then trained from the cache.
//!
//! An entry is a safetensors file with one tensor for each layer, `[items, dim]`, under the name
//! `<folder>/<key>/<first two digits>/<SHA-256 of the recording's bytes>.safetensors`. The key hashes the space that the
//! vectors live in and how they were pooled, so nothing that would give other numbers is ever mistaken for this. Entries
//! appear whole or not at all and are read by mapping them into memory, a layer at a time.
//!
//! This module must not know: tasks, probes, how sound is decoded.

mod audio_index;
mod entry;
mod map;
mod sink;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use solfa_signal::encoder::sha256_hex;

pub use audio_index::AudioIndex;
pub use entry::{CachedLayer, CachedTrack};
pub use sink::CacheSink;

use crate::store::{EmbeddingSpace, StoreError};

/// What is kept of a recording's frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The mean of each clip.
    ClipMeans {
        /// Length of a clip in seconds.
        clip_seconds: f64,
        /// The last clip is kept when it is at least this share of a clip, or the only one.
        minimum_share: f64,
    },
    /// The class token of each window that the encoder saw.
    ClassTokens {
        /// Time from one window to the next in seconds.
        hop_seconds: f64,
    },
    /// Frames, or means of as many neighbours as bring them to at most this rate.
    Frames {
        /// Frames per second at most.
        maximum_per_second: f64,
    },
}

/// The type of the numbers of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheDtype {
    /// 4 bytes a number, as they were computed.
    #[default]
    F32,
    /// 2 bytes a number: 11 bits of mantissa, and nothing above 65,504.
    F16,
}

/// What the entries of one folder of the cache are.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheKey {
    /// The space of the frames, before anything is kept of them.
    pub space: EmbeddingSpace,
    /// What is kept.
    pub kept: Kept,
    /// The type of the numbers.
    pub dtype: CacheDtype,
}

impl CacheKey {
    /// Name of the folder of these entries: 32 hexadecimal digits.
    pub fn id(&self) -> String {
        let kept = match self.kept {
            Kept::ClipMeans { clip_seconds, minimum_share } => format!("clip means {clip_seconds} {minimum_share}"),
            Kept::ClassTokens { hop_seconds } => format!("class tokens {hop_seconds}"),
            Kept::Frames { maximum_per_second } => format!("frames {maximum_per_second}"),
        };
        let text = format!("solfa cache 1\nspace={}\nkept={kept}\ndtype={:?}\n", self.space.space_id(), self.dtype);
        let mut id = sha256_hex(text);
        id.truncate(32);
        id
    }
}

/// A folder of cached features.
#[derive(Clone, Debug)]
pub struct FeatureCache {
    folder: PathBuf,
}

impl FeatureCache {
    /// The cache in `folder`, which is made when the first entry is.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the entry of a recording is or will be.
    pub fn path(&self, key: &CacheKey, audio_sha256: &str) -> PathBuf {
        let prefix = audio_sha256.get(..2).unwrap_or("00");
        self.folder.join(key.id()).join(prefix).join(format!("{audio_sha256}.safetensors"))
    }

    /// The entry of a recording; `None` where there is none, or where what is there is damaged and must be made anew.
    ///
    /// # Errors
    /// [`StoreError::Io`] where a file is there and cannot be read.
    pub fn read(&self, key: &CacheKey, audio_sha256: &str) -> Result<Option<CachedTrack>, StoreError> {
        let path = self.path(key, audio_sha256);
        if !path.exists() {
            return Ok(None);
        }
        match CachedTrack::open(&path) {
            Ok(track) => Ok(Some(track)),
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes what a sink kept of a recording.
    ///
    /// # Errors
    /// [`StoreError`] where a value does not fit the type of numbers, or the file cannot be written.
    pub fn write(&self, key: &CacheKey, audio_sha256: &str, sink: CacheSink, seconds: f64) -> Result<(), StoreError> {
        entry::write(&self.path(key, audio_sha256), key.dtype, &sink.finish(), seconds)
    }
}

#[cfg(test)]
mod tests {
    use solfa_signal::extract::{FrameSink, StitchedLayer};

    use super::*;
    use crate::store::fixtures::pooled_space;

    fn layers() -> Vec<StitchedLayer> {
        let layer = |layer, dim, frames_per_second| StitchedLayer {
            layer,
            dim,
            hop_samples: 960,
            frames_per_second,
            num_frames: 0,
        };
        vec![layer(0, 2, 2.0), layer(5, 1, 4.0)]
    }

    fn key(kept: Kept, dtype: CacheDtype) -> CacheKey {
        CacheKey { space: pooled_space(), kept, dtype }
    }

    fn sink(kept: Kept) -> CacheSink {
        let mut sink = CacheSink::new(&layers(), kept);
        sink.push(0, &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]).unwrap();
        sink.push(5, &[1.0, 2.0, 3.0]).unwrap();
        sink.push(5, &[4.0, 5.0, 7.0]).unwrap();
        sink
    }

    const CLASS_TOKENS: Kept = Kept::ClassTokens { hop_seconds: 2.0 };
    const CLIPS: Kept = Kept::ClipMeans { clip_seconds: 1.0, minimum_share: 0.5 };

    #[test]
    fn what_is_written_is_read_layer_by_layer() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path());
        let key = key(CLIPS, CacheDtype::F32);
        assert!(cache.read(&key, "ab12").unwrap().is_none());
        cache.write(&key, "ab12", sink(CLIPS), 1.5).unwrap();
        let track = cache.read(&key, "ab12").unwrap().unwrap();
        assert_eq!(track.seconds(), 1.5);
        let numbers: Vec<(usize, usize, usize)> =
            track.layers().iter().map(|layer| (layer.number, layer.dim, layer.num_items)).collect();
        assert_eq!(numbers, [(0, 2, 2), (5, 1, 2)]);
        assert_eq!(track.values(0).unwrap(), [1.5, 15.0, 3.0, 30.0]);
        assert_eq!(track.values(5).unwrap(), [2.5, 6.0]);
        assert!(track.values(1).is_none());
    }

    #[test]
    fn a_short_last_clip_is_left_out_unless_it_is_the_only_one() {
        let strict = Kept::ClipMeans { clip_seconds: 1.0, minimum_share: 0.8 };
        let layers = sink(strict).finish();
        assert_eq!((layers[0].values.as_slice(), layers[1].values.as_slice()), (&[1.5, 15.0][..], &[2.5][..]));
        let long = Kept::ClipMeans { clip_seconds: 30.0, minimum_share: 0.8 };
        let layers = sink(long).finish();
        assert_eq!((layers[0].values.as_slice(), layers[1].num_items), (&[2.0, 20.0][..], 1));
    }

    #[test]
    fn frames_are_averaged_down_to_a_rate() {
        let layers = sink(Kept::Frames { maximum_per_second: 2.0 }).finish();
        assert_eq!(layers[0].values, [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        assert_eq!((layers[1].values.as_slice(), layers[1].items_per_second), (&[1.5, 3.5, 6.0][..], 2.0));
    }

    #[test]
    fn class_tokens_are_kept_one_a_window() {
        let mut sink = CacheSink::new(&layers(), CLASS_TOKENS);
        sink.push(0, &[1.0, 1.0]).unwrap();
        sink.push_class_token(0, &[7.0, 8.0]).unwrap();
        sink.push_class_token(5, &[9.0]).unwrap();
        let layers = sink.finish();
        assert_eq!((layers[0].values.as_slice(), layers[1].values.as_slice()), (&[7.0, 8.0][..], &[9.0][..]));
        assert_eq!((layers[0].items_per_second, layers[1].items_per_second), (0.5, 0.5));
    }

    #[test]
    fn half_precision_halves_the_size_and_refuses_what_it_cannot_hold() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path());
        let key = key(CLIPS, CacheDtype::F16);
        cache.write(&key, "ab12", sink(CLIPS), 1.5).unwrap();
        let track = cache.read(&key, "ab12").unwrap().unwrap();
        assert_eq!(track.values(0).unwrap(), [1.5, 15.0, 3.0, 30.0]);
        let mut large = CacheSink::new(&layers(), CLIPS);
        large.push(0, &[1e6, 0.0]).unwrap();
        large.push(5, &[1.0]).unwrap();
        let error = cache.write(&key, "cd", large, 1.5).unwrap_err();
        assert!(error.to_string().contains("65504") || error.to_string().contains("layer 0"), "{error}");
        assert!(!cache.path(&key, "cd").exists());
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path());
        let key = key(CLIPS, CacheDtype::F32);
        cache.write(&key, "ab12", sink(CLIPS), 1.5).unwrap();
        let path = cache.path(&key, "ab12");
        let bytes = fs_err::read(&path).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..4], &[]] {
            fs_err::write(&path, damaged).unwrap();
            assert!(cache.read(&key, "ab12").unwrap().is_none(), "{} bytes", damaged.len());
        }
    }

    #[test]
    fn whatever_changes_numbers_changes_the_folder() {
        let kept = [CLIPS, CLASS_TOKENS, Kept::Frames { maximum_per_second: 25.0 }];
        let mut ids: Vec<String> = kept.iter().map(|kept| key(*kept, CacheDtype::F32).id()).collect();
        ids.push(key(CLIPS, CacheDtype::F16).id());
        let mut other = key(CLIPS, CacheDtype::F32);
        other.space.encoder_identity = "00".repeat(32);
        ids.push(other.id());
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
