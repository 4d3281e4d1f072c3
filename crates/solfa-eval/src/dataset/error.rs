//! What can be wrong with a data set.

use std::io;
use std::path::PathBuf;

use super::Split;
use crate::store::StoreError;

/// How many of many are shown in a message.
const SHOWN: usize = 5;

/// Why a data set was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum DataSetError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] StoreError),
    /// A file has no rows.
    #[error("{}: expected one JSON object a line, found no line", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A line is not a row.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A row of a file that holds all splits does not say which it belongs to.
    #[error(
        "{}, line {line}: expected `split` (train, val or test), found none; only files named TASK.train.jsonl, \
         TASK.val.jsonl and TASK.test.jsonl may go without",
        path.display()
    )]
    NoSplit {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
    },
    /// A row says another split than the name of its file.
    #[error("{}, line {line}: expected `split` {}, as the file's name says, found {}", path.display(), expected.name(), found.name())]
    OtherSplit {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What the name of the file says.
        expected: Split,
        /// What the row says.
        found: Split,
    },
    /// A folder that does not hold exactly one data set.
    #[error("{}: expected the files of one data set (TASK.train.jsonl, TASK.val.jsonl, TASK.test.jsonl, or one .jsonl), found {}", path.display(), shown(found))]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// The data sets in it.
        found: Vec<String>,
    },
    /// The rows are well-formed, but nothing that is measured on them would mean anything.
    #[error("data set `{name}`: {}", shown(problems))]
    Unsound {
        /// Name of the data set.
        name: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// Recordings are not where the rows say.
    #[error("data set `{name}`: {} of {total} recordings are missing: {}", missing.len(), shown(missing))]
    MissingAudio {
        /// Name of the data set.
        name: String,
        /// Number of recordings.
        total: usize,
        /// The paths of those that are missing, as the rows have them.
        missing: Vec<String>,
    },
}

/// What is wrong with rows that are well-formed one by one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A recording (or the same stretch of one) stands there twice.
    #[error("{place}: `{recording}` stands in {first} already")]
    Twice {
        /// File and line of the second.
        place: String,
        /// File and line of the first.
        first: String,
        /// The recording.
        recording: String,
    },
    /// A recording, or a piece that clips were cut from, is in two splits.
    #[error("{place}: {field} `{value}` is in split {}, but in {} in {first}: one part would leak into the other", split.name(), first_split.name())]
    Leak {
        /// File and line of the second.
        place: String,
        /// File and line of the first.
        first: String,
        /// `audio_path` or `ori_uid`.
        field: &'static str,
        /// Its value.
        value: String,
        /// Split of the second.
        split: Split,
        /// Split of the first.
        first_split: Split,
    },
    /// A split has no rows.
    #[error("split {} has no rows", split.name())]
    EmptySplit {
        /// The split.
        split: Split,
    },
}

/// The first few of a list, and how many more there are.
fn shown<T: std::fmt::Display>(all: &[T]) -> String {
    if all.is_empty() {
        return "none".into();
    }
    let mut text = all.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if all.len() > SHOWN {
        text.push_str(&format!("; and {} more", all.len() - SHOWN));
    }
    text
}
