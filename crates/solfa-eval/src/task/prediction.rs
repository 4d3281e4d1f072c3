//! What a probe says of each track, and the file that it is kept in, from which every score can be computed again.
//!
//! The file is JSON lines: a [`PredictionHeader`] first, then a [`TrackPrediction`] for each track.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BeatTimes, Evaluation, NoteEvent, ScoredTrack, Target, TargetError, TaskKind};
use crate::metrics::MetricError;
use crate::metrics::intervals::{Interval, LabelledIntervals};
use crate::store::StoreError;
use crate::store::staged::StagedFile;

/// The version of the file's form.
const VERSION: u32 = 1;

/// What was predicted for one track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// A score for each class or tag: the higher, the likelier. For tags, above 0 means yes at a probability of one half.
    Scores(Vec<f64>),
    /// Numbers; for a tempo, one.
    Numbers(Vec<f64>),
    /// Beats and downbeats.
    Beats(BeatTimes),
    /// Times in seconds.
    Onsets(Vec<f64>),
    /// Chords or sections: start, end, label.
    Intervals(Vec<(f64, f64, String)>),
    /// Notes.
    Notes(Vec<NoteEvent>),
    /// Where the track lies, to be compared with others.
    Vector(Vec<f32>),
    /// Signal-to-distortion ratio of each stem in dB: the sound itself is not kept.
    Sdr(Vec<(String, f64)>),
}

impl Prediction {
    /// Chords or sections as intervals that can be scored.
    pub(super) fn labelled(parts: &[(f64, f64, String)]) -> LabelledIntervals {
        let mut intervals = LabelledIntervals::default();
        for (start, end, label) in parts {
            intervals.intervals.push(Interval::new(*start, *end));
            intervals.labels.push(label.clone());
        }
        intervals
    }
}

/// The class that scores are largest for: the first of equal ones.
pub fn likeliest_class(scores: &[f64]) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best
}

/// Choices of a published protocol that change scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictionRules {
    /// Whether a fifth below counts for keys, as one above does (MIREX since 2017). MARBLE and `mir_eval`'s default count only
    /// the one above.
    pub both_fifths: bool,
    /// Whether beats of all tracks are matched as one list, without leaving out the first 5 seconds, as MARBLE does.
    pub pooled_beats: bool,
    /// Frames per second that beats on both sides are rounded to before they are pooled, as in MARBLE, where the rate is the
    /// encoder's, so that coarse encoders sit another test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beat_frames_per_second: Option<f64>,
}

/// What a file of predictions is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionHeader {
    /// Version of the file's form.
    #[serde(rename = "solfa_predictions")]
    pub version: u32,
    /// Name of the task.
    pub task: String,
    /// Its kind.
    pub kind: TaskKind,
    /// Its classes, in the order of scores.
    pub classes: Vec<String>,
    /// Rules of scoring.
    #[serde(default)]
    pub rules: PredictionRules,
    /// Name of the data set's file.
    pub dataset: String,
    /// SHA-256 of the data set's lines.
    pub dataset_sha256: String,
    /// Name of the encoder.
    pub encoder: String,
    /// The layer, as in the table of results.
    pub layer: String,
    /// The head.
    pub head: String,
    /// The run, as in the table of results.
    pub run: String,
}

impl PredictionHeader {
    /// The version that this program writes.
    pub const VERSION: u32 = VERSION;
}

/// One track: what is right, as the data set says it, and what was predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackPrediction {
    /// The track: the data set's `ori_uid`, or `audio_path`.
    pub track: String,
    /// The data set's label.
    pub label: Value,
    /// What was predicted.
    pub prediction: Prediction,
}

/// A file of predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictionFile {
    /// What it is about.
    pub header: PredictionHeader,
    /// Its tracks.
    pub tracks: Vec<TrackPrediction>,
}

/// Why predictions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A line is not what it should be.
    #[error("{}, line {line}: expected {expected}, found {found}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A label does not fit the task.
    #[error("{}, track {track}: label: {source}", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The track.
        track: String,
        /// What is wrong.
        source: TargetError,
    },
    /// Predictions do not have the task's form.
    #[error("{}: {source}", path.display())]
    Score {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: MetricError,
    },
    /// The predictions are of another data set.
    #[error(
        "{} holds predictions for {found} (SHA-256 {found_sha256}), and the data set given is {expected} (SHA-256 \
         {expected_sha256})",
        path.display()
    )]
    OtherDataSet {
        /// The file.
        path: PathBuf,
        /// Name of the data set given.
        expected: String,
        /// Hash of the data set given.
        expected_sha256: String,
        /// Name of the data set that the predictions are of.
        found: String,
        /// Its hash.
        found_sha256: String,
    },
}

impl PredictionFile {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PredictionsError> {
        let staged = StagedFile::write(path, |out| {
            serde_json::to_writer(&mut *out, &self.header)?;
            for track in &self.tracks {
                out.write_all(b"\n")?;
                serde_json::to_writer(&mut *out, track)?;
            }
            out.write_all(b"\n")
        })?;
        Ok(staged.commit()?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`PredictionsError`] naming the line that is wrong.
    pub fn read(path: &Path) -> Result<Self, PredictionsError> {
        let text = fs_err::read(path).map_err(|error| StoreError::io("read", path, error))?;
        let mut lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
        let wrong = |line: usize, expected, found: String| PredictionsError::Line {
            path: path.to_owned(),
            line: line + 1,
            expected,
            found,
        };
        const HEADER: &str = "the header of a file of predictions (`solfa_predictions`)";
        let (number, first) = lines.next().ok_or_else(|| wrong(0, HEADER, "an empty file".to_owned()))?;
        let header: PredictionHeader =
            serde_json::from_slice(first).map_err(|error| wrong(number, HEADER, error.to_string()))?;
        if header.version != VERSION {
            return Err(wrong(number, "version 1", header.version.to_string()));
        }
        let tracks = lines
            .map(|(number, line)| {
                serde_json::from_slice(line)
                    .map_err(|error| wrong(number, "a track's `track`, `label` and `prediction`", error.to_string()))
            })
            .collect::<Result<Vec<TrackPrediction>, _>>()?;
        Ok(Self { header, tracks })
    }

    /// The scores of the predictions, by the labels, classes and rules of the file alone.
    ///
    /// # Errors
    /// [`PredictionsError::Label`] for a label that does not fit the task, [`PredictionsError::Score`] for a prediction.
    pub fn evaluate(&self, path: &Path) -> Result<Evaluation, PredictionsError> {
        let PredictionHeader { kind, classes, rules, .. } = &self.header;
        let target = |track: &TrackPrediction| {
            Target::read(*kind, &track.label, classes).map_err(|source| PredictionsError::Label {
                path: path.to_owned(),
                track: track.track.clone(),
                source,
            })
        };
        let targets = self.tracks.iter().map(target).collect::<Result<Vec<_>, PredictionsError>>()?;
        ScoredTrack::zip(targets, self.tracks.iter().map(|track| &track.prediction))
            .and_then(|tracks| Evaluation::new(*kind, classes.len(), *rules, &tracks))
            .map_err(|source| PredictionsError::Score { path: path.to_owned(), source })
    }

    /// Checks that the predictions are of a data set.
    ///
    /// # Errors
    /// [`PredictionsError::OtherDataSet`] where they are of another one.
    pub fn check_data_set(&self, path: &Path, name: &str, sha256: &str) -> Result<(), PredictionsError> {
        if self.header.dataset_sha256 == sha256 {
            return Ok(());
        }
        Err(PredictionsError::OtherDataSet {
            path: path.to_owned(),
            expected: name.to_owned(),
            expected_sha256: sha256.to_owned(),
            found: self.header.dataset.clone(),
            found_sha256: self.header.dataset_sha256.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> PredictionFile {
        let header = PredictionHeader {
            version: VERSION,
            task: "gtzan-genre".to_owned(),
            kind: TaskKind::Class,
            classes: vec!["blues".to_owned(), "rock".to_owned()],
            rules: PredictionRules::default(),
            dataset: "gtzan.jsonl".to_owned(),
            dataset_sha256: "ab".repeat(32),
            encoder: "mel".to_owned(),
            layer: "0".to_owned(),
            head: "linear".to_owned(),
            run: "1234".to_owned(),
        };
        let track = TrackPrediction {
            track: "blues.00000".to_owned(),
            label: json!("blues"),
            prediction: Prediction::Scores(vec![0.1 + 0.2, -1.0]),
        };
        PredictionFile { header, tracks: vec![track] }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions/a.jsonl");
        file().write(&path).unwrap();
        let read = PredictionFile::read(&path).unwrap();
        assert_eq!(read, file());
        assert_eq!(read.evaluate(&path).unwrap().headline(), Some(1.0));
        assert!(read.check_data_set(&path, "gtzan.jsonl", &"ab".repeat(32)).is_ok());
        let error = read.check_data_set(&path, "emo.jsonl", "cd").unwrap_err().to_string();
        assert!(error.contains("emo.jsonl") && error.contains("gtzan.jsonl"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        file().write(&path).unwrap();
        let good = fs_err::read_to_string(&path).unwrap();
        for (text, expected) in [
            (String::new(), "line 1"),
            ("{}\n".to_owned(), "line 1"),
            (good.replace("\"solfa_predictions\":1", "\"solfa_predictions\":2"), "version 1"),
            (format!("{good}{{\"track\": 3}}\n"), "line 3"),
            (good.replace("\"label\":\"blues\"", "\"label\":\"jazz\""), "jazz"),
            (good.replace(",-1.0]", "]"), "scores"),
        ] {
            fs_err::write(&path, text).unwrap();
            let result = PredictionFile::read(&path).and_then(|file| file.evaluate(&path));
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("a.jsonl"), "{error}");
        }
    }
}
