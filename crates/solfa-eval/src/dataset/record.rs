//! One line of a data set.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which part of a data set a recording belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Heads are fitted to it.
    Train,
    /// Chooses between learning rates and epochs.
    #[serde(rename = "val", alias = "valid", alias = "validation", alias = "dev")]
    Validation,
    /// Scored once.
    Test,
}

impl Split {
    /// Every split, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name in files: `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "val",
            Self::Test => "test",
        }
    }
}

/// One recording and what is said of it: a line of a data set's JSON lines.
///
/// The fields are those of MARBLE v2 (`data/<set>/<task>.{train,val,test}.jsonl`). Ours adds `split`, so that one file can
/// hold all three parts; and all but `audio_path` and `label` may be absent, since nothing here trusts them: audio is
/// decoded, whatever a line says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The recording: relative to the folder that the data set's paths start from, or absolute.
    pub audio_path: String,
    /// What is said of it. Its form depends on the task: a class name, a list of tags, numbers, an object of times.
    pub label: Value,
    /// The part of the data set, where one file holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Length in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Sample rate in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Samples of one channel at `sample_rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_samples: Option<u64>,
    /// Bits of a sample, where the format has a fixed number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<u32>,
    /// Number of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// The piece that a clip was cut from; clips of one piece are scored together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ori_uid: Option<String>,
    /// Fields of other programs, kept as they are.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Record {
    /// Names of the stems that the label lists, for separation, with their paths as the row has them.
    pub fn stems(&self) -> impl Iterator<Item = (&str, &str)> {
        let stems = self.label.get("stems").and_then(Value::as_object);
        stems.into_iter().flatten().filter_map(|(name, path)| Some((name.as_str(), path.as_str()?)))
    }

    /// The stretch of the recording at `audio_path` that the row is about, as start and end in seconds; `None` for the
    /// whole recording.
    ///
    /// MARBLE v2's rows of sections (HookTheoryStructure) name the stretch of `ori_audio_path` that `audio_path` was cut
    /// from; there is nothing left to cut there, so this is `None` for them.
    pub fn segment(&self) -> Option<(f64, f64)> {
        if self.other.contains_key("ori_audio_path") {
            return None;
        }
        let seconds = |field: &str| self.other.get(field).and_then(Value::as_f64).filter(|value| value.is_finite());
        let (start, end) = (seconds("segment_start")?, seconds("segment_end")?);
        (0.0 <= start && start < end).then_some((start, end))
    }

    /// What makes the row one of its kind: the recording, and where in it the row begins.
    pub(super) fn key(&self) -> (&str, u64) {
        (&self.audio_path, self.segment().map_or(0, |(start, _)| start.to_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_another_file_is_not_cut_again() {
        let read = |line: &str| serde_json::from_str::<Record>(line).unwrap().segment();
        assert_eq!(read(r#"{"audio_path": "a", "label": "x"}"#), None);
        assert_eq!(
            read(r#"{"audio_path": "a", "label": "x", "segment_start": 30, "segment_end": 60.5}"#),
            Some((30.0, 60.5))
        );
        assert_eq!(
            read(
                r#"{"audio_path": "a", "ori_audio_path": "b", "label": ["x"], "segment_start": 30, "segment_end": 60.5}"#
            ),
            None
        );
        for broken in [r#""segment_start": 30"#, r#""segment_start": 3, "segment_end": 3"#] {
            assert_eq!(read(&format!(r#"{{"audio_path": "a", "label": "x", {broken}}}"#)), None);
        }
    }
}
