//! Is a data set fit to be measured on?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{AudioHeader, AudioProblem, CheckedAudio, DataSet, Record, Split, check_audio};

/// How far the length that a row says may be from that of its recording, in seconds.
const LENGTH_TOLERANCE: f64 = 0.1;

/// What there is in a data set, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataSetCheck {
    /// Name of the data set.
    pub name: String,
    /// Its identity.
    pub sha256: String,
    /// Rows of each split.
    pub rows: BTreeMap<String, u64>,
    /// Rows of each class or tag in `train`, `val` and `test`; empty where labels are neither.
    pub classes: BTreeMap<String, [u64; 3]>,
    /// Seconds of all recordings together, as far as their headers say.
    pub seconds: f64,
    /// What is wrong with the rows together.
    pub problems: Vec<String>,
    /// Recordings that are not there.
    pub missing: Vec<String>,
    /// Recordings that cannot be decoded.
    pub unreadable: Vec<AudioProblem>,
    /// Rows that say something else of their recording than its header.
    pub differing: Vec<AudioProblem>,
    /// What is no fault, but worth knowing: classes with one example, or of the test split only.
    pub notes: Vec<String>,
}

impl DataSetCheck {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.missing.is_empty() && self.unreadable.is_empty() && self.differing.is_empty()
    }
}

/// News of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckProgress {
    /// So many recordings are going to be opened.
    Found(usize),
    /// One more was opened.
    Opened,
}

/// Checks rows and every recording that they name, stems included. Recordings are looked for as
/// [`DataSet::audio_paths`] does; `progress` is called from several threads.
pub fn check(
    data_set: &DataSet,
    audio_root: Option<&Path>,
    checked: CheckedAudio,
    progress: &(dyn Fn(CheckProgress) + Sync),
) -> DataSetCheck {
    let mut missing = BTreeSet::new();
    let mut found: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut of_row: Vec<Option<PathBuf>> = Vec::new();
    for (index, record) in data_set.records().iter().enumerate() {
        let mut find = |path: &str| {
            let known = data_set.find_audio(index, path, audio_root);
            match &known {
                Some(path) => {
                    found.entry(path.clone()).or_insert(index);
                }
                None => {
                    missing.insert(path.to_owned());
                }
            }
            known
        };
        for (_, stem) in record.stems() {
            find(stem);
        }
        of_row.push(find(&record.audio_path));
    }
    let paths: Vec<PathBuf> = found.into_keys().collect();
    progress(CheckProgress::Found(paths.len()));
    let results = check_audio(&paths, checked, &|| progress(CheckProgress::Opened));
    let mut headers: HashMap<&Path, AudioHeader> = HashMap::new();
    let mut unreadable = Vec::new();
    for (path, result) in paths.iter().zip(results) {
        match result {
            Ok(header) => {
                headers.insert(path, header);
            }
            Err(problem) => unreadable.push(problem),
        }
    }
    let differing = data_set.records().iter().zip(&of_row).enumerate().filter_map(|(index, (record, path))| {
        let header = headers.get(path.as_deref()?)?;
        Some(AudioProblem { path: data_set.place(index), reason: difference(record, header)? })
    });
    let classes = classes(data_set);
    DataSetCheck {
        name: data_set.name().to_owned(),
        sha256: data_set.sha256().to_owned(),
        rows: Split::ALL.map(|split| (split.name().to_owned(), data_set.of_split(split).count() as u64)).into(),
        seconds: headers.values().filter_map(AudioHeader::seconds).sum(),
        problems: data_set.problems(&Split::ALL).iter().map(ToString::to_string).collect(),
        missing: missing.into_iter().collect(),
        differing: differing.collect(),
        unreadable,
        notes: notes(&classes),
        classes,
    }
}

/// What a row says of its recording and the header says otherwise.
fn difference(record: &Record, header: &AudioHeader) -> Option<String> {
    if let Some(rate) = record.sample_rate.filter(|&rate| rate != header.sample_rate) {
        return Some(format!("expected {rate} Hz, found {} Hz", header.sample_rate));
    }
    let seconds = header.seconds()?;
    if let Some(stated) = record.duration.filter(|stated| (stated - seconds).abs() > LENGTH_TOLERANCE) {
        return Some(format!("expected {stated:.2} s, found {seconds:.2} s"));
    }
    let (start, end) = record.segment()?;
    (end > seconds + LENGTH_TOLERANCE)
        .then(|| format!("the stretch from {start:.2} s to {end:.2} s ends after the recording, at {seconds:.2} s"))
}

/// Rows of each class or tag, where labels are texts or lists of texts.
fn classes(data_set: &DataSet) -> BTreeMap<String, [u64; 3]> {
    let mut classes: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (place, split) in Split::ALL.into_iter().enumerate() {
        for record in data_set.of_split(split) {
            let names = match &record.label {
                Value::String(class) => vec![class.as_str()],
                Value::Array(tags) => tags.iter().filter_map(Value::as_str).collect(),
                _ => vec![],
            };
            for name in names {
                classes.entry(name.to_owned()).or_default()[place] += 1;
            }
        }
    }
    classes
}

fn notes(classes: &BTreeMap<String, [u64; 3]>) -> Vec<String> {
    let list = |is_meant: &dyn Fn(&[u64; 3]) -> bool| -> Vec<&str> {
        classes.iter().filter(|(_, counts)| is_meant(counts)).map(|(name, _)| name.as_str()).collect()
    };
    let single = list(&|counts| counts.iter().sum::<u64>() == 1);
    let untrained = list(&|counts| counts[0] == 0);
    let untested = list(&|counts| counts[2] == 0);
    [
        ("have one example only", single),
        ("are not in the training split", untrained),
        ("are not in the test split", untested),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| format!("{} classes {what}: {}", names.len(), names.join(", ")))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::import::testing::Place;

    fn checked(place: &Place, lines: &[&str]) -> DataSetCheck {
        let data_set = DataSet::read_lines(&place.write("set.jsonl", lines.join("\n"))).unwrap();
        check(&data_set, None, CheckedAudio::Whole, &|_| {})
    }

    #[test]
    fn all_that_is_wrong_is_listed() {
        let place = Place::new();
        place.wav("a.wav", 1.0);
        place.wav("b.wav", 1.0);
        place.write("broken.wav", "x");
        let found = checked(
            &place,
            &[
                r#"{"audio_path": "a.wav", "label": "x", "split": "train", "sample_rate": 8000, "duration": 1.05}"#,
                r#"{"audio_path": "b.wav", "label": "y", "split": "test", "sample_rate": 44100}"#,
                r#"{"audio_path": "broken.wav", "label": "x", "split": "test"}"#,
                r#"{"audio_path": "absent.wav", "label": "x", "split": "test", "duration": 3}"#,
                r#"{"audio_path": "a.wav", "label": "x", "split": "test", "segment_start": 0.5, "segment_end": 1.5}"#,
                r#"{"audio_path": "b.wav", "label": "z", "split": "test", "segment_start": 0.5, "segment_end": 1.0, "duration": 9}"#,
            ],
        );
        assert_eq!(found.rows["train"], 1);
        assert_eq!(found.classes["x"], [1, 0, 3]);
        assert_eq!(found.seconds, 2.0);
        assert_eq!(found.missing, ["absent.wav"]);
        assert_eq!(found.unreadable.len(), 1);
        let reasons: Vec<&str> = found.differing.iter().map(|problem| problem.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "expected 44100 Hz, found 8000 Hz",
                "the stretch from 0.50 s to 1.50 s ends after the recording, at 1.00 s",
                "expected 9.00 s, found 1.00 s"
            ]
        );
        assert!(found.differing[0].path.ends_with("set.jsonl, line 2"));
        assert_eq!(found.problems.len(), 2, "{:?}", found.problems);
        assert_eq!(
            found.notes,
            ["2 classes have one example only: y, z", "2 classes are not in the training split: y, z"]
        );
        assert!(!found.is_sound());
    }

    #[test]
    fn stems_are_recordings_too() {
        let place = Place::new();
        place.wav("mixture.wav", 0.2);
        place.wav("bass.wav", 0.2);
        let line = |split: &str, audio: &str| {
            format!(
                r#"{{"audio_path": "{audio}", "label": {{"stems": {{"bass": "bass.wav", "drums": "drums.wav"}}}}, "split": "{split}"}}"#
            )
        };
        let found = checked(&place, &[&line("train", "mixture.wav"), &line("val", "v.wav"), &line("test", "bass.wav")]);
        assert_eq!(found.missing, ["drums.wav", "v.wav"]);
        assert!(found.classes.is_empty() && found.problems.is_empty());
    }
}
