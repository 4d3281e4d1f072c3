use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use solfa_eval::dataset::{Record, Split};

use super::material::{notes, pieces};
use super::*;
use crate::compose::{Request, compose};
use crate::midi;
use crate::render::BuiltinSynth;

const SMALL: SuiteSettings = SuiteSettings { seed: 4, pieces: 5, seconds: 9.0, notes: 6, sample_rate: 16_000 };

fn write(folder: &Path, settings: &SuiteSettings) -> Result<SuiteSummary, SuiteError> {
    write_suite(folder, settings, &BuiltinSynth, &|_| ())
}

fn records(path: &Path) -> Vec<Record> {
    fs_err::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for place in [folder.to_owned(), folder.join("audio")] {
        for entry in fs_err::read_dir(place).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            let path = entry.path();
            files.insert(path.strip_prefix(folder).unwrap().display().to_string(), fs_err::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_suite_has_sounds_labels_and_a_manifest_and_continues() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = std::sync::Mutex::new(0.0);
    let summary = write_suite(folder.path(), &SMALL, &BuiltinSynth, &|done| *seconds.lock().unwrap() += done).unwrap();
    assert_eq!((summary.rendered, summary.kept), (11, 0));
    assert_eq!(*seconds.lock().unwrap(), 5.0 * 9.0 + 6.0 * NOTE_SECONDS);
    assert_eq!(summary.tasks.len(), 11);
    let first = contents(folder.path());
    assert_eq!(first.len(), 11 + 11 + 1, "{:?}", first.keys());
    for (task, count) in &summary.tasks {
        let records = records(&folder.path().join(format!("{task}.jsonl")));
        assert_eq!(records.len(), *count);
        assert_eq!(*count, if task.starts_with("note-") { 6 } else { 5 }, "{task}");
        for record in records {
            assert!(record.split.is_some());
            let reader = hound::WavReader::open(folder.path().join(&record.audio_path)).unwrap();
            let spec = reader.spec();
            assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 16_000, 16));
            assert_eq!(Some(u64::from(reader.duration())), record.num_samples);
        }
    }
    // A run that was stopped: one file is missing, one cut, one never got its name.
    fs_err::remove_file(folder.path().join("audio/piece-0001.wav")).unwrap();
    fs_err::write(folder.path().join("audio/note-0002.wav"), b"RIFF").unwrap();
    fs_err::write(folder.path().join("audio/.note-0003.wav.abc.partial"), b"RIFF").unwrap();
    let again = write(folder.path(), &SMALL).unwrap();
    assert_eq!((again.rendered, again.kept), (2, 9));
    assert!(contents(folder.path()) == first, "the same seed gives the same bytes");
    let message = write(folder.path(), &SuiteSettings { seed: 5, ..SMALL }).unwrap_err().to_string();
    assert!(message.contains("seed: 4 there, 5 asked for"), "{message}");
    fs_err::write(folder.path().join("manifest.json"), "[]").unwrap();
    let message = write(folder.path(), &SMALL).unwrap_err().to_string();
    assert!(message.contains("not the manifest of a suite"), "{message}");
}

#[test]
fn every_split_has_every_class() {
    let planned = pieces(0, 120, 30.0);
    let notes = notes(0, 600);
    for (split, num_pieces, num_notes) in
        [(Split::Train, 72, 360), (Split::Validation, 24, 120), (Split::Test, 24, 120)]
    {
        let of_split: Vec<_> = planned.iter().filter(|piece| piece.split == split).collect();
        assert_eq!(of_split.len(), num_pieces);
        let keys: BTreeSet<_> = of_split.iter().map(|piece| piece.request.key).collect();
        let styles: BTreeSet<_> = of_split.iter().map(|piece| piece.request.style).collect();
        assert_eq!((keys.len(), styles.len()), (24, 12));
        let of_split: Vec<_> = notes.iter().filter(|note| note.split == split).collect();
        assert_eq!(of_split.len(), num_notes);
        let pitches: BTreeSet<_> = of_split.iter().map(|note| note.note.pitch).collect();
        let tags: BTreeSet<_> = of_split.iter().map(|note| note.tag).collect();
        assert_eq!((pitches.len(), tags.len()), (36, 20));
    }
    let seeds: BTreeSet<_> = planned.iter().map(|piece| piece.request.seed).collect();
    assert_eq!(seeds.len(), 120);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |settings: SuiteSettings, reason: &str| {
        let message = write(&folder.path().join("suite"), &settings).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    };
    refused(SuiteSettings { pieces: 4, ..SMALL }, "4 pieces: expected 5 to 1000000");
    refused(SuiteSettings { notes: 1, ..SMALL }, "1 notes: expected 0, or 5");
    assert!(!folder.path().join("suite").exists());
    refused(SuiteSettings { seconds: 1.0, ..SMALL }, "a piece of 1 seconds");
    let other = SuiteSettings { sample_rate: 8_000, ..SMALL };
    let message = write(&folder.path().join("slow"), &other).unwrap_err().to_string();
    assert!(message.contains("8000 Hz"), "{message}");
    fs_err::write(folder.path().join("file"), "").unwrap();
    let message = write(&folder.path().join("file"), &SMALL).unwrap_err().to_string();
    assert!(message.contains("file/manifest.json"), "{message}");
}

#[test]
fn midi_files_are_rendered_with_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let piece = compose(&Request { seed: 2, style: None, key: None, seconds: 10.0 }).unwrap();
    let input = folder.path().join("in/song.mid");
    fs_err::create_dir_all(input.parent().unwrap()).unwrap();
    fs_err::write(&input, midi::write(&piece.performance, &piece.labels).unwrap()).unwrap();
    fs_err::write(folder.path().join("in/chord_midi.txt"), "0.0 4.0 C:maj\n4.0 8.0 G:maj\n").unwrap();
    fs_err::write(folder.path().join("in/broken.mid"), "MThd").unwrap();
    let files = [(input.clone(), "a/song.wav".into()), (folder.path().join("in/broken.mid"), "a/broken.wav".into())];
    let out = folder.path().join("out");
    let done = render_files(&files, &out, &BuiltinSynth, 24_000, &|_| ()).unwrap();
    assert!(done[1].result.as_ref().unwrap_err().to_string().contains("broken.mid"));
    let (seconds, tasks) = done[0].result.as_ref().unwrap();
    assert!(*seconds > 8.0 && tasks.len() >= 5, "{tasks:?}");
    let chords = &records(&out.join("chords.jsonl"))[0];
    assert_eq!(chords.audio_path, "a/song.wav");
    assert_eq!(chords.label[1]["chord_str"], Value::from("G:maj"));
    assert!(out.join("a/song.wav").exists() && !out.join("a/broken.wav").exists());
}
