//! What the tests of recipes train on, and with.

use std::path::Path;
use std::sync::Arc;

use solfa_signal::audio::Waveform;
use toml::Table;

use super::{Ground, Plan, PretrainError, TrackTexts, set};
use crate::checkpoint::{Checkpoint, LoadedModel};
use crate::data::{Collection, DataError, TrackSource};
use crate::device::test_device;
use crate::train::{LogLine, RunFolder, TrainingObserver, read_log};

/// Chords with a beat: every track has a root, a timbre and a tempo of its own.
pub(super) struct Chords {
    pub(super) sample_rate: u32,
    pub(super) num_tracks: usize,
    pub(super) seconds: f64,
}

impl TrackSource for Chords {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn len(&self) -> usize {
        self.num_tracks
    }

    fn name(&self, track: usize) -> String {
        format!("chord {track}")
    }

    fn num_samples(&self, _track: usize) -> Result<u64, DataError> {
        Ok((self.seconds * f64::from(self.sample_rate)) as u64)
    }

    fn read(&self, track: usize, start: u64, num_samples: usize) -> Result<Waveform, DataError> {
        let root = 110.0 * 2.0_f64.powf((track * 7 % 24) as f64 / 12.0);
        let harmonics = 1 + track % 5;
        let period = 0.3 + 0.05 * (track % 7) as f64;
        let sample = |number: u64| {
            let time = number as f64 / f64::from(self.sample_rate);
            let envelope = (-6.0 * (time % period)).exp();
            // The chord's third note moves every second.
            let third = [1.25, 1.2, 4.0 / 3.0][(time as usize + track) % 3];
            let tone = |ratio: f64| {
                let partial = |number: usize| {
                    let number = number as f64;
                    (std::f64::consts::TAU * root * ratio * number * time).sin() / number
                };
                (1..=harmonics).map(partial).sum::<f64>()
            };
            (0.1 * envelope * (tone(1.0) + tone(third) + tone(1.5))) as f32
        };
        let samples = (start..start + num_samples as u64).map(sample).collect();
        Ok(Waveform::new(samples, self.sample_rate))
    }
}

impl Chords {
    /// What can be said of each track. No two tracks have the same words.
    pub(super) fn texts(&self) -> Vec<TrackTexts> {
        const ROOTS: [&str; 12] =
            ["a", "b flat", "b", "c", "d flat", "d", "e flat", "e", "f", "f sharp", "g", "a flat"];
        const TIMBRES: [&str; 5] = ["pure", "soft", "plain", "bright", "sharp"];
        let of = |track: usize| {
            let height = if track * 7 % 24 < 12 { "low" } else { "high" };
            let tags = [ROOTS[track * 7 % 12], height, TIMBRES[track % 5]].map(String::from);
            TrackTexts { tags: tags.to_vec(), captions: Vec::new() }
        };
        (0..self.num_tracks).map(of).collect()
    }
}

/// The configuration that is shipped for a small machine, with some keys changed.
pub(super) fn tiny(recipe: &str, changes: &[&str]) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../configs/{recipe}-tiny.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut table: Table = text.parse().unwrap();
    // Paths in shipped configurations begin at the repository's root; tests run in this crate's folder.
    let text_model = table.get_mut("method").and_then(|method| method.get_mut("text_model"));
    if let Some(toml::Value::String(path)) = text_model {
        *path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    }
    for change in changes {
        set(&mut table, change).unwrap();
    }
    table
}

/// What most tests train on.
pub(super) fn chords(sample_rate: u32) -> Chords {
    Chords { sample_rate, num_tracks: 24, seconds: 12.0 }
}

/// Trains in a folder, or goes on there.
pub(super) fn train_in(path: &Path, table: &Table, observer: &mut dyn TrainingObserver) {
    let chords = chords(Plan::read(table).unwrap().sample_rate());
    let texts = chords.texts();
    try_train_in(path, table, chords, &texts, observer).unwrap_or_else(|error| panic!("{error}"));
}

/// The same on given tracks.
pub(super) fn try_train_in(
    path: &Path,
    table: &Table,
    chords: Chords,
    texts: &[TrackTexts],
    observer: &mut dyn TrainingObserver,
) -> Result<(), PretrainError> {
    let plan = Plan::read(table)?;
    let resolved = plan.resolved()?;
    let folder = if path.join("config.toml").exists() {
        RunFolder::resume(path, &resolved, &crate::train::KEYS_THAT_MAY_CHANGE).unwrap()
    } else {
        RunFolder::create(path, &resolved).unwrap()
    };
    let collection = Collection::survey(Arc::new(chords))?;
    let ground = Ground { folder: &folder, collection: &collection, texts, device: &test_device() };
    plan.run(&ground, observer)
}

/// The lines of a run's log.
pub(super) fn log_of(path: &Path) -> Vec<LogLine> {
    read_log(&path.join("log.jsonl")).unwrap()
}

/// The model that a run became.
pub(super) fn model_of(path: &Path) -> LoadedModel {
    Checkpoint::open(path)
        .and_then(|checkpoint| checkpoint.load(&test_device()))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The mean of a number over lines of the log.
pub(super) fn mean(lines: &[LogLine], number: impl Fn(&LogLine) -> f64) -> f64 {
    lines.iter().map(number).sum::<f64>() / lines.len() as f64
}

/// The bytes of the weights after a number of updates, without what other tests of this process can have drawn: both runs
/// must go on from the same checkpoint.
pub(super) fn weights_at(path: &Path, step: u64) -> Vec<u8> {
    std::fs::read(path.join(format!("checkpoints/step-{step:07}.safetensors"))).unwrap()
}

/// Trains a few steps, then goes on with and without a break: the weights must have the same bits.
pub(super) fn check_resume(recipe: &str, changes: &[&str]) {
    let parent = tempfile::tempdir().unwrap();
    let (whole, broken) = (parent.path().join("whole"), parent.path().join("broken"));
    let until = |steps: u64| {
        let steps = format!("training.steps={steps}");
        let keep = ["training.checkpoint_every=100", "training.keep_checkpoints=9", steps.as_str()];
        tiny(recipe, &[changes, &keep].concat())
    };
    train_in(&whole, &until(2), &mut ());
    copy(&whole, &broken);
    train_in(&whole, &until(6), &mut ());
    train_in(&broken, &until(4), &mut ());
    train_in(&broken, &until(6), &mut ());
    assert!(weights_at(&whole, 6) == weights_at(&broken, 6), "{recipe}: a run that was broken off has other weights");
    let steps: Vec<u64> = log_of(&broken).iter().map(|line| line.step).collect();
    assert_eq!(steps, (1..=6).collect::<Vec<u64>>());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Trains a tiny configuration for some steps: the loss must fall by `margin` from its first fifth to its last, the term
/// must be in the log, and the run must be a model.
pub(super) fn check_learning(recipe: &str, steps: usize, margin: f64, term: &str) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let changes = [format!("training.steps={steps}"), format!("training.signals_every={steps}")];
    train_in(&path, &tiny(recipe, &[&changes[0], &changes[1]]), &mut ());
    let lines = log_of(&path);
    assert_eq!(lines.len(), steps);
    let fifth = steps / 5;
    let (first, last) = (mean(&lines[..fifth], |line| line.loss), mean(&lines[steps - fifth..], |line| line.loss));
    assert!(last < first - margin, "{recipe}: from {first} to {last}");
    assert!(lines.iter().all(|line| line.terms.contains_key(term) && !line.skipped), "{recipe}: {:?}", lines[0].terms);
    model_of(&path);
}
