//! HookTheory: sections, keys and melodies of short excerpts.
//!
//! Donahue, Thickstun and Liang, "Melody transcription via generative pre-training", ISMIR 2022 (Sheet Sage), from
//! TheoryTab's user annotations.
//!
//! Layout: `Hooktheory.json` (unpacked from `Hooktheory.json.gz`): `{ID: {split, youtube: {id}, alignment: {refined: {beats,
//! times}}, annotations: {num_beats, keys: [{tonic_pitch_class, scale_degree_intervals}], melody: [{onset, offset, octave,
//! pitch_class}]}, tags, hooktheory: {urls}}}`, and recordings as `ID.mp3` (an excerpt, from its first beat to its last) or
//! `YOUTUBE_ID.mp3` (the whole song) with any extension, anywhere below the folder; the set has none of its own. An excerpt
//! of a whole song gives `segment_start` and `segment_end`, from its first beat to its last. The splits are the file's own,
//! by song.
//!
//! The section is the part of TheoryTab's address after `#`, without a number (`#chorus-2`); `instrumental` and `solo` are
//! `inst`. A label is a list of one section, as in MARBLE v2. The key is that of the first annotation; other modes than major
//! and natural minor are left out, and so are excerpts whose key changes.
//!
//! A melody's onsets and offsets are in beats. The refined alignment makes times of them, on lines between its points and on
//! the first and the last of these beyond, and they are written from the excerpt's beginning on. A note's MIDI number is
//! `pitch_class + 12 (5 + octave)`. As in the authors' own reader (sheetsage's `data.py`, read there), excerpts count that
//! are tagged `AUDIO_AVAILABLE`, `MELODY` and `REFINED_ALIGNMENT` and not `TEMPO_CHANGES`: 16,373, of which 1,480 are for
//! testing, by the authors' tests.
//!
//! What is scored as one has the same `ori_uid`: each excerpt, but for keys the excerpts of a song, as in MARBLE v2. Where
//! excerpts of a song are in several keys, each stands for itself.
//!
//! MARBLE v2's own JSON lines need no import: they are read as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::folder::Folder;
use super::gather::{Candidate, Gathered, Stretch};
use super::giantsteps::split_of;
use super::{ExpectedRows, ImportError, KnownDataSet};
use crate::dataset::classes::{HOOKTHEORY_SECTIONS, KEYS, TONICS};

const SPLIT_RULE: &str = "the file's own, by song";
const LICENCE: &str = "annotations CC BY-NC-SA 3.0; recordings do not come with them";
const ORIGIN: &str = "github.com/chrisdonahue/sheetsage-data; MARBLE's copy on the Hugging Face hub is gated";
const LAYOUT: &str = "Hooktheory.json (unpacked), and ID.mp3 or YOUTUBE_ID.mp3 or another recording below any folder";

pub(super) const SETS: &[KnownDataSet] = &[
    KnownDataSet {
        name: "hooktheory-structure",
        title: "HookTheory, sections",
        task: "one of 7 sections, of a short excerpt",
        paper: "Donahue, Thickstun and Liang 2022",
        layout: LAYOUT,
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows::UNKNOWN,
        gather: |folder, _| gather(folder, section, Unit::Excerpt),
    },
    KnownDataSet {
        name: "hooktheory-key",
        title: "HookTheory, keys",
        task: "one of 24 keys, of a short excerpt",
        paper: "Donahue, Thickstun and Liang 2022",
        layout: LAYOUT,
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows::UNKNOWN,
        gather: |folder, _| gather(folder, key, Unit::Song),
    },
    KnownDataSet {
        name: "hooktheory-melody",
        title: "HookTheory, melodies",
        task: "notes of the melody, of a short excerpt",
        paper: "Donahue, Thickstun and Liang 2022",
        layout: LAYOUT,
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows { test: Some(1_480), ..ExpectedRows::in_all(16_373) },
        gather: |folder, _| gather(folder, melody, Unit::Excerpt),
    },
];

/// What is scored as one.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Excerpt,
    /// The excerpts of a song that have one label.
    Song,
}

/// Steps between the degrees of a scale, without the last one.
const MAJOR: [u64; 6] = [2, 2, 1, 2, 2, 2];
const NATURAL_MINOR: [u64; 6] = [2, 1, 2, 2, 1, 2];

fn gather(folder: &Folder, label: fn(&Value) -> Result<Value, String>, unit: Unit) -> Result<Gathered, ImportError> {
    let Some(file) = folder.find("Hooktheory.json") else {
        let expected = if folder.find("Hooktheory.json.gz").is_some() {
            "Hooktheory.json; unpack Hooktheory.json.gz first,"
        } else {
            "Hooktheory.json"
        };
        return Err(folder.layout_error("HookTheory", expected));
    };
    let value = folder.json(file)?;
    let wrong = |reason: String| ImportError::file(&folder.absolute(file), reason);
    let excerpts = value.as_object().ok_or_else(|| wrong("expected an object of excerpts".into()))?;
    let mut gathered = Gathered::new(SPLIT_RULE);
    let mut num_silent = 0;
    // For each candidate, its excerpt and its song.
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (id, excerpt) in excerpts {
        let split = split_of(&excerpt["split"])
            .ok_or_else(|| wrong(format!("excerpt {id}: unknown split {}", excerpt["split"])))?;
        let label = match label(excerpt) {
            Ok(label) => label,
            Err(reason) => {
                gathered.leave_out(id, reason);
                continue;
            }
        };
        let Some(song) = excerpt["youtube"]["id"].as_str() else {
            num_silent += 1;
            continue;
        };
        let own = folder.find_audio(id);
        let whole = folder.find_audio(song);
        let is_cut = folder.has(&own) || !folder.has(&whole);
        let mut candidate = Candidate::new(if is_cut { own } else { whole }, label, split);
        if !is_cut {
            match stretch(excerpt) {
                Some((start, end)) => candidate.stretch = Stretch::Part(start, end),
                None => {
                    gathered.leave_out(id, "its alignment says no beginning and end");
                    continue;
                }
            }
        }
        names.push((id, song));
        gathered.candidates.push(candidate);
    }
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for ((_, song), candidate) in names.iter().zip(&gathered.candidates) {
        labels.entry(song).or_default().insert(candidate.label.to_string());
    }
    for ((excerpt, song), candidate) in names.iter().zip(&mut gathered.candidates) {
        let is_of_song = unit == Unit::Song && labels[song].len() == 1;
        candidate.ori_uid = Some((if is_of_song { song } else { excerpt }).to_string());
    }
    if num_silent > 0 {
        gathered.notes.push(format!("{num_silent} excerpts have no recording in the file"));
    }
    Ok(gathered)
}

fn section(excerpt: &Value) -> Result<Value, String> {
    let addresses: Vec<&str> = match &excerpt["hooktheory"]["urls"] {
        Value::Object(urls) => urls.values().filter_map(Value::as_str).collect(),
        Value::Array(urls) => urls.iter().filter_map(Value::as_str).collect(),
        Value::String(url) => vec![url],
        _ => vec![],
    };
    let Some(name) = addresses.iter().find_map(|url| url.rsplit_once('#')).map(|(_, name)| name.to_lowercase()) else {
        return Err("its address names no section".into());
    };
    let plain = match name.rsplit_once(['-', '_']) {
        Some((plain, number)) if number.parse::<u32>().is_ok() => plain,
        _ => &name,
    };
    let class = match plain {
        "instrumental" | "solo" => "inst",
        "prechorus" => "pre-chorus",
        other => other,
    };
    if HOOKTHEORY_SECTIONS.contains(&class) {
        Ok(vec![class].into())
    } else {
        Err(format!("`{name}` is not one of the 7 sections"))
    }
}

fn key(excerpt: &Value) -> Result<Value, String> {
    let keys = excerpt["annotations"]["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [key] = keys else { return Err(format!("expected one key, found {}", keys.len())) };
    let steps: Vec<u64> =
        key["scale_degree_intervals"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let offset = match steps.as_slice() {
        steps if steps == MAJOR => 0,
        steps if steps == NATURAL_MINOR => TONICS.len(),
        _ => return Err(format!("its mode (steps {steps:?}) is neither major nor natural minor")),
    };
    let tonic = key["tonic_pitch_class"].as_u64().filter(|&tonic| tonic < 12);
    let tonic = tonic.ok_or_else(|| format!("{} is no pitch class", key["tonic_pitch_class"]))?;
    Ok(KEYS[offset + tonic as usize].into())
}

/// What an excerpt's melody is tagged with, and what it is not: the authors' choice for transcription.
const MELODY_TAGS: [&str; 3] = ["AUDIO_AVAILABLE", "MELODY", "REFINED_ALIGNMENT"];
const NO_MELODY_TAG: &str = "TEMPO_CHANGES";

/// Notes in seconds from the excerpt's beginning on.
fn melody(excerpt: &Value) -> Result<Value, String> {
    let tags: Vec<&str> = excerpt["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(absent) = MELODY_TAGS.iter().find(|tag| !tags.contains(*tag)) {
        return Err(format!("it is not tagged {absent}"));
    }
    if tags.contains(&NO_MELODY_TAG) {
        return Err(format!("it is tagged {NO_MELODY_TAG}"));
    }
    let (Some((beats, times)), Some((start, _))) = (alignment(excerpt), stretch(excerpt)) else {
        return Err("its alignment says no beginning and end".into());
    };
    let notes = excerpt["annotations"]["melody"].as_array().map(Vec::as_slice).unwrap_or_default();
    if notes.is_empty() {
        return Err("it has no melody".into());
    }
    let read = |note: &Value| {
        let seconds = |name: &str| Some((time_of(note[name].as_f64()?, &beats, &times)? - start).max(0.0));
        let octave = note["octave"].as_i64().filter(|octave| (-5..=5).contains(octave))?;
        let pitch_class = note["pitch_class"].as_i64().filter(|pitch_class| (0..12).contains(pitch_class))?;
        let (onset, offset, pitch) = (seconds("onset")?, seconds("offset")?, pitch_class + 12 * (5 + octave));
        let is_one = onset < offset && offset.is_finite() && pitch < 128;
        is_one.then(|| json!({ "onset": onset, "offset": offset, "pitch": pitch }))
    };
    let read = |note: &Value| read(note).ok_or_else(|| format!("{note} is no note in its alignment"));
    let notes: Vec<Value> = notes.iter().map(read).collect::<Result<_, _>>()?;
    Ok(json!({ "notes": notes }))
}

/// Beats and their times in seconds, by the refined alignment.
fn alignment(excerpt: &Value) -> Option<(Vec<f64>, Vec<f64>)> {
    let numbers = |name: &str| -> Option<Vec<f64>> {
        excerpt["alignment"]["refined"][name].as_array()?.iter().map(Value::as_f64).collect()
    };
    Some((numbers("beats")?, numbers("times")?))
}

/// From the first beat to the last, by the refined alignment, in seconds.
fn stretch(excerpt: &Value) -> Option<(f64, f64)> {
    let (beats, times) = alignment(excerpt)?;
    let last = excerpt["annotations"]["num_beats"].as_f64()?;
    let (start, end) = (time_of(0.0, &beats, &times)?, time_of(last, &beats, &times)?);
    (start < end).then_some((start.max(0.0), end))
}

/// The time of a beat: on the line through the two points around it, or through the two that are nearest.
fn time_of(beat: f64, beats: &[f64], times: &[f64]) -> Option<f64> {
    if beats.len() < 2 || beats.len() != times.len() || beats.windows(2).any(|pair| pair[0] >= pair[1]) {
        return None;
    }
    let after = beats.partition_point(|&known| known <= beat).clamp(1, beats.len() - 1);
    let slope = (times[after] - times[after - 1]) / (beats[after] - beats[after - 1]);
    Some(times[after - 1] + slope * (beat - beats[after - 1]))
}

#[cfg(test)]
mod tests {
    use super::super::ImportOptions;
    use super::super::testing::{Place, left_out, rows, unreadable};
    use super::*;

    fn layout() -> Place {
        let place = Place::new();
        let excerpt = |split: &str, song: &str, section: &str, tonic: u32, steps: &str| {
            format!(
                r#"{{"split": "{split}", "youtube": {{"id": "{song}"}}, "annotations": {{"num_beats": 16,
                  "keys": [{{"beat": 0, "tonic_pitch_class": {tonic}, "scale_degree_intervals": {steps}}}]}},
                  "alignment": {{"refined": {{"beats": [0, 8], "times": [1.0, 5.0]}}}},
                  "hooktheory": {{"urls": {{"song": "https://x/view/a/b", "clip": "https://x/view/a/b#{section}"}}}}}}"#
            )
        };
        let (major, minor, dorian) = ("[2,2,1,2,2,2]", "[2,1,2,2,1,2]", "[2,1,2,2,2,1]");
        place.write(
            "Hooktheory.json",
            format!(
                r#"{{"one": {}, "two": {}, "three": {}, "four": {}, "five": {}, "six": {{"split": "TEST"}}}}"#,
                excerpt("TRAIN", "song1", "chorus-2", 1, major),
                excerpt("VALID", "song2", "Solo", 9, minor),
                excerpt("TEST", "song3", "lead-in", 0, dorian),
                excerpt("TEST", "song4", "verse", 0, major),
                excerpt("TEST", "song5", "pre-chorus", 11, minor),
            ),
        );
        place.wav("clips/one.wav", 0.2);
        place.wav("songs/song2.wav", 0.2);
        place.write("songs/song4.wav", "x");
        place
    }

    #[test]
    fn sections_come_from_the_address_and_stretches_from_the_alignment() {
        let place = layout();
        let imported = place.import("hooktheory-structure");
        assert_eq!(
            rows(&imported),
            [("clips/one.wav", r#"["chorus"]"#.into(), "train"), ("songs/song2.wav", r#"["inst"]"#.into(), "val"),]
        );
        assert_eq!(imported.records[0].segment(), None);
        assert_eq!(imported.records[1].segment(), Some((1.0, 9.0)));
        assert_eq!(imported.records[1].ori_uid.as_deref(), Some("two"), "each excerpt is scored by itself");
        assert_eq!(
            left_out(&imported),
            "three: `lead-in` is not one of the 7 sections\nsix: its address names no section\n"
        );
        assert_eq!(imported.report.missing, ["five.wav"]);
        assert_eq!(unreadable(&imported), ["song4.wav"]);
    }

    #[test]
    fn keys_are_major_or_natural_minor() {
        let imported = layout().import("hooktheory-key");
        assert_eq!(rows(&imported)[0].1, "Db major");
        assert_eq!(rows(&imported)[1].1, "A minor");
        assert_eq!(imported.records[1].ori_uid.as_deref(), Some("song2"), "excerpts of a song are scored together");
        let left_out = left_out(&imported);
        assert!(left_out.contains("three: its mode (steps [2, 1, 2, 2, 2, 1]) is neither major nor natural minor"));
        assert!(left_out.contains("six: expected one key, found 0"));
    }

    #[test]
    fn excerpts_of_a_song_in_several_keys_stand_for_themselves() {
        let place = layout();
        let text = String::from_utf8(fs_err::read(place.path("Hooktheory.json")).unwrap()).unwrap();
        place.write("Hooktheory.json", text.replace("VALID", "TRAIN").replace("song2", "song1"));
        place.wav("songs/song1.wav", 0.2);
        let imported = place.import("hooktheory-key");
        let units: Vec<&str> = imported.records.iter().filter_map(|record| record.ori_uid.as_deref()).collect();
        assert_eq!(units, ["one", "two"], "Db major and A minor");
    }

    #[test]
    fn melodies_are_in_seconds_from_the_beginning_of_the_excerpt() {
        let place = Place::new();
        let excerpt = |split: &str, song: &str, tags: &str, note: &str| {
            json!({
                "split": split, "youtube": {"id": song},
                "tags": format!("AUDIO_AVAILABLE REFINED_ALIGNMENT {tags}").split_whitespace().collect::<Vec<_>>(),
                "annotations": {"num_beats": 16, "melody": serde_json::from_str::<Value>(note).unwrap()},
                "alignment": {"user": null, "refined": {"beats": [0, 8, 16], "times": [1.0, 5.0, 6.0]}},
            })
        };
        // From 7 beats (4.5 s) to 10 (5.25 s): C5 is an octave above middle C.
        let notes = r#"[{"onset": 0, "offset": 0.5, "octave": 0, "pitch_class": 0},
                        {"onset": 7, "offset": 10, "octave": 1, "pitch_class": 0},
                        {"onset": 10, "offset": 10.5, "octave": -1, "pitch_class": 11}]"#;
        let file = json!({
            "cut": excerpt("TRAIN", "song1", "MELODY SWING", notes),
            "whole": excerpt("TEST", "song2", "MELODY", notes),
            "changing": excerpt("TEST", "song2", "MELODY TEMPO_CHANGES", notes),
            "chords": excerpt("VALID", "song2", "HARMONY", "null"),
            "empty": excerpt("VALID", "song2", "MELODY", "[]"),
            "backwards": excerpt("VALID", "song2", "MELODY", r#"[{"onset": 2, "offset": 1, "octave": 0, "pitch_class": 0}]"#),
            "high": excerpt("VALID", "song2", "MELODY", r#"[{"onset": 0, "offset": 1, "octave": 5, "pitch_class": 8}]"#),
        });
        place.write("Hooktheory.json", file.to_string());
        place.wav("clips/cut.wav", 0.2);
        place.wav("songs/song2.wav", 0.2);
        let imported = place.import("hooktheory-melody");
        let label = r#"{"notes":[{"onset":0.0,"offset":0.25,"pitch":60},{"onset":3.5,"offset":4.25,"pitch":72},{"onset":4.25,"offset":4.3125,"pitch":59}]}"#;
        assert_eq!(
            rows(&imported),
            [("clips/cut.wav", label.into(), "train"), ("songs/song2.wav", label.into(), "test")]
        );
        assert_eq!(imported.records[1].segment(), Some((1.0, 6.0)));
        let expected = imported.report.rows.iter().map(|row| row.expected).collect::<Vec<_>>();
        assert_eq!(expected, [None, None, Some(1_480), Some(16_373)]);
        let left_out = left_out(&imported);
        for reason in [
            "changing: it is tagged TEMPO_CHANGES",
            "chords: it is not tagged MELODY",
            "empty: it has no melody",
            r#"backwards: {"onset":2,"offset":1,"octave":0,"pitch_class":0} is no note in its alignment"#,
            "high: ",
        ] {
            assert!(left_out.contains(reason), "{left_out}");
        }
    }

    #[test]
    fn a_packed_file_has_to_be_unpacked() {
        let place = Place::new();
        place.write("Hooktheory.json.gz", "");
        let error = place.try_import("hooktheory-key", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("unpack Hooktheory.json.gz first"), "{error}");
        place.write("Hooktheory.json", r#"{"a": {"split": "X"}}"#);
        let error = place.try_import("hooktheory-key", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("Hooktheory.json: excerpt a: unknown split \"X\""), "{error}");
    }

    #[test]
    fn times_between_and_beyond_beats() {
        for (beat, expected) in [(0.0, 1.0), (4.0, 3.0), (8.0, 5.0), (9.0, 6.0), (-2.0, 0.0)] {
            assert_eq!(time_of(beat, &[0.0, 8.0, 10.0], &[1.0, 5.0, 7.0]), Some(expected), "{beat}");
        }
        assert_eq!(time_of(0.0, &[0.0], &[1.0]), None);
        assert_eq!(time_of(0.0, &[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
