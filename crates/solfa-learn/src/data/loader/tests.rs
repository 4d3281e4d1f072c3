use std::fs;
use std::path::Path;

use solfa_signal::audio::Resampler;

use super::super::collection::tests::ramps;
use super::super::files::tests::recordings;
use super::super::{AudioFile, EpochEnd, FileTracks, PackedTracks, SamplingConfig, ShortTracks, TrackSource, pack};
use super::*;
use crate::views::{CropConfig, PairConfig, ViewConfig};

const THREADS: LoaderThreads = LoaderThreads { threads: 2, batches_ahead: 2 };

fn config(clips_per_batch: usize, seconds: f64) -> SamplingConfig {
    SamplingConfig {
        clips_per_batch,
        crop: CropConfig { seconds, pair: None, windows: None },
        views: Vec::new(),
        short_tracks: ShortTracks::Skip,
        epoch_end: EpochEnd::Continue,
    }
}

fn loader(
    collection: &Collection,
    config: &SamplingConfig,
    seed: u64,
    threads: LoaderThreads,
    first_step: u64,
) -> Loader {
    let sampler = Sampler::new(collection, config, seed).unwrap();
    Loader::new(collection.clone(), sampler, threads, first_step).unwrap()
}

/// The clips of some batches.
fn clips(
    collection: &Collection,
    config: &SamplingConfig,
    seed: u64,
    threads: LoaderThreads,
    steps: std::ops::Range<u64>,
) -> Vec<Vec<Clip>> {
    let mut loader = loader(collection, config, seed, threads, steps.start);
    steps
        .map(|step| {
            assert_eq!(loader.next_step(), step);
            let batch = loader.next_batch().unwrap();
            assert_eq!(batch.step, step);
            batch.clips
        })
        .collect()
}

fn survey(files: Vec<AudioFile>) -> Collection {
    Collection::survey(Arc::new(FileTracks::new(files, 24_000, Resampler::SincHann))).unwrap()
}

/// The recordings, one that is cut off, one that is text, one that is short, and one that is not there.
fn recordings_and_ruins(folder: &Path) -> Vec<AudioFile> {
    let mut files = recordings();
    let mut add = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        files.push(AudioFile { name: name.into(), path: folder.join(name) });
    };
    let flac = fs::read(&recordings()[0].path).unwrap();
    add("cut.flac", &flac[..flac.len() / 3]);
    add("text.mp3", b"this is no sound");
    let wav = fs::read(&recordings()[2].path).unwrap();
    let mut short = wav[..44 + 4_000].to_vec();
    short[4..8].copy_from_slice(&(36_u32 + 4_000).to_le_bytes());
    short[40..44].copy_from_slice(&4_000_u32.to_le_bytes());
    add("short.wav", &short);
    files.push(AudioFile { name: "lost.wav".into(), path: folder.join("lost.wav") });
    files
}

#[test]
fn batches_do_not_depend_on_threads_nor_on_where_a_run_was_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let collection = survey(recordings_and_ruins(folder.path()));
    let views: Vec<ViewConfig> = serde_json::from_str(
        r#"[{"view": "gain", "minimum_db": -6, "maximum_db": 6},
            {"view": "time-stretch", "minimum_rate": 0.9, "maximum_rate": 1.1},
            {"view": "mix", "minimum_level_db": -20, "maximum_level_db": -10, "probability": 0.5}]"#,
    )
    .unwrap();
    let pair = PairConfig { minimum_distance_seconds: 0.5, maximum_distance_seconds: Some(2.0) };
    let mut config = config(3, 1.0);
    config.views = views;
    config.crop.pair = Some(pair);
    let expected = clips(&collection, &config, 7, LoaderThreads { threads: 1, batches_ahead: 1 }, 0..8);
    assert!(expected.iter().flatten().any(|clip| !clip.replaced.is_empty()), "the file that was cut off was drawn");
    for clip in expected.iter().flatten() {
        assert!(clip.crops.len() == 2 && clip.crops.iter().all(|crop| crop.len() == 24_000));
        assert!((12_000..=48_000).contains(&clip.starts[0].abs_diff(clip.starts[1])));
    }
    for threads in [2, 8] {
        let found = clips(&collection, &config, 7, LoaderThreads { threads, batches_ahead: 3 }, 0..8);
        assert!(found == expected, "{threads} threads");
    }
    assert!(clips(&collection, &config, 7, THREADS, 5..8) == expected[5..], "resumed at step 5");
    let other = clips(&collection, &config, 8, THREADS, 0..8);
    let order = |batches: &[Vec<Clip>]| batches.iter().flatten().map(|clip| clip.track).collect::<Vec<_>>();
    assert_ne!(order(&other), order(&expected));
}

#[test]
fn ruins_are_counted_and_listed_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let collection = survey(recordings_and_ruins(folder.path()));
    let mut loader = loader(&collection, &config(5, 1.0), 3, THREADS, 0);
    let skipped: Vec<&str> = loader.sampler().skipped().iter().map(|track| track.name.as_str()).collect();
    assert_eq!(skipped, ["text.mp3", "short.wav", "lost.wav"]);
    for _ in 0..10 {
        let batch = loader.next_batch().unwrap();
        assert!(batch.clips.iter().all(|clip| clip.replaced.iter().all(|track| track.name == "cut.flac")));
    }
    let failed: Vec<(&SkippedTrack, u64)> = loader.failed().collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].0.reason.contains("damaged") && (1..=10).contains(&failed[0].1), "{failed:?}");
}

#[test]
fn a_packed_store_gives_the_clips_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = FileTracks::new(recordings(), 24_000, Resampler::SincHann);
    pack(&files, folder.path(), &|_, _| {}).unwrap();
    let packed = Collection::survey(Arc::new(PackedTracks::open(folder.path()).unwrap())).unwrap();
    let direct = Collection::survey(Arc::new(files)).unwrap();
    let config = config(4, 2.0);
    let from_files = clips(&direct, &config, 1, THREADS, 0..5);
    let from_store = clips(&packed, &config, 1, THREADS, 0..5);
    for (file, store) in from_files.iter().flatten().zip(from_store.iter().flatten()) {
        assert_eq!((&file.name, &file.starts), (&store.name, &store.starts));
        for (file, store) in file.crops.iter().flatten().zip(store.crops.iter().flatten()) {
            // Half a step, and sound beyond full scale is clipped.
            assert!((file.clamp(-1.0, 1.0) - store).abs() <= 1.0 / 32_768.0, "{file} {store}");
        }
    }
}

#[test]
fn a_track_without_a_finite_sample_or_that_panics_is_replaced() {
    struct Hostile;
    impl TrackSource for Hostile {
        fn sample_rate(&self) -> u32 {
            100
        }
        fn len(&self) -> usize {
            3
        }
        fn name(&self, track: usize) -> String {
            track.to_string()
        }
        fn num_samples(&self, _track: usize) -> Result<u64, DataError> {
            Ok(100)
        }
        fn read(&self, track: usize, _start: u64, count: usize) -> Result<solfa_signal::audio::Waveform, DataError> {
            let value = match track {
                0 => f32::NAN,
                1 => panic!("a mistake in a source"),
                _ => 0.5,
            };
            Ok(solfa_signal::audio::Waveform::new(vec![value; count], 100))
        }
    }
    let collection = Collection::survey(Arc::new(Hostile)).unwrap();
    let mut loader = loader(&collection, &config(3, 0.5), 3, THREADS, 0);
    let batch = loader.next_batch().unwrap();
    assert!(batch.clips.iter().all(|clip| clip.track == 2 && clip.crops[0] == [0.5; 50]));
    let reasons: Vec<&str> = loader.failed().map(|(track, _)| track.reason.as_str()).collect();
    assert!(reasons[0].contains("NaN") && reasons[1].contains("panic"), "{reasons:?}");
}

#[test]
fn replacements_are_the_same_after_a_resume() {
    let collection = ramps(&[200; 30], &[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    let mut config = config(6, 0.5);
    config.epoch_end = EpochEnd::WholeBatches;
    let expected = clips(&collection, &config, 1, THREADS, 0..15);
    assert_eq!(clips(&collection, &config, 1, LoaderThreads { threads: 8, batches_ahead: 4 }, 9..15), expected[9..]);
    let replaced = expected.iter().flatten().filter(|clip| !clip.replaced.is_empty()).count();
    assert_eq!(replaced, 30, "each of the ten damaged tracks comes once in each of three epochs");
}

#[test]
fn all_damaged_is_an_error_and_then_the_loader_has_stopped() {
    let collection = ramps(&[100; 4], &[0, 1, 2, 3]);
    let mut loader = loader(&collection, &config(2, 0.5), 1, THREADS, 0);
    let error = loader.next_batch().unwrap_err();
    assert!(matches!(&error, DataError::AllDamaged { count: 4, .. }), "{error}");
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(matches!(loader.next_batch().unwrap_err(), DataError::Stopped));
}

#[test]
fn a_loader_can_be_dropped_at_any_time_and_needs_threads() {
    let collection = ramps(&[100; 4], &[]);
    for taken in 0..4 {
        let mut loader = loader(&collection, &config(2, 0.5), 1, LoaderThreads { threads: 8, batches_ahead: 3 }, 0);
        for _ in 0..taken {
            loader.next_batch().unwrap();
        }
        assert!(loader.waited() >= Duration::ZERO && loader.collection().len() == 4);
    }
    for threads in [LoaderThreads { threads: 0, ..THREADS }, LoaderThreads { batches_ahead: 0, ..THREADS }] {
        let sampler = Sampler::new(&collection, &config(2, 0.5), 1).unwrap();
        let error = Loader::new(collection.clone(), sampler, threads, 0).err().unwrap();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}
