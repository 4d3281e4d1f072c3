//! JAMS files: beats, chords, keys and sections.
//!
//! Humphrey, Salamon, Nieto, Forsyth, Bittner, Bello: "JAMS: a JSON annotated music specification for reproducible MIR
//! research", ISMIR 2014. A file has annotations, each of a namespace; an annotation has observations, each with a time, a
//! duration and a value. Older files have lists of each instead of observations. `NaN`, which Python writes into JSON, is
//! read as a value that is missing.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::AnnotationError;
use super::beats::{Beat, position};
use super::chords::check_chord;
use super::key::parse_key;
use super::lines::{Lines, quoted};
use crate::metrics::intervals::{LabelledIntervals, MAXIMUM_SECONDS};
use crate::metrics::key::KeyLabel;

/// An interval's end is its time plus its duration, and may be behind the next time by rounding. So much is cut off.
const ROUNDING_SECONDS: f64 = 1e-3;

/// One JAMS file.
#[derive(Clone, Debug)]
pub struct Jams {
    path: PathBuf,
    /// What it annotates, in the file's order.
    pub annotations: Vec<JamsAnnotation>,
}

/// One annotation of a JAMS file.
#[derive(Clone, Debug)]
pub struct JamsAnnotation {
    path: PathBuf,
    /// What its values are: `beat`, `chord`, `key_mode`, `segment_open`, ...
    pub namespace: String,
    /// What GTZAN-Rhythm tells beats and downbeats apart by: `sandbox.annotation_type`.
    pub annotation_type: Option<String>,
    /// What was observed, in the file's order.
    pub observations: Vec<JamsObservation>,
}

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct JamsObservation {
    /// In seconds, finite.
    pub time: f64,
    /// In seconds, finite; 0 where it is missing.
    pub duration: f64,
    /// What is observed.
    pub value: Value,
}

impl Jams {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read, is no JSON, has no list `annotations`, or an observation has no time.
    pub fn read(path: &Path) -> Result<Self, AnnotationError> {
        let lines = Lines::read(path)?;
        let root: Value = serde_json::from_str(&without_nan(lines.text()))
            .map_err(|source| AnnotationError::Json { path: path.to_owned(), source })?;
        let Some(Value::Array(annotations)) = root.get("annotations") else {
            return Err(lines.content("a list `annotations`", "none is"));
        };
        let annotations = annotations.iter().map(|annotation| read_annotation(&lines, annotation));
        Ok(Self { path: path.to_owned(), annotations: annotations.collect::<Result<_, _>>()? })
    }

    /// The first annotation whose namespace is one of these.
    ///
    /// # Errors
    /// If there is none.
    pub fn first(&self, namespaces: &[&str]) -> Result<&JamsAnnotation, AnnotationError> {
        let found = self.annotations.iter().find(|annotation| namespaces.contains(&annotation.namespace.as_str()));
        found.ok_or_else(|| {
            let known: Vec<_> = self.annotations.iter().map(|annotation| annotation.namespace.as_str()).collect();
            AnnotationError::Content {
                path: self.path.clone(),
                expected: format!("an annotation of namespace {}", namespaces.join(" or ")),
                found: if known.is_empty() { "none is".to_owned() } else { format!("{} are", known.join(", ")) },
            }
        })
    }
}

impl JamsAnnotation {
    /// The observations as beats, in order: a value is the beat's number in the bar, or null.
    ///
    /// # Errors
    /// If times descend, or a value is no such number.
    pub fn beats(&self) -> Result<Vec<Beat>, AnnotationError> {
        let mut beats: Vec<Beat> = Vec::with_capacity(self.observations.len());
        for (index, observation) in self.observations.iter().enumerate() {
            let time = observation.time;
            if let Some(last) = beats.last().map(|beat| beat.time).filter(|&last| time < last) {
                return Err(self.error(index, format!("a time of {last} s, which comes before it, or later"), time));
            }
            let position =
                match &observation.value {
                    Value::Null => None,
                    value => Some(value.as_f64().and_then(position).ok_or_else(|| {
                        self.error(index, "a beat's number in the bar, a whole number or null,", value)
                    })?),
                };
            beats.push(Beat { time, position });
        }
        Ok(beats)
    }

    /// The observations as intervals with labels, in order and without overlaps.
    ///
    /// # Errors
    /// If they are not so, a duration is not above 0, or a value is no text.
    pub fn labelled_intervals(&self) -> Result<LabelledIntervals, AnnotationError> {
        let mut labelled = LabelledIntervals::default();
        for (index, observation) in self.observations.iter().enumerate() {
            let JamsObservation { time, duration, value } = observation;
            let label = value.as_str().ok_or_else(|| self.error(index, "a label", value))?;
            if *time < 0.0 {
                return Err(self.error(index, "a time that is not negative", time));
            }
            if *duration <= 0.0 {
                return Err(self.error(index, "a duration above 0 s", duration));
            }
            let end = time + duration;
            if end > MAXIMUM_SECONDS {
                return Err(self.error(index, format!("an end in seconds of at most {MAXIMUM_SECONDS}"), end));
            }
            if let Some(last) = labelled.intervals.last_mut() {
                if *time < last.end - ROUNDING_SECONDS || *time <= last.start {
                    let expected = format!("a time of {} s, where the observation before it ends, or later", last.end);
                    return Err(self.error(index, expected, time));
                }
                last.end = last.end.min(*time);
            }
            labelled.push(*time, end, label);
        }
        Ok(labelled)
    }

    /// The observations as chords in Harte's syntax.
    ///
    /// # Errors
    /// As [`JamsAnnotation::labelled_intervals`], and if a label is no chord.
    pub fn chords(&self) -> Result<LabelledIntervals, AnnotationError> {
        let chords = self.labelled_intervals()?;
        for (index, label) in chords.labels.iter().enumerate() {
            check_chord(label).map_err(|expected| self.error(index, expected, label))?;
        }
        Ok(chords)
    }

    /// The one key: values are `C#:minor`, or `N`.
    ///
    /// # Errors
    /// If there is not one observation, or its value is no major or minor key.
    pub fn key(&self) -> Result<KeyLabel, AnnotationError> {
        let [observation] = self.observations.as_slice() else {
            return Err(AnnotationError::Content {
                path: self.path.clone(),
                expected: format!("one observation of namespace {}", self.namespace),
                found: format!("{} are", self.observations.len()),
            });
        };
        match observation.value.as_str() {
            Some("N") => Ok(KeyLabel::Unknown),
            Some(key) => parse_key(&key.replacen(':', " ", 1)).map_err(|expected| self.error(0, expected, key)),
            None => Err(self.error(0, "a key such as `C#:minor`", &observation.value)),
        }
    }

    fn error(&self, index: usize, expected: impl Into<String>, found: impl std::fmt::Display) -> AnnotationError {
        AnnotationError::Observation {
            path: self.path.clone(),
            namespace: self.namespace.clone(),
            index,
            expected: expected.into(),
            found: quoted(&found.to_string()),
        }
    }
}

fn read_annotation(lines: &Lines, annotation: &Value) -> Result<JamsAnnotation, AnnotationError> {
    let namespace = annotation.get("namespace").and_then(Value::as_str);
    let namespace = namespace.ok_or_else(|| lines.content("a namespace in each annotation", "none is"))?;
    let annotation_type = annotation.get("sandbox").and_then(|sandbox| sandbox.get("annotation_type"));
    let observations: Vec<Map<String, Value>> = match annotation.get("data") {
        Some(Value::Array(data)) => data
            .iter()
            .map(|observation| observation.as_object().cloned())
            .collect::<Option<_>>()
            .ok_or_else(|| lines.content(format!("observations in namespace {namespace}"), "another value is"))?,
        Some(Value::Object(columns)) => rows_of(columns),
        _ => return Err(lines.content(format!("a list `data` in namespace {namespace}"), "none is")),
    };
    let mut found = JamsAnnotation {
        path: lines.path().to_owned(),
        namespace: namespace.to_owned(),
        annotation_type: annotation_type.and_then(Value::as_str).map(str::to_owned),
        observations: Vec::with_capacity(observations.len()),
    };
    for (index, observation) in observations.into_iter().enumerate() {
        let get = |name: &str| observation.get(name).unwrap_or(&Value::Null);
        let time = get("time").as_f64().filter(|time| time.is_finite() && *time <= MAXIMUM_SECONDS);
        let time = time.ok_or_else(|| found.error(index, "a time in seconds", get("time")))?;
        let duration = get("duration").as_f64().filter(|duration| duration.is_finite()).unwrap_or(0.0);
        let value = get("value").clone();
        found.observations.push(JamsObservation { time, duration, value });
    }
    Ok(found)
}

/// Lists of times, durations and values as one object for each time.
fn rows_of(columns: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let length = columns.get("time").and_then(Value::as_array).map_or(0, Vec::len);
    let row = |index: usize| {
        let cells = columns.iter().filter_map(|(name, values)| Some((name.clone(), values.get(index)?.clone())));
        cells.collect()
    };
    (0..length).map(row).collect()
}

/// JSON with `null` in the place of `NaN`, `Infinity` and `-Infinity` outside of texts.
fn without_nan(json: &str) -> Cow<'_, str> {
    const NOT_JSON: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
    if !NOT_JSON.iter().any(|word| json.contains(word)) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len());
    let (mut is_text, mut is_escaped) = (false, false);
    let mut rest = json;
    while let Some(character) = rest.chars().next() {
        if !is_text && let Some(word) = NOT_JSON.iter().find(|word| rest.starts_with(**word)) {
            clean.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        is_text ^= character == '"' && !is_escaped;
        is_escaped = is_text && character == '\\' && !is_escaped;
        clean.push(character);
        rest = &rest[character.len_utf8()..];
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, message};
    use super::*;

    fn read(json: &str) -> Result<Jams, AnnotationError> {
        let folder = Folder::new();
        Jams::read(&folder.write("a.jams", json))
    }

    const BEATS: &str = r#"{"annotations": [
        {"namespace": "beat", "sandbox": {"annotation_type": "downbeat"},
         "data": [{"time": 0.5, "duration": 0.0, "value": 1, "confidence": NaN},
                  {"time": 1.0, "duration": NaN, "value": null}]},
        {"namespace": "chord", "data": {"time": [0.0, 1.1], "duration": [1.1000000001, 2.2], "value": ["C", "G:7\"NaN"]}},
        {"namespace": "key_mode", "data": [{"time": 0, "duration": 3, "value": "C#:minor"}]}]}"#;

    #[test]
    fn beats_chords_and_keys_are_read() {
        let jams = read(&BEATS.replace("\\\"NaN", "")).unwrap();
        let beats = jams.first(&["beat"]).unwrap();
        assert_eq!(beats.annotation_type.as_deref(), Some("downbeat"));
        let expected = [Beat { time: 0.5, position: Some(1) }, Beat { time: 1.0, position: None }];
        assert_eq!(beats.beats().unwrap(), expected);
        let chords = jams.first(&["chord_harte", "chord"]).unwrap().chords().unwrap();
        assert_eq!((chords.intervals[0].end, chords.labels[1].as_str()), (1.1, "G:7"));
        assert_eq!(jams.first(&["key_mode"]).unwrap().key().unwrap(), "C# minor".parse().unwrap());
        let missing = message(jams.first(&["segment_open"]));
        assert!(
            missing.contains("namespace segment_open is expected, and beat, chord, key_mode are found"),
            "{missing}"
        );
    }

    #[test]
    fn texts_keep_their_words() {
        let jams = read(BEATS).unwrap();
        let chords = jams.first(&["chord"]).unwrap();
        assert_eq!(chords.observations[1].value, "G:7\"NaN");
        let error = message(chords.chords());
        assert!(error.contains("observation 1 of namespace chord: a chord in Harte's syntax"), "{error}");
    }

    #[test]
    fn hostile_files_are_refused() {
        for (json, reason) in [
            ("", "JAMS is JSON, and this is none"),
            ("{}", "a list `annotations`"),
            (r#"{"annotations": [{}]}"#, "a namespace in each annotation"),
            (r#"{"annotations": [{"namespace": "beat"}]}"#, "a list `data` in namespace beat"),
            (r#"{"annotations": [{"namespace": "beat", "data": [1]}]}"#, "observations in namespace beat"),
            (r#"{"annotations": [{"namespace": "beat", "data": [{"time": NaN}]}]}"#, "a time in seconds"),
        ] {
            let error = message(read(json));
            assert!(error.contains("a.jams") && error.contains(reason), "{error}");
        }
        let observations =
            |data: &str| read(&format!(r#"{{"annotations": [{{"namespace": "x", "data": [{data}]}}]}}"#)).unwrap();
        let unsorted = observations(r#"{"time": 2}, {"time": 1}"#);
        assert!(message(unsorted.annotations[0].beats()).contains("observation 1 of namespace x: a time of 2 s"));
        for (data, reason) in [
            (
                r#"{"time": 0, "duration": 2, "value": "C"}, {"time": 1, "duration": 1, "value": "C"}"#,
                "a time of 2 s, where",
            ),
            (r#"{"time": 0, "duration": 0, "value": "C"}"#, "a duration above 0 s"),
            (r#"{"time": 0, "duration": 1, "value": 3}"#, "a label is expected, and `3` is found"),
            (r#"{"time": -1, "duration": 1, "value": "C"}"#, "not negative"),
            (r#"{"time": 0, "duration": 1e9, "value": "C"}"#, "at most 30000"),
        ] {
            let error = message(observations(data).annotations[0].labelled_intervals());
            assert!(error.contains(reason), "{error}");
        }
        let two = observations(r#"{"time": 0, "value": "C:major"}, {"time": 1, "value": "D:minor"}"#);
        assert!(
            message(two.annotations[0].key()).contains("one observation of namespace x is expected, and 2 are found")
        );
    }
}
