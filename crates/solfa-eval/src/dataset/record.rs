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
