//! Scans of invented features, where one layer tells what is asked and the other is noise.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rand::Rng;
use serde_json::json;
use solfa_eval::cache::{CacheDtype, CacheKey, CacheSink, FeatureCache, Kept};
use solfa_eval::results::{ResultFolder, ResultRow};
use solfa_eval::store::EmbeddingSpace;
use solfa_eval::task::{PredictionFile, Task, TaskKind};
use solfa_signal::extract::{FrameSink, StitchedLayer};
use solfa_signal::frames::Pooling;

use super::*;
use crate::features::CachedFeatures;
use crate::problem::Row;
use crate::separation::SeparationSettings;

const CLIPS: Kept = Kept::ClipMeans { clip_seconds: 2.0, minimum_share: 0.5 };

fn key(kept: Kept) -> CacheKey {
    let space = EmbeddingSpace {
        model: "fake".to_owned(),
        encoder_identity: "ab".repeat(32),
        weights_sha256: None,
        layers: vec![0, 1],
        layer_dims: vec![4, 4],
        frames_per_second: vec![10.0, 10.0],
        pooling: Pooling::None,
        window_seconds: Some(30.0),
        hop_seconds: Some(30.0),
        tail: "overlap".to_owned(),
        resampler: "sinc-hann".to_owned(),
        sample_rate: 24_000,
        dtype: "f32".to_owned(),
        numerics_version: 1,
        program_version: "0".to_owned(),
    };
    CacheKey { space, kept, dtype: CacheDtype::F32 }
}

/// A problem, and a cache in which layer 0 is noise and layer 1 tells what is asked.
struct World {
    folder: tempfile::TempDir,
    problem: Problem,
    cache: FeatureCache,
    key: CacheKey,
    audio: Vec<Option<String>>,
}

impl World {
    fn subject<'run>(&'run self, results: &'run ResultFolder) -> Subject<'run> {
        Subject {
            problem: &self.problem,
            features: CachedFeatures { cache: &self.cache, key: &self.key, audio: &self.audio, clip_seconds: None },
            encoder: "fake",
            results,
            time: "2026-11-21T10:00:00Z",
            program_version: "0",
        }
    }
}

/// `frames` gives, for a track's number, the label and the second layer's values at 10 frames a second.
fn world(kind: TaskKind, kept: Kept, frames: impl Fn(usize) -> (serde_json::Value, Vec<[f32; 4]>)) -> World {
    let folder = tempfile::tempdir().unwrap();
    let cache = FeatureCache::new(folder.path().join("cache"));
    let key = key(kept);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let (mut rows, mut audio) = (Vec::new(), Vec::new());
    for track in 0..60 {
        let (label, values) = frames(track);
        let split = [Split::Train, Split::Train, Split::Validation, Split::Test][track % 4];
        let path = format!("{track}.wav");
        let record = serde_json::from_value(json!({"audio_path": path, "label": label})).unwrap();
        rows.push(Row {
            record,
            split,
            path: PathBuf::from(&path),
            place: format!("line {track}"),
            segment: None,
            stems: vec![],
        });
        let layer = |layer| StitchedLayer { layer, dim: 4, hop_samples: 2400, frames_per_second: 10.0, num_frames: 0 };
        let mut sink = CacheSink::new(&[layer(0), layer(1)], kept);
        for frame in &values {
            let noise: Vec<f32> = (0..4).map(|_| random.random_range(-1.0..1.0)).collect();
            sink.push(0, &noise).unwrap();
            let signal: Vec<f32> = frame.iter().map(|value| value + random.random_range(-0.3..0.3)).collect();
            sink.push(1, &signal).unwrap();
        }
        let hash = format!("{track:064x}");
        cache.write(&key, &hash, sink, values.len() as f64 / 10.0).unwrap();
        audio.push(Some(hash));
    }
    let problem = Problem::new(&Task::custom("fake", kind), "fake", &"cd".repeat(32), rows, &Split::ALL).unwrap();
    World { folder, problem, cache, key, audio }
}

fn classes() -> World {
    world(TaskKind::Class, CLIPS, |track| {
        let class = track / 4 % 3;
        let mut frame = [0.0; 4];
        frame[class] = 1.0;
        (json!(["a", "b", "c"][class]), vec![frame; 45])
    })
}

fn quick() -> Protocol {
    Protocol { learning_rates: vec![1e-2, 1e-1], max_epochs: 30, batch_size: 16, ..Protocol::linear() }
}

fn run(world: &World, protocol: &Protocol) -> Result<(Vec<Unit>, Vec<UnitOutcome>, ResultFolder), ScanError> {
    let results = ResultFolder::new(world.folder.path().join("results"));
    let scan = Scan { subject: world.subject(&results), protocol };
    let units = scan.units(&[0, 1])?;
    let outcomes = scan.run(&units, &())?;
    Ok((units, outcomes, results))
}

fn headline(outcome: &UnitOutcome) -> f64 {
    let UnitOutcome::Done(scores) = outcome else { panic!("not trained: {outcome:?}") };
    scores.scores[0].1
}

#[test]
fn a_scan_finds_the_layer_that_knows() {
    let world = classes();
    let protocol = Protocol { layers: vec![LayerPlan::Each, LayerPlan::Weighted, LayerPlan::All], ..quick() };
    let (units, outcomes, results) = run(&world, &protocol).unwrap();
    let labels: Vec<&str> = units.iter().map(|unit| unit.label.as_str()).collect();
    assert_eq!(labels, ["0", "1", "weighted", "all"]);
    assert!(headline(&outcomes[0]) < 0.7, "{:?}", outcomes[0]);
    for outcome in &outcomes[1..] {
        assert!(headline(outcome) > 0.9, "{outcome:?}");
    }
    let (rows, broken) = results.rows().unwrap();
    assert!(broken.is_empty());
    assert_eq!(rows.len(), 4 * 2 * (3 + 1), "units, metrics, seeds and their mean");
    let means: Vec<&ResultRow> = rows.iter().filter(|row| row.seed.is_none() && row.is_headline).collect();
    assert_eq!(means.len(), 4);
    assert!(means.iter().all(|row| row.low.unwrap() <= row.value && row.value <= row.high.unwrap()));
    assert_eq!((means[0].num_train, means[0].num_validation, means[0].num_test), (30, 15, 15));
    let (weights, _) = results.layer_weights().unwrap();
    assert_eq!(weights.len(), 3);
    assert!(weights.iter().all(|weights| weights.weights[1] > 0.5), "{weights:?}");
}

#[test]
fn every_number_can_be_computed_from_its_predictions() {
    let world = classes();
    let (_, _, results) = run(&world, &quick()).unwrap();
    let (rows, _) = results.rows().unwrap();
    let single: Vec<&ResultRow> = rows.iter().filter(|row| row.seed.is_some()).collect();
    assert!(!single.is_empty());
    for row in single {
        let path = results.path().join(row.predictions.as_ref().unwrap());
        let file = PredictionFile::read(&path).unwrap();
        file.check_data_set(&path, "fake", &row.dataset_sha256).unwrap();
        let evaluation = file.evaluate(&path).unwrap();
        let found = evaluation.values().into_iter().find(|(metric, _)| metric.name == row.metric).unwrap().1;
        assert_eq!(found, row.value, "{} of seed {:?}", row.metric, row.seed);
    }
}

#[test]
fn what_is_in_the_results_is_not_done_again() {
    struct Counting(Mutex<(usize, usize)>);
    impl ScanObserver for Counting {
        fn trained(&self) {
            self.0.lock().unwrap().0 += 1;
        }
        fn finished(&self, _unit: &Unit, outcome: &UnitOutcome) {
            self.0.lock().unwrap().1 += usize::from(*outcome == UnitOutcome::Resumed);
        }
    }
    let world = classes();
    let protocol = Protocol { layers: vec![LayerPlan::Numbers(vec![1])], ..quick() };
    let (.., results) = run(&world, &protocol).unwrap();
    let before = results.rows().unwrap().0.len();
    let protocol = Protocol { layers: vec![LayerPlan::Each], ..quick() };
    let scan = Scan { subject: world.subject(&results), protocol: &protocol };
    let counting = Counting(Mutex::default());
    let units = scan.units(&[0, 1]).unwrap();
    scan.run(&units, &counting).unwrap();
    assert_eq!(*counting.0.lock().unwrap(), (6, 1), "two learning rates and three seeds for layer 0, none for layer 1");
    assert_eq!(results.rows().unwrap().0.len(), 2 * before);
    let other = Protocol { max_epochs: 31, ..protocol.clone() };
    let scan = Scan { protocol: &other, ..scan };
    assert_ne!(scan.units(&[0, 1]).unwrap()[1].run, units[1].run, "another protocol is another run");
}

#[test]
fn fewer_labels_are_drawn_several_times() {
    let world = classes();
    let protocol = Protocol {
        layers: vec![LayerPlan::Numbers(vec![1])],
        label_fractions: vec![0.1, 1.0],
        draws: 2,
        head: HeadKind::ClassMean,
        ..quick()
    };
    let (units, outcomes, results) = run(&world, &protocol).unwrap();
    let shares: Vec<(f64, u32)> = units.iter().map(|unit| (unit.fraction, unit.draw)).collect();
    assert_eq!(shares, [(0.1, 0), (0.1, 1), (1.0, 0)]);
    assert!(headline(&outcomes[2]) > 0.9);
    let used: Vec<u64> =
        results.rows().unwrap().0.iter().filter(|row| row.is_headline).map(|row| row.num_train).collect();
    assert_eq!(used, [3, 3, 30]);
}

#[test]
fn recordings_that_could_not_be_encoded_are_left_out() {
    let mut world = classes();
    world.audio[3] = None;
    let protocol = Protocol { layers: vec![LayerPlan::Numbers(vec![1])], ..quick() };
    let (.., results) = run(&world, &protocol).unwrap();
    assert_eq!(results.rows().unwrap().0[0].num_test, 14);
    world.audio.fill(None);
    let other = Protocol { max_epochs: 5, ..protocol };
    assert!(run(&world, &other).unwrap_err().to_string().contains("`train`"));
}

#[test]
fn what_cannot_be_run_is_named() {
    let world = classes();
    let protocol = Protocol { layers: vec![LayerPlan::Numbers(vec![7])], ..quick() };
    assert_eq!(run(&world, &protocol).unwrap_err().to_string(), "fake has no layer 7: it has [0, 1]");
    let protocol = Protocol { seeds: vec![], ..quick() };
    assert!(run(&world, &protocol).unwrap_err().to_string().contains("seeds"));
    world.cache.path(&world.key, "00");
    fs_err::remove_file(world.cache.path(&world.key, world.audio[0].as_ref().unwrap())).unwrap();
    assert!(run(&world, &quick()).unwrap_err().to_string().starts_with("0.wav"));
    assert!(Path::new(world.folder.path()).exists());
}

const FRAMES: Kept = Kept::Frames { maximum_per_second: 10.0 };

#[test]
fn chords_are_heard_in_frames() {
    let world = world(TaskKind::Chords, FRAMES, |track| {
        let names = ["C:maj", "A:min", "N"];
        let (first, second) = (track % 3, (track + 1) % 3);
        let label = json!([
            {"start_time": 0.0, "end_time": 3.0, "chord_str": names[first]},
            {"start_time": 3.0, "end_time": 6.0, "chord_str": names[second]},
        ]);
        let frame = |class: usize| std::array::from_fn(|place| f32::from(u8::from(place == class)));
        let mut frames = vec![frame(first); 30];
        frames.extend(vec![frame(second); 30]);
        (label, frames)
    });
    let (_, outcomes, _) = run(&world, &quick()).unwrap();
    assert!(headline(&outcomes[1]) > 0.95, "{:?}", outcomes[1]);
    assert!(headline(&outcomes[0]) < 0.7, "{:?}", outcomes[0]);
}

#[test]
fn beats_are_heard_in_frames() {
    let kept = Kept::Frames { maximum_per_second: 10.0 };
    let world = world(TaskKind::Beats, kept, |track| {
        // 100 or 120 beats a minute at 10 frames a second.
        let period = 5 + track % 2;
        let frames = (0..200).map(|frame| {
            let (beat, bar) = (frame % period == 2, frame % (4 * period) == 2);
            [f32::from(u8::from(beat)), f32::from(u8::from(bar)), 0.0, 0.0]
        });
        let times = |step: usize| (2..200).step_by(step).map(|frame| (frame as f64 + 0.5) / 10.0).collect::<Vec<_>>();
        (json!({"beat": times(period), "downbeat": times(4 * period)}), frames.collect())
    });
    let protocol = Protocol { learning_rates: vec![1e-1], seeds: vec![0], frame_batch_size: 256, ..quick() };
    let (_, outcomes, _) = run(&world, &protocol).unwrap();
    let UnitOutcome::Done(scores) = &outcomes[1] else { panic!("{outcomes:?}") };
    // Validation goes by beats, so the best epoch may come before downbeats are sharp.
    assert!(scores.scores[0].1 > 0.9 && scores.scores[1].1 > 0.5, "{:?}", scores.scores);
    let faithful = Protocol { name: "marble-v2".to_owned(), ..protocol }.faithful();
    assert_eq!(faithful.answers.beat_clip_seconds, Some(10.0));
    let (_, outcomes, results) = run(&world, &faithful).unwrap();
    assert!(headline(&outcomes[1]) > 0.8, "{outcomes:?}");
    let (rows, _) = results.rows().unwrap();
    let row = rows.iter().rev().find(|row| row.seed == Some(1234) && row.is_headline).unwrap();
    let path = results.path().join(row.predictions.as_ref().unwrap());
    let file = PredictionFile::read(&path).unwrap();
    assert_eq!(file.header.rules.beat_frames_per_second, Some(10.0));
    assert_eq!(file.evaluate(&path).unwrap().headline(), Some(row.value));
}

/// Of two clips of a track one says nothing: the track's mean is right, a single clip may not be.
#[test]
fn faithful_validation_counts_clips() {
    let world = world(TaskKind::Class, CLIPS, |track| {
        let class = track / 4 % 2;
        let told = [[4.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]][class];
        // Two clips of two seconds at ten frames a second.
        (json!(["a", "b"][class]), [vec![told; 20], vec![[2.0, 2.0, 0.0, 0.0]; 20]].concat())
    });
    let validation = |protocol: &Protocol| {
        let (_, _, results) = run(&world, protocol).unwrap();
        let (rows, _) = results.rows().unwrap();
        rows.iter().rev().find(|row| row.is_headline && row.layer == "1").unwrap().validation.unwrap()
    };
    let protocol = Protocol { name: "marble-v2".to_owned(), ..quick() };
    assert_eq!(validation(&protocol), 1.0);
    assert!(validation(&protocol.faithful()) < 0.9, "half of the clips say nothing");
}

#[test]
fn other_tasks_run_end_to_end() {
    let on = |on: bool| f32::from(u8::from(on));
    let onsets = |track: usize| {
        let frames: Vec<[f32; 4]> = (0..100).map(|frame| [on(frame % (7 + track % 3) == 3), 0.0, 0.0, 0.0]).collect();
        let times: Vec<f64> =
            (0..100).filter(|frame| frame % (7 + track % 3) == 3).map(|frame| (frame as f64 + 0.5) / 10.0).collect();
        (json!({"onset": times}), frames)
    };
    let melody = |track: usize| {
        let pitch = 60 + track % 3;
        let frame: [f32; 4] = std::array::from_fn(|place| on(place == track % 3));
        (
            json!({"notes": [{"onset": 0.0, "offset": 2.0, "pitch": pitch}]}),
            [vec![frame; 20], vec![[0.0; 4]; 20]].concat(),
        )
    };
    let structure = |track: usize| {
        let change = 100 + 10 * (track % 5);
        let label = json!([
            {"start_time": 0.0, "end_time": change as f64 / 10.0, "label": "verse"},
            {"start_time": change as f64 / 10.0, "end_time": 30.0, "label": "chorus"},
        ]);
        let frames = (0..300).map(|frame| [on(frame < change), on(frame >= change), on(frame == change), 0.0]);
        (label, frames.collect())
    };
    let numbers = |track: usize| {
        let value = (track % 7) as f32;
        (json!([value, -value]), vec![[value / 7.0, 0.0, 0.0, 0.0]; 45])
    };
    let tempo = |track: usize| {
        let index = track / 4 % 3;
        let frame: [f32; 4] = std::array::from_fn(|place| on(place == index));
        let tempo = [60.0, 90.0, 140.0][index];
        (json!({"tempo": tempo}), vec![frame; 45])
    };
    let tags = |track: usize| {
        let (a, b) = (track.is_multiple_of(3), track % 5 < 2);
        let names: Vec<&str> = [("a", a), ("b", b)].into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
        (json!(names), vec![[on(a), on(b), 0.0, 0.0]; 45])
    };
    let key = |track: usize| {
        let index = track / 4 % 2;
        (json!(["C major", "A minor"][index]), vec![[index as f32, 1.0 - index as f32, 0.0, 0.0]; 45])
    };
    let worlds = [
        world(TaskKind::Onsets, FRAMES, onsets),
        world(TaskKind::Melody, FRAMES, melody),
        world(TaskKind::Notes, FRAMES, melody),
        world(TaskKind::Structure, FRAMES, structure),
        world(TaskKind::Numbers, CLIPS, numbers),
        world(TaskKind::Tempo, CLIPS, tempo),
        world(TaskKind::Tags, CLIPS, tags),
        world(TaskKind::Key, CLIPS, key),
    ];
    let protocol =
        Protocol { learning_rates: vec![1e-1], seeds: vec![0], frame_batch_size: 128, max_epochs: 40, ..quick() };
    for world in worlds {
        let kind = world.problem.task.kind;
        let (_, outcomes, results) = run(&world, &protocol).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let (noise, signal) = (headline(&outcomes[0]), headline(&outcomes[1]));
        assert!(signal > 0.8 && signal > noise, "{kind:?}: {signal} from what tells, {noise} from noise");
        assert!(!results.rows().unwrap().0.is_empty());
    }
}

/// Two stems of noise that are heard by turns, so that nothing but the features says which of them it is.
fn mixtures() -> World {
    const SECONDS: usize = 3;
    const FRAME_SAMPLES: usize = 2400;
    // Which stem is heard in each tenth of a second.
    let turn = |track: usize, frame: usize| (frame / 5 + track) % 2;
    let mut world = world(TaskKind::Separation, FRAMES, |track| {
        let frame = |frame: usize| {
            let turn = turn(track, frame) as f32;
            [turn, 1.0 - turn, 0.0, 0.0]
        };
        (json!({"stems": {"vocals": "v.wav", "drums": "d.wav"}}), (0..10 * SECONDS).map(frame).collect())
    });
    let mut random = ChaCha8Rng::seed_from_u64(9);
    for track in 0..world.problem.tracks.len() {
        let mut sounds = [(); 3].map(|()| Vec::with_capacity(SECONDS * 24_000));
        for sample in 0..SECONDS * 24_000 {
            let value = random.random_range(-0.3..0.3_f32);
            let turn = turn(track, sample / FRAME_SAMPLES);
            for (part, sound) in sounds.iter_mut().enumerate() {
                sound.push(if part == 2 || part == turn { value } else { 0.0 });
            }
        }
        let paths = ["vocals", "drums", "mixture"].map(|name| world.folder.path().join(format!("{track}-{name}.wav")));
        for (path, sound) in paths.iter().zip(&sounds) {
            write_wav(path, sound);
        }
        let [vocals, drums, mixture] = paths;
        world.problem.recordings[track] = mixture;
        world.problem.tracks[track].stems = vec![("vocals".to_owned(), vocals), ("drums".to_owned(), drums)];
    }
    world
}

fn write_wav(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

/// A network and excerpts small enough for a test.
fn small_network() -> Protocol {
    let separation =
        SeparationSettings { hidden: 12, num_layers: 2, dropout: 0.1, excerpt_seconds: 1.0, excerpts_per_batch: 32 };
    Protocol { learning_rates: vec![1e-2], seeds: vec![0], max_epochs: 12, separation, ..Protocol::linear() }
}

#[test]
fn stems_are_separated_by_what_features_say() {
    let world = mixtures();
    let protocol = Protocol { layers: vec![LayerPlan::Each, LayerPlan::Weighted], ..small_network() };
    let (units, outcomes, results) = run(&world, &protocol).unwrap();
    let (noise, signal) = (headline(&outcomes[0]), headline(&outcomes[1]));
    assert!(signal > 6.0 && signal > noise + 4.0, "{signal} dB from what tells, {noise} dB from noise");
    let UnitOutcome::Done(scores) = &outcomes[1] else { panic!("{outcomes:?}") };
    let names: Vec<&str> = scores.scores.iter().map(|(metric, ..)| metric.name).collect();
    assert_eq!(names, ["sdr", "sdr_vocals", "sdr_drums"], "there is no bass");
    assert_eq!(scores.trainings, 2, "a network for each stem");
    let (rows, _) = results.rows().unwrap();
    assert_eq!(rows[0].head, "lstm-2x12");
    let row = rows.iter().find(|row| row.run == units[1].run && row.is_headline && row.seed.is_some()).unwrap();
    let path = results.path().join(row.predictions.as_ref().unwrap());
    assert_eq!(PredictionFile::read(&path).unwrap().evaluate(&path).unwrap().headline(), Some(row.value));
    let (weights, _) = results.layer_weights().unwrap();
    assert!(weights[0].weights[1] > 0.5, "{weights:?}");
}

#[test]
fn songs_without_their_stems_are_named() {
    let of = |change: &dyn Fn(&mut World)| {
        let mut world = mixtures();
        change(&mut world);
        run(&world, &small_network()).unwrap_err().to_string()
    };
    let error = of(&|world| world.problem.tracks[4].stems.truncate(1));
    assert!(error.contains("4.wav") && error.contains("`drums`"), "{error}");
    let error = of(&|world| write_wav(&world.problem.tracks[0].stems[1].1, &[0.1; 2400]));
    assert!(error.contains("0-vocals.wav") || error.contains("0-drums.wav") && error.contains("0.10 s"), "{error}");
    let error = of(&|world| world.problem.tracks[0].stems[0].1 = PathBuf::from("nowhere.wav"));
    assert!(error.contains("nowhere.wav"), "{error}");
}
