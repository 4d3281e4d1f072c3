//! NSynth: single notes, their pitch and the family of their instrument.
//!
//! Engel et al., "Neural audio synthesis of musical notes with WaveNet autoencoders", ICML 2017: 305,979 notes of 4 s. No
//! instrument of the training split is in the others.
//!
//! Layout: `nsynth-train/`, `nsynth-valid/` and `nsynth-test/` below any folder, each with `examples.json` (`{key: {pitch,
//! instrument_family_str, ..}}`) and `audio/KEY.wav`. Pitches are written as they are; MARBLE v1 trains on pitch - 1, which
//! is the same task.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use serde::Deserialize;

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;
use crate::dataset::classes::{NSYNTH_FAMILIES, NUM_PITCHES};

const SPLIT_RULE: &str = "the data set's own; no instrument is in training and in another split";

macro_rules! nsynth {
    ($name:literal, $title:literal, $task:literal, $label:expr) => {
        KnownDataSet {
            name: $name,
            title: $title,
            task: $task,
            paper: "Engel et al. 2017",
            layout: "nsynth-{train,valid,test}/ with examples.json and audio/KEY.wav",
            split_rule: SPLIT_RULE,
            licence: "CC BY 4.0",
            origin: "magenta.tensorflow.org/datasets/nsynth",
            expected: ExpectedRows::of_splits(289_205, 12_678, 4_096),
            gather: |folder, options| gather(folder, options, $label),
        }
    };
}

pub(super) const SETS: &[KnownDataSet] = &[
    nsynth!("nsynth-pitch", "NSynth, pitch", "one of 128 pitches", pitch),
    nsynth!("nsynth-instrument", "NSynth, families of instruments", "one of 11 families", family),
];

/// A note of `examples.json`, of which much more is said there.
#[derive(Deserialize)]
struct Note {
    pitch: u32,
    instrument_family_str: String,
}

type Label = fn(&Note) -> Result<String, String>;

fn pitch(note: &Note) -> Result<String, String> {
    match note.pitch {
        pitch if (pitch as usize) < NUM_PITCHES => Ok(pitch.to_string()),
        pitch => Err(format!("pitch {pitch} is not from 0 to 127")),
    }
}

fn family(note: &Note) -> Result<String, String> {
    let family = &note.instrument_family_str;
    let is_known = NSYNTH_FAMILIES.contains(&family.as_str());
    if is_known { Ok(family.clone()) } else { Err(format!("`{family}` is not one of the 11 families")) }
}

fn gather(folder: &Folder, _: &ImportOptions, label: Label) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new(SPLIT_RULE);
    for (name, split) in [("train", Split::Train), ("valid", Split::Validation), ("test", Split::Test)] {
        let Some(examples) = folder.find(&format!("nsynth-{name}/examples.json")) else {
            gathered.notes.push(format!("there is no nsynth-{name}/examples.json"));
            continue;
        };
        let path = folder.absolute(examples);
        let file = File::open(&path).map_err(|source| ImportError::Io { path: path.clone(), source })?;
        let notes: BTreeMap<String, Note> =
            serde_json::from_reader(BufReader::new(file)).map_err(|error| ImportError::file(&path, error))?;
        for (key, note) in notes {
            match label(&note) {
                Ok(label) => {
                    let audio = examples.with_file_name("audio").join(format!("{key}.wav"));
                    gathered.candidates.push(Candidate::new(audio, label, split));
                }
                Err(reason) => gathered.leave_out(key, reason),
            }
        }
    }
    if gathered.candidates.is_empty() && gathered.left_out.is_empty() {
        return Err(folder.layout_error("NSynth", "nsynth-train/examples.json, nsynth-valid/.. and nsynth-test/.."));
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, left_out, rows, unreadable};
    use super::*;

    fn layout() -> Place {
        let place = Place::new();
        let note = |key: &str, family: &str, pitch: u32| {
            format!(
                r#""{key}": {{"pitch": {pitch}, "velocity": 50, "instrument_family_str": "{family}", "qualities": [0]}}"#
            )
        };
        let file = |notes: &[String]| format!("{{{}}}", notes.join(","));
        place.write(
            "data/nsynth-train/examples.json",
            file(&[
                note("bass_1-060-050", "bass", 60),
                note("bass_2-061-050", "bass", 61),
                note("kazoo-128", "kazoo", 128),
            ]),
        );
        place.write("data/nsynth-valid/examples.json", file(&[note("organ_1-021-050", "organ", 21)]));
        place.write(
            "data/nsynth-test/examples.json",
            file(&[note("vocal_1-108-050", "vocal", 108), note("vocal_2-1-1", "vocal", 1)]),
        );
        for name in [
            "train/audio/bass_1-060-050",
            "valid/audio/organ_1-021-050",
            "test/audio/vocal_1-108-050",
            "train/audio/kazoo-128",
        ] {
            place.wav(&format!("data/nsynth-{name}.wav"), 0.2);
        }
        place.write("data/nsynth-test/audio/vocal_2-1-1.wav", "x");
        place
    }

    #[test]
    fn pitches_and_families_are_read() {
        let place = layout();
        let imported = place.import("nsynth-pitch");
        assert_eq!(
            rows(&imported),
            [
                ("data/nsynth-train/audio/bass_1-060-050.wav", "60".into(), "train"),
                ("data/nsynth-valid/audio/organ_1-021-050.wav", "21".into(), "val"),
                ("data/nsynth-test/audio/vocal_1-108-050.wav", "108".into(), "test"),
            ]
        );
        assert_eq!(imported.report.missing, ["data/nsynth-train/audio/bass_2-061-050.wav"]);
        assert_eq!(unreadable(&imported), ["vocal_2-1-1.wav"]);
        assert_eq!(left_out(&imported), "kazoo-128: pitch 128 is not from 0 to 127\n");
        let imported = place.import("nsynth-instrument");
        assert_eq!(rows(&imported)[0].1, "bass");
        assert_eq!(left_out(&imported), "kazoo-128: `kazoo` is not one of the 11 families\n");
    }

    #[test]
    fn one_part_is_enough_and_none_is_an_error() {
        let place = Place::new();
        let error = place.try_import("nsynth-pitch", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("does not look like NSynth") && error.ends_with("found an empty folder"), "{error}");
        place.write("nsynth-test/examples.json", r#"{"a": {"pitch": 60}}"#);
        let error = place.try_import("nsynth-pitch", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("examples.json: missing field `instrument_family_str`"), "{error}");
        place.write("nsynth-test/examples.json", r#"{"a": {"pitch": 60, "instrument_family_str": "bass"}}"#);
        place.wav("nsynth-test/audio/a.wav", 0.1);
        let imported = place.import("nsynth-pitch");
        assert_eq!(imported.report.notes.len(), 2);
    }
}
