//! From the label of a data set's line to what a task expects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TaskKind;
use crate::dataset::classes::without_kind;
use crate::metrics::chord::Chord;
use crate::metrics::intervals::{Interval, LabelledIntervals};
use crate::metrics::key::Key;

/// What is right for one track.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The number of its class.
    Class(usize),
    /// The numbers of its tags, ascending.
    Tags(Vec<usize>),
    /// Its numbers.
    Numbers(Vec<f64>),
    /// Its tempo in beats per minute.
    Tempo(f64),
    /// Its beats.
    Beats(BeatTimes),
    /// When its notes start, in seconds.
    Onsets(Vec<f64>),
    /// Its chords, or its sections.
    Intervals(LabelledIntervals),
    /// Its notes.
    Notes(Vec<NoteEvent>),
    /// The files of its stems, by name.
    Stems(BTreeMap<String, String>),
}

/// Beats of a track.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BeatTimes {
    /// Every beat, in seconds.
    #[serde(default)]
    pub beat: Vec<f64>,
    /// The first beat of every bar, in seconds.
    #[serde(default)]
    pub downbeat: Vec<f64>,
    /// Beats per minute, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tempo: Option<f64>,
}

/// A note.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoteEvent {
    /// Its start in seconds.
    pub onset: f64,
    /// Its end in seconds.
    pub offset: f64,
    /// Its pitch as a MIDI number; 69 is 440 Hz.
    pub pitch: f64,
}

/// Why a label is not what its task expects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The label has another form.
    #[error("expected {expected}, found {found}")]
    Form {
        /// The form that the task has.
        expected: &'static str,
        /// The label, cut to a readable length.
        found: String,
    },
    /// A class that is not in the list.
    #[error("`{found}` is not among the task's {count} classes{hint}")]
    UnknownClass {
        /// The class.
        found: String,
        /// How many there are.
        count: usize,
        /// The classes, where they are few.
        hint: String,
    },
    /// A value that cannot be right.
    #[error("{0}")]
    Value(String),
}

impl Target {
    /// Reads a label.
    ///
    /// `classes` are the task's, in order; keys, chords and times do without.
    ///
    /// # Errors
    /// [`TargetError`] for a label of another form, a class that is not in the list, times that are not in order or not
    /// finite, intervals that overlap, a chord or key that cannot be read.
    pub fn read(kind: TaskKind, label: &Value, classes: &[String]) -> Result<Self, TargetError> {
        match kind {
            TaskKind::Class | TaskKind::Retrieval => {
                class_number(&single(label).ok_or_else(|| form("a class name", label))?, classes).map(Self::Class)
            }
            TaskKind::Key => {
                let text = single(label).ok_or_else(|| form("a key such as `Eb minor`", label))?;
                let key: Key = text.parse().map_err(|error| TargetError::Value(format!("{error}")))?;
                Ok(Self::Class(key.class_index()))
            }
            TaskKind::Tags => {
                let names = label.as_array().ok_or_else(|| form("a list of tags", label))?;
                let mut tags = names
                    .iter()
                    .map(|name| tag_number(&single(name).ok_or_else(|| form("a list of tags", label))?, classes))
                    .collect::<Result<Vec<_>, _>>()?;
                tags.sort_unstable();
                tags.dedup();
                Ok(Self::Tags(tags))
            }
            TaskKind::Numbers => {
                let values: Option<Vec<f64>> = label
                    .as_array()
                    .map_or_else(|| Some(vec![label.as_f64()?]), |list| list.iter().map(Value::as_f64).collect());
                match values {
                    Some(values) if !values.is_empty() => Ok(Self::Numbers(values)),
                    _ => Err(form("a list of numbers", label)),
                }
            }
            TaskKind::Tempo => {
                let tempo =
                    label.get("tempo").unwrap_or(label).as_f64().ok_or_else(|| form("`{\"tempo\": bpm}`", label))?;
                if tempo > 0.0 && tempo.is_finite() {
                    Ok(Self::Tempo(tempo))
                } else {
                    Err(TargetError::Value(format!("a tempo of {tempo} beats per minute")))
                }
            }
            TaskKind::Beats => {
                let beats: BeatTimes = parse(label, "`{\"beat\": [seconds], \"downbeat\": [seconds]}`")?;
                check_times("beat", &beats.beat)?;
                check_times("downbeat", &beats.downbeat)?;
                Ok(Self::Beats(beats))
            }
            TaskKind::Onsets => {
                #[derive(Deserialize)]
                struct Onsets {
                    onset: Vec<f64>,
                }
                let Onsets { onset } = parse(label, "`{\"onset\": [seconds]}`")?;
                check_times("onset", &onset)?;
                Ok(Self::Onsets(onset))
            }
            TaskKind::Chords => {
                #[derive(Deserialize)]
                struct ChordLabel {
                    start_time: f64,
                    end_time: f64,
                    chord_str: String,
                }
                let chords: Vec<ChordLabel> =
                    parse(label, "a list of `{\"start_time\", \"end_time\", \"chord_str\"}`")?;
                for chord in &chords {
                    Chord::parse(&chord.chord_str).map_err(|error| TargetError::Value(error.to_string()))?;
                }
                intervals("chords", chords.into_iter().map(|chord| (chord.start_time, chord.end_time, chord.chord_str)))
            }
            TaskKind::Structure => {
                #[derive(Deserialize)]
                struct SectionLabel {
                    start_time: f64,
                    end_time: f64,
                    label: String,
                }
                let sections: Vec<SectionLabel> =
                    parse(label, "a list of `{\"start_time\", \"end_time\", \"label\"}`")?;
                let sections =
                    sections.into_iter().map(|section| (section.start_time, section.end_time, section.label));
                let target = intervals("sections", sections)?;
                if let Self::Intervals(sections) = &target {
                    for name in &sections.labels {
                        class_number(name, classes)?;
                    }
                }
                Ok(target)
            }
            TaskKind::Melody | TaskKind::Notes => {
                #[derive(Deserialize)]
                struct NotesLabel {
                    notes: Vec<NoteEvent>,
                }
                let NotesLabel { mut notes } = parse(label, "`{\"notes\": [{\"onset\", \"offset\", \"pitch\"}]}`")?;
                for note in &notes {
                    let values = [note.onset, note.offset, note.pitch];
                    if values.iter().any(|value| !value.is_finite()) || note.offset <= note.onset || note.onset < 0.0 {
                        return Err(TargetError::Value(format!(
                            "a note from {} s to {} s at pitch {}",
                            note.onset, note.offset, note.pitch
                        )));
                    }
                }
                notes.sort_by(|a, b| a.onset.total_cmp(&b.onset).then(a.pitch.total_cmp(&b.pitch)));
                Ok(Self::Notes(notes))
            }
            TaskKind::Separation => {
                #[derive(Deserialize)]
                struct StemsLabel {
                    stems: BTreeMap<String, String>,
                }
                let StemsLabel { stems } = parse(label, "`{\"stems\": {\"vocals\": path, ...}}`")?;
                if stems.is_empty() {
                    return Err(form("at least one stem", label));
                }
                Ok(Self::Stems(stems))
            }
        }
    }

    /// The classes that a label names, for a task that takes its list from the data.
    pub fn names(kind: TaskKind, label: &Value) -> Vec<String> {
        match kind {
            TaskKind::Class | TaskKind::Retrieval => single(label).into_iter().collect(),
            TaskKind::Tags => label.as_array().into_iter().flatten().filter_map(single).collect(),
            TaskKind::Structure => label
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|section| Some(section.get("label")?.as_str()?.to_owned()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A name: a text, a number as text, or a list of them, which MARBLE joins with `_`.
fn single(label: &Value) -> Option<String> {
    match label {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(names) if !names.is_empty() => {
            names.iter().map(|name| name.as_str()).collect::<Option<Vec<_>>>().map(|names| names.join("_"))
        }
        _ => None,
    }
}

fn class_number(name: &str, classes: &[String]) -> Result<usize, TargetError> {
    /// Lists up to this length are shown in an error.
    const SHOWN: usize = 30;
    classes.iter().position(|class| class == name).ok_or_else(|| TargetError::UnknownClass {
        found: name.to_owned(),
        count: classes.len(),
        hint: if classes.len() <= SHOWN { format!(": {}", classes.join(", ")) } else { String::new() },
    })
}

/// The number of a tag, which MTG-Jamendo's files write with its kind in front (`genre---rock`) and lists without it.
fn tag_number(name: &str, classes: &[String]) -> Result<usize, TargetError> {
    class_number(name, classes).or_else(|unknown| match without_kind(name) {
        plain if plain == name => Err(unknown),
        plain => class_number(plain, classes).map_err(|_| unknown),
    })
}

fn intervals(what: &'static str, parts: impl Iterator<Item = (f64, f64, String)>) -> Result<Target, TargetError> {
    let (mut times, mut labels) = (Vec::new(), Vec::new());
    for (start, end, label) in parts {
        times.push(Interval::new(start, end));
        labels.push(label);
    }
    let checked = LabelledIntervals::new(what, times, labels);
    checked.map(Target::Intervals).map_err(|error| TargetError::Value(error.to_string()))
}

fn check_times(what: &str, times: &[f64]) -> Result<(), TargetError> {
    for (index, time) in times.iter().enumerate() {
        if !time.is_finite() || *time < 0.0 {
            return Err(TargetError::Value(format!("{what} {index} is at {time} s")));
        }
        if index > 0 && times[index - 1] > *time {
            return Err(TargetError::Value(format!(
                "{what} {index} at {time} s comes before the one before it, at {} s",
                times[index - 1]
            )));
        }
    }
    Ok(())
}

fn parse<T: for<'de> Deserialize<'de>>(label: &Value, expected: &'static str) -> Result<T, TargetError> {
    T::deserialize(label).map_err(|_| form(expected, label))
}

fn form(expected: &'static str, label: &Value) -> TargetError {
    /// Longest part of a label that an error shows.
    const SHOWN: usize = 80;
    let mut found = label.to_string();
    if found.len() > SHOWN {
        found.truncate(found.floor_char_boundary(SHOWN));
        found.push_str("...");
    }
    TargetError::Form { expected, found }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn classes() -> Vec<String> {
        ["blues", "rock"].map(str::to_owned).to_vec()
    }

    fn read(kind: TaskKind, label: Value) -> Result<Target, TargetError> {
        Target::read(kind, &label, &classes())
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(read(TaskKind::Class, json!("rock")), Ok(Target::Class(1)));
        assert_eq!(read(TaskKind::Class, json!(["rock"])), Ok(Target::Class(1)));
        assert_eq!(read(TaskKind::Key, json!("C minor")), Ok(Target::Class(12)));
        assert_eq!(read(TaskKind::Tags, json!(["rock", "blues", "rock"])), Ok(Target::Tags(vec![0, 1])));
        assert_eq!(read(TaskKind::Tags, json!(["genre---rock"])), Ok(Target::Tags(vec![1])), "as MTG-Jamendo has it");
        assert_eq!(read(TaskKind::Tags, json!([])), Ok(Target::Tags(vec![])));
        assert_eq!(read(TaskKind::Numbers, json!([0.5, -1])), Ok(Target::Numbers(vec![0.5, -1.0])));
        assert_eq!(read(TaskKind::Tempo, json!({"tempo": 120})), Ok(Target::Tempo(120.0)));
        let beats = read(TaskKind::Beats, json!({"beat": [0.5, 1.0], "downbeat": [0.5], "meter": "4/4"})).unwrap();
        assert_eq!(beats, Target::Beats(BeatTimes { beat: vec![0.5, 1.0], downbeat: vec![0.5], tempo: None }));
        let chords = json!([{"start_time": 0, "end_time": 1.5, "chord_str": "E:min7/5"}]);
        assert!(matches!(read(TaskKind::Chords, chords), Ok(Target::Intervals(_))));
        let sections = json!([{"start_time": 0, "end_time": 1.5, "label": "rock"}]);
        assert!(matches!(read(TaskKind::Structure, sections), Ok(Target::Intervals(_))));
        let notes = json!({"notes": [{"onset": 1, "offset": 2, "pitch": 60}, {"onset": 0, "offset": 2, "pitch": 64}]});
        let Ok(Target::Notes(notes)) = read(TaskKind::Notes, notes) else { panic!("notes") };
        assert_eq!(notes[0].pitch, 64.0, "notes are put in order");
        assert!(matches!(read(TaskKind::Separation, json!({"stems": {"drums": "d.wav"}})), Ok(Target::Stems(_))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (TaskKind::Class, json!("jazz"), "jazz"),
            (TaskKind::Class, json!({}), "class name"),
            (TaskKind::Key, json!("H major"), "H major"),
            (TaskKind::Tags, json!("rock"), "list of tags"),
            (TaskKind::Numbers, json!([]), "numbers"),
            (TaskKind::Numbers, json!(["a"]), "numbers"),
            (TaskKind::Tempo, json!({"tempo": -1}), "-1"),
            (TaskKind::Beats, json!({"beat": [2.0, 1.0]}), "before"),
            (TaskKind::Onsets, json!({"onset": [-1.0]}), "-1"),
            (TaskKind::Chords, json!([{"start_time": 0, "end_time": 1, "chord_str": "C:blurb"}]), "blurb"),
            (
                TaskKind::Chords,
                json!([{"start_time": 0, "end_time": 2, "chord_str": "C"}, {"start_time": 1, "end_time": 3, "chord_str": "D"}]),
                "chords",
            ),
            (TaskKind::Structure, json!([{"start_time": 0, "end_time": 1, "label": "solo"}]), "solo"),
            (TaskKind::Notes, json!({"notes": [{"onset": 1, "offset": 1, "pitch": 60}]}), "1 s"),
            (TaskKind::Separation, json!({"stems": {}}), "stem"),
        ];
        for (kind, label, expected) in cases {
            let error = Target::read(kind, &label, &classes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{kind:?}: {error}");
        }
    }
}
