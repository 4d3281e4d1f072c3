//! Tasks in the layout of HEAR: JSON files of labels, one for each split or fold.
//!
//! Turian et al., "HEAR: Holistic evaluation of audio representations", PMLR 176, 2022.
//!
//! Layout: `train.json`, `valid.json`, `test.json`, or `fold00.json`, `fold01.json`, ..; each `{FILE: [LABEL, ..]}` (scenes) or
//! `{FILE: [{label, start, end}, ..]}` (events, in milliseconds). `task_metadata.json` says whether a scene has one label
//! (`prediction_type` `multiclass`) or several; without it, one label a file everywhere means one. Recordings lie in
//! `48000/train/FILE` (or another rate); of several rates the highest is taken. Of folds, `--fold` (0 by default) is the test split,
//! the next one validation, the others training.
//!
//! Events whose labels are MIDI numbers become notes, others intervals with a label.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::Folder;
use super::gather::{Candidate, Gathered, check_fold, split_of_fold};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::Split;

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "hear",
    title: "A task in HEAR's layout",
    task: "what the task says: one class, tags, or events",
    paper: "Turian et al. 2022",
    layout: "{train,valid,test}.json or foldNN.json, task_metadata.json, and 48000/SPLIT/FILE.wav",
    split_rule: "the task's own; of folds, --fold is the test split and the next one validation",
    licence: "that of the task",
    origin: "hearbenchmark.com; zenodo.org/records/5887964",
    expected: ExpectedRows::UNKNOWN,
    gather,
}];

/// A file of labels, with the split that its rows go to.
struct Part {
    file: PathBuf,
    name: String,
    split: Split,
}

fn gather(folder: &Folder, options: &ImportOptions) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new("the task's own");
    let parts = parts(folder, options, &mut gathered)?;
    let metadata = folder.find("task_metadata.json").map(|path| folder.json(path)).transpose()?.unwrap_or_default();
    let mut read = Vec::new();
    for part in &parts {
        let value = folder.json(&part.file)?;
        let Value::Object(files) = value else {
            return Err(ImportError::file(&folder.absolute(&part.file), "expected an object of files"));
        };
        read.push((part, files));
    }
    let all_labels = || read.iter().flat_map(|(_, files)| files.values());
    let is_event = |label: &Value| label.is_object();
    let is_multiclass = match metadata["prediction_type"].as_str() {
        Some(kind) => kind == "multiclass",
        None => all_labels()
            .all(|labels| labels.as_array().is_some_and(|labels| labels.len() == 1 && !is_event(&labels[0]))),
    };
    let has_events = metadata["embedding_type"] == "event"
        || all_labels().any(|labels| labels.as_array().is_some_and(|labels| labels.iter().any(is_event)));
    let are_notes = has_events
        && all_labels().filter_map(Value::as_array).flatten().all(|event| midi_number(&event["label"]).is_some());
    for (part, files) in &read {
        for (name, labels) in files {
            let label = match labels {
                Value::Array(events) if has_events => events_label(events, are_notes),
                Value::Array(labels) => scene_label(labels, is_multiclass),
                single => scene_label(std::slice::from_ref(single), is_multiclass),
            };
            let label =
                label.map_err(|reason| ImportError::file(&folder.absolute(&part.file), format!("{name}: {reason}")))?;
            gathered.candidates.push(Candidate::new(recording(folder, &part.name, name), label, part.split));
        }
    }
    Ok(gathered)
}

fn parts(folder: &Folder, options: &ImportOptions, gathered: &mut Gathered) -> Result<Vec<Part>, ImportError> {
    let named: Vec<Part> = [("train", Split::Train), ("valid", Split::Validation), ("test", Split::Test)]
        .into_iter()
        .filter_map(|(name, split)| {
            let file = folder.find(&format!("{name}.json"))?.to_owned();
            Some(Part { file, name: name.to_owned(), split })
        })
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let mut folds: Vec<(PathBuf, String)> = Vec::new();
    for number in 0.. {
        let name = format!("fold{number:02}");
        let Some(file) = folder.find(&format!("{name}.json")) else { break };
        folds.push((file.to_owned(), name));
    }
    let count = folds.len();
    if count == 0 {
        return Err(folder.layout_error("a task of HEAR", "train.json, valid.json and test.json, or fold00.json, .."));
    }
    check_fold(options.fold, count, "fold00.json")?;
    gathered.split_rule =
        format!("fold {} of {count} test, the next one validation, the others training", options.fold);
    let split = |number: usize| split_of_fold(number, options.fold, count);
    Ok(folds.into_iter().enumerate().map(|(number, (file, name))| Part { file, name, split: split(number) }).collect())
}

/// The recording at the highest of the rates that there are.
fn recording(folder: &Folder, part: &str, name: &str) -> PathBuf {
    let relative = Path::new(part).join(name);
    let rates = ["48000", "44100", "32000", "22050", "16000"];
    let found = rates.iter().map(|rate| Path::new(rate).join(&relative)).find_map(|path| folder.find(path.to_str()?));
    let found = found.or_else(|| folder.find(relative.to_str()?));
    found.map_or_else(|| Path::new(rates[0]).join(&relative), Path::to_owned)
}

/// A label as text: numbers are classes as well.
fn text(label: &Value) -> Result<String, String> {
    match label {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("expected a label, found {other}")),
    }
}

fn scene_label(labels: &[Value], is_multiclass: bool) -> Result<Value, String> {
    let labels: Vec<String> = labels.iter().map(text).collect::<Result<_, String>>()?;
    match labels.as_slice() {
        [only] if is_multiclass => Ok(only.as_str().into()),
        labels if is_multiclass => Err(format!("expected one label, found {}", labels.len())),
        labels => Ok(labels.into()),
    }
}

/// The MIDI number that a label is.
fn midi_number(label: &Value) -> Option<f64> {
    let number = match label {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| (0.0..128.0).contains(number))
}

fn events_label(events: &[Value], are_notes: bool) -> Result<Value, String> {
    let mut found: Vec<(f64, Value)> = Vec::new();
    for event in events {
        let milliseconds = |name: &str| event[name].as_f64().filter(|time| *time >= 0.0);
        let (Some(start), Some(end)) = (milliseconds("start"), milliseconds("end")) else {
            return Err(format!("expected `start` and `end` in milliseconds, found {event}"));
        };
        let (start, end) = (start / 1000.0, end / 1000.0);
        if end < start {
            return Err(format!("an event ends at {end} s, before it starts at {start} s"));
        }
        let event = match midi_number(&event["label"]).filter(|_| are_notes) {
            Some(pitch) => json!({ "onset": start, "offset": end, "pitch": pitch }),
            None => json!({ "start_time": start, "end_time": end, "label": text(&event["label"])? }),
        };
        found.push((start, event));
    }
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    let events: Vec<Value> = found.into_iter().map(|(_, event)| event).collect();
    Ok(if are_notes { json!({ "notes": events }) } else { events.into() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, rows, unreadable};
    use super::*;

    #[test]
    fn scenes_of_three_splits() {
        let place = Place::new();
        place.write("task/task_metadata.json", r#"{"embedding_type": "scene", "prediction_type": "multiclass"}"#);
        place.write("task/train.json", r#"{"a.wav": ["Bangu"], "b.wav": [3]}"#);
        place.write("task/valid.json", r#"{"c.wav": "Daluo", "absent.wav": ["x"]}"#);
        place.write("task/test.json", r#"{"d.wav": ["Bangu"], "e.wav": ["Bangu"]}"#);
        for name in ["48000/train/a", "16000/train/a", "48000/train/b", "48000/valid/c", "48000/test/d"] {
            place.wav(&format!("task/{name}.wav"), 0.2);
        }
        place.write("task/48000/test/e.wav", "x");
        let imported = place.import("hear");
        assert_eq!(
            rows(&imported),
            [
                ("task/48000/train/a.wav", "Bangu".into(), "train"),
                ("task/48000/train/b.wav", "3".into(), "train"),
                ("task/48000/valid/c.wav", "Daluo".into(), "val"),
                ("task/48000/test/d.wav", "Bangu".into(), "test"),
            ]
        );
        assert_eq!(imported.report.missing, ["48000/valid/absent.wav"]);
        assert_eq!(unreadable(&imported), ["e.wav"]);
        assert_eq!(imported.report.unused, ["task/16000/train/a.wav"]);
        place.write("task/test.json", r#"{"d.wav": ["Bangu", "Daluo"]}"#);
        let error = place.try_import("hear", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("test.json: d.wav: expected one label, found 2"), "{error}");
    }

    #[test]
    fn folds_take_turns_and_several_labels_are_tags() {
        let place = Place::new();
        for fold in 0..4 {
            let labels = if fold == 0 { r#"["a", "b"]"# } else { r#"["a"]"# };
            place.write(&format!("fold0{fold}.json"), format!(r#"{{"{fold}.wav": {labels}}}"#));
            place.wav(&format!("48000/fold0{fold}/{fold}.wav"), 0.2);
        }
        let imported = place.import("hear");
        assert_eq!(counts(&imported), [2, 1, 1]);
        assert_eq!(rows(&imported)[0], ("48000/fold00/0.wav", r#"["a","b"]"#.into(), "test"));
        assert_eq!(imported.report.split_rule, "fold 0 of 4 test, the next one validation, the others training");
        let last = place.try_import("hear", &ImportOptions { fold: 3, ..Default::default() }).unwrap();
        assert_eq!(rows(&last).iter().map(|row| row.2).collect::<Vec<_>>(), ["val", "train", "train", "test"]);
        let error = place.try_import("hear", &ImportOptions { fold: 4, ..Default::default() }).unwrap_err().to_string();
        assert!(error.starts_with("fold 4 of 4: expected at least three folds"), "{error}");
    }

    #[test]
    fn events_are_notes_where_their_labels_are_pitches() {
        let place = Place::new();
        place.write(
            "train.json",
            r#"{"a.wav": [{"label": "60", "start": 500, "end": 1000.5}, {"label": "61", "start": 0, "end": 100}]}"#,
        );
        place.write("valid.json", r#"{"b.wav": []}"#);
        for name in ["train/a", "valid/b"] {
            place.wav(&format!("48000/{name}.wav"), 0.2);
        }
        let imported = place.import("hear");
        assert_eq!(imported.records[0].label["notes"][0], json!({"onset": 0.0, "offset": 0.1, "pitch": 61.0}));
        assert_eq!(imported.records[1].label, json!({"notes": []}));
        place.write("valid.json", r#"{"b.wav": [{"label": "door", "start": 0, "end": 100}]}"#);
        let imported = place.import("hear");
        assert_eq!(imported.records[1].label, json!([{"start_time": 0.0, "end_time": 0.1, "label": "door"}]));
        place.write("valid.json", r#"{"b.wav": [{"label": "door", "start": 0}]}"#);
        let error = place.try_import("hear", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("valid.json: b.wav: expected `start` and `end` in milliseconds"), "{error}");
        let error = Place::new().try_import("hear", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("does not look like a task of HEAR"), "{error}");
    }
}
