//! From recordings to the cache: one pass of an encoder over what is not there yet.

use std::io;
use std::path::PathBuf;

use solfa_eval::cache::{AudioIndex, CacheKey, CacheSink, FeatureCache};
use solfa_eval::store::StoreError;
use solfa_signal::extract::{ExtractError, FinishedRecording, FrameSink, Pipeline, RecordingVisitor, StitchedLayer};

/// What encoding tells while it runs.
pub trait EncodeObserver {
    /// This many recordings will be encoded; the others are in the cache.
    fn started(&mut self, num_missing: usize, num_cached: usize);
    /// Some more seconds of sound have been encoded.
    fn advanced(&mut self, seconds: f64);
    /// A recording is done, or could not be encoded.
    fn finished(&mut self, recording: &std::path::Path, error: Option<&EncodeRecordingError>);
}

/// Why one recording has no features. The others go on.
#[derive(Debug, thiserror::Error)]
pub enum EncodeRecordingError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It cannot be decoded or encoded.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// Its features cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What encoding came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// SHA-256 of each recording, where its features are in the cache now; `None` where they could not be had.
    pub audio: Vec<Option<String>>,
    /// Recordings that went through the encoder.
    pub num_encoded: usize,
    /// Recordings that did not have to.
    pub num_cached: usize,
    /// Bytes that the entries of all recordings take.
    pub bytes: u64,
}

/// Brings the features of recordings into the cache, in every form that `keys` ask for. All keys are of the space that the
/// pipeline gives, so that a recording is encoded once for all of them.
///
/// # Errors
/// [`ExtractError`] for layers that the encoder does not have. What is wrong with a recording is told to the observer.
pub fn fill_cache(
    pipeline: &Pipeline<'_>,
    recordings: &[PathBuf],
    keys: &[CacheKey],
    cache: &FeatureCache,
    observer: &mut dyn EncodeObserver,
) -> Result<Encoded, ExtractError> {
    let mut index = AudioIndex::open(cache.folder());
    let mut audio: Vec<Option<String>> = Vec::with_capacity(recordings.len());
    let mut missing = Vec::new();
    let mut failures: Vec<(usize, EncodeRecordingError)> = Vec::new();
    for (number, recording) in recordings.iter().enumerate() {
        match index.sha256(recording) {
            Ok(sha256) => {
                // Two files with the same sound are encoded once.
                let is_queued = missing.iter().any(|&other: &usize| audio[other].as_deref() == Some(sha256.as_str()));
                if !is_queued && !keys.iter().all(|key| is_cached(cache, key, &sha256)) {
                    missing.push(number);
                }
                audio.push(Some(sha256));
            }
            Err(error) => {
                failures.push((number, error.into()));
                audio.push(None);
            }
        }
    }
    let num_cached = recordings.len() - missing.len() - failures.len();
    observer.started(missing.len(), num_cached);
    for (number, error) in &failures {
        observer.finished(&recordings[*number], Some(error));
    }
    let paths: Vec<PathBuf> = missing.iter().map(|&number| recordings[number].clone()).collect();
    let mut visitor = Visitor { keys, cache, paths: &paths, missing: &missing, audio, observer };
    pipeline.run(&paths, &mut visitor)?;
    let audio = visitor.audio;
    // A file with the same sound as one that failed has no features either.
    let audio: Vec<Option<String>> = audio
        .into_iter()
        .map(|sha256| sha256.filter(|sha256| keys.iter().all(|key| cache.path(key, sha256).exists())))
        .collect();
    let sizes = audio.iter().flatten().flat_map(|sha256| keys.iter().map(|key| cache.path(key, sha256)));
    let bytes = sizes.filter_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len()).sum();
    Ok(Encoded { num_encoded: missing.len(), num_cached, audio, bytes })
}

fn is_cached(cache: &FeatureCache, key: &CacheKey, sha256: &str) -> bool {
    matches!(cache.read(key, sha256), Ok(Some(_)))
}

struct Visitor<'run> {
    keys: &'run [CacheKey],
    cache: &'run FeatureCache,
    paths: &'run [PathBuf],
    /// Numbers of `paths` among all recordings.
    missing: &'run [usize],
    audio: Vec<Option<String>>,
    observer: &'run mut dyn EncodeObserver,
}

/// The sinks of one recording, one for each key.
struct Sinks(Vec<CacheSink>);

impl FrameSink for Sinks {
    fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.push(layer, frames))
    }

    fn push_class_token(&mut self, layer: usize, class_token: &[f32]) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.push_class_token(layer, class_token))
    }
}

impl RecordingVisitor for Visitor<'_> {
    type Sink = Sinks;

    fn open(&mut self, _index: usize, layers: &[StitchedLayer]) -> io::Result<Sinks> {
        Ok(Sinks(self.keys.iter().map(|key| CacheSink::new(layers, key.kept)).collect()))
    }

    fn advanced(&mut self, seconds: f64) {
        self.observer.advanced(seconds);
    }

    fn finished(&mut self, index: usize, result: Result<FinishedRecording<Sinks>, ExtractError>) {
        let number = self.missing[index];
        let stored = result.map_err(EncodeRecordingError::from).and_then(|recording| {
            let sha256 = self.audio[number].clone().unwrap_or_default();
            for (key, sink) in self.keys.iter().zip(recording.sink.0) {
                self.cache.write(key, &sha256, sink, recording.seconds)?;
            }
            Ok(())
        });
        if stored.is_err() {
            self.audio[number] = None;
        }
        self.observer.finished(&self.paths[index], stored.err().as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use solfa_eval::cache::{CacheDtype, Kept};
    use solfa_eval::store::{EmbeddingSpace, NUMERICS_VERSION};
    use solfa_signal::audio::Resampler;
    use solfa_signal::encoder::LayerChoice;
    use solfa_signal::extract::Batching;
    use solfa_signal::features;
    use solfa_signal::frames::Pooling;
    use solfa_signal::windows::{Tail, WindowLength, WindowPlan};

    use super::*;

    #[derive(Default)]
    struct Told {
        missing: usize,
        cached: usize,
        failed: Vec<String>,
    }

    impl EncodeObserver for Told {
        fn started(&mut self, num_missing: usize, num_cached: usize) {
            (self.missing, self.cached) = (num_missing, num_cached);
        }
        fn advanced(&mut self, _seconds: f64) {}
        fn finished(&mut self, recording: &Path, error: Option<&EncodeRecordingError>) {
            if error.is_some() {
                self.failed.push(recording.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn a_recording_is_encoded_once_for_all_that_is_kept_of_it() {
        let encoder = features::builtin("chroma").unwrap();
        let spec = encoder.spec();
        let plan = WindowPlan::new(spec, WindowLength::Seconds(30.0), None, Tail::Overlap).unwrap();
        let pipeline = Pipeline {
            encoder: encoder.as_ref(),
            plan,
            layers: LayerChoice::All,
            resampler: Resampler::default(),
            batching: Batching::any_lengths(2, usize::MAX),
            decoder_threads: 2,
        };
        let space = EmbeddingSpace {
            model: "chroma".to_owned(),
            encoder_identity: spec.identity.clone(),
            weights_sha256: None,
            layers: vec![0],
            layer_dims: vec![spec.layers[0].dim],
            frames_per_second: vec![spec.frames_per_second(0)],
            pooling: Pooling::None,
            window_seconds: Some(30.0),
            hop_seconds: Some(30.0),
            tail: "overlap".to_owned(),
            resampler: Resampler::default().name().to_owned(),
            sample_rate: spec.sample_rate,
            dtype: "f32".to_owned(),
            numerics_version: NUMERICS_VERSION,
            program_version: "0".to_owned(),
        };
        let key = |kept| CacheKey { space: space.clone(), kept, dtype: CacheDtype::F32 };
        let keys = [
            key(Kept::ClipMeans { clip_seconds: 1.0, minimum_share: 0.5 }),
            key(Kept::Frames { maximum_per_second: 5.0 }),
        ];
        let folder = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio");
        let mut sounds: Vec<PathBuf> = std::fs::read_dir(fixtures)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "wav" || extension == "flac"))
            .collect();
        sounds.sort();
        sounds.truncate(1);
        let copy = folder.path().join("copy.wav");
        std::fs::copy(&sounds[0], &copy).unwrap();
        let broken = folder.path().join("broken.wav");
        std::fs::write(&broken, "RIFF").unwrap();
        let absent = folder.path().join("absent.wav");
        let recordings = vec![sounds[0].clone(), copy, broken, absent];
        let cache = FeatureCache::new(folder.path().join("cache"));
        let mut told = Told::default();
        let encoded = fill_cache(&pipeline, &recordings, &keys, &cache, &mut told).unwrap();
        assert_eq!((told.missing, told.cached), (2, 1), "one of two equal files, and the broken one");
        assert_eq!(told.failed, ["absent.wav", "broken.wav"]);
        assert!(encoded.audio[0].is_some() && encoded.audio[0] == encoded.audio[1]);
        assert_eq!(encoded.audio[2..], [None, None]);
        assert!(encoded.bytes > 0);
        for key in &keys {
            assert!(cache.read(key, encoded.audio[0].as_ref().unwrap()).unwrap().unwrap().layers()[0].num_items > 0);
        }
        let again = fill_cache(&pipeline, &recordings[..2], &keys, &cache, &mut told).unwrap();
        assert_eq!((again.num_encoded, again.num_cached), (0, 2));
    }
}
