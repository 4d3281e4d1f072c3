//! From a data set's own files to rows.
//!
//! [`import`] knows the layouts of [`known_data_sets`] and of some general ones (a folder for each class, CSV, JSON
//! folders of HEAR). What it finds is checked: recordings that are missing or cannot be decoded are left out, and both are
//! listed; the same sound under two names is listed, and so is what no row uses; counts stand beside those of the paper.
//! Nothing is downloaded.
//!
//! A data set that says how it is split keeps its split. Where chance decides, it has a seed, and the report says so.

mod chords;
mod emomusic;
mod folder;
mod folders;
mod gather;
mod giantsteps;
mod giantsteps_tempo;
mod gtzan;
mod harmonix;
mod hear;
mod hooktheory;
mod jamendo;
mod maestro;
mod magnatagatune;
mod musdb18;
mod npy;
mod nsynth;
mod table;
mod table_rows;
mod vocalset;

#[cfg(test)]
pub(crate) mod testing;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{AudioProblem, DataSet, DataSetError, Record, Split, SplitShares};
use folder::Folder;
use gather::{Gathered, finish};
pub use table_rows::{Filter, LabelForm, TableOptions};

use crate::annotation::AnnotationError;

/// A data set whose layout is known.
pub struct KnownDataSet {
    /// Its name here: `gtzan`.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// What its labels say: `one of 10 genres`.
    pub task: &'static str,
    /// The paper that describes it.
    pub paper: &'static str,
    /// The files and folders that are read.
    pub layout: &'static str,
    /// Who decides which recording is in which split.
    pub split_rule: &'static str,
    /// What its licence is known to be. Its own terms count.
    pub licence: &'static str,
    /// Where people get it.
    pub origin: &'static str,
    /// How many rows it has when complete.
    pub expected: ExpectedRows,
    gather: fn(&Folder, &ImportOptions) -> Result<Gathered, ImportError>,
}

/// Numbers of rows of a complete data set, where they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExpectedRows {
    /// Rows of the training split.
    pub train: Option<u64>,
    /// Rows of the validation split.
    pub validation: Option<u64>,
    /// Rows of the test split.
    pub test: Option<u64>,
    /// All rows.
    pub total: Option<u64>,
}

impl ExpectedRows {
    /// Nothing is known.
    const UNKNOWN: Self = Self { train: None, validation: None, test: None, total: None };

    /// All three splits are known.
    const fn of_splits(train: u64, validation: u64, test: u64) -> Self {
        let total = Some(train + validation + test);
        Self { train: Some(train), validation: Some(validation), test: Some(test), total }
    }

    /// Only the sum is known.
    const fn in_all(total: u64) -> Self {
        Self { total: Some(total), ..Self::UNKNOWN }
    }

    /// The expected number of rows of a split.
    pub fn of(&self, split: Split) -> Option<u64> {
        match split {
            Split::Train => self.train,
            Split::Validation => self.validation,
            Split::Test => self.test,
        }
    }
}

/// Every data set that [`import`] knows, and the general layouts.
pub fn known_data_sets() -> impl Iterator<Item = &'static KnownDataSet> {
    [
        gtzan::SETS,
        giantsteps::SETS,
        giantsteps_tempo::SETS,
        emomusic::SETS,
        magnatagatune::SETS,
        jamendo::SETS,
        nsynth::SETS,
        vocalset::SETS,
        musdb18::SETS,
        harmonix::SETS,
        hooktheory::SETS,
        chords::SETS,
        maestro::SETS,
        hear::SETS,
        folders::SETS,
        table_rows::SETS,
    ]
    .into_iter()
    .flatten()
}

/// What an import may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Where chance decides on splits, it begins here.
    pub seed: u64,
    /// Shares of splits that chance decides on.
    pub shares: SplitShares,
    /// Which fold of a data set with folds is the test split; the one after it is the validation split.
    pub fold: usize,
    /// Leave out all but one of recordings with the same content: published splits have some, so they stay by default.
    pub drop_duplicates: bool,
    /// The folder that paths are written relative to, which is that of the JSON lines; `None` for paths as they are below
    /// the folder given.
    pub relative_to: Option<PathBuf>,
    /// How a table of people's own is read.
    pub table: TableOptions,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            shares: SplitShares::EIGHT_ONE_ONE,
            fold: 0,
            drop_duplicates: false,
            relative_to: None,
            table: TableOptions::default(),
        }
    }
}

/// News of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportProgress {
    /// So many recordings are going to be opened.
    Found(usize),
    /// One more was opened.
    Opened,
}

/// Rows, and what there is to say about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The rows, each with its split.
    pub records: Vec<Record>,
    /// What was found.
    pub report: ImportReport,
}

impl Imported {
    /// The rows as a data set.
    ///
    /// # Errors
    /// [`DataSetError::EmptyFile`] where there are none.
    pub fn into_data_set(self) -> Result<DataSet, DataSetError> {
        DataSet::new(&self.report.data_set, self.records)
    }
}

/// What an import found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportReport {
    /// Name of the data set.
    pub data_set: String,
    /// What its labels say.
    pub task: String,
    /// What its licence is known to be.
    pub licence: String,
    /// How its splits came about this time.
    pub split_rule: String,
    /// The seed, where chance decided.
    pub seed: Option<u64>,
    /// Rows found and expected.
    pub rows: Vec<RowCount>,
    /// Recordings that rows ask for and that are not there.
    pub missing: Vec<String>,
    /// Recordings that cannot be decoded.
    pub unreadable: Vec<AudioProblem>,
    /// Recordings with the content of another one.
    pub duplicates: Vec<Duplicate>,
    /// What was left out for another reason: labels that are not in the class list, annotations that say nothing.
    pub left_out: Vec<LeftOut>,
    /// Audio files that no row uses.
    pub unused: Vec<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// Rows found and expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowCount {
    /// `train`, `val`, `test`, or `all`.
    pub split: String,
    /// Rows that were written.
    pub found: u64,
    /// Rows of the complete data set, where the number is known.
    pub expected: Option<u64>,
}

/// A recording with the content of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// The recording.
    pub path: String,
    /// Its split.
    pub split: Split,
    /// The one that has the same content.
    pub same_as: String,
    /// The split of that one.
    pub same_as_split: Split,
}

/// Something that gave no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No such data set.
    #[error("`{found}` is not a known data set: expected {expected}")]
    Unknown {
        /// The names that are known.
        expected: String,
        /// The name given.
        found: String,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is not laid out as the data set is.
    #[error("{} does not look like {data_set}: expected {expected}, found {found}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// Name of the data set.
        data_set: &'static str,
        /// What would be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A line of a file of the data set is wrong.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file of the data set is not in its format.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An annotation of the data set cannot be read.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// An option is missing or makes no sense for the data set.
    #[error("{0}")]
    Option(String),
    /// No row is left.
    #[error("{}: no recording is left: {summary}", path.display())]
    NoRows {
        /// The folder.
        path: PathBuf,
        /// How many were missing, unreadable, left out, with an example of each.
        summary: String,
    },
}

impl ImportError {
    fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Imports the data set with the name `name` in [`known_data_sets`] from `folder`. `progress` is called from several
/// threads.
///
/// # Errors
/// [`ImportError`]: an unknown name, a folder with another layout, a file of the data set that is wrong, or no recording
/// that could be used. Recordings that are missing or unreadable are no error: the report lists them.
pub fn import(
    name: &str,
    folder: &Path,
    options: &ImportOptions,
    progress: &(dyn Fn(ImportProgress) + Sync),
) -> Result<Imported, ImportError> {
    let Some(known) = known_data_sets().find(|known| known.name == name) else {
        let expected = known_data_sets().map(|known| known.name).collect::<Vec<_>>().join(", ");
        return Err(ImportError::Unknown { expected, found: name.to_owned() });
    };
    let (folder, options) = table_rows::of_file(known, folder, options);
    let folder = Folder::open(&folder)?;
    let gathered = (known.gather)(&folder, &options)?;
    finish(known, &folder, gathered, &options, progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_says_what_it_is() {
        let mut names: Vec<&str> = known_data_sets().map(|known| known.name).collect();
        assert!(names.len() >= 20, "{names:?}");
        for known in known_data_sets() {
            for text in [known.title, known.task, known.layout, known.split_rule, known.licence, known.origin] {
                assert!(!text.is_empty(), "{}", known.name);
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), known_data_sets().count());
    }

    #[test]
    fn an_unknown_name_and_an_absent_folder_are_errors() {
        let nothing = |_: ImportProgress| {};
        let error = import("gtzam", Path::new("."), &ImportOptions::default(), &nothing).unwrap_err().to_string();
        assert!(error.starts_with("`gtzam` is not a known data set: expected gtzan, "), "{error}");
        let error = import("gtzan", Path::new("absent"), &ImportOptions::default(), &nothing).unwrap_err().to_string();
        assert_eq!(error, "cannot read absent");
    }
}
