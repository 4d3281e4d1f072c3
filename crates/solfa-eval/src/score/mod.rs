//! Scores of two annotations by the names that `mir_eval` gives them: what `solfa score` prints.
//!
//! | kind | a file | scores |
//! |---|---|---|
//! | `beat` | beats, or JAMS | F-measure, Cemgil, Goto, P-score, continuity, information gain, from 5 s on |
//! | `onset` | times | F-measure, precision, recall at 50 ms |
//! | `tempo` | `tempo tempo weight` | P-score, one or both correct at 8 % |
//! | `key` | `tonic mode`, or JAMS | the weighted score |
//! | `chord` | `start end chord`, or JAMS | twelve comparisons, under- and over-segmentation |
//! | `segment` | `start end label`, or JAMS | boundaries at 0.5 s and 3 s, and the labels' clustering |
//! | `melody` | `time Hz` | voicing, pitch, chroma, overall accuracy at 50 cents |
//! | `notes` | `onset offset Hz` | onset, pitch and offset; average overlap |
//!
//! An empty file is an annotation without events. An estimate without any scores what nothing scores; a reference has
//! chords, sections or a melody, else it is an error.
//!
//! This module must not know: data sets, tasks.

mod pairs;

pub use pairs::{FilePair, FilePairs, pair_files};

use std::path::{Path, PathBuf};

use crate::annotation::{
    AnnotationError, Jams, TimeSeries, read_beats, read_chords, read_events, read_key, read_labelled_intervals,
    read_notes, read_tempo, read_time_series,
};
use crate::metrics::MetricError;
use crate::metrics::beat::{BeatScores, TRIM_SECONDS};
use crate::metrics::chord::chord_scores;
use crate::metrics::intervals::LabelledIntervals;
use crate::metrics::key::{FifthRule, KeyLabel, key_score};
use crate::metrics::melody::{Melody, melody_scores};
use crate::metrics::notes::note_scores;
use crate::metrics::onset::{ONSET_WINDOW_SECONDS, onset_f_measure};
use crate::metrics::segment::segment_scores;
use crate::metrics::tempo::{TEMPO_DETECTION_TOLERANCE, tempo_detection};

/// What two files annotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Beats.
    Beat,
    /// Onsets.
    Onset,
    /// Tempo.
    Tempo,
    /// Key, with the rule of which fifths count.
    Key(FifthRule),
    /// Chords.
    Chord,
    /// Structure.
    Segment,
    /// Melody.
    Melody,
    /// Notes.
    Notes,
}

/// Why two files cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// One of them cannot be read.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// What they say cannot be scored.
    #[error("{} against {}: {source}", estimate.display(), reference.display())]
    Metric {
        /// The file of the reference.
        reference: PathBuf,
        /// The file of the estimate.
        estimate: PathBuf,
        /// Why.
        source: Box<MetricError>,
    },
    /// A folder of files cannot be listed.
    #[error("{source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why; it names the folder.
        source: std::io::Error,
    },
    /// Two files of a folder have one name but for their extensions, so it is open which one is meant.
    #[error("{} and {} have one name: which one is meant is not clear", first.display(), second.display())]
    Ambiguous {
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// Scores the estimate in one file against the reference in another: names and values, in `mir_eval`'s order.
///
/// # Errors
/// If a file cannot be read or is none of that kind, or the two cannot be scored.
pub fn score_files(kind: ScoreKind, reference: &Path, estimate: &Path) -> Result<Vec<(&'static str, f64)>, ScoreError> {
    let failed = |source: MetricError| ScoreError::Metric {
        reference: reference.to_owned(),
        estimate: estimate.to_owned(),
        source: Box::new(source),
    };
    let scores = match kind {
        ScoreKind::Beat => {
            BeatScores::new(&beats(reference)?, &beats(estimate)?, TRIM_SECONDS).map(|scores| scores.named().to_vec())
        }
        ScoreKind::Onset => onset_f_measure(&read_events(reference)?, &read_events(estimate)?, ONSET_WINDOW_SECONDS)
            .map(|found| {
                vec![("F-measure", found.f_measure), ("Precision", found.precision), ("Recall", found.recall)]
            }),
        ScoreKind::Tempo => {
            let (reference, estimate) = (read_tempo(reference)?, read_tempo(estimate)?);
            tempo_detection(reference.tempi, reference.weight, estimate.tempi, TEMPO_DETECTION_TOLERANCE).map(|found| {
                vec![
                    ("P-score", found.p_score),
                    ("One-correct", f64::from(u8::from(found.one_correct))),
                    ("Both-correct", f64::from(u8::from(found.both_correct))),
                ]
            })
        }
        ScoreKind::Key(rule) => Ok(vec![("Weighted Score", key_score(key(reference)?, key(estimate)?, rule))]),
        ScoreKind::Chord => chord_scores(&chords(reference)?, &chords(estimate)?),
        ScoreKind::Segment => segment_scores(&segments(reference)?, &segments(estimate)?),
        ScoreKind::Melody => {
            let (reference, estimate) = (read_time_series(reference)?, read_time_series(estimate)?);
            melody_scores(melody(&reference), melody(&estimate)).map(|scores| scores.named())
        }
        ScoreKind::Notes => note_scores(&read_notes(reference)?, &read_notes(estimate)?),
    };
    scores.map_err(failed)
}

/// The mean of each score over files that were scored by one kind; nothing where there is no file.
pub fn mean_scores(files: &[Vec<(&'static str, f64)>]) -> Vec<(&'static str, f64)> {
    let Some(first) = files.first() else {
        return Vec::new();
    };
    let mean = |place: usize| {
        let sum: f64 = files.iter().filter_map(|scores| scores.get(place)).map(|(_, value)| value).sum();
        sum / files.len() as f64
    };
    first.iter().enumerate().map(|(place, &(name, _))| (name, mean(place))).collect()
}

fn melody(series: &TimeSeries) -> Melody<'_> {
    Melody { times: &series.times, frequencies: &series.values }
}

fn is_jams(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jams"))
}

fn beats(path: &Path) -> Result<Vec<f64>, AnnotationError> {
    let beats = if is_jams(path) { Jams::read(path)?.first(&["beat"])?.beats()? } else { read_beats(path)? };
    Ok(beats.iter().map(|beat| beat.time).collect())
}

fn key(path: &Path) -> Result<KeyLabel, AnnotationError> {
    if is_jams(path) { Jams::read(path)?.first(&["key_mode"])?.key() } else { read_key(path) }
}

fn chords(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    if is_jams(path) { Jams::read(path)?.first(&["chord", "chord_harte"])?.chords() } else { read_chords(path) }
}

fn segments(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    if is_jams(path) {
        Jams::read(path)?.first(&["segment_open"])?.labelled_intervals()
    } else {
        read_labelled_intervals(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::Value;

    use super::*;

    struct Golden {
        inputs: Value,
        outputs: Value,
    }

    fn golden(folder: &str) -> Golden {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(folder);
        let read = |name: &str| serde_json::from_slice(&fs_err::read(folder.join(name)).unwrap()).unwrap();
        Golden { inputs: read("inputs.json"), outputs: read("outputs.json") }
    }

    /// The golden input as text: the columns of each row.
    fn text(columns: &[&Value]) -> String {
        let rows = columns[0].as_array().unwrap().len();
        let mut text = String::from("# golden\n");
        for row in 0..rows {
            for column in columns {
                let cells = match &column[row] {
                    Value::Array(cells) => cells.clone(),
                    cell => vec![cell.clone()],
                };
                for cell in cells {
                    let cell = cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
                    write!(text, "{cell}\t").unwrap();
                }
            }
            text.push('\n');
        }
        text
    }

    /// The two files' texts of a case.
    fn texts(kind: ScoreKind, case: &Value) -> (String, String) {
        let both = |columns: &[(&str, &str)]| {
            let reference: Vec<_> = columns.iter().map(|(name, _)| &case[*name]).collect();
            let estimate: Vec<_> = columns.iter().map(|(_, name)| &case[*name]).collect();
            (text(&reference), text(&estimate))
        };
        match kind {
            ScoreKind::Chord => both(&[("intervals", "intervals"), ("reference", "estimate")]),
            ScoreKind::Segment => {
                both(&[("reference_intervals", "estimate_intervals"), ("reference_labels", "estimate_labels")])
            }
            ScoreKind::Melody => both(&[("time", "time"), ("reference_hz", "estimate_hz")]),
            ScoreKind::Tempo => {
                let weight = &case["weight"];
                let tempi = |side: &str| format!("{} {} {weight}\n", case[side][0], case[side][1]);
                (tempi("reference"), tempi("estimate"))
            }
            _ => both(&[("reference", "estimate")]),
        }
    }

    #[test]
    fn golden_files_score_as_in_mir_eval() {
        let folder = tempfile::tempdir().unwrap();
        let (reference, estimate) = (folder.path().join("reference.txt"), folder.path().join("estimate.txt"));
        let mut cases = 0;
        for (kind, prefix, golden_folder) in [
            (ScoreKind::Beat, "beat_", "mir-metrics"),
            (ScoreKind::Onset, "onset_", "mir-metrics"),
            (ScoreKind::Tempo, "tempo_", "mir-metrics"),
            (ScoreKind::Chord, "chord_", "mir-metrics"),
            (ScoreKind::Segment, "segment_", "mir-metrics"),
            (ScoreKind::Melody, "melody_", "mir-metrics"),
            (ScoreKind::Notes, "notes_", "mir-notes"),
        ] {
            let Golden { inputs, outputs } = golden(golden_folder);
            for (name, case) in inputs.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(prefix)) {
                let (reference_text, estimate_text) = texts(kind, case);
                fs_err::write(&reference, reference_text).unwrap();
                fs_err::write(&estimate, estimate_text).unwrap();
                let found = score_files(kind, &reference, &estimate).unwrap();
                // One score of the golden beats is ours to compute, and not among those of mir_eval's evaluation.
                let expected = outputs["scores"][name].as_object().unwrap();
                let expected: Vec<_> = expected.iter().filter(|(name, _)| !name.contains("no trim")).collect();
                assert_eq!(found.len(), expected.len(), "{name}");
                for (&(found_name, value), (expected_name, expected)) in found.iter().zip(expected) {
                    assert_eq!(found_name, expected_name, "{name}");
                    assert!((value - expected.as_f64().unwrap()).abs() <= 1e-9, "{name}: {found_name}: {value}");
                }
                cases += 1;
            }
        }
        assert_eq!(cases, 6 * 6 + 8);
    }

    #[test]
    fn keys_by_both_rules_and_jams() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs_err::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let reference = write("reference.txt", "C\tmajor\n");
        let below = write("estimate.txt", "F major");
        let score = |rule| score_files(ScoreKind::Key(rule), &reference, &below).unwrap();
        assert_eq!(score(FifthRule::Ascending), [("Weighted Score", 0.0)]);
        assert_eq!(score(FifthRule::Both), [("Weighted Score", 0.5)]);
        let jams = write(
            "a.jams",
            r#"{"annotations": [{"namespace": "key_mode", "data": [{"time": 0, "duration": 9, "value": "A:minor"}]},
                {"namespace": "beat", "data": [{"time": 6, "duration": 0, "value": 1}, {"time": 7, "duration": 0, "value": 2}]}]}"#,
        );
        assert_eq!(score_files(ScoreKind::Key(FifthRule::Both), &reference, &jams).unwrap()[0].1, 0.3);
        assert_eq!(score_files(ScoreKind::Beat, &jams, &jams).unwrap()[0], ("F-measure", 1.0));
    }

    #[test]
    fn errors_name_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let (reference, estimate) = (folder.path().join("reference.lab"), folder.path().join("estimate.lab"));
        fs_err::write(&reference, "").unwrap();
        fs_err::write(&estimate, "0 1 C").unwrap();
        let error = score_files(ScoreKind::Chord, &reference, &estimate).unwrap_err().to_string();
        assert!(
            error.contains("estimate.lab against ") && error.contains("reference chords: there is nothing"),
            "{error}"
        );
        fs_err::write(&reference, "0 1 H").unwrap();
        let error = score_files(ScoreKind::Chord, &reference, &estimate).unwrap_err().to_string();
        assert!(error.contains("reference.lab, line 1: a chord in Harte's syntax"), "{error}");
    }

    #[test]
    fn means_are_of_each_score() {
        let files = [vec![("a", 1.0), ("b", 0.0)], vec![("a", 0.5), ("b", 1.0)]];
        assert_eq!(mean_scores(&files), [("a", 0.75), ("b", 0.5)]);
        assert!(mean_scores(&[]).is_empty());
    }
}
