//! Data sets as JSON lines: which recordings there are, what is said of them, and which split they belong to.
//!
//! The schema is MARBLE v2's, read as it is; [`Record`] says more. [`DataSet`] reads one file, or the three files of a
//! MARBLE task, and refuses what would spoil a measurement: a recording in two splits, one that stands twice, an empty
//! split. [`import`](mod@import) makes such files of each data set's own, and [`classes`] has the lists of classes that are public
//! facts.
//!
//! This module must not know: encoders, probes.

mod audio_file;
mod check;
pub mod classes;
mod data_set;
mod error;
mod identity;
pub mod import;
mod record;
mod splits;

pub use audio_file::{AudioHeader, AudioProblem, CheckedAudio, check_audio};
pub use check::{CheckProgress, DataSetCheck, check};
pub use data_set::{DataSet, ReadOptions};
pub use error::{DataSetError, Problem};
pub use record::{Record, Split};
pub use splits::{SplitItem, SplitShares, random_splits};
