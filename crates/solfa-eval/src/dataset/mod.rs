//! Data sets as JSON lines: which recordings there are, what is said of them, and which split they belong to.
//!
//! The schema is MARBLE v2's, read as it is; [`Record`] says more. Importers make such files of each data set's own.
//!
//! This module must not know: encoders, probes.

mod record;

pub use record::{Record, Split};
